"""The first signals.yaml of an account, for a person to read and uncomment (`expansion signals init`).

Here: the YAML text, in which everything guessed is a comment. Not here: the guesses
(`domain/signals/suggestions.py`), reading such a file (`domain/signals/definition.py`). As it is written the
file says nothing, so it changes no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from expansion_platform.domain.core.wording import counted
from expansion_platform.domain.signals.definition import (
    AccountKey,
    HealthWeights,
    ReadinessPoints,
    SignalDefinition,
)
from expansion_platform.domain.signals.suggestions import Guess, suggestions
from expansion_platform.reports.catalog.yaml_text import flow, scalar
from expansion_platform.sources.analytics.usage import MonthUsage

SHOWN = 40
"""Events of which nothing is guessed that are listed."""
_HEAD = """\
# Signals: what the events of your product mean. Made by `expansion signals init` from what {source} sent in
# {month}: {events}, {accounts}.
#
# Everything guessed is a comment: as it stands this file changes no number. Read each guess, remove the
# `# ` before the lines that are right, correct those that are not, set EXPANSION_SIGNALS to this file, then
# `expansion refresh`.
"""
MEANINGS = {
    "logins": "a person signs in",
    "invites": "a person asks another one to join",
    "gate_hits": "a person tries a feature of a higher plan, or sees the paywall",
    "limit_warnings": "a limit of the plan is near or reached",
    "integrations": "another product is connected",
    "milestones": "a step that customers take who stay, such as the end of onboarding",
    "sign_ups": "a person begins; only needed where the source does not know it by itself",
}
"""By kind of `Events`."""


def first_signals(usage: MonthUsage, month: str, source: str) -> str:
    """The whole file.

    Args:
        usage: the newest closed month, counted by event (`SignalDefinition()`).
        month: which one.
        source: the name of the analytics tool.
    """
    guessed = suggestions(usage.features, month)
    lines = [
        _HEAD.format(
            source=source,
            month=month,
            events=counted(usage.events, "event"),
            accounts=counted(usage.features["account"].nunique(), "account"),
        )
    ]
    lines += _account(usage)
    lines.append("# What events count as. An event may be of several kinds.")
    lines.append("events:")
    for kind, meaning in MEANINGS.items():
        lines += _events(kind, meaning, guessed.kinds[kind])
    lines += _features(guessed.key_features)
    lines += _other(guessed.other)
    lines += _numbers("health", "Weights of the components of health; 0 leaves one out.", HealthWeights)
    lines += _numbers("readiness", "Points of the readiness score.", ReadinessPoints)
    capacity = SignalDefinition.model_fields["capacity"]
    lines += [f"# {capacity.description}.", f"# capacity: {capacity.default}"]
    return "\n".join(lines) + "\n"


def _account(usage: MonthUsage) -> Iterator[str]:
    share = 100 * usage.events_without_account / usage.events if usage.events else 0.0
    yield f"# Where an event names its account. As it is read now, {share:.1f} % of the events name none."
    yield "account:"
    for name, field in AccountKey.model_fields.items():
        yield f"  # {name}: company  # {field.description}"
    yield ""


def _events(kind: str, meaning: str, guesses: Sequence[Guess]) -> Iterator[str]:
    nothing = "" if guesses else "; no event is called like one"
    yield f"  # {kind}:{'' if guesses else ' []'}  # {meaning}{nothing}"
    for guess in guesses:
        yield f"  #   - {scalar(guess.event)}  # {guess.reason}"


def _features(guesses: Sequence[Guess]) -> Iterator[str]:
    fields = SignalDefinition.model_fields
    yield ""
    yield "# Features whose use tells customers apart: used by some accounts and not by others. Keep those"
    yield "# that make the product worth its price."
    yield "# key_features:"
    for guess in guesses:
        yield f"#   - {scalar(guess.event)}  # {guess.reason}"
    yield ""
    yield f"# {fields['higher_tier_features'].description}, so that its use counts as an attempt."
    yield "# higher_tier_features:"
    yield "#   sso: 2"
    yield ""
    for name in ("feature_property", "features", "excluded_events", "internal_accounts"):
        yield f"# {fields[name].description}."
        yield f"# {name}: {'plan_feature' if name == 'feature_property' else '[]'}"
    yield ""


def _other(guesses: Sequence[Guess]) -> Iterator[str]:
    if guesses:
        yield "# Events of which nothing is guessed:"
    for guess in guesses[:SHOWN]:
        yield f"#   {scalar(guess.event)}: {guess.reason}"
    if len(guesses) > SHOWN:
        yield f"#   and {len(guesses) - SHOWN} more"
    if guesses:
        yield ""


def _numbers(name: str, meaning: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"# {meaning}"
    yield f"{name}:"
    for field, of in model.model_fields.items():
        described = f"  # {of.description}" if of.description else ""
        yield f"  # {field}: {flow(of.default)}{described}"
    yield ""
