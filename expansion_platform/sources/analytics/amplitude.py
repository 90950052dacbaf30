"""Product usage from Amplitude's Export API.

Here: which hours are asked for, in which windows, and everything the API can answer. Not here: the files that
it sends (`amplitude_lines.py`), counting (`counting.py`), which customer an account is (`accounts.py`).

The API selects by the hour of upload, a month is one of event time. So a month is read from its first hour
until LATE after its end, and later uploads are versions of their own.
"""

from __future__ import annotations

import base64
from pathlib import Path

import httpx
import pandas as pd

from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.sources.analytics.amplitude_lines import ExportLoader, UnreadableError
from expansion_platform.sources.analytics.counting import EventCounter
from expansion_platform.sources.analytics.requesting import Provider, detail
from expansion_platform.sources.analytics.usage import Asked, MonthUsage

# An hour can be exported two hours after it (documented); one more for an export that is behind.
EXPORTED_AFTER = pd.Timedelta(hours=3)
# SDKs keep events on a device until its user comes back. Most come within days, and every close lies within
# 25; with a month, a month's question costs two months of uploads however long ago it was.
LATE = pd.Timedelta(days=31)
HOUR = pd.Timedelta(hours=1)
LONGEST_WINDOW = 24  # hours that one request asks for
READINGS = 3  # of a window whose export is damaged

_PATH = "/api/2/export"
_NO_DATA = "Raw data files were not found"
_REFUSED = (
    "Amplitude does not accept the keys: check that AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY belong to the "
    "same project, that they may export it, and that AMPLITUDE_HOST is its region: https://amplitude.com or, "
    "for data residency in the EU, https://analytics.eu.amplitude.com"
)


class AmplitudeError(ExpansionError):
    """Amplitude could not be reached, kept failing, or refused an export."""


class Amplitude:
    """One Amplitude project, read only.

    Args:
        host: https://amplitude.com, or https://analytics.eu.amplitude.com.
        api_key: of the project.
        secret_key: of the project.
        definition: what its events mean. An account is a value of `groups`, of the type `company` if the
            definition names none.
        first_wait_seconds: wait before the second attempt of a request; doubled from attempt to attempt.
    """

    name = "amplitude"

    def __init__(
        self,
        host: str,
        api_key: str,
        secret_key: str,
        definition: SignalDefinition,
        *,
        first_wait_seconds: float = 1.0,
    ) -> None:
        self._client = httpx.Client(
            base_url=host.rstrip("/"),
            auth=(api_key, secret_key),
            follow_redirects=True,  # httpx sends the keys to the same host only
            timeout=httpx.Timeout(600.0, connect=10.0),  # it packs a day before it sends the first byte
        )
        encoded = base64.b64encode(f"{api_key}:{secret_key}".encode()).decode()
        self._secrets = [secret for secret in (encoded, secret_key, api_key) if secret]
        self._definition = definition
        self._provider = Provider(
            "Amplitude",
            str(self._client.base_url),
            AmplitudeError,
            {401: _REFUSED, 403: _REFUSED},
            "export",
            first_wait_seconds,
        )

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def month(self, asked: Asked) -> MonthUsage:
        """The usage of one month: uploads until three hours before `asked.now`, 31 days after it at most.

        Incomplete where the month itself is not exported to its end, or an export stays damaged.

        Raises:
            ConfigurationError: the keys, the host or the definition is wrong.
            AmplitudeError: Amplitude stayed unreachable through all attempts, or refused even one hour.
        """
        begin = asked.begins.floor("h")
        end = min((asked.now - EXPORTED_AFTER).floor("h"), (asked.ends + LATE).ceil("h"))
        with EventCounter(self._definition) as counter:
            loader = ExportLoader(counter, self._definition, asked)
            if end < asked.ends:
                complete = asked.ends.ceil("h") + EXPORTED_AFTER
                return counter.month(
                    asked,
                    f"{asked.month} is not exported to its end yet: Amplitude has an hour ready up to three "
                    f"hours after it. Ask again from {complete:%Y-%m-%d %H:%M} UTC",
                )
            return counter.month(asked, self._read(begin, end, loader, counter.folder / "export.zip"))

    def _read(
        self, begin: pd.Timestamp, end: pd.Timestamp, loader: ExportLoader, archive: Path
    ) -> str | None:
        """Loads the uploads of [begin, end); why that ended before its end, None where it did not.

        A window that is too large is halved, and so are those after it.
        """
        hours, recognised, start = LONGEST_WINDOW, False, begin
        while start < end:
            stop = min(start + hours * HOUR, end)
            try:
                recognised |= self._window(start, stop, loader, archive)
            except _TooLargeError as error:
                if stop - start == HOUR:
                    raise AmplitudeError(
                        f"Amplitude does not export the uploads of {_period(start, stop)}, not even this one "
                        f"hour: {error}. Where an hour has more than 4 GB, it exports to Amazon S3 only"
                    ) from None
                hours = max(1, (stop - start) // HOUR // 2)
                continue
            except UnreadableError as error:
                return f"the export of the uploads of {_period(start, stop)} cannot be read: {error}"
            start = stop
        if not recognised:
            raise ConfigurationError(
                f"{self._client.base_url} knows no {_PATH}: it answered every request with 404, and not as "
                "Amplitude does where a project has no data. Check AMPLITUDE_HOST"
            )
        return None

    def _window(self, start: pd.Timestamp, stop: pd.Timestamp, loader: ExportLoader, archive: Path) -> bool:
        """Loads one window's export; whether it was Amplitude that answered.

        Raises:
            _TooLargeError: for one export.
            UnreadableError: READINGS times.
        """

        def attempt() -> bool:
            try:
                recognised = self._download(start, stop, archive)
            except (httpx.DecodingError, httpx.TooManyRedirects) as error:
                raise UnreadableError(type(error).__name__) from error
            if archive.exists():
                loader.load(archive)
            return recognised

        damaged = UnreadableError()
        for _ in range(READINGS):
            try:
                return self._provider.persist(attempt)
            except UnreadableError as error:
                damaged = error
            finally:
                archive.unlink(missing_ok=True)
        raise damaged

    def _download(self, start: pd.Timestamp, stop: pd.Timestamp, archive: Path) -> bool:
        """Writes an export to `archive`, nothing where there is no data; whether Amplitude answered."""
        last = stop - HOUR  # both hours are included
        archive.unlink(missing_ok=True)
        with self._client.stream(
            "GET", _PATH, params={"start": f"{start:%Y%m%dT%H}", "end": f"{last:%Y%m%dT%H}"}
        ) as response:
            if response.status_code == httpx.codes.OK:
                with archive.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
            else:
                response.read()
        if response.status_code == httpx.codes.OK:
            self._check_zip(response, archive)
            return True
        answer = self._without_secrets(response)
        if response.status_code == httpx.codes.NOT_FOUND:
            return _NO_DATA in answer.text
        if response.status_code == httpx.codes.BAD_REQUEST or (
            # A gateway's timeout: only of a range that can be smaller is it sure to be the size.
            response.status_code == httpx.codes.GATEWAY_TIMEOUT and stop - start > HOUR
        ):
            raise _TooLargeError(f"{response.status_code}: {detail(answer)}")
        self._provider.check(answer)
        return True

    def _check_zip(self, response: httpx.Response, archive: Path) -> None:
        with archive.open("rb") as file:
            if file.read(2) in (b"", b"PK"):
                return
        kind = response.headers.get("Content-Type", "something")
        raise ConfigurationError(
            f"{self._client.base_url} answered with {kind} and not with an export: check AMPLITUDE_HOST, "
            "which is the address of the API and not that of the web application"
        )

    def _without_secrets(self, response: httpx.Response) -> httpx.Response:
        """The answer with what a message is made of, in case that it repeats the keys."""
        text = response.text
        for secret in self._secrets:
            text = text.replace(secret, "***")
        wait = {name: value for name, value in response.headers.items() if name.lower() == "retry-after"}
        return httpx.Response(response.status_code, headers=wait, text=text)


class _TooLargeError(Exception):
    """The range is too large for one export. The text is what Amplitude says."""


def _period(start: pd.Timestamp, stop: pd.Timestamp) -> str:
    return f"{start:%Y-%m-%d %H:%M} to {stop:%Y-%m-%d %H:%M} UTC"
