"""Rows of the user's tables of facts as text, and reads of them one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from expansion_platform.domain.core.table import Table, columns, empty
from expansion_platform.domain.core.validation import validate
from expansion_platform.domain.signals.facts import versions
from expansion_platform.domain.signals.tables.facts import FACT_TABLES, Fact, as_facts


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


def given(model: type[Table], rows: Iterable[dict[str, str | None]]) -> pd.DataFrame:
    """Rows as `read_given` gives them: text, None where a column is left out."""
    return pd.DataFrame(list(rows), columns=list(columns(model))).astype("str")


class Stored:
    """A table of the lake and the reads that filled it. `checked`: every row against its model."""

    def __init__(
        self, model: type[Table], timezone: str = "UTC", checked: bool = True, **options: bool
    ) -> None:
        self.given_model, self.model = model, FACT_TABLES[model]
        self.timezone, self.options, self.checked = timezone, options, checked
        self.rows = validate(self.model, empty(self.model))

    def added(self, read_at: str | pd.Timestamp, *rows: dict[str, str | None]) -> pd.DataFrame:
        """What a read of these rows would add."""
        text = given(self.given_model, rows)
        read = as_facts(self._valid(self.given_model, text), self.model, "usd", self.timezone)
        instant = at(read_at) if isinstance(read_at, str) else read_at
        return self._valid(self.model, versions(self.rows, read, instant, self.model, **self.options))

    def read(self, read_at: str | pd.Timestamp, *rows: dict[str, str | None]) -> pd.DataFrame:
        """Reads and stores; returns what was added."""
        new = self.added(read_at, *rows)
        together = pd.concat([self.rows, new], ignore_index=True) if len(self.rows) else new
        self.rows = self._valid(self.model, together)
        return new

    def _valid(self, model: type[Table], frame: pd.DataFrame) -> pd.DataFrame:
        return validate(model, frame) if self.checked else frame


def plain(frame: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Rows as tuples of some columns, None where there is no value, instants as text."""
    return [
        tuple(
            None if pd.isna(value) else value.isoformat() if isinstance(value, pd.Timestamp) else value
            for value in row
        )
        for row in frame[list(names)].itertuples(index=False)
    ]


def shuffled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame.sample(frac=1, random_state=seed)


__all__ = ["Fact", "Stored", "at", "given", "plain", "shuffled"]
