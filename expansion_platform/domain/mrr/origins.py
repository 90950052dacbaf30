"""Who began an expansion: the customer itself, the product, sales, or nobody knows (semantics 4.3).

Here: what Stripe's data says of each change, and the rule. Not here: the one origin of each positive organic
amount (`origin_rules.py`), the amounts (`attribution.py`), reading the CRM (`sources/user_tables.py`).

Stripe says who asked for a change only in events, which it forgets after 30 days, and in metadata. Of
metadata, a bill keeps what the subscription's was when it was finalized, which dates it: it is believed of
the last change before the bill, and what a subscription or item says now of its last change. So metadata has
to be written with every change. A change of before the first pull without any of this is `unknown`, never
guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.catalog.instants import instants
from expansion_platform.domain.catalog.tables import TOUCH, WON
from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.first_paid import included
from expansion_platform.domain.mrr.origin_rules import AFTER, BEFORE, origins
from expansion_platform.domain.mrr.tables import Origins
from expansion_platform.domain.mrr.vocabulary import INITIATORS
from expansion_platform.domain.stripe import tables as stripe

PORTAL_SESSION = pd.Timedelta(hours=1)  # a session of the portal ends soon after the customer's last click
PORTAL_OPENED, CHECKED_OUT = "billing_portal.session.created", "checkout.session.completed"
CREATED = "customer.subscription.created"
STATE = ["price", "quantity", "status", "collection_paused"]
WITNESSED = ["initiated_by", "initiated_id", "portal_id", "checkout_id", "automatic_id"]


@dataclass(frozen=True)
class Facts:
    """What Stripe says of who began changes, each with at least the columns named.

    `events` (id, created, type, object_id, customer, request_id, state_json, previous_json), `invoices` (id,
    created, subscription, metadata_json), `subscriptions` and `items` as they are now (id, metadata_json).
    """

    events: pd.DataFrame
    invoices: pd.DataFrame
    subscriptions: pd.DataFrame
    items: pd.DataFrame


def changes(states: pd.DataFrame) -> pd.DataFrame:
    """Every change of an item: added, or at another price, quantity or status.

    Args:
        states: billing/item_states in the order of its key: customer, subscription, item, valid_from,
            valid_to, price, quantity, status, collection_paused, usage_type, source. A metered quantity is
            use, not a change.

    Returns:
        customer, subscription, item, at, source; `until`: the subscription's next change (or an item's end),
        null when there is none; `first`, of its subscription; `last`, of its item.
    """
    shown = pd.DataFrame(
        {name: states[name].astype("category").cat.codes.astype("int64") for name in ["item", *STATE]}
    )
    shown["quantity"] = shown["quantity"].mask((states["usage_type"] == "metered").to_numpy(dtype=bool), -1)
    same = shown.eq(shown.shift())
    joins = same["item"] & states["valid_from"].eq(states["valid_to"].shift())
    new = ~(joins & same.all(axis=1))
    found = (
        states.loc[new, ["customer", "subscription", "item", "source"]]
        .astype("str")
        .assign(at=states.loc[new, "valid_from"])
    )
    ends = states.loc[
        states["valid_to"].notna() & ~joins.shift(-1, fill_value=False), ["subscription", "valid_to"]
    ]
    instants = pd.concat(
        [
            found[["subscription", "at"]],
            ends.astype({"subscription": "str"}).rename(columns={"valid_to": "at"}),
        ]
    ).drop_duplicates()
    instants = instants.sort_values(["subscription", "at"])
    instants["until"] = instants.groupby("subscription")["at"].shift(-1)
    found = found.merge(instants, on=["subscription", "at"], how="left")
    return found.assign(
        first=found["at"].eq(found.groupby("subscription")["at"].transform("min")),
        last=~found["item"].duplicated(keep="last"),
    )


def witnessed(found: pd.DataFrame, facts: Facts, catalog: Catalog, *, named: bool) -> pd.DataFrame:
    """`changes` with `initiated_by`, and the ids of what shows each.

    Metadata, a portal session, a checkout, an event Stripe made by itself.

    Of metadata the event of the change itself goes first, then the item's, then that on the next bill, then
    the subscription's. `named` says whether any event of the account names a request: where none does, as a
    warehouse's loader may leave them out, none is taken for Stripe's own.
    """
    joined = found.assign(customer=found["customer"].map(catalog.customer).astype("str"))
    events = facts.events.rename(columns={"created": "at", "object_id": "subscription", "id": "event_id"})
    own = events[events["type"].str.startswith("customer.subscription.")]
    saying = (
        own.assign(said=_initiators(own["state_json"]))
        .dropna(subset="said")
        .drop_duplicates(["subscription", "at"], keep="last")
    )
    joined = joined.merge(
        saying[["subscription", "at", "said", "event_id"]], on=["subscription", "at"], how="left"
    )
    bills = facts.invoices.assign(said=_initiators(facts.invoices["metadata_json"])).dropna(subset="said")
    bills = bills.rename(columns={"created": "billed_at", "id": "bill_id", "said": "bill_said"}).sort_values(
        "billed_at"
    )
    joined = pd.merge_asof(
        joined.sort_values("at", kind="stable"),
        bills[["subscription", "billed_at", "bill_id", "bill_said"]],
        left_on="at",
        right_on="billed_at",
        by="subscription",
        direction="forward",
    )
    in_time = joined["until"].isna() | (joined["billed_at"] < joined["until"])
    now = {
        name: dict(zip(frame["id"], _initiators(frame["metadata_json"]), strict=True))
        for name, frame in _present(facts)
    }
    sources = [
        (joined["said"], joined["event_id"]),
        (joined["item"].map(now["items"]).where(joined["last"]), joined["item"]),
        (joined["bill_said"].where(in_time), joined["bill_id"]),
        (
            joined["subscription"].map(now["subscriptions"]).where(joined["until"].isna()),
            joined["subscription"],
        ),
    ]
    joined["initiated_by"], joined["initiated_id"] = None, None
    for said, identity in reversed(sources):
        joined["initiated_by"] = said.where(said.notna(), joined["initiated_by"])
        joined["initiated_id"] = identity.where(said.notna(), joined["initiated_id"])
    opened = (
        events[events["type"] == PORTAL_OPENED]
        .rename(columns={"at": "opened_at", "event_id": "portal_id"})
        .sort_values("opened_at")
    )
    opened = opened.assign(customer=opened["customer"].map(catalog.customer).astype("str"))[
        ["customer", "opened_at", "portal_id"]
    ]
    joined = pd.merge_asof(
        joined, opened, left_on="at", right_on="opened_at", by="customer", tolerance=PORTAL_SESSION
    )
    sessions = events[events["type"] == CHECKED_OUT]
    begun = {
        json.loads(text).get("subscription"): identity
        for text, identity in zip(sessions["state_json"], sessions["event_id"], strict=True)
    }
    joined["checkout_id"] = joined["subscription"].map(begun).where(joined["first"])
    asked = own["request_id"].notna()
    listed = (own["type"] == CREATED) | own["previous_json"].str.contains('"(?:items|status)":', regex=True)
    by_itself = own[listed & (~asked if named else asked)]
    by_itself = by_itself.drop_duplicates(["subscription", "at"]).rename(columns={"event_id": "automatic_id"})
    joined = joined.merge(
        by_itself[["subscription", "at", "automatic_id"]], on=["subscription", "at"], how="left"
    )
    columns = ["customer", "subscription", "item", "at", "source", *WITNESSED]
    return (
        joined[columns]
        .astype(dict.fromkeys(WITNESSED, "str"))
        .sort_values(["customer", "item", "at"], ignore_index=True)
    )


def initiator(text: str) -> str | None:
    """What `initiated_by` says in a JSON text, in one spelling.

    None where it says nothing, or what nobody knows to read.
    """
    said = str(json.loads(text).get("initiated_by") or "").strip().lower().replace("-", "_").replace(" ", "_")
    return said if said in INITIATORS else None


def _initiators(texts: pd.Series[str]) -> pd.Series[str]:
    return texts.map({text: initiator(text) for text in texts.drop_duplicates()}).astype("str")


def _present(facts: Facts) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "items", facts.items
    yield "subscriptions", facts.subscriptions


def compute_origins(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """mrr/origins of some months."""
    activity = credited(inputs.value("activity"), inputs.timezone)
    activity = activity.assign(customer=activity["customer"].map(inputs.catalog.customer).astype("str"))
    causes, movements = inputs.frame(mrr.Causes), inputs.frame(mrr.Movements)
    return Computed(
        {Origins: origins(wanted, causes, movements, _witnessed(inputs), activity, inputs.timezone)}
    )


def requests_named(_: Sequence[str], inputs: Inputs) -> bool:
    """Whether an event of some customers' subscriptions names the request behind it."""
    events = inputs.frame(stripe.Events)
    return bool(
        events.loc[events["type"].str.startswith("customer.subscription."), "request_id"].notna().any()
    )


def origins_digest(_: Sequence[str], inputs: Inputs) -> dict[str, int]:
    """What months depend on of what Stripe says of some customers' changes.

    Sums of 64-bit hashes, by month.
    """
    every = _witnessed(inputs)
    hashes = pd.Series(pd.util.hash_pandas_object(every, index=False).to_numpy(), index=every.index)
    sums = hashes.groupby(every["at"].dt.tz_convert(inputs.timezone).dt.strftime("%Y-%m")).sum()
    return {str(month): int(sum_) for month, sum_ in sums.items()}


def origins_digests(wanted: Sequence[str], parts: Sequence[dict[str, int]], _: Inputs) -> dict[str, str]:
    """What each month depends on of what Stripe says of changes: a text by month."""
    return {month: f"{sum(part.get(month, 0) for part in parts) % 2**64:016x}" for month in wanted}


def near_activity(wanted: Sequence[str], activity: pd.DataFrame, timezone: str) -> dict[str, str]:
    """What each month depends on of the CRM's records: a text by month."""
    records = credited(activity, timezone)
    return {
        month: canonical.content_hash(_near(records, month, timezone).to_numpy().tolist()) for month in wanted
    }


def credited(activity: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """The records that can be behind a change: touches, and opportunities won, as they are known now.

    Args:
        activity: CrmActivity, with several versions of a record or without.
        timezone: reporting time zone.

    Returns:
        customer, date, kind, id; one row a record, in the order of `activity`.
    """
    known = instants(activity["known_at"], timezone)
    newest = known.sort_values(kind="stable").index  # a row that does not say since when is the newest
    rows = activity.loc[newest].drop_duplicates(["kind", "id"], keep="last").sort_index()
    won = rows["stage"].isna() | (rows["stage"] == WON) | (rows["kind"] == TOUCH)
    return rows.loc[won, ["customer", "date", "kind", "id"]]


def _witnessed(inputs: Inputs) -> pd.DataFrame:
    """Every change with what Stripe says of who began it."""
    catalog = inputs.catalog
    states = included(inputs.frame(billing.ItemStates), catalog)
    facts = Facts(
        *(
            inputs.frame(model)
            for model in (stripe.Events, stripe.Invoices, stripe.Subscriptions, stripe.SubscriptionItems)
        )
    )
    return witnessed(changes(states), facts, catalog, named=inputs.value("requests_named"))


def _near(activity: pd.DataFrame, month: str, timezone: str) -> pd.DataFrame:
    """The CRM's records that may matter to a month."""
    first = months.opening(month, timezone).tz_convert(timezone).date() - BEFORE
    last = months.closing(month, timezone).tz_convert(timezone).date() - timedelta(days=1) + AFTER
    return activity[(activity["date"] >= first.isoformat()) & (activity["date"] <= last.isoformat())]
