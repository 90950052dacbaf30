"""Columns and rules of a table as they are declared, and the pandera schema that checks rows against them.

Here: `Field`, `check` and `dataframe_check` as pandera has them, and `Declared`, the base of every model. Not
here: any one table (its floor's module), what all tables share (`table.py`).

The schema is made when rows are first checked: importing pandera takes 0.2 s of CPU, as long as everything
else that `expansion explain` does, and most commands check no row.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self, get_type_hints

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa
    from pandera.typing.pandas import DataFrame


class Field:
    """A column: `pandera.Field` with the same arguments."""

    def __init__(self, *, description: str = "", nullable: bool = False, **rules: Any) -> None:
        self.description, self.nullable, self.rules = description, nullable, rules


@dataclass(frozen=True)
class Rule:
    """A check of a column, or of whole rows where it names none."""

    of: tuple[str, ...]
    says: dict[str, Any]
    holds: Callable[..., Any]


def check(column: str) -> Callable[[Callable[..., Any]], Any]:
    """Declares a method as a check of a column (`pandera.check`)."""
    return lambda holds: Rule((column,), {}, holds)


def dataframe_check(*, description: str) -> Callable[[Callable[..., Any]], Any]:
    """Declares a method as a check of whole rows (`pandera.dataframe_check`)."""
    return lambda holds: Rule((), {"description": description}, holds)


class Model(type):
    """The type of models.

    Without one of their own, mypy takes a class whose instances are never made for one that cannot be a key.
    """


class Declared(metaclass=Model):
    """A model: its annotated `Field`s are columns, its checks hold in every row."""

    @classmethod
    def to_schema(cls) -> pa.DataFrameSchema:
        """The pandera schema."""
        return _pandera(cls).to_schema()

    @classmethod
    def validate(cls, frame: pd.DataFrame, *, lazy: bool = False) -> DataFrame[Self]:
        """The rows in the model's types.

        Pandera's SchemaError where they break it, SchemaErrors of all of them with `lazy`.
        """
        return _pandera(cls).validate(frame, lazy=lazy)


def declared_fields(model: type[Declared]) -> dict[str, tuple[Any, Field]]:
    """Type and field of each column, those of base classes first.

    TypeError for an annotated name that has none, such as one of pandera's.
    """
    found = {
        name: (hint, getattr(model, name, None))
        for name, hint in get_type_hints(model, include_extras=True).items()
    }
    if wrong := [name for name, (_, field) in found.items() if not isinstance(field, Field)]:
        raise TypeError(f"{model.__name__}.{', '.join(wrong)}: not declared as a Field of {__name__}")
    return found


@cache
def _pandera(model: type[Declared]) -> type[pa.DataFrameModel]:
    """The model as pandera's own class, made of the same parts."""
    import pandera.pandas as pa

    if model is Declared:
        return pa.DataFrameModel

    def made(part: Any) -> Any:
        if isinstance(part, Field):
            return pa.Field(description=part.description, nullable=part.nullable, **part.rules)
        if isinstance(part, Rule):
            return (pa.check(*part.of, **part.says) if part.of else pa.dataframe_check(**part.says))(
                part.holds
            )
        return part

    parts = {
        name: made(part) for name, part in vars(model).items() if name not in ("__dict__", "__weakref__")
    }
    parts["__annotations__"] = inspect.get_annotations(model)
    return type(pa.DataFrameModel)(model.__name__, tuple(map(_pandera, model.__bases__)), parts)
