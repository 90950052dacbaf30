"""First reported against restated: every figure of a closed month that is no longer what it was, and why (semantics 1.8).

Here: what is kept of a month as it closes, and the comparison with what the tables say now. Not here: when a month closes (`months.closes`), where
what it reported is kept (`assets/first_reported.py`).

A customer's figures depend on what it held at the two ends of the month, the exchange rates there, whether it paid before, the policy, the catalog,
the rules and the time zone, and on no other customer (semantics 8.2, property 8). So these are kept with the figures, and compared with them: a
reason is found and not guessed. The old catalog and the old rules are not kept, so nothing can be computed again as it was then: where several
changed together, no amount is split between them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain import canonical
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas.metrics import RESTATED_BECAUSE
from expansion_platform.domain.schemas.mrr import FLOWS, ORGANIC
from expansion_platform.domain.states import among, covers, of_customers, owners
from expansion_platform.domain.valuation import IDENTITY, STATE

METRICS = ["opening", *FLOWS, "closing"]
FLOW_COLUMNS = [f"flow_{name}" for name in FLOWS]
TYPE_COLUMNS = [f"expansion_{name}" for name in ORGANIC]
FIGURES = ["opening", *FLOW_COLUMNS, "closing"]
"""Columns of the figures compared, in the order of METRICS."""
NOTHING_HELD = {"states_hash": "0" * 16, "usage_hash": "0" * 16, "rates_json": "{}"}
VERSIONS = ["policy_hash", "catalog_hash", "rules_hash", "timezone"]

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Ends:
    """The two ends of a month: its instants, and the exchange rates there (currency -> rate)."""

    opening: pd.Timestamp
    closing: pd.Timestamp
    rates_open: Mapping[str, str]
    rates_close: Mapping[str, str]


def first_reported(customer_months: pd.DataFrame, movements: pd.DataFrame, states: pd.DataFrame, ends: Ends, catalog: Catalog) -> pd.DataFrame:
    """What is kept of a month as it closes: mrr/first_reported without month, reported_at and versions.

    Args:
        customer_months: mrr/customer_months of the month.
        movements: mrr/movements of the month.
        states: billing/item_states, excluded customers too; text columns may be categoricals.
        ends: the month's.
        catalog: gives aliases and the reporting currency.
    """
    reported = figures(customer_months, movements).set_index("customer")
    kept = held(states, ends, catalog)
    customers = reported.index.union(kept.index)
    amounts = reported[[*FIGURES, *TYPE_COLUMNS]].reindex(customers, fill_value=0)
    texts = reported[["segment", "first_paid_month"]].reindex(customers)
    evidence = pd.DataFrame({name: kept[name].reindex(customers, fill_value=nothing) for name, nothing in NOTHING_HELD.items()})
    return pd.concat([texts, amounts, evidence], axis=1).rename_axis("customer").reset_index()


def figures(customer_months: pd.DataFrame, movements: pd.DataFrame) -> pd.DataFrame:
    """One row per customer that paid at either end: customer, segment, first_paid_month, opening, flows, closing and the headline by type."""
    moved = movements[["customer", *FLOW_COLUMNS, *TYPE_COLUMNS]].astype(dict.fromkeys([*FLOW_COLUMNS, *TYPE_COLUMNS], "Int64"))
    rows = customer_months[["customer", "segment", "first_paid_month", "opening", "closing"]].merge(moved, on="customer", how="left")
    flows = rows[[*FLOW_COLUMNS, *TYPE_COLUMNS]].fillna(0).astype("int64")
    return rows.assign(**{name: flows[name] for name in flows.columns})


def held(states: pd.DataFrame, ends: Ends, catalog: Catalog) -> pd.DataFrame:
    """What each customer, after aliases, held at the two ends: states_hash, usage_hash, rates_json by customer.

    Rows are hashed to 64 bits and added up, so neither their order nor the id a customer had before it was merged matters.
    """
    parts = [states.loc[covers(states, instant)].assign(_end=end) for end, instant in enumerate((ends.opening, ends.closing))]
    rows = pd.concat(parts, ignore_index=True)
    metered = (rows["usage_type"] == "metered").to_numpy(dtype=bool)
    columns = [name for name in STATE if name not in (IDENTITY[0], "quantity")]
    quantity = rows["quantity"].astype("object")
    codes, customers = pd.factorize(owners(rows["customer"].astype("object"), catalog), sort=True)
    terms = _hashed(rows[[*columns, "_end"]].assign(quantity=quantity.mask(metered, "")))
    used = _hashed(pd.DataFrame({"item": rows["item"], "end": rows["_end"], "quantity": quantity})[metered])
    return pd.DataFrame(
        {
            "states_hash": _texts(_sums(codes, terms, len(customers))),
            "usage_hash": _texts(_sums(codes[metered], used, len(customers))),
            "rates_json": _rates(rows["currency"].astype("object"), codes, len(customers), ends, catalog.reporting_currency),
        },
        index=pd.Index(customers, name="customer"),
    )


def restatements(
    reported: pd.DataFrame,
    customer_months: pd.DataFrame,
    movements: pd.DataFrame,
    *,
    states: pd.DataFrame,
    new_subscriptions: Iterable[str],
    ends: Ends,
    catalog: Catalog,
    versions: Mapping[str, str],
) -> pd.DataFrame:
    """What of a closed month is no longer as first reported: metrics/restatements without month, reported_at and hashes.

    Args:
        reported: mrr/first_reported of the month.
        customer_months: mrr/customer_months of the month.
        movements: mrr/movements of the month.
        states: billing/item_states.
        new_subscriptions: subscriptions made in Stripe after the month closed.
        ends: the month's.
        catalog: gives aliases and the reporting currency.
        versions: policy_hash, catalog_hash, rules_hash and timezone of now.
    """
    before = reported.set_index("customer")
    after = figures(customer_months, movements).set_index("customer")
    customers = before.index.union(after.index)
    then, now = (rows[FIGURES].reindex(customers, fill_value=0) for rows in (before, after))
    moved = customers[(then != now).any(axis=1).to_numpy(dtype=bool)]
    theirs = of_customers(states, list(moved), catalog)
    evidence = held(theirs, ends, catalog)
    in_force = theirs[covers(theirs, ends.opening) | covers(theirs, ends.closing)]
    known = before[before.index.isin(moved)]
    of_month = {name: before[name].iloc[0] if len(before) else versions[name] for name in VERSIONS}
    why = _Why(
        changed={name for name in VERSIONS if of_month[name] != versions[name]},
        then=known[list(NOTHING_HELD)].to_dict("index"),
        now=evidence.to_dict("index"),
        paid_then=known["first_paid_month"].dropna().to_dict(),
        paid_now=after["first_paid_month"].to_dict(),
        merged={name for pair in catalog.aliases.items() if pair[0] in before.index for name in pair},
        backdated=set(in_force.loc[among(in_force["subscription"], set(new_subscriptions)), "customer"]),
    )
    rows = []
    for customer, *sides in zip(moved, then.loc[moved].to_numpy().tolist(), now.loc[moved].to_numpy().tolist(), strict=True):
        reason, *others = why.reasons(customer)
        for metric, first, restated in zip(METRICS, *sides, strict=True):
            if first != restated:
                rows.append((customer, metric, first, restated, restated - first, reason, canonical.dumps(sorted(others))))
    columns = ["customer", "metric", "first_reported", "restated", "difference", "reason", "also_json"]
    amounts = dict.fromkeys(["first_reported", "restated", "difference"], "int64")
    return pd.DataFrame(rows, columns=columns).astype(amounts)


@dataclass(frozen=True)
class _Why:
    """The evidence of a month: the versions that changed, and what is known of each customer then and now."""

    changed: set[str]
    then: Mapping[Any, Mapping[Any, str]]
    now: Mapping[Any, Mapping[Any, str]]
    paid_then: Mapping[Any, str]
    paid_now: Mapping[Any, str]
    merged: set[str]
    backdated: set[str]

    def reasons(self, customer: str) -> list[str]:
        """Every reason that holds, surest first; at least one."""
        found = set(self._found(customer))
        # When nothing that is kept has changed, what is held now had not yet been counted into the figures as the month closed.
        return [reason for reason in RESTATED_BECAUSE if reason in found] or ["late_event"]

    def _found(self, customer: str) -> Iterator[str]:
        then, now = self.then.get(customer, NOTHING_HELD), self.now.get(customer, NOTHING_HELD)
        if customer in self.merged:
            yield "merge"
        elif "timezone" not in self.changed:  # in another time zone a month has other ends
            late = [reason for name, reason in (("states_hash", "late_event"), ("usage_hash", "late_usage")) if then[name] != now[name]]
            yield from ["backdated"] if late and customer in self.backdated else late
            first, restated = self.paid_then.get(customer), self.paid_now.get(customer)
            if first and restated and first != restated and not self.changed & {"policy_hash", "catalog_hash"}:
                yield "late_event"  # whether it paid before is told by months before
        if _rate_differs(then["rates_json"], now["rates_json"]):
            yield "fx_revision"
        if "catalog_hash" in self.changed:
            yield "catalog_change"
        if self.changed & {"policy_hash", "timezone"}:
            yield "policy_change"
        if "rules_hash" in self.changed:
            yield "code_change"


def _rate_differs(then: str, now: str) -> bool:
    """Whether a currency held then and now has another rate."""
    before, after = json.loads(then), json.loads(now)
    return any(before[currency] != after[currency] for currency in before.keys() & after.keys())


def _rates(currency: pd.Series, codes: npt.NDArray[np.intp], size: int, ends: Ends, reporting: str) -> list[str]:
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
