"""The files of an Amplitude export, read into the table of events.

Here: unpacking, which keys of a line are parsed, and what is refused. Not here: asking for an export
(`amplitude.py`), counting (`counting.py`).

Keys that are not named here, such as e-mail addresses among the user properties, are never parsed. Messages
of DuckDB quote lines, so none of them is passed on.
"""

from __future__ import annotations

import gzip
import itertools
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import duckdb

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.sources.analytics.counting import EventCounter
from expansion_platform.sources.analytics.usage import Asked

DEFAULT_GROUP = "company"
OWN_EVENTS = (
    # A session begins and ends by a timer; the SDK sends both without groups.
    "session_start",
    "session_end",
    # Properties of a person and of a group are set, often by a server and for all of them at once.
    "$identify",
    "$groupidentify",
    # Someone was given a variant of an experiment.
    "$exposure",
    "[Experiment] Exposure",
    "[Experiment] Assignment",
    # The SDK measures the page, or records it.
    "[Amplitude] Replay Captured",
    "[Amplitude] Network Request",
    "[Amplitude] Web Vitals",
    "[Amplitude] Viewport Content Updated",
)
"""Events that Amplitude makes itself and that are nobody's activity. One that the definition names counts.

Its events of pages, forms, elements and files are activity: somebody opened or clicked them.
"""
LOADED_AT_ONCE = 64 << 20  # bytes of unpacked lines: few statements, and little on disk

_TEXTS = (
    "event_type",
    "event_time",
    "server_upload_time",
    "client_event_time",
    "user_creation_time",
    "uuid",
    "$insert_id",
    "event_id",
    "device_id",
    "amplitude_id",
)
_DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)
_SAFE = re.compile(r"Expected [A-Z]+, but got [A-Z]+|no (?:readable )?[a-z_]+_(?:type|time)\b")


class UnreadableError(Exception):
    """An export that cannot be read to its end. The text quotes nothing of it."""


class ExportLoader:
    """Loads exports into the events of a counter: those of the month, without Amplitude's own ones.

    Raises:
        ConfigurationError: the definition names two event properties that DuckDB cannot tell apart.
    """

    def __init__(self, counter: EventCounter, definition: SignalDefinition, asked: Asked) -> None:
        columns, account, named = _parsed(definition)
        named_events = {event for _, event in definition.counted} | set(definition.features or ())
        self._counter = counter
        self._numbers = itertools.count()
        self._sql = (
            resources.files(__package__)
            .joinpath("amplitude.sql")
            .read_text()
            .format(account=account, named=named)
        )
        self._parameters = {
            "columns": columns,
            "begins": asked.begins.to_pydatetime(),
            "ends": asked.ends.to_pydatetime(),
            "own": [event for event in OWN_EVENTS if event not in named_events],
        }

    def load(self, archive: Path) -> None:
        """Inserts the events of a zip archive: all of them, or none where it raises.

        Raises:
            UnreadableError: it is cut off or damaged, or a line is not what Amplitude documents.
        """
        connection = self._counter.connection
        connection.begin()
        try:
            for lines in self._unpacked(archive):
                connection.execute(self._sql, {**self._parameters, "path": str(lines)})
        except _DAMAGED as error:
            connection.rollback()
            raise UnreadableError(f"a file in it is cut off or damaged ({type(error).__name__})") from None
        except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
            connection.rollback()
            known = _SAFE.search(str(error))
            what = known[0] if known else "malformed JSON"
            raise UnreadableError(f"a line in it is not an event as documented: {what}") from None
        connection.commit()

    def _unpacked(self, archive: Path) -> Iterator[Path]:
        """Files of lines, each deleted when the next one is asked for.

        Python unpacks because it checks the checksums of zip and gzip; DuckDB does not.
        """
        with zipfile.ZipFile(archive) as files:
            members = iter([member for member in files.infolist() if not member.is_dir()])
            while (member := next(members, None)) is not None:
                lines = self._counter.folder / f"lines-{next(self._numbers)}.ndjson"
                try:
                    with lines.open("wb") as file:
                        while member is not None:
                            with files.open(member) as packed, gzip.open(packed) as plain:
                                shutil.copyfileobj(plain, file, 1 << 20)
                            file.write(b"\n")  # the last line of a member may end without
                            member = next(members, None) if file.tell() < LOADED_AT_ONCE else None
                    yield lines
                finally:
                    lines.unlink(missing_ok=True)


def _parsed(definition: SignalDefinition) -> tuple[dict[str, str], str, str]:
    """Columns that a line is parsed into, and the expressions of its account and of its feature."""
    columns = dict.fromkeys(_TEXTS, "VARCHAR")
    key, feature = definition.account, definition.feature_property
    properties = list(dict.fromkeys(name for name in (key.property, feature) if name is not None))
    if len({name.lower() for name in properties}) < len(properties):
        raise ConfigurationError(
            f"the signals' account.property {key.property} and feature_property {feature} differ in nothing "
            "but upper and lower case, so they cannot both be read: send one of them under another name"
        )
    if properties:
        columns["event_properties"] = _struct(properties)
    if key.property is None:
        columns["groups"] = _struct([key.group or DEFAULT_GROUP])
    account = (
        "struct_extract_at(groups, 1)" if key.property is None else "struct_extract_at(event_properties, 1)"
    )
    named = (
        f"struct_extract_at(event_properties, {properties.index(feature) + 1})" if feature else "NULL::JSON"
    )
    return columns, account, named


def _struct(keys: list[str]) -> str:
    quoted = ('"' + key.replace('"', '""') + '"' for key in keys)
    return f"STRUCT({', '.join(f'{key} JSON' for key in quoted)})"
