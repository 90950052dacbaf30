"""HTTP requests to a provider of product usage, repeated while they fail for a passing reason.

Here: which failures pass, how long to wait for them, and what a provider says went wrong. Not here: what is
asked, and what the answers mean (a module a provider).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx
import tenacity

from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError

ATTEMPTS = 6  # waits of 1, 2, 4, 8 and 16 s, or what Retry-After asks for
# Providers allow some requests an hour: a longer Retry-After is for a person, not for a run to sit through.
LONGEST_WAIT_SECONDS = 300

_Answer = TypeVar("_Answer")


class PassingError(Exception):
    """A failure worth another attempt, with the seconds the provider asked for."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Provider:
    """A provider, as messages name it.

    Args:
        name: such as PostHog.
        address: where it is asked.
        error: raised for what no setting can change.
        hints: HTTP status -> what the user has to change.
        asked: what a request is: query, export.
        first_wait_seconds: wait before the second attempt; doubled from attempt to attempt.
    """

    name: str
    address: str
    error: type[ExpansionError]
    hints: Mapping[int, str]
    asked: str = "request"
    first_wait_seconds: float = 1.0

    def persist(self, attempt: Callable[[], _Answer]) -> _Answer:
        """What `attempt` returns, which is called again while it raises PassingError or cannot connect.

        Raises:
            ExpansionError: of type `error`, after ATTEMPTS; the text never holds a key.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((PassingError, httpx.TransportError)),
            wait=self._wait_seconds,
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        try:
            return retrying(attempt)
        except httpx.TransportError as error:
            raise self.error(
                f"{self.name} at {self.address} could not be reached: {error} "
                f"(gave up after {ATTEMPTS} attempts)"
            ) from error
        except PassingError as error:
            raise self.error(f"{error} (gave up after {ATTEMPTS} attempts)") from error

    def check(self, response: httpx.Response) -> None:
        """Nothing for an answer of 200 to 299. The body of any other one must have been read.

        Raises:
            PassingError: it says to try again (429, 5xx).
            ConfigurationError: a status of `hints`.
            ExpansionError: of type `error`: refused, or to be asked again only after LONGEST_WAIT_SECONDS.
        """
        status = response.status_code
        if response.is_success:
            return
        if status == 429 or status >= 500:
            wanted = retry_after(response)
            problem = f"{self.name} answered {status}: {detail(response)}"
            if wanted is not None and wanted > LONGEST_WAIT_SECONDS:
                raise self.error(f"{problem} (it asks to wait {wanted:.0f} s; run again later)")
            raise PassingError(problem, wanted)
        if status in self.hints:
            raise ConfigurationError(f"{self.hints[status]} ({status}: {detail(response)})")
        raise self.error(f"{self.name} refused the {self.asked} ({status}): {detail(response)}")

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wanted = error.retry_after if isinstance(error, PassingError) else None
        return wanted if wanted is not None else self.first_wait_seconds * 2 ** (state.attempt_number - 1)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds of a Retry-After header; None without one, or when it is a date (providers send seconds)."""
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def detail(response: httpx.Response) -> str:
    """What the provider says went wrong."""
    try:
        body = response.json()
    except ValueError:
        return response.text[:200]
    return (
        str(body.get("detail") or body.get("error") or body)[:500]
        if isinstance(body, dict)
        else str(body)[:200]
    )
