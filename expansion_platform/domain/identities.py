"""The identities of semantics 2 to 4, each with the check that holds what is written to it.

The list behind `docs/identities.md`.

Here: what each sentence of semantics asks of stored rows, and where it is asked. Not here: the checks (each
package's `tables`, `metrics/reconciliation_totals.py`, `metrics/reconciliation.py`). A test corrupts a table
for each and sees it refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from expansion_platform.domain.metrics import attainment, reconciliation_totals
from expansion_platform.domain.metrics import reconciliation as metrics_reconciliation
from expansion_platform.domain.mrr import reconciliation
from expansion_platform.domain.tables import TABLES

Check = Callable[..., object]


@dataclass(frozen=True)
class Identity:
    """One sentence of semantics about stored rows."""

    name: str
    section: str
    says: str
    table: str
    """`floor/table` whose check in the UI shows it."""
    check: Check | str
    """The function that refuses rows, or the name of the model's own check or column."""

    @property
    def shown_as(self) -> str:
        """Name of the asset check: a model's own are `schema`, all others `reconciled`."""
        return "schema" if isinstance(self.check, str) else "reconciled"

    @property
    def where(self) -> str:
        """The check as code."""
        if isinstance(self.check, str):
            return f"{TABLES[self.table].__name__}.{self.check}"
        return f"{self.check.__module__.rpartition('.')[2]}.{self.check.__name__}"


_CUSTOMERS, _MOVEMENTS, _CAUSES = "mrr/customer_months", "mrr/movements", "mrr/causes"
_FLOWS, _BY_DIMENSION, _TRAILING = (
    "metrics/rollforward",
    "metrics/rollforward_by_dimension",
    "metrics/trailing",
)
_EVENTS, _DURABILITY = "mrr/seat_events", "metrics/durability"

IDENTITIES = [
    Identity(
        "months_chain",
        "1.1",
        "opening(M) = closing(M-1), customer by customer",
        _CUSTOMERS,
        reconciliation.months_chain,
    ),
    Identity(
        "membership",
        "2.1",
        "who pays at which end decides the movement; new, reactivation and churn are whole",
        _MOVEMENTS,
        "membership",
    ),
    Identity(
        "first_paid",
        "2.1",
        "new: never paid before; everybody else paid before",
        _CUSTOMERS,
        reconciliation.first_paid_ties,
    ),
    Identity("dormancy", "2.1", "only churn and reactivation are dormant", _MOVEMENTS, "dormancy"),
    Identity(
        "flows_close",
        "2.2",
        "opening + nine flows = closing, for each customer that moved",
        _MOVEMENTS,
        "flows_close",
    ),
    Identity(
        "customers_tie",
        "2.2",
        "the same for every customer; where nothing else moved, exchange rates are the only flow",
        _CUSTOMERS,
        reconciliation.customers_tie,
    ),
    Identity("rollforward", "2.2", "the same for the total and each segment", _FLOWS, "ties"),
    Identity(
        "rollforward_by_dimension", "2.2", "the same for each value of each dimension", _BY_DIMENSION, "ties"
    ),
    Identity(
        "all_customers",
        "2.2",
        "the total is the sum of all customers, flow by flow",
        _FLOWS,
        reconciliation_totals.rollforward_ties,
    ),
    Identity(
        "headline",
        "2.2",
        "expansion = max(0, min(G, G + N)), G organic and N commercial causes",
        _MOVEMENTS,
        reconciliation.flows_follow_causes,
    ),
    Identity(
        "contraction",
        "2.2",
        "contraction = min(0, G), never offset by price",
        _MOVEMENTS,
        reconciliation.flows_follow_causes,
    ),
    Identity(
        "concession",
        "2.2",
        "what a concession bought is given back to negative commercial causes",
        _MOVEMENTS,
        reconciliation.flows_follow_causes,
    ),
    Identity(
        "fx",
        "2.2",
        "fx is its cause and touches no other flow",
        _MOVEMENTS,
        reconciliation.flows_follow_causes,
    ),
    Identity("signs", "2.2", "contraction and churn are at most zero", _MOVEMENTS, "flow_churn"),
    Identity(
        "gross",
        "2.3",
        "gross amounts are the signed sums by match group and cause",
        _MOVEMENTS,
        reconciliation.flows_follow_causes,
    ),
    Identity(
        "bridge",
        "2.3",
        "expansion_gross - contraction_gross = G; expansion is at most max(0, G)",
        _MOVEMENTS,
        "one_direction",
    ),
    Identity(
        "unadjusted",
        "2.3",
        "unadjusted = max(0, closing - opening) of continuing customers",
        _MOVEMENTS,
        "unadjusted",
    ),
    Identity(
        "types",
        "2.4",
        "types are at least zero and sum to expansion and to contraction",
        _MOVEMENTS,
        "types_sum",
    ),
    Identity(
        "types_in_gross",
        "2.4",
        "no type exceeds its own gross amount",
        _MOVEMENTS,
        reconciliation.flows_follow_causes,
    ),
    Identity(
        "types_of_total",
        "2.4",
        "types sum to the headline at every level",
        "metrics/expansion_by_type",
        metrics_reconciliation.types_sum,
    ),
    Identity("labels", "2.5", "one label each: the first that fits", _MOVEMENTS, "labelled"),
    Identity(
        "sides", "3.2", "an added item has no opening side, a removed one no closing side", _CAUSES, "sides"
    ),
    Identity(
        "causes_sum",
        "3.4",
        "causes sum to the change, exactly; only continuing customers have any",
        _CAUSES,
        reconciliation.causes_explain_movements,
    ),
    Identity(
        "pairs",
        "3.4",
        "of a pair of items they sum to its change at opening rates, fx aside",
        _CAUSES,
        reconciliation.pairs_sum,
    ),
    Identity(
        "inferred",
        "3.1",
        "the share of inferred entries is of all closing MRR",
        "metrics/coverage",
        reconciliation_totals.coverage_ties,
    ),
    Identity(
        "quotient",
        "4",
        "ratio = numerator / denominator, ten places; none over zero",
        "metrics/retention",
        "quotient",
    ),
    Identity(
        "graded",
        "4",
        "no_base or no_losses over zero; few customers or expanders are low_n",
        "metrics/retention",
        "graded",
    ),
    Identity(
        "segments",
        "4.1",
        "segments sum to the total in every column; transfers sum to zero",
        _FLOWS,
        reconciliation_totals.segments_sum,
    ),
    Identity(
        "transfers",
        "4.1",
        "opening(M+1, s) = closing(M, s) + transfer in - transfer out",
        _FLOWS,
        reconciliation_totals.slices_chain,
    ),
    Identity(
        "transfers_by_dimension",
        "4.1",
        "the same for each value of each dimension",
        _BY_DIMENSION,
        reconciliation_totals.slices_chain,
    ),
    Identity(
        "dimensions",
        "4.1",
        "every dimension sums to the total",
        _BY_DIMENSION,
        reconciliation_totals.dimensions_sum,
    ),
    Identity(
        "slices",
        "4.1",
        "slices sum to the total in numerator and denominator",
        "metrics/retention",
        metrics_reconciliation.slices_sum,
    ),
    Identity(
        "slices_of_windows",
        "4.1",
        "so do slices fixed at the start of a window",
        _TRAILING,
        metrics_reconciliation.slices_sum,
    ),
    Identity(
        "cohorts",
        "4.1",
        "a cohort grows by its part of the roll-forward",
        "metrics/cohort_expansion",
        metrics_reconciliation.cohorts_tie,
    ),
    Identity(
        "expansion_rate",
        "4.2",
        "expansion_rate = E / O",
        "metrics/expansion",
        metrics_reconciliation.rates_tie,
    ),
    Identity(
        "nrr",
        "4.2",
        "nrr = (O + E - K + P + D + I - H) / O",
        "metrics/retention",
        metrics_reconciliation.rates_tie,
    ),
    Identity(
        "grr",
        "4.2",
        "grr lies in [0, 1] and under nrr",
        "metrics/retention",
        metrics_reconciliation.rates_tie,
    ),
    Identity(
        "net_new",
        "4.2",
        "total change = net new MRR + R + P + D + I + F",
        "metrics/retention",
        metrics_reconciliation.rates_tie,
    ),
    Identity(
        "share_of_new",
        "4.2",
        "expansion_share_of_new = E / (E + W)",
        "metrics/expanders",
        metrics_reconciliation.rates_tie,
    ),
    Identity(
        "windows",
        "4.2",
        "T12M and T3M sums are those of their months, over O at the start",
        _TRAILING,
        metrics_reconciliation.windows_tie,
    ),
    Identity(
        "origins",
        "4.3",
        "origins sum to E, customer by customer and type by type",
        "mrr/origins",
        reconciliation.origins_tie,
    ),
    Identity(
        "origin_shares",
        "4.3",
        "origins and motions sum to the headline",
        "metrics/expansion_by_origin",
        reconciliation_totals.origin_shares_sum,
    ),
    Identity(
        "expanders",
        "4.4",
        "expanders followed are those counted",
        "metrics/expansion_then_churn",
        metrics_reconciliation.expanders_tie,
    ),
    Identity(
        "then_churn",
        "4.4",
        "churned <= compared <= expanders; rates where anybody compares",
        "metrics/expansion_then_churn",
        "parts",
    ),
    Identity(
        "seats_kept",
        "4.5",
        "0 <= seats kept <= seats added; kept is their share of the amount",
        _EVENTS,
        "share",
    ),
    Identity("seat_amounts", "4.5", "an event is worth its causes", _EVENTS, reconciliation.seat_events_tie),
    Identity(
        "seat_durability",
        "4.5",
        "seat durability is the sum of events, each in one status",
        _DURABILITY,
        metrics_reconciliation.durability_ties,
    ),
    Identity(
        "durable",
        "4.5",
        "what lasts is a part of its month's expansion",
        _DURABILITY,
        metrics_reconciliation.durability_follows_expansion,
    ),
    Identity(
        "compared",
        "4.6",
        "what is compared is the published figure",
        "metrics/benchmarks",
        metrics_reconciliation.benchmarks_tie,
    ),
    Identity("bands", "4.6", "a figure has a band, a band an edge", "metrics/benchmarks", "stands"),
    Identity(
        "targets",
        "4.7",
        "periods are sums of E against sums of target x O",
        "metrics/attainment",
        attainment.ties,
    ),
    Identity(
        "restated",
        "1.8",
        "restatements sum to restated - first reported",
        "metrics/restatements",
        reconciliation_totals.restatements_tie,
    ),
]

OF_RULES = {
    "3.4": {
        "order-free; swapping the months negates every cause; an unchanged "
        "factor gets nothing, a lone one everything": "domain/mrr/test_properties.py",
        "two factors in closed form; settled to "
        "whole cents, each within one": "domain/mrr/test_properties.py",
        "no figure but fx depends on closing rates": "domain/mrr/test_properties.py",
        "the examples of 3.6, E1 to E29": "domain/mrr/test_examples.py",
    },
    "3.5": {"flags never change amounts": "domain/mrr/test_flags.py"},
    "4.2": {"compounding, means and constant exchange rates of windows": "domain/metrics/test_trailing.py"},
    "8.2": {
        "the same figures as an independent "
        "implementation, on random books": "conformance/test_conformance.py"
    },
}
"""What semantics asks of the rules and not of rows: section -> sentence -> test module."""


def document() -> str:
    """`docs/identities.md`."""
    lines = [
        "# Identities",
        "",
        "What [semantics](semantics.md) asks of stored rows, and the check that refuses what breaks it "
        "before it is written. A model's own checks",
        "show in the UI as `schema`, those against other rows and tables as `reconciled`. For each of them",
        "`expansion_platform_tests/tables/test_identities.py` corrupts the pipeline's own tables and "
        "sees it refused. Made from",
        "`expansion_platform/domain/identities.py` by `make docs`.",
        "",
        "| section | identity | table | check |",
        "|---|---|---|---|",
        *(
            f"| {one.section} | {one.says} | `{one.table}` {one.shown_as} | `{one.where}` |"
            for one in IDENTITIES
        ),
        "",
        "What it asks of the rules cannot be seen in rows and is tested on them:",
        "",
        "| section | property | test |",
        "|---|---|---|",
        *(
            f"| {section} | {says} | `expansion_platform_tests/{test}` |"
            for section, tests in OF_RULES.items()
            for says, test in tests.items()
        ),
    ]
    return "\n".join(lines) + "\n"
