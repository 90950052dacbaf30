"""First reported against restated: every figure of a closed month that is no longer what it was, and why.

See semantics 1.8.

Here: what is kept of a month as it closes, and the comparison with what the tables say now. Not here: which
figures there are (`mrr/contributions.py`), when a month closes (`months.closes`), where what it reported is
kept (`tables/first_reported.py`).

A customer's figures depend on its items at the two ends of the month, the exchange rates there, whether it
paid before, the policy, the catalog, the rules and the time zone, and on no other customer (semantics 8.2,
property 8). So these are kept with the figures, and compared with them: a reason is found and not guessed.
One thing is of all customers: which prices are plans, where nobody said so (semantics 3.1, D-12). A late fact
about others that changes this is a `late_event`, as is everything that nothing else explains. The old catalog
and the old rules are not kept, so nothing can be computed again as it was then: where several changed
together, no amount is split between them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.money import Bools
from expansion_platform.domain.metrics.tables.restatements import RESTATED_BECAUSE
from expansion_platform.domain.mrr.contributions import FIGURES, TEXTS, contributions, kept
from expansion_platform.domain.mrr.states import among, covers, owners
from expansion_platform.domain.mrr.valuation import IDENTITY, STATE

NO_ITEMS = {"states_hash": "0" * 16, "usage_hash": "0" * 16, "rates_json": "{}"}
VERSIONS = ["policy_hash", "catalog_hash", "rules_hash", "timezone"]

Hashes = npt.NDArray[np.uint64]
_ENDS = np.array([1, 0x9E3779B97F4A7C15], dtype=np.uint64)
"""Odd weights that distinguish the two ends: the items at the opening are not those at the closing."""


@dataclass(frozen=True)
class Ends:
    """The two ends of a month: its instants, and the exchange rates there (currency -> rate)."""

    opening: pd.Timestamp
    closing: pd.Timestamp
    rates_open: Mapping[str, str]
    rates_close: Mapping[str, str]


def first_reported(figures: pd.DataFrame, hashed: pd.DataFrame, ends: Ends, reporting: str) -> pd.DataFrame:
    """What is kept of a month as it closes: mrr/first_reported without month, reported_at and versions.

    Args:
        figures: of the month (`contributions.figures`).
        hashed: of billing/item_states, excluded customers too (`hashed_states`).
        ends: the month's.
        reporting: reporting currency.
    """
    reported, holding = figures.set_index("customer"), holdings(hashed, ends, reporting)
    customers = reported.index.union(holding.index)
    amounts = reported[FIGURES].reindex(customers, fill_value=0)
    texts = reported[["first_paid_month", *TEXTS]].reindex(customers)
    return (
        pd.concat([texts, amounts, _known(holding, customers)], axis=1).rename_axis("customer").reset_index()
    )


def hashed_states(states: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """Each state with its customer after aliases and, for what it says, 64-bit hashes: once for all months.

    Args:
        states: billing/item_states; text columns may be categoricals.
        catalog: gives aliases.

    Returns:
        customer, subscription, currency, valid_from, valid_to, terms (the quantity of metered items and the
        id before a merge left out), and used (a metered item's quantity, 0 for others).
    """
    metered = (states["usage_type"] == "metered").to_numpy(dtype=bool)
    quantity = states["quantity"].astype("object")
    columns = [name for name in STATE if name not in (IDENTITY[0], "quantity")]
    used = np.zeros(len(states), dtype=np.uint64)
    used[metered] = _hashed(pd.DataFrame({"item": states["item"], "quantity": quantity})[metered])
    return states[["subscription", "currency", "valid_from", "valid_to"]].assign(
        customer=owners(states["customer"].astype("object"), catalog),
        currency=states["currency"].astype("object"),
        terms=_hashed(states[columns].assign(quantity=quantity.mask(metered, ""))),
        used=used,
    )


def holdings(hashed: pd.DataFrame, ends: Ends, reporting: str) -> pd.DataFrame:
    """Each customer's items at the two ends: states_hash, usage_hash, rates_json by customer.

    Hashes are added up, so order does not matter.
    """
    at_ends = [hashed[covers(hashed, instant)] for instant in (ends.opening, ends.closing)]
    codes, customers = pd.factorize(pd.concat([rows["customer"] for rows in at_ends]), sort=True)
    terms, used = (
        np.concatenate([rows[name].to_numpy() * weight for rows, weight in zip(at_ends, _ENDS, strict=True)])
        for name in ("terms", "used")
    )
    currencies = pd.concat([rows["currency"] for rows in at_ends])
    return pd.DataFrame(
        {
            "states_hash": _texts(_sums(codes, terms, len(customers))),
            "usage_hash": _texts(_sums(codes, used, len(customers))),
            "rates_json": _rates(currencies, codes, len(customers), ends, reporting),
        },
        index=pd.Index(customers, name="customer"),
    )


def restatements(
    reported: pd.DataFrame,
    figures: pd.DataFrame,
    *,
    hashed: pd.DataFrame,
    new_subscriptions: Collection[str],
    ends: Ends,
    catalog: Catalog,
    versions: Mapping[str, str],
) -> pd.DataFrame:
    """What of a closed month is no longer as first reported.

    metrics/restatements without month, reported_at and hashes.

    Args:
        reported: mrr/first_reported of the month. What the version that wrote it did not keep is unknown and
            not compared.
        figures: of the month, as the tables have them now (`contributions.figures`).
        hashed: of billing/item_states (`hashed_states`).
        new_subscriptions: subscriptions made in Stripe after the month closed.
        ends: the month's.
        catalog: gives aliases and the reporting currency.
        versions: policy_hash, catalog_hash, rules_hash and timezone of now.
    """
    before, after = reported.set_index("customer"), figures.set_index("customer")
    rows = _compared(before, after, kept(reported))
    moved = pd.Index(rows["customer"].unique())
    theirs = hashed[among(hashed["customer"], set(moved))]
    in_force = theirs[covers(theirs, ends.opening) | covers(theirs, ends.closing)]
    evidence = _Evidence(
        then=_known(before, moved).assign(paid=before["first_paid_month"].reindex(moved)),
        now=_known(holdings(theirs, ends, catalog.reporting_currency), moved).assign(
            paid=after["first_paid_month"].reindex(moved)
        ),
        changed={name for name in VERSIONS if len(before) and before[name].iloc[0] != versions[name]},
        merged=moved.isin(
            [
                name
                for alias, owner in catalog.aliases.items()
                if alias in before.index
                for name in (alias, owner)
            ]
        ),
        made_later=moved.isin(in_force.loc[among(in_force["subscription"], new_subscriptions), "customer"]),
    )
    which = moved.get_indexer(pd.Index(rows["customer"]))
    return rows.assign(
        difference=rows["restated"] - rows["first_reported"],
        **{name: texts[which] for name, texts in evidence.reasons().items()},
    )


def _compared(before: pd.DataFrame, after: pd.DataFrame, known: Collection[str]) -> pd.DataFrame:
    """What customers add to each published sum then and now, where that differs.

    Customer, metric, first_reported, restated.

    Only customers some column of whom differs are taken apart: of 100,000 they are few.
    """
    customers = before.index.union(after.index)
    then, now = (
        rows[[name for name in FIGURES if name in known]].reindex(customers, fill_value=0).fillna(0)
        for rows in (before, after)
    )
    differs = (then.to_numpy(dtype=np.int64) != now.to_numpy(dtype=np.int64)).any(axis=1)
    for name in (name for name in TEXTS if name in known):
        said, says = (rows[name].reindex(customers).astype("object").fillna("") for rows in (before, after))
        differs |= (said != says).to_numpy(dtype=bool)
    some = customers[differs]
    parts = [
        contributions(rows[rows.index.isin(some)].rename_axis("customer").reset_index(), known).rename(
            columns={"amount": name}
        )
        for rows, name in ((before, "first_reported"), (after, "restated"))
    ]
    both = parts[0].merge(parts[1], on=["customer", "metric"], how="outer")
    both = both.fillna({"first_reported": 0, "restated": 0}).astype(
        {"first_reported": "int64", "restated": "int64"}
    )
    return both[both["first_reported"] != both["restated"]].reset_index(drop=True)


@dataclass(frozen=True)
class _Evidence:
    """What is known of customers whose figures differ, one a row.

    Their items and when they first paid, then and now.
    """

    then: pd.DataFrame
    now: pd.DataFrame
    changed: set[str]
    """Versions that are not those of then."""
    merged: Bools
    """It reported figures of its own and is another's now, or another's are now its own."""
    made_later: Bools
    """It holds a subscription that was made after the month closed."""

    def reasons(self) -> dict[str, npt.NDArray[np.object_]]:
        """reason, the surest that holds, and also_json, the others."""
        holds = self._holds()
        patterns, which = np.unique(
            np.column_stack([holds[reason] for reason in RESTATED_BECAUSE]), axis=0, return_inverse=True
        )
        named = [
            [reason for reason, true in zip(RESTATED_BECAUSE, pattern, strict=True) if true]
            for pattern in patterns
        ]
        first, others = [names[0] for names in named], [canonical.dumps(sorted(names[1:])) for names in named]
        return {
            name: np.array(each, dtype=object)[which]
            for name, each in (("reason", first), ("also_json", others))
        }

    def _holds(self) -> dict[str, Bools]:
        # A merge moves items from one customer to the other, and in another time zone a month has other ends:
        # then neither difference shows a late fact.
        same = ~self.merged & ("timezone" not in self.changed)
        states, usage = (self._differs(name) & same for name in ("states_hash", "usage_hash"))
        backdated = (states | usage) & self.made_later
        # Earlier months show whether a customer paid before.
        paid = (
            (self.then["paid"].notna() & self.now["paid"].notna()).to_numpy(dtype=bool)
            & self._differs("paid")
            & same
        )
        paid &= self.changed.isdisjoint({"policy_hash", "catalog_hash"})
        other_rates = [
            _rate_differs(*texts)
            for texts in zip(self.then["rates_json"], self.now["rates_json"], strict=True)
        ]
        every = np.ones(len(self.then), dtype=bool)
        found = {
            "merge": self.merged,
            "backdated": backdated,
            "late_event": (states & ~backdated) | paid,
            "late_usage": usage & ~backdated,
            "fx_revision": np.array(other_rates, dtype=bool),
            "catalog_change": every & ("catalog_hash" in self.changed),
            "policy_change": every & bool(self.changed & {"policy_hash", "timezone"}),
            "code_change": every & ("rules_hash" in self.changed),
        }
        # Where nothing that is kept has changed, the items had not yet been counted into the figures as the
        # month closed.
        nothing = ~np.logical_or.reduce(list(found.values()))
        return {**found, "late_event": found["late_event"] | nothing}

    def _differs(self, column: str) -> Bools:
        return (self.then[column] != self.now[column]).to_numpy(dtype=bool)


def _known(rows: pd.DataFrame, customers: pd.Index[str]) -> pd.DataFrame:
    """The evidence columns of some customers; one without items has the hash of nothing."""
    return pd.DataFrame(
        {name: rows[name].reindex(customers, fill_value=nothing) for name, nothing in NO_ITEMS.items()}
    )


def _rate_differs(then: str, now: str) -> bool:
    """Whether a currency of both then and now has another rate."""
    if then == now:
        return False
    before, after = json.loads(then), json.loads(now)
    return any(before[currency] != after[currency] for currency in before.keys() & after.keys())


def _rates(
    currency: pd.Series, codes: npt.NDArray[np.intp], size: int, ends: Ends, reporting: str
) -> list[str]:
    """Per customer, the rates of its foreign currencies as canonical JSON."""
    found: dict[int, dict[str, list[str | None]]] = {}
    foreign = (currency != reporting).to_numpy(dtype=bool)
    for code, name in sorted(set(zip(codes[foreign].tolist(), currency[foreign], strict=True))):
        found.setdefault(code, {})[name] = [ends.rates_open.get(name), ends.rates_close.get(name)]
    return [canonical.dumps(found[code]) if code in found else "{}" for code in range(size)]


def _hashed(rows: pd.DataFrame) -> Hashes:
    return np.asarray(pd.util.hash_pandas_object(rows, index=False), dtype=np.uint64)


def _sums(codes: npt.NDArray[np.intp], values: Hashes, size: int) -> Hashes:
    """Sum of 64-bit values by code, wrapping around."""
    result = np.zeros(size, dtype=np.uint64)
    np.add.at(result, codes, values)
    return result


def _texts(values: Hashes) -> list[str]:
    return [f"{value:016x}" for value in values.tolist()]
