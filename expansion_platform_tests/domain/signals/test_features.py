"""Each feature of semantics 6.1, worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.months import shift
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.by_customer import compute_signals
from expansion_platform.domain.signals.definition import Events, SignalDefinition
from expansion_platform.domain.signals.features import growth, share
from expansion_platform.domain.stripe.tables import Coupons
from expansion_platform_tests.domain.signals.company import (
    MARCH,
    answer,
    at,
    company,
    discount,
    feature,
    graduated,
    months_read,
    moved,
    own,
    paid,
    read,
    state,
    ticket,
    touch,
    used,
)

ALL_EVENTS = SignalDefinition(
    events=Events(**{name: (name,) for name in Events.model_fields}), key_features=("export", "reports")
)


def test_a_customer_of_which_only_bills_are_known() -> None:
    row = company().features()
    figures = {name: row[name] for name in ("mrr", "segment", "tenure_months", "products_held", "seats")}
    assert figures == {"mrr": 10000, "segment": "smb", "tenure_months": 14, "products_held": 1, "seats": 10}
    assert row["log_mrr"] == "4.605170"  # ln 100
    assert (row["interval_months"], row["months_to_renewal"], row["past_due"]) == (1, 1, False)
    assert [row["expansions_12m"], row["contractions_3m"], row["contractions_6m"]] == [0, 0, 0]
    unknown = [
        *("active_days", "active_users", "active_users_change_1m", "active_users_change_3m"),
        *(
            "engagement_trend",
            "features_used",
            "gate_hits",
            "integrations",
            "invites",
            "key_feature_adoption",
        ),
        *("limit_warnings", "logins", "milestones", "new_users", "nps", "seat_utilisation", "stickiness"),
        *("tier_headroom", "tier_rank", "unit_utilisation"),
    ]
    assert json.loads(row["missing_json"]) == unknown


def test_who_pays_nothing_at_the_month_s_end_has_no_row() -> None:
    rows = {mrr.CustomerMonths: [paid(MARCH), paid(MARCH, "c2", 0, opening=500), paid("2026-02", "c3")]}
    found = company().signals(MARCH)[signals.Features]
    assert company(rows).signals(MARCH)[signals.Features]["customer"].tolist() == found["customer"].tolist()


def test_rows_come_by_month_and_customer_whatever_the_codes_of_their_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Months are read as codes, in the order in which the files have them."""
    months = [MARCH, "2026-02"]
    rows = {mrr.CustomerMonths: [paid(month, each) for month in months for each in ("c2", "c1")]}
    states = [state("2025-01-10"), state("2025-01-10", customer="c2", item="si_2")]
    usage = {signals.UsageMonths: months_read(MARCH), signals.AccountUsage: [used(MARCH)]}
    seen = company({**rows, billing.ItemStates: states, **usage}).inputs()
    plain = seen.frame
    coded = pd.CategoricalDtype(pd.Index(months, dtype="str"))
    monkeypatch.setattr(
        seen,
        "frame",
        lambda model, asked=None: plain(model, asked).astype(
            {"month": coded} if model is mrr.CustomerMonths else {}
        ),
    )
    for model, frame in compute_signals(months, seen).frames.items():
        assert len(frame) >= 2, model
        assert frame.equals(frame.sort_values(["month", "customer"], kind="stable", ignore_index=True))
        assert not isinstance(frame["month"].dtype, pd.CategoricalDtype)


def test_no_customers_make_tables_without_rows() -> None:
    for frame in company({mrr.CustomerMonths: [], billing.ItemStates: []}).signals(MARCH).values():
        assert frame.empty


@pytest.mark.parametrize(
    ("arr", "segment"),
    [(499_999, "smb"), (500_000, "mid_market"), (4_999_999, "mid_market"), (5_000_000, "enterprise")],
)
def test_the_segment_is_that_of_the_month_s_end(arr: int, segment: str) -> None:
    policy = Catalog.from_dict({"policy": {"mid_market_acv": 500_000, "enterprise_acv": 5_000_000}})
    rows = {mrr.CustomerMonths: [paid(MARCH, opening=1, closing_arr=arr, segment="smb")]}
    assert company(rows, values={"catalog": policy}).features()["segment"] == segment


def test_seats_and_their_growth() -> None:
    # Seats at the ends of September 2025: 8; December: 10; February: 12; March: 15.
    states = [
        state("2025-01-10", "2025-12-05", quantity="8"),
        state("2025-12-05", "2026-02-20", quantity="10"),
        state("2026-02-20", "2026-03-31", quantity="12"),
        state("2026-03-31", quantity="15"),
    ]
    row = company({billing.ItemStates: states}).features()
    assert row["seats"] == 15
    # 3 / 12; 5 / 10; 7 / 8.
    grown = [row[f"seats_growth_{back}m"] for back in (1, 3, 6)]
    assert grown == ["0.250000", "0.500000", "0.875000"]


def test_seats_are_not_known_where_nothing_is_sold_by_the_seat() -> None:
    row = company({billing.ItemStates: [state("2025-01-10", usage_type="metered")]}).features()
    assert (row["seats"], row["seats_growth_1m"], row["seat_utilisation"]) == (None, None, None)


def test_growth_from_nothing_is_not_known() -> None:
    row = company({billing.ItemStates: [state("2026-03-02")]}).features()
    assert [row[f"seats_growth_{back}m"] for back in (1, 3, 6)] == [None, None, None]


def test_a_quotient_has_a_positive_whole() -> None:
    part, whole = np.array([1.0, 1.0, 1.0, np.nan]), np.array([4.0, 0.0, np.nan, 2.0])
    assert share(part, whole)[0] == 0.25
    assert np.isnan(share(part, whole)[1:]).all()
    assert growth(np.array([5.0]), np.array([4.0])).tolist() == [0.25]


@pytest.mark.parametrize(
    ("ago", "since"), [(0, 0), (1, 1), (23, 23), (24, None)], ids=["now", "one", "within", "too long ago"]
)
def test_months_since_an_expansion(ago: int, since: int | None) -> None:
    rows = {mrr.Movements: [moved(shift(MARCH, -ago), expansion=100)]}
    row = company(rows).features()
    assert row["months_since_expansion"] == since
    assert "months_since_expansion" not in row["missing_json"]  # none is known, and not unknown


def test_how_often_it_expanded_and_contracted() -> None:
    expanded = [moved(shift(MARCH, -ago), expansion=100) for ago in (0, 5, 11, 12)]
    contracted = [moved(shift(MARCH, -ago), contraction=-100) for ago in (2, 3, 5, 6)]
    others = [moved(MARCH, contraction=-1, customer="c2")]
    row = company({mrr.Movements: [*expanded, *contracted, *others]}).features()
    assert (row["expansions_12m"], row["contractions_3m"], row["contractions_6m"]) == (3, 1, 3)


@pytest.mark.parametrize(
    ("closing", "listed", "share_"),
    [(7500, 10000, "0.250000"), (10000, 10000, "0.000000"), (2, 3, "0.333333")],
)
def test_share_of_discounts(closing: int, listed: int, share_: str) -> None:
    row = company({mrr.CustomerMonths: [paid(MARCH, closing=closing, listed=listed)]}).features()
    assert row["discount_share"] == share_


def test_past_due_counts_also_where_the_subscription_does_not() -> None:
    late = state("2025-01-10", subscription="sub_2", item="si_2", status="past_due", livemode=True)
    paused = {**late, "collection_paused": "void"}
    assert company({billing.ItemStates: [state("2025-01-10"), paused]}).features()["past_due"] is not None
    assert company({billing.ItemStates: [state("2025-01-10"), paused]}).features()["past_due"]
    before = {**late, "valid_to": at("2026-03-31")}
    assert not company({billing.ItemStates: [state("2025-01-10"), before]}).features()["past_due"]


def test_usage_of_a_month() -> None:
    # Active users 12 of 10 seats; December 10, February 8. Mean daily users 2, 4, 6: slope 2, mean 4.
    rows = {
        signals.UsageMonths: months_read(MARCH),
        signals.AccountUsage: [
            used("2025-12", active_users=10),
            used("2026-01", active_users=9, mean_daily_users="2.000000"),
            used("2026-02", active_users=8, mean_daily_users="4.000000"),
            used(
                MARCH, active_users=12, mean_daily_users="6.000000", active_days=21, features_used=4,
                new_users=3, logins=50, invites=2, gate_hits=1, limit_warnings=5, integrations=6,
                milestones=7,
            ),
        ],
        signals.FeatureUsage: [
            feature(MARCH, "export", 2), feature(MARCH, "reports", 0), feature(MARCH, "other")
        ],
    }  # fmt: skip
    row = company(rows, values={"signals": ALL_EVENTS}).features()
    expected = {
        "active_users": 12,
        "seat_utilisation": "1.200000",
        "active_users_change_1m": "0.500000",
        "active_users_change_3m": "0.200000",
        "stickiness": "0.500000",
        "engagement_trend": "0.500000",
        "key_feature_adoption": "0.500000",
        "new_users": 3,
        "active_days": 21,
        "features_used": 4,
        "logins": 50,
        "invites": 2,
        "gate_hits": 1,
        "limit_warnings": 5,
        "integrations": 6,
        "milestones": 7,
    }
    assert {name: row[name] for name in expected} == expected


def test_a_trend_of_nothing_is_not_known() -> None:
    row = company({signals.UsageMonths: months_read(MARCH)}, values={"signals": ALL_EVENTS}).features()
    assert (row["active_users"], row["stickiness"], row["engagement_trend"]) == (0, None, None)
    assert (row["active_users_change_1m"], row["key_feature_adoption"]) == (None, "0.000000")


def test_what_no_event_is_mapped_to_is_not_known() -> None:
    rows = {
        signals.UsageMonths: [read(MARCH, new_users_by=None)],
        signals.AccountUsage: [used(MARCH, active_users=3, logins=5, new_users=None)],
    }
    row = company(rows, values={"signals": SignalDefinition(events=Events(logins=("in",)))}).features()
    assert (row["active_users"], row["logins"]) == (3, 5)
    assert [row[name] for name in ("new_users", "invites", "gate_hits", "key_feature_adoption")] == [None] * 4
    # An account without events: there are none of what is counted, and the rest stays unknown.
    quiet = company({signals.UsageMonths: [read(MARCH, new_users_by=None)]}, values={"signals": ALL_EVENTS})
    assert (quiet.features()["logins"], quiet.features()["new_users"]) == (0, None)


def test_tickets() -> None:
    definition = SignalDefinition(higher_tier_features={"sso": 3})
    rows = {
        signals.SupportTickets: [
            ticket("2025-06-01", id="k1", severity="critical"),
            ticket("2026-02-01", id="k2", severity="low", tier="enterprise"),
            ticket("2026-01-05", id="k7", closed="2026-01-07", feature="sso"),  # one day too early
            ticket("2026-01-06", id="k3", closed="2026-01-07", feature="sso"),
            ticket("2026-01-07", id="k4", closed="2026-01-08", feature="sso"),
            ticket("2026-03-01", id="k5", closed="2026-04-05", feature="export"),
            ticket("2026-03-02", id="k6", customer="c2", severity="critical"),
        ]
    }
    row = company(rows, values={"signals": definition}).features()
    # k1 and k2 are open; k2, k3 and k4 ask for a higher plan within three months up to the end of 5 April.
    assert (row["open_tickets"], row["critical_tickets"], row["higher_tier_requests"]) == (2, 1, 3)


def test_a_ticket_is_closed_on_its_day() -> None:
    closed = {signals.SupportTickets: [ticket("2026-03-01", closed="2026-04-05")]}
    assert company(closed).features()["open_tickets"] == 0
    after = {signals.SupportTickets: [ticket("2026-03-01", closed="2026-04-06")]}
    assert company(after).features()["open_tickets"] == 1


def test_the_newest_answer_of_a_year() -> None:
    first, second = answer("2025-04-06", 9, id="n1"), answer("2025-12-01", 3, id="n2")
    assert company({signals.NpsAnswers: [second, first]}).features()["nps"] == 3
    assert company({signals.NpsAnswers: [answer("2025-04-05", 9)]}).features()["nps"] is None
    assert company({signals.NpsAnswers: [first]}).features()["nps"] == 9
    assert (
        company({signals.NpsAnswers: [first, answer("2026-05-01", 1, known_at="2026-03-01")]}).features()[
            "nps"
        ]
        == 9
    )


def test_touches() -> None:
    rows = {
        signals.Activity: [
            touch("2025-11-30"),
            touch("2026-01-05"),  # three months before the end of 5 April
            touch("2026-01-06"),
            touch("2026-04-05"),
            touch("2026-04-06"),
            {**touch("2026-04-01"), "kind": "opportunity", "stage": "open", "id": "o1"},
        ]
    }
    row = company(rows).features()
    assert (row["touches_3m"], row["last_touch"]) == (2, "2026-04-05")
    assert company().features()["last_touch"] is None


def test_a_table_that_nobody_gives_says_nothing() -> None:
    rows = {signals.SupportTickets: [ticket("2026-03-01")]}
    given = company(rows, values={"facts_given": frozenset({"crm/tickets"})}).features()
    assert (given["open_tickets"], given["touches_3m"], given["nps"]) == (1, None, None)
    assert {"touches_3m", "nps"} <= set(json.loads(given["missing_json"]))


def test_signals_of_the_user_s_own() -> None:
    rows = {
        signals.SignalValues: [
            own("2026-01-01", "fit", "0.5"),
            own("2026-03-01", "fit", "12"),
            own("2026-04-06", "fit", "99"),  # after the close
            own("2026-02-01", "budget", "-3.25"),
            own("2026-02-01", "budget", "1", customer="c2"),
        ]
    }
    assert company(rows).features()["own_json"] == '{"budget":"-3.25","fit":"12"}'
    assert company().features()["own_json"] == "{}"
    merged = company(rows, aliases={"c2": "c1"}).features()["own_json"]
    assert json.loads(merged)["fit"] == "12"


def test_units_used_of_those_the_price_includes() -> None:
    scheme = graduated((1000, "0"), (5000, "2"), (None, "1"))
    metered = state(
        "2026-03-01", item="si_2", product="api", usage_type="metered", quantity="900", scheme=scheme
    )
    row = company({billing.ItemStates: [state("2025-01-10"), metered]}).features()
    assert (row["unit_utilisation"], row["products_held"]) == ("0.900000", 2)


def test_discounts_that_end_are_features() -> None:
    states = [state("2026-01-20", discounts=[discount()])]
    rows = {billing.ItemStates: states, Coupons: [{"id": "spring", "duration_in_months": 3}]}
    row = company(rows).features()
    assert row["months_to_discount_end"] == 1
    assert company().features()["months_to_discount_end"] is None
    assert "months_to_discount_end" not in company().features()["missing_json"]
