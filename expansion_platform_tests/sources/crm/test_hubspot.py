"""What HubSpot's tables say in single cases, by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from expansion_platform.domain.catalog.tables import CrmActivity, Owners, Tickets
from expansion_platform.domain.core.table import Table
from expansion_platform.sources.crm import Facts, read_facts
from expansion_platform_tests.sources.crm.database import Row, write

COMPANY = {"id": 1, "property_stripe_customer_id": "cus_1", "property_hubspot_owner_id": 70}
STAGES = [
    {"stage_id": "10", "label": "Open", "probability": 0.2, "is_closed": False},
    {"stage_id": "11", "label": "Won", "probability": 1.0, "is_closed": True},
    {"stage_id": "12", "label": "Lost", "probability": 0.0, "is_closed": True},
]
ON_COMPANY = [{"deal_id": 5, "company_id": 1, "type_id": 5}]


def at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def deal(stage: str = "11", **more: Any) -> Row:
    row = {"deal_id": 5, "deal_pipeline_stage_id": stage, "owner_id": 70, "property_amount": Decimal("99.50")}
    return row | {"property_createdate": at(2, 1), "property_closedate": at(3, 9)} | more


def entered(stage: str, when: datetime, **more: Any) -> Row:
    return {"deal_id": 5, "value": stage, "date_entered": when, "_fivetran_start": when} | more


def read(folder: Path, model: type[Table], tables: dict[str, list[Row]], **options: Any) -> Facts:
    url = f"sqlite:///{folder / 'hubspot.sqlite'}"
    write(url, None, {"company": [COMPANY], "deal": [deal()], "deal_company": ON_COMPANY} | tables)
    facts = read_facts("fivetran_hubspot:main", model, url, **options)
    model.validate(facts.frame)
    return facts


def opportunities(facts: Facts, *names: str) -> list[tuple[Any, ...]]:
    rows = facts.frame[facts.frame["kind"] == "opportunity"].sort_values("known_at")
    return [tuple(row) for row in rows[list(names)].astype(object).where(rows.notna(), None).to_numpy()]


def test_a_deal_without_a_history_is_known_only_today(tmp_path: Path) -> None:
    """Its dates say when it was won, not that this was known then."""
    for history in ({}, {"deal_stage": [entered("11", None) | {"deal_id": None, "value": None}]}):
        (tmp_path / "hubspot.sqlite").unlink(missing_ok=True)
        facts = read(tmp_path, CrmActivity, {"deal_pipeline_stage": STAGES} | history)
        assert opportunities(facts, "stage", "date", "amount", "owner", "known_at") == [
            ("won", "2026-03-09", "99.5", "70", None)
        ]
        assert not facts.own_dates


def test_amount_and_owner_without_a_history_are_known_only_today(tmp_path: Path) -> None:
    stages = [entered("10", at(2, 1)), entered("11", at(3, 1))]
    facts = read(tmp_path, CrmActivity, {"deal_pipeline_stage": STAGES, "deal_stage": stages})
    assert opportunities(facts, "stage", "amount", "owner", "known_at") == [
        ("open", None, None, "2026-02-01T12:00:00+00:00"),
        ("won", None, None, "2026-03-01T12:00:00+00:00"),
        ("won", "99.5", "70", None),
    ]


def test_a_stage_that_was_written_late_is_known_late(tmp_path: Path) -> None:
    stages = [entered("10", at(2, 1)), entered("11", at(3, 1), _fivetran_start=at(3, 20))]
    facts = read(tmp_path, CrmActivity, {"deal_pipeline_stage": STAGES, "deal_stage": stages})
    assert ("won", "2026-03-01", "2026-03-20T12:00:00+00:00") in opportunities(
        facts, "stage", "date", "known_at"
    )


def test_a_stage_that_its_history_does_not_lead_to_is_known_only_today(tmp_path: Path) -> None:
    stages = [entered("10", at(2, 1))]
    facts = read(tmp_path, CrmActivity, {"deal_pipeline_stage": STAGES, "deal_stage": stages})
    assert opportunities(facts, "stage", "date", "known_at")[-1] == ("won", "2026-03-09", None)


def test_columns_that_are_not_synced_take_nothing_back(tmp_path: Path) -> None:
    """A deal without today's amount and owner has those of its history."""
    history = [
        {"deal_id": 5, "name": "amount", "value": "120", "timestamp": at(2, 1)},
        {"deal_id": 5, "name": "hubspot_owner_id", "value": "71", "timestamp": at(2, 1)},
    ]
    tables = {
        "deal": [{"deal_id": 5, "deal_pipeline_stage_id": "10"}],
        "deal_pipeline_stage": STAGES,
        "deal_stage": [entered("10", at(2, 1))],
        "deal_property_history": history,
    }
    assert opportunities(read(tmp_path, CrmActivity, tables), "amount", "owner", "known_at") == [
        ("120", "71", "2026-02-01T12:00:00+00:00")
    ]


@pytest.mark.parametrize(
    ("stage", "kind", "name"),
    [
        ({"stage_id": "s", "label": "Ours", "probability": 1.0, "closed_won": True}, "won", "Ours"),
        ({"stage_id": "s", "label": "Ours", "probability": 0.0, "closed_won": False}, "lost", "Ours"),
        ({"stage_id": "s", "label": "Ours", "probability": 0.6, "closed_won": False}, "open", "Ours"),
        ({"stage_id": "s", "label": "Ours", "probability": 0.0, "is_closed": True}, "lost", "Ours"),
        ({"stage_id": "s", "label": "Ours", "probability": 0.9, "is_closed": False}, "open", "Ours"),
        ({"stage_id": "s", "label": "a@b.example", "probability": 0.9, "is_closed": False}, "open", "s"),
        ({"stage_id": "s", "label": "long" * 40, "probability": 0.9, "is_closed": False}, "open", "s"),
        ({"stage_id": "another", "label": "Ours", "probability": 1.0, "is_closed": True}, "open", "s"),
    ],
)
def test_kinds_of_stages(tmp_path: Path, stage: Row, kind: str, name: str) -> None:
    tables = {"deal": [deal("s")], "deal_pipeline_stage": [stage], "deal_stage": [entered("s", at(2, 1))]}
    assert opportunities(read(tmp_path, CrmActivity, tables), "stage", "stage_name")[0] == (kind, name)


def test_the_usual_stages_need_no_table(tmp_path: Path) -> None:
    stages = [entered("appointmentscheduled", at(2, 1)), entered("closedwon", at(3, 1))]
    facts = read(tmp_path, CrmActivity, {"deal": [deal("closedwon")], "deal_stage": stages})
    assert [stage for (stage,) in opportunities(facts, "stage")] == ["open", "won", "won"]


@pytest.mark.parametrize(
    ("written", "read_as"), [("1e3", "1000"), ("-5", None), ("n/a", None), ("NaN", None)]
)
def test_amounts_that_are_none_are_unknown(tmp_path: Path, written: str, read_as: str | None) -> None:
    history = [{"deal_id": 5, "name": "amount", "value": written, "timestamp": at(2, 1)}]
    tables = {"deal_stage": [entered("10", at(2, 1))], "deal_property_history": history}
    assert opportunities(read(tmp_path, CrmActivity, tables), "amount")[0] == (read_as,)


def test_a_deal_on_several_companies_of_which_none_is_primary_is_named(tmp_path: Path) -> None:
    companies = [COMPANY | {"id": each, "property_stripe_customer_id": f"cus_{each}"} for each in (9, 10)]
    on = [{"deal_id": 5, "company_id": each, "type_id": 341} for each in (10, 9)]
    facts = read(tmp_path, CrmActivity, {"company": companies, "deal_company": on})
    assert list(facts.frame["customer"]) == ["cus_9"]
    assert facts.notes == [
        "1 deals are on several companies and none is the primary one; the lowest id counts: 5"
    ]


def test_a_company_that_is_two_customers_has_its_deal_and_touch_twice(tmp_path: Path) -> None:
    company = COMPANY | {"property_stripe_customer_id": " cus_b,cus_a "}
    call = {"engagement_id": 8, "property_hs_timestamp": at(3, 1), "property_hs_createdate": at(3, 1)}
    tables = {
        "company": [company],
        "engagement_call": [call],
        "engagement_company": [{"engagement_id": 8, "company_id": 1}],
    }
    frame = read(tmp_path, CrmActivity, tables).frame
    assert sorted(zip(frame["customer"], frame["id"], strict=True)) == [
        ("cus_a", "5:cus_a"),
        ("cus_a", "8:cus_a"),
        ("cus_b", "5"),
        ("cus_b", "8"),
    ]


def test_a_planned_meeting_and_one_logged_late(tmp_path: Path) -> None:
    meetings = [
        {"engagement_id": 8, "property_hs_timestamp": at(9, 1), "property_hs_createdate": at(3, 1)},
        {"engagement_id": 9, "property_hs_timestamp": at(3, 1), "property_hs_createdate": at(4, 20)},
        {"engagement_id": 10, "property_hs_timestamp": at(3, 1), "property_hs_createdate": None},
    ]
    on = [{"engagement_id": each["engagement_id"], "company_id": 1} for each in meetings]
    facts = read(tmp_path, CrmActivity, {"engagement_meeting": meetings, "engagement_company": on})
    touches = facts.frame[facts.frame["kind"] == "touch"].set_index("id")
    assert touches["date"].to_dict() == {"8": "2026-09-01", "9": "2026-03-01", "10": "2026-03-01"}
    assert touches.loc[["8", "9"], "known_at"].tolist() == [
        "2026-09-01T12:00:00+00:00",
        "2026-04-20T12:00:00+00:00",
    ]
    assert touches["known_at"].isna()["10"]


def test_days_are_those_of_the_time_zone(tmp_path: Path) -> None:
    stages = [entered("10", at(3, 31, 23))]
    facts = read(tmp_path, CrmActivity, {"deal_stage": stages}, timezone="Asia/Tokyo")
    assert opportunities(facts, "date", "known_at")[0] == ("2026-04-01", "2026-03-31T23:00:00+00:00")


def test_the_currency_of_a_deal(tmp_path: Path) -> None:
    for written, read_as in (("EUR", "eur"), ("", None), ("euro", None)):
        (tmp_path / "hubspot.sqlite").unlink(missing_ok=True)
        facts = read(tmp_path, CrmActivity, {"deal": [deal(property_deal_currency_code=written)]})
        assert opportunities(facts, "currency") == [(read_as,)]


def test_an_owner_without_a_history_is_known_only_today(tmp_path: Path) -> None:
    facts = read(tmp_path, Owners, {})
    assert facts.frame.isna().to_numpy().tolist() == [[False, False, True, True]]
    assert facts.frame["owner"].tolist() == ["70"]


def test_an_owner_that_is_not_synced_is_not_taken_away(tmp_path: Path) -> None:
    history = [{"company_id": 1, "name": "hubspot_owner_id", "value": "70", "timestamp": at(2, 1)}]
    company = {"id": 1, "property_stripe_customer_id": "cus_1"}
    facts = read(tmp_path, Owners, {"company": [company], "company_property_history": history})
    assert facts.frame.to_numpy().tolist() == [["cus_1", "70", "2026-02-01", "2026-02-01T12:00:00+00:00"]]


def ticket(**more: Any) -> dict[str, list[Row]]:
    row = {
        "id": 3,
        "property_createdate": at(2, 1),
        "property_closed_date": at(3, 5),
        "property_hs_ticket_priority": "URGENT",
        "property_hs_pipeline_stage": "4",
    }
    return {"ticket": [row | more], "ticket_company": [{"ticket_id": 3, "company_id": 1}]}


def test_a_ticket_without_a_history_was_opened_and_the_rest_is_known_only_today(tmp_path: Path) -> None:
    frame = read(tmp_path, Tickets, ticket()).frame.astype(object)
    columns = ["opened", "closed", "severity", "known_at"]
    assert frame.where(frame.notna(), None)[columns].to_numpy().tolist() == [
        ["2026-02-01", None, None, "2026-02-01T12:00:00+00:00"],
        ["2026-02-01", "2026-03-05", "critical", None],
    ]


def test_an_imported_ticket_is_known_since_its_import(tmp_path: Path) -> None:
    history = [{"ticket_id": 3, "name": "hs_pipeline_stage", "value": "1", "timestamp": at(5, 1)}]
    facts = read(
        tmp_path, Tickets, ticket(property_hs_pipeline_stage="1") | {"ticket_property_history": history}
    )
    assert facts.frame["known_at"].dropna().tolist() == ["2026-05-01T12:00:00+00:00"]
    assert set(facts.frame["opened"]) == {"2026-02-01"}
