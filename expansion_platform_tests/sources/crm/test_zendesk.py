"""What Zendesk's tables say in single cases, by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from expansion_platform.domain.catalog.tables import CustomerSignals, Tickets
from expansion_platform.domain.core.table import Table
from expansion_platform.sources.crm import Facts, Unmatched, read_facts
from expansion_platform_tests.sources.crm.database import Row, write

ORGANIZATIONS = [
    {"id": 1, "external_id": "cus_1"},
    {"id": 2, "external_id": "cus_2"},
    {"id": 3, "external_id": "x"},
]


def at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def ticket(number: int = 7, organization: int | None = 1, **more: Any) -> Row:
    row = {"id": number, "organization_id": organization, "status": "open", "priority": None}
    return row | {"created_at": at(2, 1), "updated_at": at(4, 9)} | more


def changed(field: str, value: str | None, when: datetime, number: int = 7) -> Row:
    return {"ticket_id": number, "field_name": field, "value": value, "updated": when}


def read(folder: Path, model: type[Table], tables: dict[str, list[Row]], **options: Any) -> Facts:
    url = f"sqlite:///{folder / 'zendesk.sqlite'}"
    write(url, None, {"organization": ORGANIZATIONS, "ticket": [ticket()]} | tables)
    facts = read_facts("fivetran_zendesk:main", model, url, **options)
    model.validate(facts.frame)
    return facts


def rows(facts: Facts, *names: str) -> list[tuple[Any, ...]]:
    found = facts.frame[list(names)].astype(object)
    return [tuple(row) for row in found.where(found.notna(), None).to_numpy()]


def test_a_ticket_without_a_history_was_opened_and_the_rest_is_known_only_today(tmp_path: Path) -> None:
    tables = {"ticket": [ticket(status="solved", priority="urgent")]}
    assert rows(read(tmp_path, Tickets, tables), "opened", "closed", "severity", "known_at") == [
        ("2026-02-01", None, None, "2026-02-01T12:00:00+00:00"),
        ("2026-02-01", "2026-04-09", "critical", None),
    ]


def test_a_priority_raised_late_and_a_ticket_opened_again(tmp_path: Path) -> None:
    history = [
        changed("priority", "low", at(2, 1)),
        changed("status", "solved", at(2, 3)),
        changed("status", "closed", at(2, 7)),
        changed("status", "open", at(2, 20)),
        changed("priority", "urgent", at(3, 1)),
    ]
    tables = {"ticket": [ticket(priority="urgent")], "ticket_field_history": history}
    assert rows(read(tmp_path, Tickets, tables), "closed", "severity", "known_at") == [
        (None, "low", "2026-02-01T12:00:00+00:00"),
        ("2026-02-03", "low", "2026-02-03T12:00:00+00:00"),  # closed later, and closed all the same
        (None, "low", "2026-02-20T12:00:00+00:00"),
        (None, "critical", "2026-03-01T12:00:00+00:00"),
    ]


def test_a_ticket_that_moves_to_another_organization_is_of_each_in_its_time(tmp_path: Path) -> None:
    history = [changed("organization_id", "1", at(2, 2)), changed("organization_id", "2", at(3, 1))]
    tables = {"ticket": [ticket(organization=2)], "ticket_field_history": history}
    assert rows(read(tmp_path, Tickets, tables), "customer", "id", "known_at") == [
        ("cus_1", "7", "2026-02-02T12:00:00+00:00"),
        ("cus_2", "7", "2026-03-01T12:00:00+00:00"),
    ]


def test_tags_say_feature_and_tier_and_no_other_tag_is_taken(tmp_path: Path) -> None:
    tags = [
        "tier_enterprise",
        "feature:sso",
        "feature_zapier",
        "vip",
        "feature_ann@example.com",
        "ann@example.com",
    ]
    tables = {"ticket_tag": [{"ticket_id": 7, "tag": tag} for tag in tags]}
    facts = read(tmp_path, Tickets, tables)
    assert rows(facts, "feature", "tier", "known_at") == [
        (None, None, "2026-02-01T12:00:00+00:00"),
        ("sso", "enterprise", None),
    ]
    assert "@" not in facts.frame.to_csv()


@pytest.mark.parametrize("written", ['["vip", "feature_sso"]', "vip feature_sso", "vip,feature_sso"])
def test_tags_of_the_history_are_known_since_then(tmp_path: Path, written: str) -> None:
    tables = {
        "ticket_field_history": [changed("tags", written, at(3, 1))],
        "ticket_tag": [{"ticket_id": 7, "tag": tag} for tag in ("vip", "feature_sso")],
    }
    assert rows(read(tmp_path, Tickets, tables), "feature", "known_at") == [
        (None, "2026-02-01T12:00:00+00:00"),
        ("sso", "2026-03-01T12:00:00+00:00"),
    ]


@pytest.mark.parametrize("row", [ticket(status="deleted"), ticket(_fivetran_deleted=True)])
def test_a_deleted_ticket_is_none(tmp_path: Path, row: Row) -> None:
    facts = read(tmp_path, Tickets, {"ticket": [row]})
    assert facts.frame.empty


def test_satisfaction_is_the_share_of_good_ratings_of_a_day_as_they_came(tmp_path: Path) -> None:
    """An offer is no rating; a rating given again counts once."""
    tickets = [ticket(7), ticket(8), ticket(9, 2), ticket(10, 3)]
    history = [
        changed("satisfaction_score", "offered", at(3, 1, 8), 7),
        changed("satisfaction_score", "good", at(3, 1, 9), 7),
        changed("satisfaction_score", "bad with comment", at(3, 1, 10), 8),
        changed("satisfaction_score", "good with comment", at(3, 1, 11), 8),
        changed("satisfaction_score", "bad", at(3, 2, 9), 9),
        changed("satisfaction_score", "bad", at(3, 2, 9), 10),
    ]
    facts = read(tmp_path, CustomerSignals, {"ticket": tickets, "ticket_field_history": history})
    assert rows(facts, "customer", "date", "signal", "value", "known_at") == [
        ("cus_1", "2026-03-01", "csat", "1.000000", "2026-03-01T09:00:00+00:00"),
        ("cus_1", "2026-03-01", "csat", "0.500000", "2026-03-01T10:00:00+00:00"),
        ("cus_1", "2026-03-01", "csat", "1.000000", "2026-03-01T11:00:00+00:00"),
        ("cus_2", "2026-03-02", "csat", "0.000000", "2026-03-02T09:00:00+00:00"),
    ]
    assert facts.unmatched == {"rating": Unmatched(5, 1)}


def test_satisfaction_of_the_older_table(tmp_path: Path) -> None:
    scores = [
        {
            "id": 1,
            "ticket_id": 7,
            "score": "good",
            "updated_at": at(3, 1),
            "comment": "thanks, ann@example.com",
        },
        {"id": 2, "ticket_id": 7, "score": "offered", "updated_at": at(3, 2), "comment": None},
    ]
    facts = read(tmp_path, CustomerSignals, {"satisfaction_rating": scores})
    assert rows(facts, "customer", "value", "known_at") == [
        ("cus_1", "1.000000", "2026-03-01T12:00:00+00:00")
    ]
    assert "ann" not in facts.frame.to_csv()


def test_a_column_of_our_own_for_the_customer(tmp_path: Path) -> None:
    """It counts before `external_id`; the setting before both."""
    organization = {
        "id": 1,
        "external_id": "cus_1",
        "custom_stripe_customer_id": "cus_5",
        "custom_ours": "cus_6",
    }
    assert set(read(tmp_path, Tickets, {"organization": [organization]}).frame["customer"]) == {"cus_5"}
    (tmp_path / "zendesk.sqlite").unlink()
    facts = read(tmp_path, Tickets, {"organization": [organization]}, link="custom_ours")
    assert set(facts.frame["customer"]) == {"cus_6"}


def test_what_is_no_customer_is_counted(tmp_path: Path) -> None:
    facts = read(tmp_path, Tickets, {"ticket": [ticket(7, 3), ticket(8, None), ticket(9)]})
    assert facts.unmatched == {"ticket": Unmatched(3, 2)}
    assert facts.notes == [
        "2 of 3 rows of ticket are of accounts without a Stripe customer",
        "1 accounts have something else than cus_... in external_id: they count as accounts without a Stripe "
        "customer",
    ]
