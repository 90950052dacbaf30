"""A mapping says what is wrong with it by key; values are read as Stripe would have sent them, or refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.sources.warehouse import values
from expansion_platform.sources.warehouse.mapping import BUILT_IN, mapping
from expansion_platform.sources.warehouse.tables import Warehouse


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_mapping_is_whole(name: str) -> None:
    assert mapping(name).synced is not None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"tabels": {}}, "tabels: unknown; did you mean tables"),
        (
            {"tables": {"invoices": {"table": "i", "columns": {"id": "id", "subscripton": "s"}}}},
            "tables.invoices.columns.subscripton: unknown; did you mean",
        ),
        (
            {"tables": {"customers": {"table": "c", "columns": {"id": 7}}}},
            "tables.customers.columns.id: write a column",
        ),
        (
            {"tables": {"customers": {"table": "c", "columns": {"id": "id"}}}},
            "tables.customers.columns.created: Field required",
        ),
        ([], "begin with `tables:`"),
    ],
)
def test_a_mapping_that_makes_no_sense_names_the_key(changed: Any, named: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(changed))
    with pytest.raises(ConfigurationError, match=named) as raised:
        mapping(str(path))
    assert str(path) in str(raised.value)


def test_a_mapping_that_is_no_yaml_says_where(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("tables: {a: 1\n")
    with pytest.raises(ConfigurationError, match=r"(?s)mapping .*mine.yaml cannot be read: .*line 2"):
        mapping(str(path))


def test_a_mapping_of_no_such_name_says_which_there_are() -> None:
    with pytest.raises(
        ConfigurationError, match="neither a file nor one of airbyte, fivetran, stripe_data_pipeline"
    ):
        mapping("fivtran")


@pytest.mark.parametrize(
    ("url", "named"),
    [("nonsense", "not a SQLAlchemy URL"), ("postgresql+pg8000://h/d", "needs the driver pg8000")],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as raised:
        Warehouse(url, mapping("fivetran"), "fivetran")
    assert url not in str(raised.value)


SECONDS = 1_767_225_600


@pytest.mark.parametrize(
    "told",
    [
        *(SECONDS, str(SECONDS), Decimal(SECONDS), float(SECONDS)),
        *(
            datetime(2026, 1, 1),
            datetime(2026, 1, 1, tzinfo=UTC),
            "2026-01-01",
            "2026-01-01 00:00:00.000",
            "2026-01-01T01:00:00+01:00",
        ),
    ],
)
def test_an_instant_reads_alike_in_every_form(told: Any) -> None:
    assert values.moment(told) == SECONDS


@pytest.mark.parametrize(
    ("read", "told", "expected"),
    [
        (values.whole, Decimal("12.000"), 12),
        (values.number, 33.3, "33.3"),
        (values.number, "0.000000000001", "0.000000000001"),
        (values.flag, "F", False),
        (values.flag, 1, True),
        (values.listed, "di_1, di_2", ["di_1", "di_2"]),
        (values.listed, '["di_1"]', ["di_1"]),
        (values.listed, {"id": "di_1"}, [{"id": "di_1"}]),
        (values.listed, [], []),
        (values.listed, None, None),
    ],
)
def test_a_value_reads_as_stripe_would_have_sent_it(read: Any, told: Any, expected: Any) -> None:
    assert read(told) == expected


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (values.whole, "1.5"),
        (values.whole, "ten"),
        (values.flag, "maybe"),
        (values.number, float("nan")),
        (values.moment, "soon"),
    ],
)
def test_a_value_of_another_kind_is_refused(read: Any, told: Any) -> None:
    with pytest.raises(ValueError):
        read(told)
