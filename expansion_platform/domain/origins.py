"""Who began an expansion: the customer itself, the product, sales, or nobody knows (semantics 4.3).

Here: what Stripe and the CRM tell of each change, the one origin of each positive organic amount, and the split of the headline. Not here: the
amounts (`attribution.py`), reading the CRM (`sources/given.py`).

Stripe says who asked for a change only in events, which it forgets after 30 days, and in metadata. Of metadata, a bill keeps what the subscription's
was when it was finalized, which dates it: it is believed of the last change before the bill, and what a subscription or item says now of its last
change. So metadata has to be written with every change. A change of before the first pull without any of this is `unknown`, never guessed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from expansion_platform.domain import canonical, months
from expansion_platform.domain.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.money import largest_remainder
from expansion_platform.domain.mrr import included
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas import billing, mrr, stripe
from expansion_platform.domain.schemas.given import OPPORTUNITY, TOUCH
from expansion_platform.domain.schemas.mrr import ORGANIC
from expansion_platform.domain.schemas.origin import INITIATORS, Origins

BEFORE, AFTER = timedelta(days=30), timedelta(days=14)
PORTAL_SESSION = pd.Timedelta(hours=1)  # a session of the portal ends soon after the customer's last click
PORTAL_OPENED, CHECKED_OUT = "billing_portal.session.created", "checkout.session.completed"
CREATED = "customer.subscription.created"
STATE = ["price", "quantity", "status", "collection_paused"]
WITNESSED = ["initiated_by", "initiated_id", "portal_id", "checkout_id", "automatic_id"]


@dataclass(frozen=True)
class Facts:
    """What Stripe says of who began changes, each with at least the columns named.

    `events` (id, created, type, object_id, customer, request_id, state_json, previous_json), `invoices` (id, created, subscription, metadata_json),
    `subscriptions` and `items` as they are now (id, metadata_json).
    """

    events: pd.DataFrame
    invoices: pd.DataFrame
    subscriptions: pd.DataFrame
    items: pd.DataFrame


def changes(states: pd.DataFrame) -> pd.DataFrame:
    """Every change of an item: added, or at another price, quantity or status.

    Args:
        states: billing/item_states in the order of its key: customer, subscription, item, valid_from, valid_to, price, quantity, status,
            collection_paused, usage_type, source. A metered quantity is use, not a change.

    Returns:
        customer, subscription, item, at, source; `until`: the subscription's next change (or an item's end), null when there is none; `first`, of its
        subscription; `last`, of its item.
    """
    shown = pd.DataFrame({name: states[name].astype("category").cat.codes.astype("int64") for name in ["item", *STATE]})
    shown["quantity"] = shown["quantity"].mask((states["usage_type"] == "metered").to_numpy(dtype=bool), -1)
    same = shown.eq(shown.shift())
    joins = same["item"] & states["valid_from"].eq(states["valid_to"].shift())
    new = ~(joins & same.all(axis=1))
    found = states.loc[new, ["customer", "subscription", "item", "source"]].astype("str").assign(at=states.loc[new, "valid_from"])
    ends = states.loc[states["valid_to"].notna() & ~joins.shift(-1, fill_value=False), ["subscription", "valid_to"]]
    instants = pd.concat([found[["subscription", "at"]], ends.astype({"subscription": "str"}).rename(columns={"valid_to": "at"})]).drop_duplicates()
    instants = instants.sort_values(["subscription", "at"])
    instants["until"] = instants.groupby("subscription")["at"].shift(-1)
    found = found.merge(instants, on=["subscription", "at"], how="left")
    return found.assign(first=found["at"].eq(found.groupby("subscription")["at"].transform("min")), last=~found["item"].duplicated(keep="last"))


def witnessed(found: pd.DataFrame, facts: Facts, catalog: Catalog) -> pd.DataFrame:
    """`changes` with `initiated_by`, and the ids of what tells of each: metadata, a portal session, a checkout, an event Stripe made by itself.

    Of metadata the event of the change itself goes first, then the item's, then that on the next bill, then the subscription's. Where no event
    names a request, as a warehouse's loader may leave them out, none is taken for Stripe's own.
    """
    told = found.assign(customer=found["customer"].map(catalog.customer).astype("str"))
    events = facts.events.rename(columns={"created": "at", "object_id": "subscription", "id": "event_id"})
    own = events[events["type"].str.startswith("customer.subscription.")]
    saying = own.assign(said=_initiators(own["state_json"])).dropna(subset="said").drop_duplicates(["subscription", "at"], keep="last")
    told = told.merge(saying[["subscription", "at", "said", "event_id"]], on=["subscription", "at"], how="left")
    bills = facts.invoices.assign(said=_initiators(facts.invoices["metadata_json"])).dropna(subset="said")
    bills = bills.rename(columns={"created": "billed_at", "id": "bill_id", "said": "bill_said"}).sort_values("billed_at")
    told = pd.merge_asof(
        told.sort_values("at", kind="stable"),
        bills[["subscription", "billed_at", "bill_id", "bill_said"]],
        left_on="at",
        right_on="billed_at",
        by="subscription",
        direction="forward",
    )
    in_time = told["until"].isna() | (told["billed_at"] < told["until"])
    now = {name: dict(zip(frame["id"], _initiators(frame["metadata_json"]), strict=True)) for name, frame in _present(facts)}
    sources = [
        (told["said"], told["event_id"]),
        (told["item"].map(now["items"]).where(told["last"]), told["item"]),
        (told["bill_said"].where(in_time), told["bill_id"]),
        (told["subscription"].map(now["subscriptions"]).where(told["until"].isna()), told["subscription"]),
    ]
    told["initiated_by"], told["initiated_id"] = None, None
    for said, identity in reversed(sources):
        told["initiated_by"] = said.where(said.notna(), told["initiated_by"])
        told["initiated_id"] = identity.where(said.notna(), told["initiated_id"])
    opened = events[events["type"] == PORTAL_OPENED].rename(columns={"at": "opened_at", "event_id": "portal_id"}).sort_values("opened_at")
    opened = opened.assign(customer=opened["customer"].map(catalog.customer).astype("str"))[["customer", "opened_at", "portal_id"]]
    told = pd.merge_asof(told, opened, left_on="at", right_on="opened_at", by="customer", tolerance=PORTAL_SESSION)
    sessions = events[events["type"] == CHECKED_OUT]
    begun = {json.loads(text).get("subscription"): identity for text, identity in zip(sessions["state_json"], sessions["event_id"], strict=True)}
    told["checkout_id"] = told["subscription"].map(begun).where(told["first"])
    asked = own["request_id"].notna()
    listed = (own["type"] == CREATED) | own["previous_json"].str.contains('"(?:items|status)":', regex=True)
    by_itself = own[listed & (~asked if asked.any() else asked)]
    by_itself = by_itself.drop_duplicates(["subscription", "at"]).rename(columns={"event_id": "automatic_id"})
    told = told.merge(by_itself[["subscription", "at", "automatic_id"]], on=["subscription", "at"], how="left")
    columns = ["customer", "subscription", "item", "at", "source", *WITNESSED]
    return told[columns].astype(dict.fromkeys(WITNESSED, "str")).sort_values(["customer", "item", "at"], ignore_index=True)


@dataclass(frozen=True)
class _Behind:
    """What is known of one amount: its changes, the last first, and the CRM's records of the customer."""

    cause: str
    changes: list[dict[Hashable, Any]]
    spans: list[tuple[date, date]]
    activity: list[tuple[str, date, str]]

    def told(self, column: str) -> list[str]:
        """The id in `column` of the last change that has one."""
        return next(([str(change[column])] for change in self.changes if not pd.isna(change[column])), [])

    def logged(self, kind: str, before: timedelta, after: timedelta) -> list[str]:
        """Ids of the CRM's records of a kind so near to one of the changes."""
        return sorted(
            {identity for each, day, identity in self.activity if each == kind and any(a - before <= day <= b + after for a, b in self.spans)}
        )


def _initiated(behind: _Behind) -> tuple[str, list[str]] | None:
    known = next((change for change in behind.changes if change["initiated_by"] in INITIATORS), None)
    return None if known is None else (str(known["initiated_by"]), [str(known["initiated_id"])])


def _as(origin: str, found: Callable[[_Behind], list[str]]) -> Callable[[_Behind], tuple[str, list[str]] | None]:
    return lambda behind: (origin, ids) if (ids := found(behind)) else None


def _scheduled(behind: _Behind) -> list[str]:
    return next(([str(change["subscription"])] for change in behind.changes if change["source"] == "schedule"), [])


FIRST_MATCH: dict[str, Callable[[_Behind], tuple[str, list[str]] | None]] = {
    "initiated_by": _initiated,
    "opportunity": _as("sales", lambda behind: behind.logged(OPPORTUNITY, BEFORE, AFTER)),
    "portal": _as("self_serve", lambda behind: behind.told("portal_id")),
    "checkout": _as("self_serve", lambda behind: behind.told("checkout_id")),
    "usage": lambda behind: ("product", []) if behind.cause == "usage" else None,
    "schedule": _as("product", _scheduled),
    "automatic": _as("product", lambda behind: behind.told("automatic_id")),
    "touch": _as("touched", lambda behind: behind.logged(TOUCH, BEFORE, timedelta(0))),
    "none": lambda _: ("unknown", []),
}
"""The rules of semantics 4.3 in order: name -> origin and evidence, None when it says nothing."""


def origins(month: str, causes: pd.DataFrame, movements: pd.DataFrame, told: pd.DataFrame, activity: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """mrr/origins of one month without hashes.

    Args:
        month: whose.
        causes: its mrr/causes.
        movements: its mrr/movements.
        told: `witnessed` changes; those within the month count.
        activity: the CRM's records (`schemas/given.py`, CrmActivity), customers after aliases.
        timezone: reporting time zone, in which a change has a day.

    Returns:
        A row per customer, match group and cause whose organic amounts sum to more than nothing. `expansion` is the customer's headline of the cause
        (movements.expansion_*), shared out pro rata to them.
    """
    organic = causes[causes["cause"].isin(ORGANIC)]
    by = ["customer", "group", "cause"]
    amounts = organic.groupby(by, as_index=False)["amount"].sum()
    start, end = (at.tz_convert(ZoneInfo(timezone)) for at in (months.opening(month, timezone), months.closing(month, timezone)))
    whole = (start.date(), (end - pd.Timedelta(microseconds=1)).date())
    within = told[(told["at"] >= start) & (told["at"] < end)]
    grown = organic[(organic["amount"] > 0) & (organic["to_item"] != "")].merge(within, left_on="to_item", right_on="item", suffixes=("", "_of"))
    behind: dict[tuple[str, ...], list[dict[Hashable, Any]]] = defaultdict(list)
    for change in grown.sort_values(["at", "item"], ascending=[False, True])[[*by, "subscription", "at", "source", *WITNESSED]].to_dict("records"):
        behind[tuple(change[name] for name in by)].append(change)
    recorded = _by_customer(activity)
    records = []
    for row in amounts[amounts["amount"] > 0].to_dict("records"):
        own = behind.get((row["customer"], row["group"], row["cause"]), [])
        days = [change["at"].tz_convert(ZoneInfo(timezone)).date() for change in own]
        spans = [(day, day) for day in days] if days and row["cause"] != "usage" else [whole]
        known = _Behind(row["cause"], own, spans, recorded.get(row["customer"], []))
        rule, origin, evidence = next((name, *found) for name, says in FIRST_MATCH.items() if (found := says(known)) is not None)
        changed_at = own[0]["at"] if own else None
        records.append({**row, "origin": origin, "rule": rule, "changed_at": changed_at, "evidence_json": canonical.dumps(evidence)})
    columns = [*by, "origin", "rule", "amount", "changed_at", "evidence_json"]
    frame = pd.DataFrame.from_records(records, columns=columns).astype({"amount": "int64", "changed_at": "datetime64[us, UTC]"})
    return frame.assign(month=month, expansion=_shared(frame, movements))


def initiator(text: str) -> str | None:
    """What `initiated_by` says in a JSON text, in one spelling; None where it says nothing, or what nobody knows to read."""
    said = str(json.loads(text).get("initiated_by") or "").strip().lower().replace("-", "_").replace(" ", "_")
    return said if said in INITIATORS else None


def _initiators(texts: pd.Series[str]) -> pd.Series[str]:
    return texts.map({text: initiator(text) for text in texts.drop_duplicates()}).astype("str")


def _present(facts: Facts) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "items", facts.items
    yield "subscriptions", facts.subscriptions


def _by_customer(activity: pd.DataFrame) -> dict[str, list[tuple[str, date, str]]]:
    found: dict[str, list[tuple[str, date, str]]] = {}
    for row in activity.to_dict("records"):
        found.setdefault(row["customer"], []).append((row["kind"], date.fromisoformat(row["date"]), row["id"]))
    return found


def _shared(frame: pd.DataFrame, movements: pd.DataFrame) -> pd.Series[int]:
    """By row: its part of the customer's headline of that cause, by largest remainder."""
    headline = movements.set_index("customer")[[f"expansion_{cause}" for cause in ORGANIC]].to_dict()
    shares: dict[tuple[str, str], list[tuple[Hashable, int]]] = defaultdict(list)
    for index, customer, cause, amount in zip(frame.index, frame["customer"], frame["cause"], frame["amount"], strict=True):
        shares[customer, cause].append((index, amount))
    parts: dict[Hashable, int] = {}
    for (customer, cause), rows in shares.items():
        split = largest_remainder(int(headline[f"expansion_{cause}"][customer]), [amount for _, amount in rows])
        parts |= zip((index for index, _ in rows), split, strict=True)
    return pd.Series(parts, index=frame.index, dtype="int64")


def compute_origins(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """mrr/origins of some months."""
    catalog, timezone = inputs.catalog, inputs.timezone
    told = _told(inputs)
    activity = inputs.value("activity")
    activity = activity.assign(customer=activity["customer"].map(catalog.customer).astype("str"))

    def compute(month: str) -> Frames:
        causes, movements = inputs.frame(mrr.Causes, [month]), inputs.frame(mrr.Movements, [month])
        return {Origins: origins(month, causes, movements, told[month], _near(activity, month, timezone), timezone)}

    return month_by_month(wanted, compute)


def origins_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """What each month depends on of what Stripe says of changes: a text by month."""
    told = _told(inputs)
    return {month: canonical.content_hash(pd.util.hash_pandas_object(told[month], index=False).tolist()) for month in wanted}


def near_activity(wanted: Sequence[str], activity: pd.DataFrame, timezone: str) -> dict[str, str]:
    """What each month depends on of the CRM's records: a text by month."""
    return {month: canonical.content_hash(_near(activity, month, timezone).to_numpy().tolist()) for month in wanted}


def _told(inputs: Inputs) -> Mapping[str, pd.DataFrame]:
    """Every month's changes with what Stripe says of who began them."""
    catalog = inputs.catalog
    states = included(inputs.frame(billing.ItemStates), catalog)
    facts = Facts(*(inputs.frame(model) for model in (stripe.Events, stripe.Invoices, stripe.Subscriptions, stripe.SubscriptionItems)))
    told = witnessed(changes(states), facts, catalog)
    by_month = told.groupby(told["at"].dt.tz_convert(inputs.timezone).dt.strftime("%Y-%m"))
    return defaultdict(lambda: told.iloc[:0], iter(by_month))


def _near(activity: pd.DataFrame, month: str, timezone: str) -> pd.DataFrame:
    """The CRM's records that may matter to a month."""
    first = months.opening(month, timezone).tz_convert(timezone).date() - BEFORE
    last = months.closing(month, timezone).tz_convert(timezone).date() - timedelta(days=1) + AFTER
    return activity[(activity["date"] >= first.isoformat()) & (activity["date"] <= last.isoformat())]
