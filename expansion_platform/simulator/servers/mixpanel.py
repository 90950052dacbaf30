"""A loopback Mixpanel: exports simulated events as its raw event export does.

Here: the export's parameters, lines, limits and errors, and what may be odd about them. Not here: the events
(`simulator/company/usage.py`), the expressions of `where` (`mixpanel_where.py`).

Every line has what a reader must not keep (e-mail, name, city), with the text `private` in it.
"""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from threading import Lock
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow

from expansion_platform.simulator.servers.http import Delivery, LoopbackServer, Request, Response
from expansion_platform.simulator.servers.mixpanel_where import parse

PATH = "/api/2.0/export"
MOST_EVENTS = 100_000  # of the parameter `limit`
SMALLEST_COMPRESSED = 1_400  # bytes; a smaller body is sent as it is
TERMINATED = "terminated early"

_DAY = dt.timedelta(days=1)
_SECOND = dt.timedelta(seconds=1)
_AGAIN = dt.timedelta(minutes=10)  # so much later the copy of an event arrives


@dataclass(frozen=True)
class Limits:
    """Requests that Mixpanel allows a project."""

    hourly: int = 60
    per_second: int = 3
    concurrent: int = 100


class Ending(Enum):
    """How an export can end other than with its last event."""

    TEXT = auto()  # half of the events, and a line of text
    CUT_GZIP = auto()  # half of the compressed body, as if it were all
    RESET = auto()  # the connection is reset in the middle of the body


_DELIVERIES: dict[Ending | None, Delivery] = {Ending.CUT_GZIP: Delivery.CUT, Ending.RESET: Delivery.RESET}


@dataclass(frozen=True)
class _Body(Response):
    """Bytes as they are."""

    def encoded(self) -> tuple[bytes, str]:
        return self.body, "text/plain; charset=utf-8"


class MixpanelServer(LoopbackServer):
    """Serves one project's events, made when first asked for.

    Columns uuid, event, timestamp (UTC), distinct_id, person_id, `$group_0` (text, or a list of them; empty
    or null for none); optionally created_at (when it arrived; timestamp, where it is null) and properties
    (JSON text, or a map).

    Attributes:
        limits: None for no limits.
        clock: seconds, of the limits.
        timezone: the project's. Another than UTC, as in projects made before 2023: `time` is its wall clock,
            and dates are its days.
        now: what arrives later is not there yet, and later dates are refused; None for everything.
        account_property: of `$group_0`.
        user_ids: whether events have `$user_id`, the person_id.
        insert_ids: whether events have `$insert_id`.
        copied: each so many-th event is exported twice; 0 for none.
        copied_later: a copy has another second of the same day, not the same one.
        unsorted: events in no order; else in the order in which they happened.
        most_events: an export of more ends early; None for none.
        private: in every property that names a person or a place.
    """

    def __init__(
        self,
        events: Callable[[], pyarrow.Table],
        project_id: str = "1",
        username: str = "simulated.service-account",
        secret: str = "mixpanel_simulated",  # noqa: S107 - of nothing
    ) -> None:
        super().__init__()
        self.project_id, self.username, self.secret = project_id, username, secret
        self.limits: Limits | None = None
        self.clock: Callable[[], float] = time.monotonic
        self.timezone = "UTC"
        self.now: pd.Timestamp | None = None
        self.account_property = "company_id"
        self.user_ids = True
        self.insert_ids = True
        self.copied = 0
        self.copied_later = False
        self.unsorted = False
        self.most_events: int | None = None
        self.private = "someone@example.com"
        self._endings: list[Ending] = []
        self._accepted: deque[float] = deque()
        self._running = 0
        self._events = events
        self._made: pyarrow.Table | None = None
        self._one_makes = Lock()

    def end_next(self, ending: Ending, times: int = 1) -> None:
        """Let the next exports with at least two events end so."""
        with self._lock:
            self._endings += [ending] * times

    def answer(self, request: Request) -> Response:
        """Answer one export."""
        if request.path.rstrip("/") != PATH or request.method != "GET":
            return _error(request, 404, "Not found")
        expected = base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return _error(request, 401, "Invalid service account credentials")
        if "project_id" not in request.params:
            return _error(request, 400, "project_id is a required parameter")
        if request.params["project_id"] != self.project_id:
            return _error(request, 403, "service account is not a member of the project")
        if (refusal := self._entered(request)) is not None:
            return refusal
        try:
            return self._export(request)
        except ValueError as error:
            return Response(str(error), 400)
        finally:
            with self._lock:
                self._running -= 1

    def failure(self, status: int, message: str) -> Response:
        """Mixpanel's bodies of 429 and 5xx."""
        if status == 429:
            message = f"Query rate limit exceeded for project_id: {self.project_id}"
        return Response({"request": PATH, "error": message}, status)

    def _entered(self, request: Request) -> Response | None:
        """Counts a request that is let in; else says why not."""
        with self._lock:
            now, limits = self.clock(), self.limits
            while self._accepted and now - self._accepted[0] >= 3600:
                self._accepted.popleft()
            hourly = len(self._accepted)
            if limits is not None and (
                hourly >= limits.hourly
                or sum(now - at < 1 for at in self._accepted) >= limits.per_second
                or self._running >= limits.concurrent
            ):
                return _error(
                    request,
                    429,
                    f"Query rate limit exceeded for project_id: {self.project_id}. "
                    f"{self._running}/{limits.concurrent} queries running concurrently and "
                    f"{hourly}/{limits.hourly} queries in the last hour",
                )
            self._accepted.append(now)
            self._running += 1
        return None

    def _export(self, request: Request) -> Response:
        lines = [json.dumps(event, separators=(",", ":")) for event in self._chosen(request)]
        ending = self._ending() if len(lines) > 1 else None
        if ending is Ending.TEXT or (self.most_events is not None and len(lines) > self.most_events):
            lines = [*lines[: len(lines) // 2], TERMINATED]
        body = "".join(f"{line}\n" for line in lines).encode()
        headers = {}
        if len(body) > SMALLEST_COMPRESSED and "gzip" in request.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return _Body(body, 200, headers, _DELIVERIES.get(ending, Delivery.WHOLE))

    def _ending(self) -> Ending | None:
        with self._lock:
            return self._endings.pop(0) if self._endings else None

    def _chosen(self, request: Request) -> Iterator[dict[str, Any]]:
        """The events that a request asks for, as lines say them.

        Raises:
            ValueError: a parameter makes no sense.
        """
        params = request.params
        first, last = (_date(name, params.get(name)) for name in ("from_date", "to_date"))
        if last < first:
            raise ValueError("to_date cannot be before from_date")
        if self.now is not None and last > self.now.tz_convert(self.timezone).date():
            raise ValueError("to_date cannot be later than today")
        names = json.loads(params["event"]) if "event" in params else None
        if names is not None and not isinstance(names, list):
            raise ValueError("event must be a JSON array")
        keeps = parse(params["where"]) if "where" in params else None
        most = int(params.get("limit", MOST_EVENTS))
        if not 0 < most <= MOST_EVENTS:
            raise ValueError(f"limit must be from 1 to {MOST_EVENTS}")
        milliseconds = params.get("time_in_ms") == "true"
        left = most if "limit" in params else None
        for event in self._lines(first, last, milliseconds):
            if (names is None or event["event"] in names) and (keeps is None or keeps(event["properties"])):
                if left == 0:
                    return
                left = None if left is None else left - 1
                yield event

    def _lines(self, first: dt.date, last: dt.date, milliseconds: bool) -> Iterator[dict[str, Any]]:
        """Every event of the dates."""
        zone = ZoneInfo(self.timezone)
        for number, row in self._around(first, last):
            arrived = row.get("created_at") or row["timestamp"]
            wall = row["timestamp"].astimezone(zone).replace(tzinfo=dt.UTC)  # a wall clock, written as if UTC
            if not first <= wall.date() <= last or (self.now is not None and arrived > self.now):
                continue
            yield self._line(row, wall, arrived, milliseconds)
            if self.copied and number % self.copied == 0:
                step = -_SECOND if (wall + _SECOND).date() != wall.date() else _SECOND
                again = wall + step * self.copied_later
                yield self._line(row, again, arrived + _AGAIN, milliseconds)

    def _line(
        self, row: dict[str, Any], wall: dt.datetime, arrived: dt.datetime, milliseconds: bool
    ) -> dict[str, Any]:
        seconds = int(wall.timestamp())
        properties: dict[str, Any] = {
            "time": seconds * 1000 + wall.microsecond // 1000 if milliseconds else seconds,
            "distinct_id": row["distinct_id"],
            "$browser": "Firefox",
            "$city": self.private,
            "$email": self.private,
            "$name": self.private,
            "$os": "Linux",
            "mp_country_code": "DE",
            "mp_lib": "web",
            "mp_processing_time_ms": int(arrived.timestamp() * 1000),
            "tags": ["beta", [self.private]],
            **_given(row.get("properties")),
        }
        if self.insert_ids:
            properties["$insert_id"] = row["uuid"]
        if self.user_ids:
            properties["$user_id"] = row["person_id"]
        if row["$group_0"]:
            properties[self.account_property] = row["$group_0"]
        return {"event": row["event"], "properties": properties}

    def _around(self, first: dt.date, last: dt.date) -> Sequence[tuple[int, dict[str, Any]]]:
        """The events of the dates in any time zone, numbered."""
        with self._one_makes:
            if self._made is None:
                self._made = self._events().sort_by([("timestamp", "ascending")])
            made = self._made
        instants = made["timestamp"].to_numpy().astype("datetime64[us]")
        begin, end = np.searchsorted(
            instants, np.array([first - _DAY, last + 2 * _DAY], dtype="datetime64[us]")
        )
        numbered = list(enumerate(made.slice(begin, end - begin).to_pylist(), int(begin)))
        if self.unsorted:
            random.Random(len(numbered)).shuffle(numbered)
        return numbered


def _date(name: str, text: Any) -> dt.date:
    try:
        return dt.datetime.strptime(str(text), "%Y-%m-%d").date()
    except ValueError:
        raise ValueError(f"{name} must be a date, YYYY-MM-DD") from None


def _given(properties: Any) -> dict[str, Any]:
    """Properties of a column: JSON text, or the pairs of a map."""
    return dict(json.loads(properties) if isinstance(properties, str) else properties or ())


def _error(request: Request, status: int, message: str) -> Response:
    return Response({"request": f"{PATH}?{urlencode(request.params, doseq=True)}", "error": message}, status)
