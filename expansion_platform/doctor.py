"""What has to be right before a run: settings, key permissions, lake, ledger, channels.

Here: the examination. Not here: printing it (`cli.py`), fixing anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from expansion_platform.domain.errors import ExpansionError
from expansion_platform.domain.schemas import TABLES, billing
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    ok: bool
    text: str


def examine(platform: Platform | None = None) -> Iterator[Finding]:
    """Looks at each thing in turn; one that fails does not hide the next."""
    try:
        platform = platform or Platform(Settings())
        settings = platform.settings
    except ValidationError as error:
        for problem in error.errors():
            yield Finding("settings", False, f"{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg']}")
        return
    yield Finding("settings", True, f"as of {platform.as_of:%Y-%m-%d %H:%M}, {settings.expansion_timezone}, reporting in {settings.expansion_currency}")
    yield from _guarded("catalog", lambda: f"{settings.expansion_catalog or 'none: families and tiers are inferred'} ({platform.catalog().catalog_hash})")
    yield from _stripe(platform)
    yield from _guarded("lake", lambda: f"{platform.lake.root}: {sum(platform.lake.exists(model) for model in TABLES.values())} of {len(TABLES)} tables")
    yield from _guarded("ledger", lambda: platform.ledger.ping() or f"{platform.ledger.url.render_as_string(hide_password=True)} answers")
    yield from _guarded("history", lambda: _history(platform))
    yield from _guarded("product analytics", lambda: "not configured (POSTHOG_HOST)" if platform.posthog is None else f"PostHog at {settings.posthog_host}")
    yield from _guarded("alerts", lambda: "no channel: they wait in the ledger" if platform.notifier is None else "Slack is configured")


def _stripe(platform: Platform) -> Iterator[Finding]:
    try:
        for resource, missing in platform.stripe.probe().items():
            yield Finding(f"Stripe {resource}", missing is None, "readable" if missing is None else f"give the key Read on {missing}")
    except ExpansionError as error:
        yield Finding("Stripe", False, str(error))


def _history(platform: Platform) -> str:
    states = platform.lake.read(billing.ItemStates)
    if states.empty:
        return "nothing pulled yet"
    first = states["valid_from"].min()
    unsure = states[states["confidence"] != "exact"]
    return f"since {first:%Y-%m}; {len(unsure)} of {len(states)} item states dated by a renewal or by today's subscription (set EXPANSION_FIRST_MONTH={first:%Y-%m})"


def _guarded(subject: str, look: object) -> Iterator[Finding]:
    try:
        yield Finding(subject, True, look())
    except ExpansionError as error:
        yield Finding(subject, False, str(error))
    except Exception as error:
        yield Finding(subject, False, f"{type(error).__name__}: {error}")
