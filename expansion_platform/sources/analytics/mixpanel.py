"""Product usage from Mixpanel, counted from its raw event export.

Mixpanel's query API cannot aggregate by account without a report that a person builds, so the events
themselves come here, are counted, and are deleted.

Here: which dates are asked for, the requests, and what is done when an export ends early. Not here: reading a
downloaded export (`mixpanel_export.py`), counting (`counting.py`).

A month is one request. Mixpanel allows 60 an hour: read day by day, a month would use half of them, and a
first pull of two years would take twelve hours. An export that ends early is asked for again as two halves:
another attempt where the connection broke, and a smaller export where Mixpanel stops at some size or time. A
single day is asked for DAY_ATTEMPTS times; then the month is incomplete.
"""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

import httpx
import pandas as pd

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.sources.analytics.counting import EventCounter
from expansion_platform.sources.analytics.mixpanel_export import (
    EndedEarlyError,
    Export,
    ExportReader,
    MixpanelError,
    drop_later_copies,
)
from expansion_platform.sources.analytics.requesting import Provider
from expansion_platform.sources.analytics.usage import Asked, MonthUsage

PATH = "/api/2.0/export"
ACCOUNT_PROPERTY = "company_id"  # the name that Mixpanel's own examples give the group key of companies
DAY_ATTEMPTS = 3

_DAY = dt.timedelta(days=1)
_HINTS = {
    400: "Mixpanel refuses the export: check MIXPANEL_PROJECT_ID, MIXPANEL_HOST (the project's residency: "
    "data, data-eu or data-in) and MIXPANEL_TIMEZONE",
    401: "Mixpanel does not accept MIXPANEL_USERNAME and MIXPANEL_SECRET: use a service account of this "
    "project, and the MIXPANEL_HOST of its residency (data, data-eu or data-in)",
    402: "the plan of this Mixpanel project does not include the raw export",
    403: "the service account of MIXPANEL_USERNAME may not read MIXPANEL_PROJECT_ID: add it to the project",
    404: "there is no raw export at MIXPANEL_HOST: it is https://data.mixpanel.com, "
    "https://data-eu.mixpanel.com or https://data-in.mixpanel.com",
}


class Mixpanel:
    """One Mixpanel project, read only. A context manager: it keeps a connection open.

    Args:
        host: Address of the export by residency, such as https://data-eu.mixpanel.com.
        project_id: Project.
        username: User of a service account.
        secret: Its secret.
        definition: What the events mean. `account.group` and `account.property` are the same here: the event
            property with the account; ACCOUNT_PROPERTY where neither is given.
        timezone: Zone whose wall clock is in `time`: UTC, and in projects made before 2023 the project's.
        first_wait_seconds: Wait before the second attempt; doubled from attempt to attempt.

    Raises:
        ConfigurationError: no such time zone, or property names that cannot be read at once.
    """

    name = "mixpanel"

    def __init__(
        self,
        host: str,
        project_id: str,
        username: str,
        secret: str,
        definition: SignalDefinition,
        *,
        timezone: str = "UTC",
        first_wait_seconds: float = 1.0,
    ) -> None:
        self._zone = _zone(timezone)
        self._definition = definition
        account = definition.account.property or definition.account.group or ACCOUNT_PROPERTY
        self._reader = ExportReader(account, definition.feature_property, self._zone)
        self._client = httpx.Client(
            base_url=host.rstrip("/"),
            auth=(username, secret),
            headers={"Accept-Encoding": "gzip"},
            timeout=httpx.Timeout(600.0, connect=10.0),  # a large export may take minutes to begin
        )
        self._project_id = project_id
        self._first_wait_seconds = first_wait_seconds
        self._provider = Provider(
            "Mixpanel", str(self._client.base_url), MixpanelError, _HINTS, "export", first_wait_seconds
        )

    def __enter__(self) -> Self:
        """The source itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connection."""
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def month(self, asked: Asked) -> MonthUsage:
        """The usage of one month; `incomplete` where an export of a single day kept ending early.

        Raises:
            ConfigurationError: the service account, the project, the host or the time zone is wrong.
            MixpanelError: Mixpanel stayed unreachable or busy through all attempts, refused the export, or
                answered something else than events.
        """
        first, last = self._dates(asked)
        with EventCounter(self._definition) as counter:
            incomplete = self._read(counter, first, last) if first <= last else "the month has not begun"
            drop_later_copies(counter, asked)
            return counter.month(asked, incomplete)

    def _dates(self, asked: Asked) -> tuple[dt.date, dt.date]:
        """The first and the last date to ask for, in the zone of the project's dates.

        Mixpanel refuses dates in the future. Where a project's wall clock is not UTC, a day more is read on
        both sides: events from before a change of the project's zone may be filed under a neighbouring date.
        """

        def date(instant: pd.Timestamp) -> dt.date:
            return instant.tz_convert(self._zone).date()

        margin = _DAY * (self._zone.key != "UTC")
        return (
            date(asked.begins) - margin,
            min(date(asked.ends - pd.Timedelta(1, "us")) + margin, date(asked.now)),
        )

    def _read(self, counter: EventCounter, first: dt.date, last: dt.date) -> str | None:
        """Read the events of some dates into the counter. Why they are not all there; None where they are."""
        waiting = [(first, last, 1)]
        while waiting:
            begin, end, attempt = waiting.pop()
            try:
                self._reader.load(counter, self._download(counter.folder, begin, end))
            except EndedEarlyError as early:
                if attempt == DAY_ATTEMPTS:
                    return f"Mixpanel's export of {begin} ended early {DAY_ATTEMPTS} times: {early}"
                waiting += _parts(begin, end, attempt)
                time.sleep(self._first_wait_seconds)
        return None

    def _download(self, folder: Path, begin: dt.date, end: dt.date) -> Export:
        """The export of some dates, in a file as it arrived.

        Raises:
            EndedEarlyError: the connection broke before the end.
        """
        params = {"project_id": self._project_id, "from_date": str(begin), "to_date": str(end)}

        def attempt() -> Export:
            with self._client.stream("GET", PATH, params=params) as response:
                if not response.is_success:
                    response.read()
                self._provider.check(response)
                return _stored(response, folder / "export", begin, end)

        return self._provider.persist(attempt)


def _stored(response: httpx.Response, path: Path, begin: dt.date, end: dt.date) -> Export:
    kind = response.headers.get("Content-Type", "")
    encoding = response.headers.get("Content-Encoding", "identity")
    if "html" in kind:
        raise MixpanelError(
            f"{response.url.host} answered with a web page instead of an export: check MIXPANEL_HOST"
        )
    if encoding not in ("gzip", "identity"):
        raise MixpanelError(f"Mixpanel's export is compressed by {encoding}, although gzip was asked for")
    try:
        with path.open("wb") as file:
            for piece in response.iter_raw():
                file.write(piece)
    except httpx.TransportError as error:
        raise EndedEarlyError("the connection broke before the end") from error
    return Export(path, begin, end, compressed=encoding == "gzip")


def _parts(begin: dt.date, end: dt.date, attempt: int) -> list[tuple[dt.date, dt.date, int]]:
    """What to ask for after an export ended early, the last first: halves, or the day once more."""
    if begin == end:
        return [(begin, end, attempt + 1)]
    middle = begin + (end - begin) // 2
    return [(middle + _DAY, end, 1), (begin, middle, 1)]


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:  # unknown, not a name, a folder of names
        raise ConfigurationError(
            f"MIXPANEL_TIMEZONE: there is no time zone {timezone!r}; write one such as UTC or Europe/Berlin"
        ) from error
