"""One request to Stripe: within the rate limit, repeated while it makes sense, explained when it fails.

Here: the SDK, the rate limit, retries, errors that say what to do. Not here: lists and objects (`client.py`),
the bytes of an answer (`transport.py`).

The official SDK sends the requests (authentication, API version, encoding of parameters), through its
`raw_request`: its typed objects turn `percent_off` into a float and cost most of the time of a pull, and its
iterator would fetch pages behind the rate limiter's back.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import tenacity

from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.sources.stripe.rate import ENDPOINT_CEILING, Pace
from expansion_platform.sources.stripe.resources import Resource

if TYPE_CHECKING:
    import stripe

Object = dict[str, Any]

ATTEMPTS = 8  # waits of 0.5, 1, 2, 4, 8, 16 and 30 s: about a minute before giving up
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30
CONNECTIONS = 16  # more than the threads of a pull
# Half of what one endpoint allows, and a third of what a sandbox does: others use the account too.
LIVE_PER_SECOND, TEST_PER_SECOND = 12, 8


class StripeRequestError(ExpansionError):
    """Stripe could not be reached, kept failing, or refused a request.

    The text has the request id to quote to Stripe's support.
    """


class PermissionMissingError(ConfigurationError):
    """The key may not read a resource; `permission` is what to grant it."""

    def __init__(self, text: str, permission: str) -> None:
        super().__init__(text)
        self.permission = permission


class NotFoundError(StripeRequestError):
    """No such object."""


class CursorGoneError(StripeRequestError):
    """The object a list was to go on from does not exist any more."""


class Requests:
    """What any number of threads send to one Stripe account; arguments as of `StripeSource`."""

    def __init__(self, api_key: str, api_base: str | None, requests_per_second: int | None) -> None:
        import stripe  # half a second, only where Stripe is really read

        from expansion_platform.sources.stripe.transport import Connection

        self._key = api_key
        self._http = Connection(CONNECTIONS)
        # No retries inside the SDK: it repeats 5xx but never a 429, and past the rate limiter.
        bases: Any = {} if api_base is None else {"api": api_base.rstrip("/")}
        self._client = stripe.StripeClient(
            api_key, base_addresses=bases, max_network_retries=0, http_client=self._http
        )
        self.pace = _pace(
            api_base, requests_per_second or (TEST_PER_SECOND if self.livemode is False else LIVE_PER_SECOND)
        )

    @property
    def livemode(self) -> bool | None:
        """Whether the key is for live or test data, by its prefix; None when it does not say."""
        kind = re.match(r"[a-z]+_(live|test)_", self._key)
        return None if kind is None else kind[1] == "live"

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()  # type: ignore[no-untyped-call]  # the SDK has no types here

    def get(self, path: str, resource: Resource, parameters: Object, attempts: int = ATTEMPTS) -> Object:
        """One request through the rate limiter, repeated while it makes sense.

        Raises:
            ConfigurationError: the key is wrong; PermissionMissingError: it may not read the resource.
            StripeRequestError: Stripe stayed unreachable through all attempts, or refused the request.
        """
        import stripe

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_passing),
            wait=_wait,
            stop=tenacity.stop_after_attempt(attempts),
            reraise=True,
        )
        try:
            return retrying(self._attempt, path, parameters)
        except stripe.StripeError as error:
            raise self._explained(error, path, resource) from error

    def _attempt(self, path: str, parameters: Object) -> Object:
        import stripe

        from expansion_platform.sources.stripe.transport import decoded

        self.pace.wait(_endpoint(path))
        try:
            response = self._client.raw_request("get", path, **parameters)
        except stripe.RateLimitError as error:
            self.pace.limited(_asked(error))
            raise
        self.pace.answered()
        try:
            return decoded(response)
        except ValueError as error:
            raise stripe.APIConnectionError(f"an answer that is cut off or no JSON: {error}") from error  # type: ignore[no-untyped-call]  # the SDK has no types here

    def _explained(self, error: stripe.StripeError, path: str, resource: Resource) -> ExpansionError:
        """The package's error for one of Stripe's.

        Never with the key in it beyond its last four characters.
        """
        import stripe

        request = f"request {error.request_id}" if error.request_id else "no request id"
        if isinstance(error, stripe.AuthenticationError):
            return ConfigurationError(
                f"Stripe refused the API key ending in {self._key[-4:]!r} ({request}). Set "
                "STRIPE_API_KEY to a restricted key of this account: Dashboard > Developers > API keys."
            )
        if isinstance(error, stripe.PermissionError):
            # Stripe names the permission in its text.
            named = re.search(r"\brak_\w+", error.user_message or "")
            permission = f"{resource.permission!r} ({named[0]})" if named else repr(resource.permission)
            return PermissionMissingError(
                f"The API key ending in {self._key[-4:]!r} may not read {resource.path} ({request}). "
                f"Give it Read on {permission}: Dashboard > Developers > API keys.",
                permission,
            )
        gone = (
            getattr(error, "param", None)
            if error.http_status == 400 and error.code == "resource_missing"
            else None
        )
        if gone == "starting_after":
            return CursorGoneError(f"the object {path} was to go on from is gone ({request})")
        if error.http_status == 404 or gone == "customer":
            return NotFoundError(f"Stripe has no {gone or 'such object'} of {path} ({request})")
        if isinstance(error.__cause__, ValueError) and not isinstance(error.__cause__, OSError):
            return StripeRequestError(
                f"The answer to {path} is no JSON object. Check the network, proxies and STRIPE_API_BASE."
            )
        if error.http_status is None:
            return StripeRequestError(
                f"Stripe could not be reached for {path}: {type(error.__cause__).__name__}. Check the "
                "network and STRIPE_API_BASE."
            )
        if error.http_status == 429:
            return StripeRequestError(
                f"Stripe kept limiting {path} ({request}). Lower STRIPE_REQUESTS_PER_SECOND or try "
                "again later."
            )
        return StripeRequestError(
            f"Stripe answered {error.http_status} to {path} ({request}): {error.user_message or 'no message'}"
        )


@lru_cache
def _pace(api_base: str | None, requests_per_second: int) -> Pace:
    """One pace a process and server, shared by all sources.

    Only Stripe's own server is known to limit each endpoint; others say so by a 429.
    """
    return Pace(requests_per_second, ENDPOINT_CEILING if api_base is None else None)


def _endpoint(path: str) -> str:
    """What Stripe counts requests by.

    `/v1/invoices/in_1/lines` and `/v1/invoices/in_2/lines` are one endpoint.
    """
    first, *rest = path.removeprefix("/v1/").replace("billing/", "billing.", 1).split("/")
    return "/".join([first, *("" for _ in rest[:1]), *rest[1:]])


def _is_passing(error: BaseException) -> bool:
    """Whether repeating a read may help.

    A limit, a lock, a failure on Stripe's side (any 5xx is an APIError) or of the connection.
    """
    import stripe

    if isinstance(error, stripe.APIConnectionError):
        # An intercepted or expired certificate does not mend itself.
        return type(error.__cause__).__name__ != "SSLError"
    return isinstance(error, stripe.APIError) or (
        isinstance(error, stripe.StripeError) and error.http_status in (409, 429)
    )


def _asked(error: object) -> float | None:
    """Seconds Stripe asks to wait, in Retry-After; never more than `LONGEST_WAIT_SECONDS`."""
    asked = (getattr(error, "headers", None) or {}).get("retry-after", "")
    return min(float(asked), LONGEST_WAIT_SECONDS) if asked.isdigit() else None


def _wait(attempt: tenacity.RetryCallState) -> float:
    """Seconds before the next attempt: as long as Stripe asks, else doubling.

    Never more than `LONGEST_WAIT_SECONDS`.
    """
    asked = _asked(attempt.outcome.exception() if attempt.outcome else None)
    seconds = FIRST_WAIT_SECONDS * 2 ** (attempt.attempt_number - 1) if asked is None else asked
    return min(seconds, LONGEST_WAIT_SECONDS)
