"""A loopback Amplitude: exports simulated events as its Export API does.

Here: the export's parameters, files and lines, its limits and errors, and what may be odd about them. Not
here: the events (`simulator/company/usage.py`).

Every line has what a reader must not keep (e-mail, IP address, city), with the text `private` in it.
"""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import re
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any

import duckdb
import pandas as pd
import pyarrow

from expansion_platform.simulator.servers.http import LoopbackServer, Request, Response

PROJECT = 187520
PATH = "/api/2/export"
LONGEST_RANGE = pd.Timedelta(days=365)
HIDDEN = pd.Timedelta(hours=2)  # an hour can be exported so long after it ended
FILES_AN_HOUR = 2
HOUR = pd.Timedelta(hours=1)

_HOUR = re.compile(r"\d{8}T([01]\d|2[0-3])")
_EVENTS = """
CREATE TABLE events AS
SELECT
    row_number() OVER () AS number,
    event,
    uuid,
    person_id,
    timestamp AS happened,
    coalesce({created_at}, timestamp) AS arrived,
    list_filter({accounts}, lambda account: account <> '') AS accounts,
    {properties} AS properties,
    min(timestamp) OVER (PARTITION BY person_id) AS began
FROM given
ORDER BY arrived
"""
_LINES = """
WITH uploads AS (
    SELECT * FROM events
    UNION ALL
    SELECT * REPLACE (arrived + INTERVAL 1 HOUR AS arrived)
    FROM events
    WHERE $again > 0 AND number % $again = 0
),
valued AS (
    SELECT
        *,
        CASE
            WHEN $groups_as = 'list' OR len(accounts) > 1 OR ($groups_as = 'both' AND number % 2 = 0)
                THEN to_json(accounts)
            ELSE to_json(accounts[1])
        END AS account
    FROM uploads
    WHERE arrived >= $start AND arrived < $stop
)
SELECT date_trunc('hour', arrived) AS hour, number % $files AS part, to_json({fields}) AS line
FROM valued
ORDER BY hour, part, hash(number)
"""
# Of a line: name -> expression. `{at}` writes an instant.
_FIELDS = {
    "$insert_id": "'insert-' || number",
    "amplitude_id": "hash(person_id) >> 20",
    "app": str(PROJECT),
    "city": "$private",
    "client_event_time": "{at}(happened - INTERVAL 3 SECOND)",
    "client_upload_time": "{at}(arrived - INTERVAL 3 SECOND)",
    "data": "json_object()",
    "device_id": "'device of ' || person_id",
    "event_id": "number",
    "event_properties": "json_merge_patch(json_object('email', $private), "
    "CASE WHEN len(accounts) > 0 THEN json_object('account_id', account) ELSE json_object() END, "
    "coalesce(properties, json_object()))",
    "event_time": "{at}(happened)",
    "event_type": "event",
    "group_properties": "json_object($group_type, json_object('name', $private))",
    "groups": "CASE WHEN len(accounts) > 0 THEN json_object($group_type, account) ELSE json_object() END",
    "ip_address": "$private",
    "library": "'amplitude-ts/2.27.0'",
    "processed_time": "{at}(arrived + INTERVAL 2 SECOND)",
    "server_received_time": "{at}(arrived)",
    "server_upload_time": "{at}(arrived)",
    "session_id": "epoch_ms(happened)",
    "user_creation_time": "{at}(began)",
    "user_id": "$private || number",
    "user_properties": "json_object('email', $private, 'name', $private)",
    "uuid": "uuid",
}


@dataclass(frozen=True)
class _Archive(Response):
    """Bytes as they are."""

    def encoded(self) -> tuple[bytes, str]:
        return self.body, "application/zip"


class AmplitudeServer(LoopbackServer):
    """Serves one project's events, made when first asked for.

    Columns uuid, event, timestamp (UTC), distinct_id, person_id, `$group_0` (text, or a list of them);
    optionally created_at (when it arrived; timestamp, where it is null) and properties (JSON text).

    Attributes:
        elsewhere: the project lives in the other region, so no key is known here.
        clock: now. An hour that ended less than two hours ago is not exported yet; None exports every one.
        largest_bytes: of an export; larger ones are refused (400).
        longest_hours: of a range; longer ones time out (504).
        too_large: what a refusal for the size says.
        no_data: what an answer says where there are no events.
        groups_as: a group's value is a list, text or both by turns. Two groups are a list always.
        group_type: of `$group_0`.
        null: fields that are null in every line.
        iso_times: instants as documented (T and Z), not as they are in files.
        again: each so many-th event is exported a second time, an hour later; 0 for none.
        private: in every field that names a person or a place.
    """

    def __init__(
        self,
        events: Callable[[], pyarrow.Table],
        api_key: str = "amplitude_simulated",
        secret_key: str = "amplitude_secret",  # noqa: S107 - of nothing
    ) -> None:
        super().__init__()
        self.api_key, self.secret_key = api_key, secret_key
        self.elsewhere = False
        self.clock: pd.Timestamp | None = None
        self.largest_bytes: int | None = None
        self.longest_hours: int | None = None
        self.too_large = "The size of the exported data exceeds the limit. Choose a smaller time range."
        self.no_data = "Raw data files were not found."
        self.groups_as = "list"
        self.group_type = "company"
        self.null: frozenset[str] = frozenset()
        self.iso_times = False
        self.again = 0
        self.private = "someone@example.com"
        self._damages: list[str] = []
        self._events = events
        self._made: duckdb.DuckDBPyConnection | None = None
        self._one_makes = Lock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops, and lets the events go."""
        super().__exit__(kind, error, trace)
        if self._made is not None:
            self._made.close()

    def damage_next(self, how: str, times: int = 1) -> None:
        """Damage the next exports.

        `zip`: a file in it fails its checksum. `gzip`: one ends too early. `line`: one has half of a line.
        `html`: a web page comes instead.
        """
        self._damages += [how] * times

    def answer(self, request: Request) -> Response:
        """Answer one export."""
        if request.path != PATH or request.method != "GET":
            return Response("<html><title>404: Not Found</title></html>", 404, {"Content-Type": "text/html"})
        expected = base64.b64encode(f"{self.api_key}:{self.secret_key}".encode()).decode()
        if self.elsewhere or request.headers.get("authorization") != f"Basic {expected}":
            return Response("Invalid API Key", 403)
        texts = [request.params.get(name, "") for name in ("start", "end")]
        if not all(isinstance(text, str) and _HOUR.fullmatch(text) for text in texts):
            return Response("start and end must be hours, YYYYMMDDTHH", 400)
        start, stop = pd.Timestamp(texts[0], tz="UTC"), pd.Timestamp(texts[1], tz="UTC") + HOUR
        if not start < stop <= start + LONGEST_RANGE:
            return Response("end must not be before start, nor more than 365 days after it", 400)
        if self.longest_hours is not None and stop - start > self.longest_hours * HOUR:
            return self.failure(504, "the export took too long")
        return self._export(start, stop)

    def failure(self, status: int, message: str) -> Response:
        """What stands between Amplitude and its clients answers in HTML."""
        return Response(f"<html><title>{status}: {message}</title></html>", status)

    def _export(self, start: pd.Timestamp, stop: pd.Timestamp) -> Response:
        if self.clock is not None:
            stop = min(stop, (self.clock - HIDDEN).floor("h"))
        lines = self._lines(start, stop) if start < stop else []
        if not lines:
            return Response(self.no_data, 404)
        with self._lock:
            damage = self._damages.pop(0) if self._damages else None
        if damage == "html":
            return Response("<html><title>Log in</title></html>")
        content = _zipped(lines, damage)
        if self.largest_bytes is not None and len(content) > self.largest_bytes:
            return Response(self.too_large, 400)
        return _Archive(content)

    def _lines(self, start: pd.Timestamp, stop: pd.Timestamp) -> list[tuple[Any, int, str]]:
        """Hour, number of the file, line."""
        form = "%Y-%m-%dT%H:%M:%S.%fZ" if self.iso_times else "%Y-%m-%d %H:%M:%S.%f"
        fields = ", ".join(
            f"'{name}': {'NULL' if name in self.null else expression.format(at='written')}"
            for name, expression in _FIELDS.items()
        )
        values = {
            "start": start.to_pydatetime(),
            "stop": stop.to_pydatetime(),
            "again": self.again,
            "files": FILES_AN_HOUR,
            "groups_as": self.groups_as,
            "group_type": self.group_type,
            "private": self.private,
        }
        with self._database().cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute(f"CREATE OR REPLACE TEMP MACRO written(instant) AS strftime(instant, '{form}')")
            sql = _LINES.format(fields=f"{{{fields}}}")
            used = {name: value for name, value in values.items() if f"${name}" in sql}
            return cursor.execute(sql, used).fetchall()

    def _database(self) -> duckdb.DuckDBPyConnection:
        with self._one_makes:
            self._made = self._made or _database_of(self._events())
            return self._made


def _database_of(events: pyarrow.Table) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.register("given", events)
    several = pyarrow.types.is_list(events.schema.field("$group_0").type)
    database.execute(
        _EVENTS.format(
            created_at="created_at" if "created_at" in events.column_names else "NULL",
            properties="properties" if "properties" in events.column_names else "NULL",
            accounts='"$group_0"' if several else '["$group_0"]',
        )
    )
    return database


def _zipped(lines: Iterable[tuple[Any, int, str]], damage: str | None) -> bytes:
    """A zip of a gzip member for each hour and file. The last one is damaged."""
    members = {
        f"{PROJECT}/{PROJECT}_{hour:%Y-%m-%d}_{hour.hour}#{part}.json.gz": [line for *_, line in group]
        for (hour, part), group in itertools.groupby(lines, key=lambda line: line[:2])
    }
    last = list(members)[-1]
    if damage == "line":
        members[last] = [*members[last], members[last][0][: len(members[last][0]) // 2]]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, texts in members.items():
            packed = gzip.compress("\n".join(texts).encode(), 1, mtime=0)
            archive.writestr(name, packed[:-20] if damage == "gzip" and name == last else packed)
        offset = archive.getinfo(last).header_offset
    whole = bytearray(content.getvalue())
    if damage == "zip":
        whole[offset + 60 + len(last)] ^= 0xFF  # inside of what the last file has
    return bytes(whole)
