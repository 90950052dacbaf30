"""Where facts are read from, and what is said when they cannot be."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from expansion_platform.domain.catalog.tables import CrmActivity, Nps, Owners, Tickets
from expansion_platform.domain.core.errors import ConfigurationError, DataQualityError, ExpansionError
from expansion_platform.sources.crm import read_facts
from expansion_platform.sources.warehouse.tables import WarehouseError
from expansion_platform_tests.sources.crm.database import Row, write
from expansion_platform_tests.sources.crm.world import CANARY

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
COMPANY = {"id": 1, "property_stripe_customer_id": "cus_1"}
TICKET = {"id": 3, "property_createdate": AT, "property_hs_ticket_priority": "LOW"}
TABLES: dict[str, list[Row]] = {
    "company": [COMPANY],
    "ticket": [TICKET],
    "ticket_company": [{"ticket_id": 3, "company_id": 1}],
}


def url_of(folder: Path, tables: dict[str, list[Row]]) -> str:
    url = f"sqlite:///{folder / 'warehouse.sqlite'}"
    write(url, None, tables)
    return url


def failure(
    folder: Path, tables: dict[str, list[Row]], kind: type[ExpansionError], schema: str = "main"
) -> str:
    with pytest.raises(kind) as caught:
        read_facts(f"fivetran_hubspot:{schema}", Tickets, url_of(folder, tables))
    assert "canary" not in str(caught.value)
    return str(caught.value)


def test_a_file_and_nothing(tmp_path: Path) -> None:
    file = tmp_path / "nps.csv"
    file.write_text("customer,date,score\ncus_1,2026-03-01,9\n")
    facts = read_facts(str(file), Nps)
    assert facts.frame["score"].tolist() == ["9"]
    assert facts.own_dates
    assert facts.notes == []
    assert read_facts(None, Nps).frame.empty


def test_a_table_of_the_warehouse_keeps_the_time_of_day_of_known_at(database: str, schema: str) -> None:
    row = {"customer": "cus_1", "owner": "77", "valid_from": AT, "known_at": AT}
    write(database, schema, {"owners": [row]})
    (read,) = read_facts(f"warehouse:{schema}.owners", Owners, database).frame.to_dict("records")
    assert read["valid_from"] == "2026-03-01"
    assert datetime.fromisoformat(read["known_at"]).replace(tzinfo=UTC) == AT


def test_the_schema_of_the_connection(tmp_path: Path) -> None:
    assert len(read_facts("fivetran_hubspot:", Tickets, url_of(tmp_path, TABLES)).frame) == 2


def test_what_a_source_does_not_have() -> None:
    with pytest.raises(
        ConfigurationError, match=r"fivetran_zendesk:x has no owners: give them as fivetran_hubspot, "
    ):
        read_facts("fivetran_zendesk:x", Owners, "sqlite://")
    with pytest.raises(ConfigurationError, match="has no NPS answers: give them as a CSV or a table"):
        read_facts("fivetran_hubspot:x", Nps, "sqlite://")
    with pytest.raises(
        ConfigurationError, match="nothing reads fivetran_intercom; there are fivetran_hubspot"
    ):
        read_facts("fivetran_intercom:x", Tickets, "sqlite://")
    with pytest.raises(
        ConfigurationError, match="fivetran_zendesk:x is in a warehouse: EXPANSION_WAREHOUSE_URL"
    ):
        read_facts("fivetran_zendesk:x", Tickets)


def test_a_schema_that_is_not_there(tmp_path: Path) -> None:
    text = failure(tmp_path, TABLES, ConfigurationError, "mein")
    assert text == "fivetran_hubspot:mein: the warehouse has no schema mein; did you mean main?"


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    tables = {name: rows for name, rows in TABLES.items() if name != "ticket"} | {"tickets": [TICKET]}
    assert failure(tmp_path, tables, ConfigurationError).startswith(
        "fivetran_hubspot:main: there is no table ticket: Fivetran has to sync it, or the schema is another "
        "one; did you mean tickets?"
    )


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    tables = TABLES | {"ticket": [{"id": 3, "property_create_dates": AT, "property_content": CANARY}]}
    assert failure(tmp_path, tables, ConfigurationError) == (
        "fivetran_hubspot:main: table ticket has no column property_createdate: Fivetran has to sync it; did "
        "you mean property_create_dates?"
    )


def test_two_spellings_of_one_column(tmp_path: Path) -> None:
    tables = TABLES | {"ticket": [{"id": 3, "propertyCreatedate": AT, "propertycreate_date": AT}]}
    text = failure(tmp_path, tables, ConfigurationError)
    assert "propertyCreatedate and propertycreate_date both spell property_createdate: leave one" in text


def test_a_column_spelled_as_asked_for_counts_before_others(tmp_path: Path) -> None:
    tables = TABLES | {"ticket": [TICKET | {"propertyCreatedate": CANARY}]}
    frame = read_facts("fivetran_hubspot:main", Tickets, url_of(tmp_path, tables)).frame
    assert set(frame["opened"]) == {"2026-03-01"}


def test_no_column_for_the_customer(tmp_path: Path) -> None:
    text = failure(tmp_path, TABLES | {"company": [{"id": 1, "property_domain": CANARY}]}, ConfigurationError)
    assert text.startswith(
        "fivetran_hubspot:main: no column of company names the Stripe customer (looked for "
        "property_stripe_customer_id, stripe_customer_id): write its name into EXPANSION_CRM_LINK"
    )


def test_several_columns_for_the_customer(tmp_path: Path) -> None:
    company = {
        "id": 1,
        "property_app__stripe_customer_id": "cus_1",
        "property_old_stripe_customer_id": "cus_2",
    }
    text = failure(tmp_path, TABLES | {"company": [company]}, ConfigurationError)
    assert (
        "property_app__stripe_customer_id and property_old_stripe_customer_id of company could each" in text
    )
    url = f"sqlite:///{tmp_path / 'warehouse.sqlite'}"
    facts = read_facts("fivetran_hubspot:main", Tickets, url, "propertyOldStripeCustomerId")
    assert set(facts.frame["customer"]) == {"cus_2"}


def test_the_usual_column_counts_before_one_with_a_prefix(tmp_path: Path) -> None:
    tables = TABLES | {"company": [COMPANY | {"property_old_property_stripe_customer_id": "cus_2"}]}
    frame = read_facts("fivetran_hubspot:main", Tickets, url_of(tmp_path, tables)).frame
    assert set(frame["customer"]) == {"cus_1"}


def test_one_column_with_the_prefix_of_an_app(tmp_path: Path) -> None:
    tables = TABLES | {"company": [{"id": 1, "property_app__stripe_customer_id": "cus_1"}]}
    assert set(read_facts("fivetran_hubspot:main", Tickets, url_of(tmp_path, tables)).frame["customer"]) == {
        "cus_1"
    }


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (
            TICKET | {"property_createdate": CANARY},
            "a value of property_createdate cannot be read as a timestamp",
        ),
        (TICKET | {"is_deleted": CANARY}, "a value of is_deleted cannot be read as true or false"),
    ],
)
def test_a_value_that_cannot_be_read_is_not_shown(tmp_path: Path, row: Row, text: str) -> None:
    assert (
        failure(tmp_path, TABLES | {"ticket": [row]}, DataQualityError) == f"warehouse table ticket: {text}"
    )


def test_a_warehouse_that_cannot_be_reached() -> None:
    url = "postgresql+psycopg://reader:canary-password@127.0.0.1:1/postgres"
    with pytest.raises(
        WarehouseError, match=r"fivetran_hubspot:crm: the warehouse 127\.0\.0\.1 cannot be read"
    ) as caught:
        read_facts("fivetran_hubspot:crm", CrmActivity, url)
    assert "canary" not in str(caught.value)


def test_timestamps_as_text_and_numbers(tmp_path: Path) -> None:
    for written in (
        "2026-03-01 12:30:00",
        "2026-03-01T12:30:00Z",
        1772368200,
        1772368200000,
        "1772368200000",
    ):
        (tmp_path / "warehouse.sqlite").unlink(missing_ok=True)
        url = url_of(tmp_path, TABLES | {"ticket": [TICKET | {"property_createdate": written}]})
        frame = read_facts("fivetran_hubspot:main", Tickets, url).frame
        assert frame["known_at"].dropna().tolist() == ["2026-03-01T12:30:00+00:00"]


def test_only_the_columns_asked_for_leave_the_warehouse(tmp_path: Path) -> None:
    url = url_of(tmp_path, TABLES)
    asked: list[str] = []

    def note(*event: object) -> None:
        asked.append(str(event[2]))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        read_facts("fivetran_hubspot:main", Tickets, url)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    selects = [text for text in asked if text.startswith("SELECT") and "sqlite_master" not in text]
    assert selects
    assert not [text for text in selects if "email" in text or "subject" in text or "*" in text]
