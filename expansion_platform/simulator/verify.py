"""Does the pipeline find the truth?

Runs it over HTTP on a simulated company and compares every item state and customer month.

Here: the comparison. Not here: the truth (`simulator/truth/items.py`, `simulator/truth/reference.py`), the
pipeline. The reference is a second, plain implementation of the semantics; the pipeline never sees it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from rich.console import Console

from expansion_platform.automation.run import refresh
from expansion_platform.domain.core import months as calendar
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import FLOWS, ORGANIC
from expansion_platform.domain.tables import TABLES
from expansion_platform.simulator.company.catalog import PLANS_AS_PRODUCTS
from expansion_platform.simulator.company.company import AS_OF, LAST_MONTH, Company, simulate
from expansion_platform.simulator.servers import stripe_meters
from expansion_platform.simulator.servers.faults import moments
from expansion_platform.simulator.truth.items import EVENTS_KEPT
from expansion_platform.simulator.truth.reference import classify_month
from expansion_platform.simulator.truth.reference_plans import plans_before, read_history
from expansion_platform.simulator.world import running
from expansion_platform.storage.lake import Lake

STATE = [
    *("status", "collection_paused", "currency", "product", "price", "usage_type"),
    *("interval", "interval_count", "scheme_json", "quantity", "discounts_json"),
]
INTERVAL = ["customer", "subscription", "item", "valid_from", "valid_to", *STATE]

POLICIES: dict[str, dict[str, Any]] = {
    "house": {},
    "stripe_parity": {"metered_counts": False, "repeating_discount_counts": False},
}
"""Policy presets as the reference knows them, key by key (semantics 1.3, 8.1); the pipeline gets the
preset's name.
"""

COMPUTED = [
    *(name for name in TABLES if name.startswith(("stripe/", "billing/"))),
    *("mrr/customer_months", "mrr/movements", "mrr/causes", "mrr/price_migrations"),
    "metrics/expansion",
    "metrics/expansion_by_type",
    "metrics/expansion_by_segment",
    "metrics/expanders",
    "metrics/retention",
    "metrics/rollforward",
]
"""What is compared and what it is made from; the other metrics add 10 s to a company of 200 and have worked
examples of their own.
"""

CHANGING_HOURS = (36, 24, 12)
"""Before the end: the instants an account under faults goes through while it is first read."""


@dataclass
class Verdict:
    """What was compared and what differed.

    `undatable` changes are expected where Stripe's records can show them; `confidence` counts states by how
    surely they begin when they are said to, `faults` what was met.
    """

    item_states: int = 0
    customer_months: int = 0
    causes: int = 0
    sums: int = 0
    undatable: int = 0
    confidence: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


def verify(
    seed: int,
    customers: int,
    months: int,
    data_dir: Path,
    console: Console,
    policy: str = "house",
    behaviours: frozenset[str] = frozenset(),
    faults: int | None = None,
    meters: bool = True,
    sells: str = PLANS_AS_PRODUCTS,
) -> Verdict:
    """Simulates, runs the whole pipeline over HTTP into `data_dir`, and compares.

    Further behaviours and a policy preset may be asked for.

    With `faults`, the seed of a plan, a first run reads the account while it changes, and a second one what
    changed. Without `meters` the key may not read them: usage is what bills show. `sells` is how its plans
    are sold (`catalog.CATALOGS`).
    """
    company = simulate(seed, customers, months, behaviours=behaviours, sells=sells)
    if meters:
        company = replace(company, truth=replace(company.truth, expected_states=company.truth.metered_states))
    written = under(company, {"preset": policy})
    with (
        running(written, seed=seed, months=months, data_dir=data_dir, faults=faults) as world,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        if not meters:
            world.stripe.missing_permissions = frozenset({stripe_meters.PATH})
        if faults is not None:
            instants = [AS_OF - timedelta(hours=hours) for hours in CHANGING_HOURS]
            earlier = {
                at: simulate(seed, customers, months, at, behaviours, sells).account for at in instants
            }
            accounts = {
                int(at.timestamp()): account for at, account in {**earlier, AS_OF: company.account}.items()
            }
            world.stripe.moving(moments(accounts, faults, int(AS_OF.timestamp()) - EVENTS_KEPT))
            changing = world.settings.model_copy(update={"expansion_as_of": instants[0].isoformat()})
            refresh(changing, None, None, console, instance, only=COMPUTED)
            company = first_seen(company, instants[0])
        refresh(world.settings, None, None, console, instance, only=COMPUTED)
        met = {} if world.stripe.faults is None else dict(sorted(world.stripe.faults.met.items()))
    return replace(compare(under(company, POLICIES[policy]), Lake(data_dir / "lake"), months), faults=met)


def under(company: Company, policy: dict[str, Any]) -> Company:
    """The same company counted under another policy."""
    return replace(company, catalog={**company.catalog, "policy": policy})


def first_seen(company: Company, at: datetime) -> Company:
    """The same truth when a pull at an earlier instant came first.

    What nothing but today's subscription shows is dated by the first to see it.
    """
    states = company.truth.expected_states
    bounds = {name: states[name].mask(states[name] == AS_OF, at) for name in ("valid_from", "valid_to")}
    return replace(company, truth=replace(company.truth, expected_states=states.assign(**bounds)))


def compare(company: Company, lake: Lake, months: int) -> Verdict:
    """The lake's item states, customer months, movements, causes and roll-forward against the truth."""
    verdict = Verdict(undatable=len(company.truth.undatable))
    rebuilt = lake.read(billing.ItemStates)
    verdict.confidence = {
        str(name): count for name, count in rebuilt["confidence"].value_counts().to_dict().items()
    }
    verdict.differences += _compare_states(company.truth.expected_states, rebuilt, verdict)
    verdict.differences += overclaimed(company.truth.states, rebuilt)
    tables: dict[type[Table], pd.DataFrame] = {
        model: lake.read(model)
        for model in (mrr.CustomerMonths, mrr.Movements, mrr.Causes, metrics.Rollforward)
    }
    for month, truth in true_months(
        company, calendar.between(calendar.shift(LAST_MONTH, 1 - months), LAST_MONTH)
    ):
        of_month = {model: table[table["month"] == month] for model, table in tables.items()}
        verdict.differences += _compare_month(month, truth, of_month, verdict)
        verdict.differences += _compare_sums(month, truth, of_month[metrics.Rollforward], verdict)
    verdict.differences += _compare_first_payments(first_payments(company), tables[mrr.CustomerMonths])
    return verdict


def true_months(company: Company, wanted: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each month's true movements and causes, by the plain reference over the true states."""
    states = company.truth.expected_states
    rates = {
        month: dict(zip(rows["currency"], rows["rate"], strict=True))
        for month, rows in company.fx_rates.groupby("month")
    }
    ever_paid: set[str] = set()
    history = read_history(zip(items_of(states), states["valid_from"], strict=True), company.catalog)
    before = book(states, calendar.opening(wanted[0]))
    for month in wanted:
        after = book(states, calendar.closing(month))
        fx = {"prev": rates[calendar.shift(month, -1)], "curr": rates[month]}
        catalog = {**company.catalog, "fx": fx, "ever_paid": sorted(ever_paid)}
        truth = classify_month(
            before, after, catalog, evidence=True, plans=plans_before(history, calendar.closing(month))
        )
        ever_paid |= {
            customer for customer, row in truth["customers"].items() if row["opening"] or row["closing"]
        }
        yield month, truth
        before = after


def first_payments(company: Company) -> dict[str, pd.Timestamp]:
    """Customer -> beginning of its first state with MRR.

    Valued by the plain reference at the rates of the month it begins in.
    """
    states = company.truth.expected_states
    states = states[states["valid_from"] < calendar.closing(LAST_MONTH)].sort_values(
        "valid_from", ignore_index=True
    )
    # A customer for each state.
    states = states.assign(
        owner=states["customer"], customer=states.index.astype(str), item=states.index.astype(str)
    )
    rates = {
        month: dict(zip(rows["currency"], rows["rate"], strict=True))
        for month, rows in company.fx_rates.groupby("month")
    }
    found: dict[str, pd.Timestamp] = {}
    for month, rows in states.groupby(states["valid_from"].map(calendar.of)):
        fx = {"prev": {}, "curr": rates[str(month)]}
        alone = classify_month([], items_of(rows), {**company.catalog, "fx": fx}, evidence=False)["customers"]
        for owner, customer, begins in zip(rows["owner"], rows["customer"], rows["valid_from"], strict=True):
            if owner not in found and alone[customer]["closing"] > 0:
                found[owner] = begins
    return found


def book(states: pd.DataFrame, instant: pd.Timestamp) -> list[dict[str, Any]]:
    """The states that hold at an instant, as the reference reads them."""
    return items_of(
        states[
            (states["valid_from"] < instant) & (states["valid_to"].isna() | (states["valid_to"] >= instant))
        ]
    )


def items_of(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Item states as the reference reads them, one a row."""
    return [
        {
            **{
                name: row[name]
                for name in (
                    "customer",
                    "subscription",
                    "item",
                    "status",
                    "currency",
                    "product",
                    "price",
                    "usage_type",
                )
            },
            "interval": row["interval"],
            "interval_count": int(row["interval_count"]),
            "livemode": bool(row["livemode"]),
            "collection_paused": None if pd.isna(row["collection_paused"]) else row["collection_paused"],
            "quantity": row["quantity"],
            "scheme": json.loads(row["scheme_json"]),
            "discounts": json.loads(row["discounts_json"]),
        }
        for row in rows.to_dict("records")
    ]


def _compare_states(truth: pd.DataFrame, rebuilt: pd.DataFrame, verdict: Verdict) -> Iterator[str]:
    def intervals(frame: pd.DataFrame) -> set[tuple[str, ...]]:
        shown = frame[INTERVAL].astype({"collection_paused": "object"}).fillna({"collection_paused": "-"})
        return {tuple(map(str, row)) for row in shown.itertuples(index=False, name=None)}

    expected, found = intervals(truth), intervals(rebuilt)
    verdict.item_states = len(expected)
    for row in sorted(expected ^ found):
        yield f"{row[0]} item state {'missing' if row in expected else 'invented'}: {' '.join(row[1:])}"


def overclaimed(truth: pd.DataFrame, rebuilt: pd.DataFrame) -> Iterator[str]:
    """States said to begin exactly where nothing of their subscription did.

    Usage is cut by month. What a schedule planned may have been done by hand before, which leaves no trace:
    it is believed.
    """
    sure = rebuilt[
        (rebuilt["confidence"] == "exact")
        & (rebuilt["usage_type"] != "metered")
        & (rebuilt["source"] != "schedule")
    ]
    happened = set(zip(truth["subscription"], truth["valid_from"], strict=True))
    for row in sure.itertuples():
        if (row.subscription, row.valid_from) not in happened:
            yield (
                f"{row.customer} item state said to begin exactly where nothing did: {row.subscription} "
                f"{row.item} {row.valid_from}"
            )


def _compare_month(
    month: str, truth: dict[str, Any], tables: dict[type[Table], pd.DataFrame], verdict: Verdict
) -> Iterator[str]:
    months, movements = _by_customer(tables[mrr.CustomerMonths]), _by_customer(tables[mrr.Movements])
    causes: dict[str, set[tuple[Any, ...]]] = {}
    for customer, *cause in zip(
        *(
            tables[mrr.Causes][name]
            for name in ("customer", "group", "cause", "amount", "from_item", "to_item")
        ),
        strict=True,
    ):
        causes.setdefault(customer, set()).add(tuple(cause))
    paying = {customer: row for customer, row in truth["customers"].items() if row["movement"] != "none"}
    for customer in sorted(paying.keys() | months.keys() | movements.keys()):
        verdict.customer_months += 1
        if customer not in paying or customer not in months:
            yield f"{customer} {month}: {'not in the truth' if customer in months else 'missing'}"
            continue
        expected = _expected(paying[customer])
        found = {
            **dict.fromkeys(expected, 0),
            **_unmoved(months[customer]),
            **movements.get(customer, {}),
            **months[customer],
        }
        wrong = [
            f"{name} {found[name]} (truth {value})"
            for name, value in expected.items()
            if found[name] != value
        ]
        if wrong:
            yield f"{customer} {month}: {', '.join(wrong)}"
        true_causes = {
            (row["group"], row["cause"], row["amount"], row["from_item"] or "", row["to_item"] or "")
            for row in paying[customer]["cause_rows"]
        }
        if customer not in movements and {cause for _, cause, *_ in true_causes} == {"fx"}:
            # Exchange rates alone: `flow_fx` of the customer's month, compared above, is all there is.
            true_causes = set()
        verdict.causes += len(true_causes)
        for row in sorted(true_causes ^ causes.get(customer, set()), key=str):
            yield f"{customer} {month}: cause {'missing' if row in true_causes else 'invented'}: {row}"


def _compare_sums(
    month: str, truth: dict[str, Any], rollforward: pd.DataFrame, verdict: Verdict
) -> Iterator[str]:
    """Opening, flows and closing of every segment and the total."""
    found = {row["value"]: row for row in rollforward.to_dict("records")}
    for name, sums in {**truth["segments"], "all": truth["total"]}.items():
        verdict.sums += 1
        if name not in found:
            yield f"{name} {month}: missing in the roll-forward"
            continue
        expected = {"opening": sums["opening"], **sums["flows"], "closing": sums["closing"]}
        wrong = [
            f"{column} {found[name][column]} (truth {value})"
            for column, value in expected.items()
            if found[name][column] != value
        ]
        if wrong:
            yield f"{name} {month}: {', '.join(wrong)}"


def _compare_first_payments(truth: dict[str, pd.Timestamp], customer_months: pd.DataFrame) -> Iterator[str]:
    """When each customer first paid, in each of its rows."""
    published = customer_months[["customer", "first_paid_at"]].drop_duplicates()
    for customer, at in published.itertuples(index=False, name=None):
        if at != truth.get(customer):
            yield f"{customer} first_paid_at {at} (truth {truth.get(customer)})"


def _by_customer(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {
        row["customer"]: {str(name): value for name, value in row.items()} for row in table.to_dict("records")
    }


def _unmoved(row: dict[str, Any]) -> dict[str, Any]:
    """What a customer without a movement row is: continuing, flat but for exchange rates."""
    rise = max(0, row["closing"] - row["opening"])
    return {
        "movement": "continuing",
        "label": "fx" if row["flow_fx"] else "flat",
        "dormant": False,
        "expansion_unadjusted": rise,
    }


def _expected(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{
            name: row[name]
            for name in ("movement", "label", "opening", "closing", "opening_arr", "closing_arr", "segment")
        },
        "dormant": bool(row["dormant"]),
        **{f"flow_{name}": row["flows"][name] for name in FLOWS},
        **{f"expansion_{name}": row["expansion_by_type"][name] for name in ORGANIC},
        **{f"contraction_{name}": row["contraction_by_type"][name] for name in ORGANIC},
        **{name: row[name] for name in ("expansion_gross", "contraction_gross", "expansion_unadjusted")},
    }
