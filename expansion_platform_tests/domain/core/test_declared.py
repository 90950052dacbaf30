"""A model is declared without pandera, and checked by it: both say the same of every column."""

from __future__ import annotations

import pandas as pd
import pandera.errors
import pandera.pandas
import pytest

from expansion_platform.domain.catalog import tables as user_tables
from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Table, columns
from expansion_platform.domain.tables import TABLES

MODELS = [*TABLES.values(), *user_tables.FACTS, user_tables.CustomerAttributes, user_tables.Costs]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_columns_are_those_that_are_checked(model: type[Table]) -> None:
    checked = model.to_schema().columns.items()
    shown = {
        name: (str(each.dtype).replace("string[pyarrow]", "text"), each.nullable, each.description)
        for name, each in checked
    }
    assert {
        name: (column.dtype, column.nullable, column.description) for name, column in columns(model).items()
    } == shown
    assert model.to_schema().name == model.Config.name
    assert model.to_schema().strict
    assert model.to_schema().coerce


class Held(Table):
    """One row per item."""

    item: str = pa.Field(description="the item")
    quantity: int = pa.Field(description="how many", ge=1)

    @pa.check("item")
    def named(cls, items):  # noqa: N805
        return items.str.startswith("si_")

    class Config(Table.Config):
        name = "billing/held"
        metadata = {"key": ["item"]}  # noqa: RUF012
        unique = ["item"]  # noqa: RUF012


class Sold(Held):
    """One row per item, with its price."""

    price: pd.Int64Dtype = pa.Field(description="its price", nullable=True)

    @pa.dataframe_check(description="nothing is free")
    def paid(cls, frame):  # noqa: N805
        return frame["price"].fillna(1) > 0

    class Config(Held.Config):
        name = "billing/sold"


def sold(**changed: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"item": ["si_1", "si_2"], "quantity": [1, 2], "price": [5, None]} | changed)


def test_rows_get_the_types_declared() -> None:
    assert {name: str(kind) for name, kind in Sold.validate(sold()).dtypes.items()} == {
        "item": "str",
        "quantity": "int64",
        "price": "Int64",
    }


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (sold(item=["1", "si_2"]), "named"),
        (sold(item=["si_1", "si_1"]), "uniqueness"),
        (sold(quantity=[0, 1]), "greater_than_or_equal_to"),
        (sold(price=[0, 1]), "paid"),
        (sold(item=[None, "si_1"]), "not_nullable"),
        (sold().assign(more=1), "column_in_schema"),
        (sold().drop(columns="price"), "column_in_dataframe"),
    ],
)
def test_every_rule_is_checked_of_the_base_class_too(wrong: pd.DataFrame, rule: str) -> None:
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        Sold.validate(wrong, lazy=True)
    assert any(rule in str(check) for check in caught.value.failure_cases["check"])


def test_a_type_nobody_can_store_is_refused() -> None:
    class Odd(Table):
        """One row per thing."""

        share: float = pa.Field(description="a float")

        class Config(Table.Config):
            name = "billing/odd"
            metadata = {"key": ["share"]}  # noqa: RUF012

    with pytest.raises(TypeError, match=r"billing/odd\.share: no type for <class 'float'>"):
        columns(Odd)


def test_a_field_of_panderas_own_is_refused() -> None:
    class Odd(Table):
        """One row per thing."""

        item: str = pandera.pandas.Field(description="the item")

        class Config(Table.Config):
            name = "billing/odd"
            metadata = {"key": ["item"]}  # noqa: RUF012

    with pytest.raises(TypeError, match=r"Odd\.item: not declared as a Field"):
        columns(Odd)
