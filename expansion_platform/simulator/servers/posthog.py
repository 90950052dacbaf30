"""A loopback PostHog: runs the queries it is sent over simulated events.

A wrong query fails here as it would there.

HogQL is ClickHouse's dialect; sqlglot translates it for DuckDB. Functions without a translation must be in
`_MACROS`, or the query is refused.

Here: the query endpoint, blocking and in the background, its limits and errors. Not here: the events
(`simulator/company/usage.py`).
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Any

import duckdb
import pyarrow
import sqlglot
from sqlglot import exp

from expansion_platform.simulator.servers.http import LoopbackServer, Request, Response

DEFAULT_ROWS = 100
MOST_ROWS = 50_000

# ClickHouse functions which sqlglot passes on as they are; their names are case sensitive there.
_MACROS = {
    "toTimeZone": "(instant, zone) AS timezone(zone, instant)",
    "fromUnixTimestamp": "(seconds) AS to_timestamp(seconds)",
    "notEmpty": "(value) AS value <> ''",
    "isNotNull": "(value) AS value IS NOT NULL",
    "toString": "(value) AS CAST(value AS VARCHAR)",
    "toDate": "(value) AS CAST(value AS DATE)",
    "toUnixTimestamp": "(instant) AS CAST(floor(epoch(instant)) AS BIGINT)",
    "cityHash64": "(value) AS hash(value)",
    "CITY_HASH64": "(value) AS hash(value)",  # as newer sqlglot writes it
}


class PostHogServer(LoopbackServer):
    """Serves one project's events, made when first asked for.

    Uuid, event, timestamp (UTC), distinct_id, person_id, `$group_0`. Also, if given: created_at (when it
    arrived), person_created_at, and properties as a map of texts.

    `looks` above 0 lets the next queries be answered in the background, finished at that many looks at their
    status. A query of more than `quick_rows` rows takes longer than PostHog allows.
    """

    def __init__(
        self, events: Callable[[], pyarrow.Table], project_id: str = "1", api_key: str = "phx_simulated"
    ) -> None:
        super().__init__()
        self.project_id = project_id
        self.api_key = api_key
        self.looks = 0
        self.quick_rows = MOST_ROWS + 1
        self._running: dict[str, tuple[int, Response]] = {}
        self._query_numbers = itertools.count(1)
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

    def answer(self, request: Request) -> Response:
        """Answer one request to the query endpoint."""
        if request.bearer != self.api_key:
            return _error(
                401, "authentication_error", "authentication_failed", "Incorrect authentication credentials."
            )
        match request.path.strip("/").split("/"):
            case ["api", "projects", self.project_id, "query"] if request.method == "POST":
                return self._query(request)
            case ["api", "projects", self.project_id, "query", query_id] if query_id in self._running:
                return self._status(query_id)
        return _error(404, "invalid_request", "not_found", "Not found.")

    def failure(self, status: int, message: str) -> Response:
        """PostHog's bodies of 429 and 5xx."""
        if status == 429:
            return _error(429, "throttled_error", "throttled", "Request was throttled.")
        return _error(status, "server_error", "error", message)

    def _query(self, request: Request) -> Response:
        try:
            query = json.loads(request.body)["query"]
            kind, sql = query["kind"], query["query"]
        except (ValueError, KeyError, TypeError):
            return _error(400, "validation_error", "invalid_input", "query: this field is required.")
        if kind != "HogQLQuery":
            return _error(400, "validation_error", "invalid_input", f"Unsupported query kind: {kind}")
        response = self._run(sql)
        if not self.looks or response.status != 200:
            return response
        query_id = f"query_{next(self._query_numbers)}"
        self._running[query_id] = (self.looks, response)
        return Response(
            {
                "query_status": {"id": query_id, "complete": False, "error": False, "results": None},
                "results": None,
            },
            202,
        )

    def _status(self, query_id: str) -> Response:
        looks, response = self._running[query_id]
        self._running[query_id] = (looks - 1, response)
        complete = looks <= 1
        status = {
            "id": query_id,
            "complete": complete,
            "error": False,
            "error_message": None,
            "results": response.body if complete else None,
        }
        return Response({"query_status": status})

    def _run(self, sql: str) -> Response:
        try:
            columns, rows, limit = self._selected(sql)
            if len(rows) > self.quick_rows:
                raise ValueError("Query has hit the max execution time before completing.")
        except (sqlglot.errors.SqlglotError, duckdb.Error, ValueError) as error:
            return _error(400, "validation_error", "query_error", str(error).splitlines()[0])
        return Response(
            {
                "columns": columns,
                "error": None,
                "hasMore": len(rows) > limit,
                "hogql": sql,
                "is_cached": False,
                "limit": limit,
                "offset": 0,
                "query_status": None,
                "results": rows[:limit],
                "types": [],
            }
        )

    def _database(self) -> duckdb.DuckDBPyConnection:
        with self._one_makes:
            self._made = self._made or _database_of(self._events())
            return self._made

    def _selected(self, sql: str) -> tuple[list[str], list[list[Any]], int]:
        """Columns, rows (one more than the limit when there are more) and the limit in force."""
        tree = sqlglot.parse_one(sql, read="clickhouse")
        if not isinstance(tree, exp.Select):
            raise ValueError("Only SELECT queries are supported.")
        unknown = [call.name for call in tree.find_all(exp.Anonymous) if call.name not in _MACROS]
        if unknown:
            raise ValueError(f"Unsupported function call '{unknown[0]}(...)'")
        tables = [table.name for table in tree.find_all(exp.Table) if table.name != "events"]
        if tables:
            raise ValueError(f"Unknown table `{tables[0]}`.")
        given = tree.args.get("limit")
        limit = min(int(given.expression.this), MOST_ROWS) if given else DEFAULT_ROWS
        with self._database().cursor() as cursor:
            result = cursor.execute(tree.limit(limit + 1).sql(dialect="duckdb"))
            rows = [
                [value.isoformat() if isinstance(value, dt.date) else value for value in row]
                for row in result.fetchall()
            ]
            return [column[0] for column in result.description], rows, limit


def _database_of(events: pyarrow.Table) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.register("given", events)
    extra = [
        text
        for name, text in (
            ("created_at", "timestamp AS created_at"),
            ("properties", "MAP {}::MAP(VARCHAR, VARCHAR) AS properties"),
        )
        if name not in events.column_names
    ]
    began = (
        "person_created_at"
        if "person_created_at" in events.column_names
        else "min(timestamp) OVER (PARTITION BY person_id)"
    )
    columns = ", ".join(["*", *extra, f"struct_pack(created_at := {began}) AS person"])
    # A registered table would be this connection's only. In order of time, a month's query reads little more
    # than a month: a quarter of the CPU less for two years.
    database.execute(f"CREATE TABLE events AS SELECT {columns} FROM given ORDER BY timestamp")  # noqa: S608  ours
    for name, definition in _MACROS.items():
        database.execute(f"CREATE MACRO {name}{definition}")
    return database


def _error(status: int, kind: str, code: str, detail: str) -> Response:
    return Response({"type": kind, "code": code, "detail": detail, "attr": None}, status)
