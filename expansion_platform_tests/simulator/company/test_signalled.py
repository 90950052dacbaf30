"""What a company with signals writes, read as the platform reads it, and signals in hindsight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.catalog import tables as given
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import columns, key
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.simulator.company import initiators
from expansion_platform.simulator.company.company import AS_OF, Company, simulate, with_usage
from expansion_platform.simulator.company.hindsight import states_in_hindsight
from expansion_platform.simulator.company.signalled import SETTINGS, TOUCH_AFTER, TOUCH_BEFORE, Signalled
from expansion_platform.simulator.company.signals import PREDICTIVE, Programme, Signals
from expansion_platform.sources.user_tables import read_given

MODELS = {
    "owners.csv": given.Owners,
    "tickets.csv": given.Tickets,
    "nps.csv": given.Nps,
    "crm_activity.csv": given.CrmActivity,
    "customer_signals.csv": given.CustomerSignals,
    "assignments.csv": given.Assignments,
    "programmes.csv": given.Programmes,
}
SIGNALS = Signals(programmes=(Programme("calls", "2026-03", 1.5),))


@pytest.fixture(scope="module")
def company() -> Company:
    return simulate(6, 200, 12, signals=SIGNALS)


@pytest.fixture(scope="module")
def plain() -> Company:
    return simulate(7, 200, 24, behaviours=frozenset({initiators.BEHAVIOUR}))


@pytest.fixture(scope="module")
def demo(plain: Company) -> Company:
    return with_usage(plain, 7)


def signalled(company: Company) -> Signalled:
    assert company.signals is not None
    return company.signals


@pytest.mark.parametrize("which", ["company", "demo"])
def test_the_files_are_read_as_they_were_meant(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made: Company = request.getfixturevalue(which)
    settings = signalled(made).write(tmp_path)
    assert settings == {name: str(tmp_path / file) for file, name in SETTINGS.items()}
    for file, model in MODELS.items():
        rows = read_given(str(tmp_path / file), model)
        assert list(rows.columns) == list(columns(model))
        assert len(rows), file
        assert not rows.duplicated(key(model)).any()
        assert not rows.astype("str").apply(lambda column: column.str.contains("@")).to_numpy().any()
    assert SignalDefinition.from_yaml(tmp_path / "signals.yaml").events.logins == ("signed_in",)


def test_nothing_is_known_after_all_was_read(company: Company) -> None:
    facts = signalled(company).facts
    until = f"{AS_OF:%Y-%m-%dT%H:%M:%SZ}"
    for table in (facts.tickets, facts.nps, facts.crm_activity, facts.customer_signals, facts.owners):
        assert (table["known_at"] <= until).all()
        assert (table["known_at"] != "").all()


def test_a_ticket_is_known_open_before_it_is_known_closed(company: Company) -> None:
    tickets = signalled(company).facts.tickets
    versions = tickets.groupby("id")
    assert versions.size().isin([1, 2]).all()
    closed = tickets[tickets["closed"] != ""]
    assert (closed["known_at"].str[:10] == closed["closed"]).all()
    assert (closed["closed"] >= closed["opened"]).all()
    opened = tickets[tickets["closed"] == ""]
    assert set(opened["id"]) >= set(closed["id"])
    assert len(set(opened["id"]) - set(closed["id"])) > 0


def test_trouble_shows_in_tickets_answers_and_touches(company: Company) -> None:
    facts, states = signalled(company).facts, signalled(company).truth.states
    trouble = states.set_index(["customer", "month"])["trouble"]

    def of(table: pd.DataFrame, day: str) -> np.ndarray:
        where = pd.MultiIndex.from_arrays([table["customer"], table[day].str[:7]])
        return trouble.reindex(where).to_numpy("bool")

    opened = facts.tickets[facts.tickets["closed"] == ""]
    troubled = of(opened, "opened")
    months_troubled, months_calm = trouble.sum(), (~trouble).sum()
    assert troubled.sum() / months_troubled == pytest.approx(1.5, rel=0.25)
    assert (~troubled).sum() / months_calm == pytest.approx(0.25, rel=0.25)
    severe = opened["severity"].isin(["high", "critical"])
    assert severe[troubled].mean() > 2 * severe[~troubled].mean()
    score, low = facts.nps["score"].astype(int), of(facts.nps, "date")
    assert score[low].mean() < score[~low].mean() - 1.5
    touches = facts.crm_activity[facts.crm_activity["kind"] == "touch"]
    spoken = of(touches, "date")
    assert spoken.sum() / months_troubled > 1.7 * (~spoken).sum() / months_calm


def test_customers_in_trouble_leave_more_often(company: Company) -> None:
    truth = signalled(company).truth
    before = truth.states.assign(month=[months.shift(each, 1) for each in truth.states["month"]])
    risks = truth.risks.merge(before[["customer", "month", "trouble"]], on=["customer", "month"])
    assert (
        risks.loc[risks["trouble"], "hazard_churn"].mean()
        > 2 * risks.loc[~risks["trouble"], "hazard_churn"].mean()
    )


def test_an_opportunity_is_won_on_the_day_of_an_expansion(company: Company) -> None:
    activity, risks = signalled(company).facts.crm_activity, signalled(company).truth.risks
    done = risks[risks["expanded_at"].notna()]
    days = set(zip(done["customer"], done["expanded_at"].dt.strftime("%Y-%m-%d"), strict=True))
    won = activity[activity["stage"] == "won"]
    assert len(won) > 10
    assert set(zip(won["customer"], won["date"], strict=True)) <= days
    opened = activity[activity["stage"] == "open"].set_index("id")["date"]
    decided = activity[activity["stage"].isin(["won", "lost"])].set_index("id")["date"]
    assert not decided.index.duplicated().any()
    assert (opened.reindex(decided.index) <= decided).all()
    assert 0.05 < len(won) / len(opened) < 0.7


def test_an_owner_may_change(company: Company) -> None:
    owners = signalled(company).facts.owners
    assert set(owners["customer"]) == set(signalled(company).truth.states["customer"])
    assert owners["customer"].duplicated().any()


def test_in_hindsight_the_company_is_the_same(plain: Company, demo: Company) -> None:
    assert demo.account is plain.account
    assert demo.truth is plain.truth
    activity = signalled(demo).facts.crm_activity
    merged = plain.crm_activity.merge(activity, on=list(plain.crm_activity.columns), how="left")
    assert len(merged) == len(plain.crm_activity)
    assert merged["stage"].eq("").all()  # they are there, and say what they said
    added = activity[~activity["id"].isin(plain.crm_activity["id"])]
    assert len(added) > 50
    assert set(added.loc[added["kind"] == "opportunity", "stage"]) == {"open", "lost"}


def test_in_hindsight_no_touch_comes_before_a_change(demo: Company, plain: Company) -> None:
    activity = signalled(demo).facts.crm_activity
    added = activity[~activity["id"].isin(plain.crm_activity["id"])].query("kind == 'touch'")
    shown = pd.concat([demo.truth.states, demo.truth.expected_states])
    changes = shown.groupby("customer")["valid_from"].unique()
    for customer, day in zip(added["customer"], pd.to_datetime(added["date"], utc=True), strict=True):
        for change in changes[customer]:
            assert not day - TOUCH_AFTER <= change <= day + TOUCH_BEFORE


def test_in_hindsight_usage_comes_before_what_happened(demo: Company) -> None:
    states = signalled(demo).truth.states.sort_values(["account", "month"], ignore_index=True)
    seats, account = states["seats"], states["account"]
    following = (account.shift(-1) == account) & (
        states["month"].shift(-1) == [months.shift(each, 1) for each in states["month"]]
    )
    grows = following & (seats.shift(-1) > seats)
    assert grows.sum() > 50
    assert (
        states.loc[grows, "utilisation"].mean() > states.loc[following & ~grows, "utilisation"].mean() + 0.12
    )
    newest = states["month"].max()
    leaves = ~following & (states["month"] < newest)
    assert leaves.sum() > 15
    assert states.loc[leaves, "engagement"].mean() < 0.6 * states.loc[following, "engagement"].mean()
    assert states.loc[leaves, "trouble"].mean() > 0.25 > states.loc[following, "trouble"].mean()


def test_gates_are_met_before_an_upgrade_in_hindsight() -> None:
    """One customer of three months that moves from the lowest plan to the next in the third."""
    rows = pd.DataFrame(
        {"account": "a", "customer": "c", "month": ["2026-05", "2026-06", "2026-07"], "seats": [10, 10, 10]}
    )
    wide = pd.concat([rows.assign(account=f"a{n}", customer=f"c{n}") for n in range(60)], ignore_index=True)
    moved = pd.Timestamp("2026-07-10", tz="UTC")
    items = pd.concat(
        [
            pd.DataFrame(
                {
                    "customer": f"c{n}",
                    "product": ["prod_WorkspaceBasic", "prod_WorkspacePro"],
                    "valid_from": [pd.Timestamp("2026-01-01", tz="UTC"), moved],
                    "valid_to": [moved, pd.NaT],
                }
            )
            for n in range(60)
        ],
        ignore_index=True,
    )
    hits = states_in_hindsight(1, wide, items).groupby("month")["gate_hits"].mean()
    assert hits["2026-06"] > 2 > 1 > hits["2026-07"]
    assert hits["2026-05"] > 2


def test_hindsight_of_nothing_is_nothing() -> None:
    empty = with_usage(simulate(1, 0, 6), 1)
    assert signalled(empty).truth.states.empty
    assert signalled(empty).assignments.empty


def test_predictive_is_what_one_gets_without_choosing() -> None:
    assert Signals() == PREDICTIVE
