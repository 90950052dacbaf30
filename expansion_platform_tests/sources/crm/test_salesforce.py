"""What Salesforce's tables say in single cases, by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from expansion_platform.domain.catalog.tables import CrmActivity, Owners, Tickets
from expansion_platform.domain.core.table import Table
from expansion_platform.sources.crm import Facts, read_facts
from expansion_platform_tests.sources.crm.database import Row, write
from expansion_platform_tests.sources.crm.layouts import sf

ANN, BOB, CAT = (sf("005", number) for number in (1, 2, 3))
ACCOUNT = {"id": "001A", "owner_id": BOB, "stripe_customer_id_c": "cus_1"}
OPPORTUNITY = {
    "id": "006A",
    "account_id": "001A",
    "owner_id": BOB,
    "stage_name": "Signed",
    "amount": 50.0,
    "close_date": date(2026, 3, 9),
    "created_date": datetime(2026, 2, 1, tzinfo=UTC),
    "is_closed": True,
    "is_won": True,
}


def at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def read(folder: Path, model: type[Table], tables: dict[str, list[Row]]) -> Facts:
    url = f"sqlite:///{folder / 'salesforce.sqlite'}"
    write(url, None, {"account": [ACCOUNT], "opportunity": [OPPORTUNITY]} | tables)
    facts = read_facts("fivetran_salesforce:main", model, url)
    model.validate(facts.frame)
    return facts


def rows(facts: Facts, *names: str) -> list[tuple[Any, ...]]:
    found = facts.frame[list(names)].astype(object)
    return [tuple(row) for row in found.where(found.notna(), None).to_numpy()]


def state(stage: str, when: datetime, amount: float | None = 50.0, **more: Any) -> Row:
    row = {"id": f"008{when:%m%d%H}", "opportunity_id": "006A", "stage_name": stage, "amount": amount}
    return row | {"created_date": when} | more


def test_an_opportunity_without_a_history_is_known_only_today(tmp_path: Path) -> None:
    history = {"opportunity_history": [dict.fromkeys(state("", at(1, 1)))]}
    for number, tables in enumerate(({}, history)):
        folder = tmp_path / str(number)
        folder.mkdir()
        facts = read(folder, CrmActivity, tables)
        assert rows(facts, "stage", "stage_name", "date", "amount", "owner", "known_at") == [
            ("won", "Signed", "2026-03-09", "50", BOB, None)
        ]


def test_the_day_of_a_stage_is_that_on_which_it_was_entered(tmp_path: Path) -> None:
    """An entry of another amount, or of another close date, repeats the stage."""
    entries = [
        state("Talks", at(2, 1), None),
        state("Talks", at(2, 10), 40.0),
        state("Signed", at(3, 1), 40.0),
        state("Signed", at(3, 2), 40.0),
        state("Signed", at(4, 20), 50.0),
    ]
    facts = read(tmp_path, CrmActivity, {"opportunity_history": entries})
    assert rows(facts, "stage", "date", "amount", "known_at")[:-1] == [
        ("open", "2026-02-01", None, "2026-02-01T12:00:00+00:00"),
        ("open", "2026-02-01", "40", "2026-02-10T12:00:00+00:00"),
        ("won", "2026-03-01", "40", "2026-03-01T12:00:00+00:00"),
        ("won", "2026-03-01", "50", "2026-04-20T12:00:00+00:00"),
    ]


def test_kinds_of_stages_that_no_opportunity_is_in(tmp_path: Path) -> None:
    entries = [
        state("Closed Lost", at(2, 1)),
        state("Booked", at(2, 2), forecast_category="Closed"),
        state("Talks", at(2, 3), forecast_category="Pipeline"),
        state("Signed", at(2, 4)),
    ]
    facts = read(tmp_path, CrmActivity, {"opportunity_history": entries})
    assert [kind for kind, known in rows(facts, "stage", "known_at") if known] == [
        "lost",
        "won",
        "open",
        "won",
    ]


def change(key: str, old: str | None, new: str | None, when: datetime, field: str = "Owner") -> Row:
    return {key: "001A", "field": field, "old_value": old, "new_value": new, "created_date": when}


def test_owners_are_ids_and_never_names(tmp_path: Path) -> None:
    history = [
        change("account_id", ANN, CAT, at(2, 1)),
        change("account_id", "Ann Example", "Cat Example", at(2, 1)),
        change("account_id", CAT, BOB, at(3, 1)),
        change("account_id", ANN, BOB, at(3, 5), field="Rating"),
        change("account_id", None, None, at(3, 6)),
    ]
    assert rows(read(tmp_path, Owners, {"account_history": history}), "owner", "valid_from", "known_at") == [
        (CAT, "2026-02-01", "2026-02-01T12:00:00+00:00"),
        (BOB, "2026-03-01", "2026-03-01T12:00:00+00:00"),
    ]


def test_owners_of_a_table_in_history_mode(tmp_path: Path) -> None:
    """A past row of another field repeats the owner."""
    owners = [(ANN, at(1, 1)), (ANN, at(2, 1)), (CAT, at(3, 1)), (BOB, at(4, 1))]
    accounts = [
        ACCOUNT | {"owner_id": owner, "_fivetran_start": since, "_fivetran_active": owner == BOB}
        for owner, since in owners
    ]
    assert rows(read(tmp_path, Owners, {"account": accounts}), "owner", "valid_from") == [
        (ANN, "2026-01-01"),
        (CAT, "2026-03-01"),
        (BOB, "2026-04-01"),
    ]


def test_an_owner_without_a_history_is_known_only_today(tmp_path: Path) -> None:
    assert rows(read(tmp_path, Owners, {}), "customer", "owner", "valid_from", "known_at") == [
        ("cus_1", BOB, None, None)
    ]


def task(identity: str, **more: Any) -> Row:
    row = {"id": identity, "account_id": "001A", "task_subtype": "Task", "is_closed": True}
    return (
        row
        | {"activity_date": date(2026, 1, 5), "created_date": at(5, 1), "completed_date_time": None}
        | more
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        # Created today with a past day: known today, and on no earlier day.
        (task("a", task_subtype="Call"), ("2026-05-01", "call", "2026-05-01T12:00:00+00:00")),
        (
            task("b", task_subtype="ListEmail", is_closed=False),
            ("2026-05-01", "email", "2026-05-01T12:00:00+00:00"),
        ),
        (task("c", completed_date_time=at(5, 9)), ("2026-05-09", "task", "2026-05-09T12:00:00+00:00")),
        (task("d", completed_date_time=at(4, 9)), ("2026-04-09", "task", "2026-05-01T12:00:00+00:00")),
        (
            task("e", completed_date_time=at(5, 9), type="Meeting"),
            ("2026-05-09", "meeting", "2026-05-09T12:00:00+00:00"),
        ),
        (task("f"), ("2026-05-01", "task", None)),  # closed, and nothing says since when
        (task("g", is_closed=False), None),  # work to do
        (task("h", is_deleted=True, task_subtype="Call"), None),
    ],
)
def test_tasks(tmp_path: Path, row: Row, expected: tuple[Any, ...] | None) -> None:
    facts = read(tmp_path, CrmActivity, {"task": [row]})
    touches = [each[1:] for each in rows(facts, "kind", "date", "channel", "known_at") if each[0] == "touch"]
    assert touches == ([] if expected is None else [expected])


def test_a_task_on_an_opportunity_is_of_its_account(tmp_path: Path) -> None:
    facts = read(
        tmp_path, CrmActivity, {"task": [task("a", task_subtype="Call", account_id=None, what_id="006A")]}
    )
    assert ("touch", "cus_1") in rows(facts, "kind", "customer")
    assert facts.unmatched["task"].without == 0


def test_a_task_of_a_lead_has_no_customer(tmp_path: Path) -> None:
    facts = read(tmp_path, CrmActivity, {"task": [task("a", task_subtype="Call", account_id=None)]})
    assert (facts.unmatched["task"].of, facts.unmatched["task"].without) == (1, 1)
    assert facts.notes == ["1 of 1 rows of task are of accounts without a Stripe customer"]


def test_the_currency_of_an_opportunity(tmp_path: Path) -> None:
    facts = read(tmp_path, CrmActivity, {"opportunity": [OPPORTUNITY | {"currency_iso_code": "EUR"}]})
    assert rows(facts, "currency") == [("eur",)]


def test_a_case_without_a_history_was_closed_when_salesforce_says_so(tmp_path: Path) -> None:
    """Its priority is known only today."""
    case = {
        "id": "500A",
        "account_id": "001A",
        "status": "Done",
        "priority": "High",
        "is_closed": True,
        "created_date": at(2, 1),
        "closed_date": at(3, 5),
    }
    assert rows(read(tmp_path, Tickets, {"case": [case]}), "opened", "closed", "severity", "known_at") == [
        ("2026-02-01", None, None, "2026-02-01T12:00:00+00:00"),
        ("2026-02-01", "2026-03-05", None, "2026-03-05T12:00:00+00:00"),
        ("2026-02-01", "2026-03-05", "high", None),
    ]
