"""Product usage from PostHog, aggregated there.

One row per account, month and feature instead of the events themselves.

Here: the HogQL query, its pages, and everything its HTTP endpoint can answer. Not here: which customer an
account is (`accounts.py`).

An account is a group of the project's first group type (`$group_0`). Events of PostHog's own making
(`$pageview`, `$identify`) are no features.
"""

from __future__ import annotations

import re
import time
from types import TracebackType
from typing import Any, Self

import httpx
import pandas as pd
import tenacity

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.domain.core.table import MONTH_PATTERN

PAGE_SIZE = 50_000  # the most rows PostHog returns to one query; without a LIMIT it would return 100
ATTEMPTS = 6  # waits of 1, 2, 4, 8 and 16 s, or what Retry-After asks for
# PostHog allows some queries an hour: a longer Retry-After is for a person, not for a run to sit through.
LONGEST_WAIT_SECONDS = 300
LONGEST_QUERY_SECONDS = 600  # of a query that PostHog answers later

_COLUMNS = ["account", "month", "feature", "active_users", "events"]
_QUERY = """
SELECT
    "$group_0" AS account,
    formatDateTime(toTimeZone(timestamp, {timezone}), '%Y-%m') AS month,
    event AS feature,
    count(DISTINCT person_id) AS active_users,
    count() AS events
FROM events
WHERE timestamp >= fromUnixTimestamp({start})
    AND timestamp < fromUnixTimestamp({end})
    AND notEmpty("$group_0")
    AND event NOT LIKE '$%'
GROUP BY account, month, feature
{after}
ORDER BY account, month, feature
LIMIT {limit}
"""
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
        page_size: Rows a query asks for.
        first_wait_seconds: Wait before the second attempt and between looks at a query answered later;
            doubled from attempt to attempt.
    """

    def __init__(
        self,
        host: str,
        project_id: str,
        api_key: str,
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
        self._page_size = page_size
        self._first_wait_seconds = first_wait_seconds

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

    def feature_usage(self, first: str, last: str, timezone: str = "UTC") -> pd.DataFrame:
        """Usage of the months first to last, both included, in the order of the key.

        Months are `YYYY-MM`, bounded in `timezone`.

        Columns are those of analytics/feature_usage without customer.

        Raises:
            ConfigurationError: The key, its scope, the host or the project is wrong.
            PostHogError: PostHog stayed unreachable through all attempts, refused the query, or answered
                something else than asked for.
        """
        rows: list[list[Any]] = []
        after: tuple[str, str, str] | None = None
        while True:
            page = self._rows(_query(first, last, timezone, after, self._page_size))
            rows.extend(page)
            if len(page) < self._page_size:
                break
            previous, after = after, tuple(page[-1][:3])
            if after == previous:
                raise PostHogError(f"PostHog returned the same page twice, after {after}")
        types = {
            "account": "str",
            "month": "str",
            "feature": "str",
            "active_users": "int64",
            "events": "int64",
        }
        frame = pd.DataFrame(rows, columns=_COLUMNS).astype(types)[
            ["month", "account", "feature", "active_users", "events"]
        ]
        return frame.sort_values(["month", "account", "feature"], ignore_index=True)

    def _rows(self, query: str) -> list[list[Any]]:
        """The rows of one query, checked."""
        answer = self._request(
            "POST", self._path, {"query": {"kind": "HogQLQuery", "query": query}, "refresh": "force_blocking"}
        )
        if not answer.get("results"):
            answer = self._finished(answer)
        if answer.get("error"):
            raise PostHogError(f"PostHog could not run the query: {answer['error']}")
        columns, results = answer.get("columns"), answer.get("results")
        if columns != _COLUMNS:
            raise PostHogError(f"PostHog answered with columns {columns}, not {_COLUMNS}")
        if not isinstance(results, list):
            raise PostHogError(
                f"PostHog answered without a list of results (keys: {', '.join(sorted(answer))})"
            )
        return [_checked(row) for row in results]

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
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PassingError),
            wait=self._wait_seconds,
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        try:
            return retrying(self._request_once, method, path, body)
        except _PassingError as error:
            raise PostHogError(f"{error} (gave up after {ATTEMPTS} attempts)") from error

    def _request_once(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            response = self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            raise _PassingError(
                f"PostHog at {self._client.base_url} could not be reached: {error}"
            ) from error
        if response.status_code == 429 or response.status_code >= 500:
            asked = _retry_after(response)
            problem = f"PostHog answered {response.status_code}: {_detail(response)}"
            if asked is not None and asked > LONGEST_WAIT_SECONDS:
                raise PostHogError(f"{problem} (it asks to wait {asked:.0f} s; run again later)")
            raise _PassingError(problem, asked)
        if response.status_code in _HINTS:
            raise ConfigurationError(
                f"{_HINTS[response.status_code]} ({response.status_code}: {_detail(response)})"
            )
        if response.is_error:
            raise PostHogError(f"PostHog refused the query ({response.status_code}): {_detail(response)}")
        try:
            answer = response.json()
        except ValueError as error:
            raise PostHogError(
                f"PostHog answered something else than JSON: {response.text[:200]!r}"
            ) from error
        if not isinstance(answer, dict):
            raise PostHogError(f"PostHog answered something else than an object: {response.text[:200]!r}")
        return answer

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, _PassingError) else None
        return asked if asked is not None else self._first_wait_seconds * 2 ** (state.attempt_number - 1)


class _PassingError(Exception):
    """A failure worth another attempt, with the seconds the server asked for."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


def _query(first: str, last: str, timezone: str, after: tuple[str, str, str] | None, limit: int) -> str:
    """The query of one page.

    Instants as epoch seconds, so that neither the project's nor the server's time zone matters.
    """
    return _QUERY.format(
        timezone=_text(timezone),
        start=int(months.opening(first, timezone).timestamp()),
        end=int(months.closing(last, timezone).timestamp()),
        after="" if after is None else f"HAVING (account, month, feature) > ({', '.join(map(_text, after))})",
        limit=limit,
    )


def _text(value: str) -> str:
    """A string literal of HogQL."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _checked(row: Any) -> list[Any]:
    """A row with text and whole numbers where they belong."""
    if isinstance(row, list) and len(row) == len(_COLUMNS):
        texts, counts = row[:3], row[3:]
        whole = all(str(count).isdigit() for count in counts)  # 64-bit integers may come as text
        if (
            whole
            and all(isinstance(text, str) and text for text in texts)
            and re.match(MONTH_PATTERN, texts[1])
        ):
            return [*texts, *(int(count) for count in counts)]
    raise PostHogError(f"PostHog answered with a row that is not {', '.join(_COLUMNS)}: {str(row)[:200]}")


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds of a Retry-After header; None without one, or when it is a date (PostHog sends seconds)."""
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _detail(response: httpx.Response) -> str:
    """What PostHog says went wrong."""
    try:
        body = response.json()
    except ValueError:
        return response.text[:200]
    return (
        str(body.get("detail") or body.get("error") or body)[:500]
        if isinstance(body, dict)
        else str(body)[:200]
    )
