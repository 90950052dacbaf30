"""Product usage from PostHog, aggregated there.

Here: a month's queries, their pages, and everything PostHog's HTTP endpoint can answer. Not here: the texts
of the queries (`posthog_queries.py`), which customer an account is (`accounts.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import httpx
import pandas as pd

from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.sources.analytics.counting import (
    FIRST_SEEN,
    SIGN_UPS,
    account_versions,
    feature_versions,
)
from expansion_platform.sources.analytics.posthog_queries import ACCOUNT_FIGURES, FEATURE_FIGURES, Queries
from expansion_platform.sources.analytics.requesting import Provider
from expansion_platform.sources.analytics.usage import Asked, MonthUsage

PAGE_SIZE = 50_000  # the most rows PostHog returns to one query; without a LIMIT it would return 100
LONGEST_QUERY_SECONDS = 600  # of a query that PostHog answers later
PARTS = (1, 8, 64)
"""Into how many parts the accounts are divided, where a query takes PostHog too long (10 s). Never by time:
one person is active in many hours."""
_TOO_LONG = re.compile(r"execution time|TIMEOUT_EXCEEDED|timed? ?out|too (long|slow)", re.IGNORECASE)

_HINTS = {
    401: "PostHog does not accept POSTHOG_API_KEY: use a personal API key",
    403: "POSTHOG_API_KEY may not query this project: give it the scope query:read",
    404: "PostHog has no such project: check POSTHOG_HOST (us, eu or your own) and POSTHOG_PROJECT_ID",
}


class PostHogError(ExpansionError):
    """PostHog could not be reached, kept failing, or refused the query.

    Also raised where it answers something else than was asked for.
    """


class PostHog:
    """One PostHog project, read only. A context manager: it keeps a connection open.

    Args:
        host: Address, such as https://us.posthog.com.
        project_id: Project.
        api_key: Personal API key with scope query:read.
        definition: What the events mean.
        page_size: Rows a query asks for.
        first_wait_seconds: Wait before the second attempt and between looks at a query answered later;
            doubled from attempt to attempt.
    """

    name = "PostHog"

    def __init__(
        self,
        host: str,
        project_id: str,
        api_key: str,
        definition: SignalDefinition,
        *,
        page_size: int = PAGE_SIZE,
        first_wait_seconds: float = 1.0,
    ) -> None:
        self._client = httpx.Client(
            base_url=host.rstrip("/"),
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(120.0, connect=10.0),  # a blocking query may take PostHog a minute
        )
        self._path = f"/api/projects/{project_id}/query/"
        self._definition = definition
        self._page_size = page_size
        self._first_wait_seconds = first_wait_seconds
        self._provider = Provider(
            "PostHog", str(self._client.base_url), PostHogError, _HINTS, "query", first_wait_seconds
        )

    def __enter__(self) -> Self:
        """The adapter itself."""
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
        """The usage of one month.

        Raises:
            ConfigurationError: The key, its scope, the host, the project or the signals file is wrong.
            PostHogError: PostHog stayed unreachable through all attempts, refused the query, or answered
                something else than asked for.
        """
        queries = Queries(asked, self._definition)
        ((events, without_account),) = self._rows(queries.totals(), ["events", "without_account"], 0)
        accounts = self._versions(queries.accounts, ["account"], ACCOUNT_FIGURES)
        features = self._versions(queries.features, ["account", "feature"], FEATURE_FIGURES)
        return MonthUsage(
            accounts=account_versions(accounts, queries.days, new_users_known=True),
            features=feature_versions(features),
            events=events,
            events_without_account=without_account,
            new_users_by=SIGN_UPS if queries.by_sign_up else FIRST_SEEN,
        )

    def _versions(
        self, query: Callable[..., str], grain: Sequence[str], figures: Sequence[str]
    ) -> pd.DataFrame:
        """A query's rows, one a version: grain, late, known_at and figures."""
        names = ["known_at", *figures]
        columns = [*grain, *(f"{name}_{number}" for number in (0, 1) for name in names)]
        rows = self._in_parts(query, columns, len(grain))
        frame = pd.DataFrame(rows, columns=columns)
        of_version = [
            frame[[*grain, *(f"{name}_{number}" for name in names)]]
            .set_axis([*grain, *names], axis=1)
            .assign(late=bool(number))
            for number in (0, 1)
        ]
        found = pd.concat(of_version, ignore_index=True)
        found = found[found["known_at"].notna()]  # nothing had arrived before the close
        seconds = found["known_at"].astype("int64")
        return found.astype(dict.fromkeys(grain, "str") | dict.fromkeys(figures, "int64")).assign(
            known_at=pd.to_datetime(seconds, unit="s", utc=True)
        )

    def _in_parts(self, query: Callable[..., str], columns: list[str], keys: int) -> list[list[Any]]:
        """All rows of a query, of fewer accounts at a time where it takes PostHog too long."""
        for parts in PARTS:
            try:
                return [
                    row for part in range(parts) for row in self._pages(query, part, parts, columns, keys)
                ]
            except PostHogError as error:
                if parts == PARTS[-1] or not _TOO_LONG.search(str(error)):
                    raise
        raise AssertionError("one of PARTS is the last")

    def _pages(
        self, query: Callable[..., str], part: int, parts: int, columns: list[str], keys: int
    ) -> list[list[Any]]:
        rows: list[list[Any]] = []
        after: list[str] = []
        while True:
            page = self._rows(query(after, part, parts, self._page_size), columns, keys)
            rows.extend(page)
            if len(page) < self._page_size:
                return rows
            previous, after = after, page[-1][:keys]
            if after == previous:
                raise PostHogError(f"PostHog returned the same page twice, after {after}")

    def _rows(self, query: str, expected: list[str], keys: int) -> list[list[Any]]:
        """The rows of one query, checked: `keys` texts, then whole numbers or nothing."""
        body = {
            "query": {
                "kind": "HogQLQuery",
                "query": query,
                # Else every instant is one of the project's time zone.
                "modifiers": {"convertToProjectTimezone": False},
            },
            "refresh": "force_blocking",  # else an answer may be an old one
            "name": "expansion platform: product usage",
        }
        answer = self._request("POST", self._path, body)
        if not answer.get("results"):
            answer = self._finished(answer)
        if answer.get("error"):
            raise PostHogError(f"PostHog could not run the query: {answer['error']}")
        columns, results = answer.get("columns"), answer.get("results")
        if columns != expected:
            raise PostHogError(f"PostHog answered with columns {columns}, not {expected}")
        if not isinstance(results, list):
            raise PostHogError(
                f"PostHog answered without a list of results (keys: {', '.join(sorted(answer))})"
            )
        return [_checked(row, expected, keys) for row in results]

    def _finished(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer of a query that PostHog runs in the background; any other answer as it is."""
        status = answer.get("query_status")
        waited = 0.0
        while isinstance(status, dict):
            if status.get("error"):
                raise PostHogError(
                    f"PostHog could not run the query: {status.get('error_message') or 'no reason given'}"
                )
            if status.get("complete"):
                return status.get("results") or answer
            if waited >= LONGEST_QUERY_SECONDS:
                raise PostHogError(f"PostHog did not finish the query within {LONGEST_QUERY_SECONDS} s")
            time.sleep(self._first_wait_seconds)
            waited += self._first_wait_seconds
            answer = self._request("GET", f"{self._path}{status.get('id')}/")
            status = answer.get("query_status")
        return answer

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request, repeated while it fails for a passing reason.

        The text of an error never holds the key.
        """

        def once() -> httpx.Response:
            response = self._client.request(method, path, json=body)
            self._provider.check(response)
            return response

        response = self._provider.persist(once)
        try:
            answer = response.json()
        except ValueError as error:
            raise PostHogError(
                f"PostHog answered something else than JSON: {response.text[:200]!r}"
            ) from error
        if not isinstance(answer, dict):
            raise PostHogError(f"PostHog answered something else than an object: {response.text[:200]!r}")
        return answer


def _checked(row: Any, columns: list[str], keys: int) -> list[Any]:
    """A row with text and whole numbers where they belong."""
    if isinstance(row, list) and len(row) == len(columns):
        texts, counts = row[:keys], row[keys:]
        # 64-bit integers may come as text.
        whole = all(count is None or str(count).isdigit() for count in counts)
        if whole and all(isinstance(text, str) and text for text in texts):
            return [*texts, *(None if count is None else int(count) for count in counts)]
    raise PostHogError(f"PostHog answered with a row that is not {', '.join(columns)}: {str(row)[:200]}")
