"""A downloaded raw export of Mixpanel, read into the counter.

Here: the keys that are read of an event, its time, account and copies, and what is wrong with an export. Not
here: requests (`mixpanel.py`), counting (`counting.py`).

DuckDB reads the file and knows the keys of _OWN, the account and the feature only: no other property ever
becomes a value. At a file that it refuses, Python looks line by line. No message quotes a line: it may say
who somebody is.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import IO, Any, cast
from zoneinfo import ZoneInfo

import duckdb

from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.sources.analytics.counting import EventCounter
from expansion_platform.sources.analytics.usage import Asked

_OWN = {
    "time": "BIGINT",
    "distinct_id": "VARCHAR",
    "$user_id": "VARCHAR",
    "$insert_id": "VARCHAR",
    "mp_processing_time_ms": "BIGINT",
}
"""Mixpanel's own properties that are read, and their types."""
_DROP_LATER_COPIES = """
DELETE FROM events
USING (
    SELECT id, min(struct_pack(arrived, happened)) AS first
    FROM events
    WHERE id IN (SELECT id FROM events WHERE happened < $begins OR happened >= $ends)
    GROUP BY id
) AS copies
WHERE events.id = copies.id AND struct_pack(arrived, happened) <> first
"""
_LATEST = 2**50  # no time of an event, in seconds or milliseconds, is beyond it
_MINUTE = dt.timedelta(minutes=1)
_EPOCH = dt.datetime(1970, 1, 1)  # of a wall clock


_REFUSALS = (
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.IOException,
)
"""What DuckDB raises of a file's content; anything else is a fault of ours."""


class MixpanelError(ExpansionError):
    """Mixpanel could not be reached, kept failing, refused the export, or answered something else."""


class EndedEarlyError(Exception):
    """An export broke off before its end, with the reason. Another request may get all of it."""


@dataclass(frozen=True)
class Export:
    """A downloaded export of the dates first to last: lines of JSON, `compressed` by gzip or not."""

    path: Path
    first: dt.date
    last: dt.date
    compressed: bool

    def __str__(self) -> str:
        """As messages name it."""
        return f"Mixpanel's export of {self.first} to {self.last}"


class ExportReader:
    """Reads exports into counters.

    Args:
        account: Event property with the account: a text, a number, or a list of them.
        feature: Event property with the feature; None for no such property.
        zone: Whose wall clock is in `time`.

    Raises:
        ConfigurationError: two of the properties differ only in upper and lower case.
    """

    def __init__(self, account: str, feature: str | None, zone: ZoneInfo) -> None:
        named = [account] if feature is None else [account, feature]
        self._types = {**dict.fromkeys(named, "JSON"), **_OWN}
        spellings = {name.lower(): name for name in self._types}
        for name in self._types:
            if (other := spellings[name.lower()]) != name:
                raise ConfigurationError(
                    f"the properties {name} and {other} cannot both be read: their names differ only in "
                    "upper and lower case; name another one in EXPANSION_SIGNALS"
                )
        self._account = f"to_json(properties.{_quoted(account)})"
        self._named = "NULL::JSON" if feature is None else f"to_json(properties.{_quoted(feature)})"
        self._zone = zone

    def load(self, counter: EventCounter, export: Export) -> None:
        """Insert the events of an export, all or none, and delete its file.

        Raises:
            EndedEarlyError: the export breaks off, or ends in something else than an event.
            MixpanelError: another line is not an event; the text has its number.
        """
        if self._inserted(counter, export):
            export.path.unlink()
            return
        _check_end(export)
        rewritten = self._rewritten(export)
        export.path.unlink()
        if not self._inserted(counter, rewritten):
            raise MixpanelError(
                f"{export} could not be read, although each of its lines is an event: check the free space "
                "of the temporary folder, and run again"
            )
        rewritten.path.unlink()

    def _inserted(self, counter: EventCounter, export: Export) -> bool:
        """Whether DuckDB could read the export. Its messages quote lines, so they go no further."""
        fields = ", ".join(f"{_quoted(name)} {kind}" for name, kind in self._types.items())
        statements = resources.files(__package__).joinpath("mixpanel.sql").read_text()
        try:
            counter.connection.read_json(
                str(export.path),
                columns={"event": "VARCHAR", "properties": f"STRUCT({fields})"},
                format="newline_delimited",
                compression="gzip" if export.compressed else "none",
            ).create_view("exported", replace=True)
            counter.connection.execute(
                statements.format(
                    account=self._account, named=self._named, offset=wall_clock_offset(self._zone, export)
                )
            )
        except _REFUSALS:
            return False
        return True

    def _rewritten(self, export: Export) -> Export:
        """The export with the keys that are read only, as Python reads them.

        Of a text cut in the middle of a character, DuckDB refuses the whole file. That is no reason to lose a
        month: texts that are read get a question mark there, other texts do not matter.
        """
        path = export.path.with_suffix(".rewritten")
        with _opened(export) as lines, gzip.open(path, "wb", compresslevel=1) as file:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                event = self._event(line)
                if event is None:
                    raise MixpanelError(
                        f"line {number} of {export} is not an event, so the month cannot be counted: run "
                        "again, and ask Mixpanel if it stays so"
                    )
                file.write(json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        return replace(export, path=path, compressed=True)

    def _event(self, line: bytes) -> dict[str, Any] | None:
        """The event of a line with the keys that are read only; None where it is none."""
        record = _parsed(line)
        if record is None:
            return None
        properties = {name: record["properties"].get(name) for name in self._types}
        for name, kind in _OWN.items():
            if kind == "BIGINT":
                properties[name] = _whole(properties[name])
        if properties["time"] is None:
            return None
        return {"event": record["event"], "properties": properties}


def drop_later_copies(counter: EventCounter, asked: Asked) -> None:
    """Of copies on both sides of an edge of the month, leave the one that arrived first.

    Copies share a day of the project, and an edge of the month in another time zone lies inside such a day.
    Without this the event would be counted in both months.
    """
    bounds = {"begins": asked.begins.to_pydatetime(), "ends": asked.ends.to_pydatetime()}
    counter.connection.execute(_DROP_LATER_COPIES, bounds)


def wall_clock_offset(zone: ZoneInfo, export: Export) -> str:
    """SQL: the zone's seconds ahead of UTC at wall clock `seconds`.

    In an hour that comes twice, those of the first time; DuckDB's own timezone() takes the second.
    """
    wall = dt.datetime.combine(export.first, dt.time())
    changes = list[tuple[int, int]]()
    while wall.date() <= export.last:
        ahead = int((wall.replace(tzinfo=zone).utcoffset() or dt.timedelta(0)).total_seconds())
        if not changes or changes[-1][1] != ahead:
            changes.append((int((wall - _EPOCH).total_seconds()), ahead))
        wall += _MINUTE
    cases = "".join(f"WHEN seconds >= {since} THEN {ahead} " for since, ahead in reversed(changes[1:]))
    return f"CASE {cases}ELSE {changes[0][1]} END" if cases else str(changes[0][1])


@contextmanager
def _opened(export: Export) -> Iterator[IO[bytes]]:
    """The export's lines.

    Raises:
        EndedEarlyError: its gzip stream breaks off, or is none.
    """
    try:
        with gzip.open(export.path) if export.compressed else export.path.open("rb") as lines:
            yield cast("IO[bytes]", lines)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise EndedEarlyError("its gzip stream is broken") from None


def _check_end(export: Export) -> None:
    """Raises EndedEarlyError where the export breaks off, or its last line is no event."""
    last = b""
    with _opened(export) as lines:
        for line in lines:
            if not line.isspace():
                last = line
    if last and _parsed(last) is None:
        raise EndedEarlyError("its last line is not an event")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object of a line; None where it has not the form of an event."""
    try:
        record = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("properties"), dict):
        return None
    return record if isinstance(record.get("event"), str) else None


def _whole(value: Any) -> int | None:
    """A whole number from zero on, also one written as text; None for anything else."""
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < _LATEST else None


def _quoted(name: str) -> str:
    """An identifier of SQL."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
