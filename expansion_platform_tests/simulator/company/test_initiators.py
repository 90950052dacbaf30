"""Who asks for changes in the simulated company: it changes no amount, leaves what Stripe would, and the
pipeline's origins agree with it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

import dagster as dg
import pandas as pd
import pytest
from rich.console import Console

from expansion_platform.automation.run import refresh
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.tables import TABLES
from expansion_platform.simulator.company.company import AS_OF, Company, simulate
from expansion_platform.simulator.company.initiators import BEHAVIOUR
from expansion_platform.simulator.truth.items import EVENTS_KEPT
from expansion_platform.simulator.world import running
from expansion_platform.storage.lake import Lake

SEED, CUSTOMERS, MONTHS = 3, 120, 12
COMPUTED = [
    *(name for name in TABLES if name.startswith(("stripe/", "billing/"))),
    *("mrr/customer_months", "mrr/movements", "mrr/causes", "mrr/price_migrations", "mrr/origins"),
    *("metrics/expansion", "metrics/expansion_by_origin"),
]


@pytest.fixture(scope="module")
def company() -> Company:
    return simulate(SEED, CUSTOMERS, MONTHS, behaviours=frozenset({BEHAVIOUR}))


@pytest.fixture(scope="module")
def lake(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    folder = tmp_path_factory.mktemp("initiators")
    with (
        running(company, seed=SEED, months=MONTHS, data_dir=folder) as world,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        refresh(world.settings, None, None, Console(quiet=True), instance, only=COMPUTED)
        yield Lake(folder / "lake")


def test_it_changes_nothing_but_who_asked(company: Company) -> None:
    plain = simulate(SEED, CUSTOMERS, MONTHS)
    pd.testing.assert_frame_equal(company.truth.states, plain.truth.states)
    for told, said in zip(
        company.account.objects["invoices"], plain.account.objects["invoices"], strict=True
    ):
        details = {**told["parent"]["subscription_details"], "metadata": {}}
        assert {**told, "parent": {**told["parent"], "subscription_details": details}} == said
    assert len(plain.initiations) == len(plain.crm_activity) == 0


def test_a_bill_keeps_the_metadata_of_its_time(company: Company) -> None:
    """So do events, which also say what it was before."""
    said = defaultdict(set)
    for invoice in company.account.objects["invoices"]:
        details = invoice["parent"]["subscription_details"]
        said[details["subscription"]].add(details["metadata"].get("initiated_by"))
    assert sum(len(values) > 1 for values in said.values()) > 10
    kinds = {event["type"] for event in company.account.objects["events"]}
    assert {"billing_portal.session.created", "checkout.session.completed"} <= kinds
    before = [
        event["data"].get("previous_attributes", {}).get("metadata")
        for event in company.account.objects["events"]
    ]
    assert any(before)


def test_the_pipeline_says_who_it_was_and_never_somebody_else(company: Company, lake: Lake) -> None:
    """Where the application writes metadata, or the portal was used within Stripe's 30 days. What was changed
    twice before a bill is unknown.

    A change Stripe's records date by its renewal was asked for before, so a row is compared with what each
    subscription was asked last, too.
    """
    asked = defaultdict(list)
    for each in company.initiations:
        asked[each.customer].append((pd.Timestamp(each.at, unit="s", tz="UTC"), each.subscription, each.who))
    ways = {each.customer: each.way for each in company.initiations}
    rows = lake.read(mrr.Origins)
    rows = rows.assign(way=rows["customer"].map(ways))
    by_hand = rows[rows["rule"] == "initiated_by"]
    assert set(by_hand["way"]) == {"application"}
    for row in by_hand.itertuples():
        within = {who for at, _, who in asked[row.customer] if at.strftime("%Y-%m") == row.month}
        last = {
            subscription: who for at, subscription, who in sorted(asked[row.customer]) if at <= row.changed_at
        }
        assert row.origin in within | set(last.values())
    applied = rows[(rows["way"] == "application") & (rows["cause"] != "usage")]
    assert len(applied) > 50
    assert (applied["rule"] == "initiated_by").sum() > 0.8 * len(applied)
    recent = rows[
        (rows["way"] == "portal")
        & (rows["changed_at"] > pd.Timestamp(AS_OF) - pd.Timedelta(seconds=EVENTS_KEPT))
    ]
    assert set(recent["origin"]) == {"self_serve"}
    assert set(rows.loc[rows["way"] == "unrecorded", "origin"]) <= {"unknown", "product"}
    logged = rows[rows["way"] == "crm"]
    assert {"sales", "touched"} <= set(logged["origin"]) <= {"sales", "touched", "unknown", "product"}
    records = set(company.crm_activity["id"])
    assert all(
        set(json.loads(row.evidence_json)) <= records
        for row in logged.itertuples()
        if row.origin in ("sales", "touched")
    )


def test_origins_sum_to_gross_expansion(lake: Lake) -> None:
    rows, movements = lake.read(mrr.Origins), lake.read(mrr.Movements)
    assert rows.groupby("month")["amount"].sum().to_dict() == {
        month: gross for month, gross in movements.groupby("month")["expansion_gross"].sum().items() if gross
    }
    assert rows["expansion"].sum() == movements["flow_expansion"].sum()
