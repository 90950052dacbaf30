"""A company with signals: what is drawn has the hazards' frequencies, and happens to its subscriptions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.core import months
from expansion_platform.simulator.company.catalog import PLANS
from expansion_platform.simulator.company.company import Company, simulate
from expansion_platform.simulator.company.signals import (
    NOTHING,
    PREDICTIVE,
    USAGE_IRRELEVANT,
    Programme,
    Signals,
)

CUSTOMERS, MONTHS = 300, 24
FAR = 4.5
"""Standard errors that chance does not reach: once in 150,000 comparisons."""
PROGRAMMES = (
    Programme("calls", "2025-09", multiplier=2.5, months=6),
    Programme("letters", "2025-11", multiplier=1.0),
    Programme("favourites", "2026-02", multiplier=1.5, randomised=False),
)


@pytest.fixture(scope="module")
def company() -> Company:
    return simulate(11, CUSTOMERS, MONTHS, signals=replace(PREDICTIVE, programmes=PROGRAMMES))


def risks_of(company: Company) -> pd.DataFrame:
    """Risks with the states of the month before."""
    assert company.signals is not None
    truth = company.signals.truth
    before = truth.states.assign(month=[months.shift(each, 1) for each in truth.states["month"]])
    return truth.risks.merge(before, on=["account", "customer", "month"], validate="1:1")


def errors(happened: pd.Series, hazard: pd.Series) -> float:
    """Standard errors between what happened and what was to be expected."""
    return float((happened.sum() - hazard.sum()) / np.sqrt((hazard * (1 - hazard)).sum()))


def test_each_kind_is_drawn_as_often_as_its_hazard_says(company: Company) -> None:
    risks = risks_of(company)
    assert len(risks) > 2000
    for kind in ("seats", "upgrade", "addon"):
        assert risks[f"hazard_{kind}"].sum() > 20
        assert abs(errors(risks["drawn"] == kind, risks[f"hazard_{kind}"])) < FAR
    assert abs(errors(risks["drawn_churn"], risks["hazard_churn"])) < FAR


def test_the_frequency_follows_the_hazard_from_the_least_to_the_most_likely(company: Company) -> None:
    risks = risks_of(company)
    for kind, drawn in (("expansion", risks["drawn"].notna()), ("churn", risks["drawn_churn"])):
        hazard = risks[f"hazard_{kind}"]
        fifth = pd.qcut(hazard.rank(method="first"), 5, labels=False)
        found = [errors(drawn[fifth == each], hazard[fifth == each]) for each in range(5)]
        assert max(map(abs, found)) < FAR
        assert hazard[fifth == 4].mean() > 4 * hazard[fifth == 0].mean()


def test_what_is_drawn_nearly_always_happens(company: Company) -> None:
    """A subscription that cannot be changed to the month's end, or has just ended, is the exception."""
    risks = risks_of(company)
    for drawn, at in (("drawn", "expanded_at"), ("drawn_churn", "churned_at")):
        meant = risks["drawn"].notna() if drawn == "drawn" else risks["drawn_churn"]
        assert not (risks[at].notna() & ~meant).any()
        assert (risks[at].notna() & meant).sum() > 0.95 * meant.sum()
        within = risks.loc[risks[at].notna(), ["month", at]]
        assert (within[at].dt.strftime("%Y-%m") == within["month"]).all()


def test_what_happens_shows_in_the_true_item_states(company: Company) -> None:
    risks, items = risks_of(company), company.truth.states
    ranks = {plan.id: plan.tier_rank for plan in PLANS}
    items = items.assign(rank=items["product"].map(ranks), units=items["quantity"].astype("int64"))
    done = risks[risks["expanded_at"].notna()]
    assert len(done) > 100
    for risk in done.to_dict("records"):
        mine = items[items["customer"] == risk["customer"]]
        begun = mine[mine["valid_from"] == risk["expanded_at"]].set_index("item")
        ended = mine[mine["valid_to"] == risk["expanded_at"]].set_index("item")
        added = begun.index.difference(ended.index)
        kept = begun.index.intersection(ended.index)
        raised = begun.loc[kept, ["rank", "units"]] > ended.loc[kept, ["rank", "units"]]
        assert len(added) + raised["rank"].sum() + raised["units"].sum() == 1
        if risk["drawn"] == "upgrade":
            assert raised["rank"].sum() == 1
        elif risk["drawn"] == "seats":
            assert raised["units"].sum() == 1
    for risk in risks[risks["churned_at"].notna()].to_dict("records"):
        mine = items[(items["customer"] == risk["customer"]) & (items["valid_from"] <= risk["churned_at"])]
        assert (mine["valid_to"] <= risk["churned_at"]).all()


def test_nothing_else_makes_seats_grow(company: Company) -> None:
    """Of all changes of a plan's quantity upwards; but for corrections of what was taken off days before."""
    risks, items = risks_of(company), company.truth.states
    plans = items[items["product"].isin([plan.id for plan in PLANS])].sort_values(["item", "valid_from"])
    units = plans["quantity"].astype("int64")
    grew = (plans["item"] == plans["item"].shift()) & (units > units.shift())
    grown = plans[grew & (plans["product"] == plans["product"].shift())]
    last = pd.Timestamp(months.closing("2026-10"))
    grown = grown[grown["valid_from"] < last]
    known = set(zip(done := risks["customer"], risks["expanded_at"], strict=True))
    assert len(done)
    unknown = [pair for pair in zip(grown["customer"], grown["valid_from"], strict=True) if pair not in known]
    assert len(unknown) < 0.05 * len(grown)


def relation(signals: Signals, seed: int = 5) -> tuple[float, float]:
    """Standard errors between the shares of expanders of the fifth that uses most and the rest; the same of
    churn, and of the fifth whose engagement fell most."""
    risks = risks_of(simulate(seed, CUSTOMERS, MONTHS, signals=signals))
    found = []
    for column, drawn in (("utilisation", risks["drawn"].notna()), ("fall", risks["drawn_churn"])):
        high = risks[column].rank(method="first") > 0.8 * len(risks)
        shares, overall = (drawn[high].mean(), drawn[~high].mean()), drawn.mean()
        error = np.sqrt(overall * (1 - overall) * (1 / high.sum() + 1 / (~high).sum()))
        found.append(float((shares[0] - shares[1]) / error))
    return found[0], found[1]


def test_usage_is_related_to_expansion_and_churn() -> None:
    assert min(relation(PREDICTIVE)) > 5


@pytest.mark.parametrize("signals", [NOTHING, USAGE_IRRELEVANT])
def test_at_strength_nought_usage_is_related_to_nothing(signals: Signals) -> None:
    assert max(map(abs, relation(signals))) < 3.5


def test_of_a_company_in_which_nothing_predicts_every_customer_has_the_same_chance() -> None:
    risks = risks_of(simulate(3, 40, 8, signals=NOTHING))
    assert np.ptp(risks["hazard_expansion"]) < 1e-12
    assert np.ptp(risks["hazard_churn"]) < 1e-12


def test_a_programme_has_its_effect_on_who_is_treated_while_it_lasts(company: Company) -> None:
    assert company.signals is not None
    arms = company.signals.assignments.query("programme == 'calls'").set_index("customer")["arm"]
    risks = risks_of(company)
    lasting = ["2025-09", "2025-10", "2025-11", "2025-12", "2026-01", "2026-02"]
    treated = risks["customer"].map(arms) == "treatment"
    during = treated & risks["month"].isin(lasting)
    # "favourites" begins in the last of these months.
    assert set(risks.loc[during & (risks["month"] != "2026-02"), "multiplier"]) == {2.5}
    assert set(risks.loc[~treated & (risks["month"] < "2026-02"), "multiplier"]) == {1.0}
    assert during.sum() > 200
    assert abs(errors(risks["drawn"].notna()[during], risks["hazard_expansion"][during])) < FAR
    control = (risks["customer"].map(arms) == "control") & risks["month"].isin(lasting)
    drawn = risks["drawn"].notna()
    assert drawn[during].mean() > 1.3 * drawn[control].mean()


def test_a_programme_without_an_effect_changes_no_hazard(company: Company) -> None:
    assert company.signals is not None
    programmes = company.signals.truth.programmes.set_index("programme")
    assert programmes["multiplier"].to_dict() == {"calls": 2.5, "letters": 1.0, "favourites": 1.5}
    risks = risks_of(company)
    assert not set(risks["multiplier"].round(6)) - {1.0, 2.5, 1.5, 3.75}


def test_chance_alone_decides_the_arms_of_a_randomised_programme(company: Company) -> None:
    assert company.signals is not None
    given, states = company.signals.assignments, company.signals.truth.states
    assert set(given.loc[given["programme"] == "favourites", "randomised"]) == {"false"}
    differences = {}
    for programme in PROGRAMMES:
        before = states[states["month"] == months.shift(programme.begins, -1)].set_index("customer")
        arms = given[given["programme"] == programme.name].set_index("customer")
        assert set(arms["assigned_at"]) == {f"{programme.begins}-01"}
        used = before["utilisation"].reindex(arms.index)
        treated = arms["arm"] == "treatment"
        assert abs(treated.mean() - 0.5) < 0.15
        error = used.std() * np.sqrt(1 / treated.sum() + 1 / (~treated).sum())
        differences[programme.name] = (used[treated].mean() - used[~treated].mean()) / error
    assert abs(differences["calls"]) < 3.5
    assert abs(differences["letters"]) < 3.5
    assert differences["favourites"] > 3.5


def test_the_same_seed_gives_the_same_company_and_another_another() -> None:
    first, again, other = (simulate(seed, 30, 6, signals=PREDICTIVE) for seed in (4, 4, 5))
    assert first.account.objects == again.account.objects
    assert first.signals is not None and again.signals is not None and other.signals is not None
    assert first.signals.events(properties=True).equals(again.signals.events(properties=True))
    pd.testing.assert_frame_equal(first.signals.truth.risks, again.signals.truth.risks)
    for name in ("owners", "tickets", "nps", "crm_activity", "customer_signals"):
        pd.testing.assert_frame_equal(getattr(first.signals.facts, name), getattr(again.signals.facts, name))
    assert not first.signals.events().equals(other.signals.events())


def test_what_was_true_at_an_earlier_instant_stays_true() -> None:
    earlier = simulate(4, 30, 6, as_of=datetime(2026, 8, 5, 6, tzinfo=UTC), signals=PREDICTIVE)
    later = simulate(4, 30, 6, signals=PREDICTIVE)
    assert earlier.signals is not None and later.signals is not None
    for name in ("states", "risks"):
        had, has = getattr(earlier.signals.truth, name), getattr(later.signals.truth, name)
        assert had["month"].max() == "2026-07"
        pd.testing.assert_frame_equal(
            had, has[has["month"] <= "2026-07"].reset_index(drop=True), check_dtype=False
        )
    tickets = later.signals.facts.tickets
    known = tickets[tickets["known_at"] <= "2026-08-05T06:00:00Z"]
    had = earlier.signals.facts.tickets
    # August's tickets are made of August's states.
    known, had = (each[each["opened"] < "2026-08-01"].reset_index(drop=True) for each in (known, had))
    pd.testing.assert_frame_equal(had, known)


def test_a_company_without_customers_has_empty_tables() -> None:
    company = simulate(1, 0, 6, signals=replace(PREDICTIVE, programmes=PROGRAMMES))
    assert company.signals is not None
    assert company.signals.truth.states.empty
    assert company.signals.assignments.empty
    assert company.signals.facts.tickets.empty
    assert set(company.signals.events()["$group_0"].to_pylist()) <= {"own_company"}


def test_a_company_without_signals_has_none_and_lives_as_ever() -> None:
    assert simulate(4, 10, 6).signals is None
