"""Floor `mrr`: customer months, movements, causes and price migrations; who began expansions; added seats.

Here: declarations and what the UI plots of them. Not here: rules (`domain/mrr/monthly.py`, `mrr/origins.py`,
`metrics/durability.py`), what months first reported (`first_reported.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc

from expansion_platform.domain.catalog import plans
from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import (
    audits,
    month_fingerprints,
    monthly,
    origins,
    past,
    seat_events,
    vocabulary,
)
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.engine.declaration import (
    Declaration,
    Digest,
    Identity,
    Plotted,
    Pooled,
    Read,
    Settling,
    Window,
)
from expansion_platform.engine.uses import ACTIVITY, CATALOG, EXPONENT, TIMEZONE
from expansion_platform.tables.reads import RATES, STATES, item_states

_FLOWS = [f"flow_{name}" for name in ("new", "expansion", "contraction", "churn")]
_QUARANTINE = Read(billing.Quarantine)
_DELETED = Read(
    stripe.Events,
    ("object_id", "type", "created"),
    where=pc.field("type") == "customer.deleted",
    customer="object_id",
)
_BEGUN = ("customer", "item", "valid_from", "status", "collection_paused", "livemode", *plans.TERMS)
_PAST = Pooled("past", monthly.past_rule, past.past_of_all, (item_states(_BEGUN, ordered=False),), (CATALOG,))


def _plot_mrr(_months: list[str], inputs: Inputs) -> Plotted:
    """Headline amounts in whole currency units."""
    units = 10 ** inputs.value("exponent")

    def in_units(amounts: Mapping[Any, Any], prefix: str = "") -> dict[str, float]:
        return {f"{prefix}{name}": round(int(amount) / units, 2) for name, amount in amounts.items()}

    read = {"customer_months": inputs.scan(mrr.CustomerMonths), "movements": inputs.scan(mrr.Movements)}
    months = {row.pop("month"): row for row in query("mrr/month_headlines", read).to_dict("records")}
    causes: dict[str, dict[str, int]] = {}
    for month, cause, amount in query("mrr/cause_sums", {"causes": inputs.scan(mrr.Causes)}).itertuples(
        index=False, name=None
    ):
        causes.setdefault(month, {})[cause] = amount
    for month, row in months.items():
        if row["flow_fx"]:  # most of what exchange rates did has no row among the causes
            causes.setdefault(month, {})["fx"] = row["flow_fx"]
    return {
        mrr.CustomerMonths: {
            month: {**in_units({"mrr": row["closing"]}), "paying_customers": row["paying"]}
            for month, row in months.items()
        },
        mrr.Movements: {
            month: {**in_units({name: row[name] for name in _FLOWS}), "customers_moved": row["moved"]}
            for month, row in months.items()
            if row["moved"]
        },
        mrr.Causes: {
            month: in_units(dict.fromkeys(_every(causes), 0) | amounts, "cause_")
            for month, amounts in causes.items()
        },
    }


def _every(causes: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The causes of any of the months: the UI draws a line for each."""
    return sorted({cause for amounts in causes.values() for cause in amounts})


MRR = Declaration(
    name="mrr",
    models=(mrr.CustomerMonths, mrr.Movements, mrr.Causes, mrr.PriceMigrations),
    reads=(
        STATES,
        replace(
            _QUARANTINE,
            digest=Digest(
                "billing/quarantine by month",
                month_fingerprints.quarantine_digest,
                (_QUARANTINE,),
                (CATALOG, TIMEZONE),
            ),
        ),
        RATES,
        replace(
            _DELETED,
            digest=Digest(
                "deleted customers by month", month_fingerprints.deletions_digest, (_DELETED,), (TIMEZONE,)
            ),
        ),
    ),
    uses=(CATALOG, TIMEZONE, EXPONENT),
    rule=monthly.compute_mrr,
    identities=(
        Identity(
            mrr.CustomerMonths,
            "Opening + flows = closing for every customer, each opening is the closing before, and who "
            "is new first paid in the month.",
            audits.customers_tie,
        ),
        Identity(
            mrr.Movements,
            "The flows, gross amounts and types of every continuing customer are what its causes make "
            "of them.",
            audits.flows_follow_causes,
        ),
        Identity(
            mrr.Causes,
            "The causes of every continuing customer sum to its movement, those of every pair of items "
            "to its change.",
            audits.causes_sum,
        ),
    ),
    plots=_plot_mrr,
    plot_reads=(
        Read(mrr.CustomerMonths, ("month", "closing", "flow_fx")),
        Read(mrr.Movements, ("month", *_FLOWS)),
        Read(mrr.Causes, ("month", "cause", "amount")),
    ),
    by="customer",
    pooled=(_PAST,),
    settling=Settling(monthly.show_mrr, monthly.finish_mrr),
)

_SAID = pc.field("metadata_json") != "{}"
_TELLING = pc.starts_with(pc.field("type"), "customer.subscription.") | pc.field("type").isin(
    [origins.PORTAL_OPENED, origins.CHECKED_OUT]
)
_CHANGED = (
    "customer",
    "subscription",
    "item",
    "price",
    "quantity",
    "status",
    "usage_type",
    "collection_paused",
    "valid_from",
    "valid_to",
    "source",
)
_FACTS = (
    item_states(_CHANGED),
    Read(stripe.Events, where=_TELLING),
    Read(stripe.Invoices, where=_SAID),
    Read(stripe.Subscriptions, where=_SAID),
    Read(stripe.SubscriptionItems, where=_SAID),
)
_NAMED = Pooled(
    "requests_named", origins.requests_named, any, (Read(stripe.Events, ("type", "customer", "request_id")),)
)
_WHO = Digest(
    "who began changes by month",
    origins.origins_digest,
    _FACTS,
    (CATALOG, TIMEZONE),
    together=origins.origins_digests,
    pooled=(_NAMED,),
)

_BY_CAUSE = tuple(f"expansion_{cause}" for cause in vocabulary.ORGANIC)
ORIGINS = Declaration(
    name="origins",
    models=(mrr.Origins,),
    reads=(
        *(replace(read, digest=_WHO) for read in _FACTS),
        Read(mrr.Causes, ("month", "customer", "group", "cause", "amount", "from_item", "to_item")),
        Read(mrr.Movements, ("month", "customer", "expansion_gross", *_BY_CAUSE)),
    ),
    uses=(CATALOG, TIMEZONE, ACTIVITY),
    rule=origins.compute_origins,
    identities=(
        Identity(
            mrr.Origins,
            "Origins sum, customer by customer, to gross expansion and, cause by cause, to the headline.",
            audits.origins_are_of_movements,
        ),
    ),
    by="customer",
    pooled=(_NAMED,),
)

_LAST_MONTHS = Window(seat_events.LASTS)
SEAT_EVENTS = Declaration(
    name="seat_events",
    models=(mrr.SeatEvents,),
    reads=(
        Read(mrr.Movements, ("month", "customer", "segment", "movement", "flags_json"), _LAST_MONTHS),
        Read(
            mrr.Causes,
            (
                "month",
                "customer",
                "group",
                "cause",
                "amount",
                "from_item",
                "to_item",
                "from_quantity",
                "to_quantity",
            ),
            _LAST_MONTHS,
        ),
    ),
    uses=(CATALOG,),
    rule=seat_events.compute_seat_events,
    identities=(
        Identity(
            mrr.SeatEvents,
            "What added seats are worth is what the causes of their month say.",
            audits.seat_events_are_of_causes,
        ),
    ),
    by="customer",
)
