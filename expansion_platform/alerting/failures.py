"""Which failures of runs and checks are open, which of them are reported, and the message texts.

Here: pure functions from outcomes and states to new states and alerts. Not here: reading Dagster's runs
(`automation/run_outcomes.py`), posting (`slack.py`), alerts about figures (`domain/alerts/`).

A step that fails is one alert; a check that fails at severity ERROR in a step that succeeds is one of its
own, since its run is green. What still fails for the same reason is not reported again; another reason is
reported in its thread. It is over when a later run made the same assets for the same months: a success for
other months mends nothing. What is not kept by month is over at the next success.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from expansion_platform.alerting.limits import HEADER_LIMIT, SECTION_LIMIT, escape
from expansion_platform.domain.alerts.findings import fingerprint
from expansion_platform.domain.alerts.lifecycle import State
from expansion_platform.storage.ledger import Alert

Kind = Literal["step", "check", "run"]
RULES: dict[Kind, str] = {"step": "run_failure", "run": "run_failure", "check": "check_failure"}
SEVERITY = "warning"
SHOWN = 1500  # characters of a problem; the run's page has all of it


@dataclass(frozen=True)
class Extent:
    """Which assets (sorted `floor/table`), for which months; no months for what has none."""

    assets: tuple[str, ...] = ()
    first: str = ""
    last: str = ""

    def covers(self, other: Extent) -> bool:
        """Whether everything of the other is in it."""
        months = not other.first or (
            self.first != "" and self.first <= other.first and other.last <= self.last
        )
        return months and set(other.assets) <= set(self.assets)

    def joined(self, other: Extent) -> Extent:
        """Both, and the months between them."""
        first = min(filter(None, (self.first, other.first)), default="")
        return Extent(tuple(sorted({*self.assets, *other.assets})), first, max(self.last, other.last))

    @property
    def months(self) -> str:
        """`2026-08 to 2026-10`, one month, or nothing."""
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True)
class Outcome:
    """How one step, check or whole run ended.

    `at` is when its run did, in Unix seconds; `problem` is empty when it is well.
    """

    kind: Kind
    name: str
    run: str
    job: str
    at: float
    extent: Extent
    problem: str = ""

    @property
    def fingerprint(self) -> str:
        """Identity of the failing step, check or run: the same in every run."""
        return fingerprint(RULES[self.kind], self.kind, self.name)

    @property
    def key(self) -> str:
        """Key in the outbox: one alert for a run and step, or a run and check, however often it is read."""
        return fingerprint(RULES[self.kind], self.kind, self.name, self.run)


@dataclass(frozen=True)
class _Noted:
    """What a state remembers.

    When its run ended, a digest of the reported problem, and what has to be made before it is over.
    """

    at: float = 0.0
    problem: str = ""
    extent: Extent = Extent()

    @classmethod
    def of(cls, state: State | None) -> _Noted:
        if state is None or state.recovers_at is None:
            return cls()
        stored = json.loads(state.recovers_at)
        return cls(
            stored["at"],
            stored["problem"],
            Extent(tuple(stored["extent"]["assets"]), stored["extent"]["first"], stored["extent"]["last"]),
        )

    @property
    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def judge(
    found: Sequence[Outcome], states: Mapping[str, State], entries: Mapping[str, Alert], base_url: str
) -> tuple[list[State], list[Alert]]:
    """What finished runs change.

    Args:
        found: outcomes, oldest first. What failed and was mended within them is not reported at all; what was
            read before changes nothing.
        states: by fingerprint, as they were.
        entries: the outbox's alerts by key, whose message a recovery marks as over.
        base_url: of the Dagster UI.

    Returns:
        The states that moved, and the alerts for the outbox.
    """
    now, last = dict(states), {}
    for outcome in found:
        before = now.get(outcome.fingerprint)
        noted, firing = _Noted.of(before), before is not None and before.state == "firing"
        if outcome.at <= noted.at:
            continue
        if outcome.problem:
            extent = noted.extent.joined(outcome.extent) if firing else outcome.extent
            # What fails again before its recovery was reported continues under its first message.
            began = next(
                (
                    state
                    for state in (states.get(outcome.fingerprint), before)
                    if state is not None and state.state == "firing"
                ),
                None,
            )
            now[outcome.fingerprint] = _state(
                outcome, "firing", extent, outcome.key if began is None else began.entry
            )
        elif before is not None and firing and outcome.extent.covers(noted.extent):
            now[outcome.fingerprint] = _state(outcome, "ok", noted.extent, before.entry)
        else:
            continue
        last[outcome.fingerprint] = outcome
    alerts = [
        alert
        for identity, outcome in last.items()
        for alert in _alerts(outcome, states.get(identity), now[identity], entries, base_url)
    ]
    return [now[identity] for identity in last], alerts


def _alerts(
    outcome: Outcome, before: State | None, after: State, entries: Mapping[str, Alert], base_url: str
) -> list[Alert]:
    """Entry, update or recovery.

    Nothing while the same problem lasts, and nothing for one that began and ended unseen.
    """
    was_firing = before is not None and before.state == "firing"
    rule, month = RULES[outcome.kind], after.month
    entry = entries.get(str(after.entry))
    began = after.entry if entry is None or entry.thread is None else entry.thread

    def alert(key: str, event: str, message: dict[str, Any], thread: str | None) -> list[Alert]:
        return [Alert(key, rule, after.scope, month, SEVERITY, message, event=event, thread=thread)]

    if after.state == "firing" and not was_firing:
        return alert(str(after.entry), "entry", failed(outcome, base_url), None)
    if after.state == "firing" and _Noted.of(before).problem != _Noted.of(after).problem:
        return alert(outcome.key, "update", failed(outcome, base_url, again=True), began)
    if after.state == "ok" and was_firing:
        return alert(
            fingerprint(str(after.entry), "recovery"), "recovery", recovered(outcome, base_url, entry), began
        )
    return []


def failed(outcome: Outcome, base_url: str, *, again: bool = False) -> dict[str, Any]:
    """The message of a failure; `again` of one that goes on for another reason."""
    heading = f"{_what(outcome)} {'still fails, now for another reason' if again else 'failed'}"
    reason = outcome.problem if len(outcome.problem) <= SHOWN else f"{outcome.problem[: SHOWN - 1]}…"
    note = (
        f"Earlier figures stay. It is over when a run makes it{_of_months(outcome, ' for ')}."
        if outcome.kind == "step"
        else ""
    )
    text = escape(f"{heading}{_of_months(outcome)}: {reason}")
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": heading[:HEADER_LIMIT]}},
        _section(f"```{escape(reason).replace('```', '')}```"),
        {
            "type": "context",
            "elements": [_markdown(f"Job {escape(outcome.job)}{_of_months(outcome)}. {note}".strip())],
        },
        _button(outcome, base_url),
    ]
    return {"text": text, "blocks": blocks}


def recovered(outcome: Outcome, base_url: str, entry: Alert | None) -> dict[str, Any]:
    """The message of an end, with what the entry's message becomes."""
    text = escape(f"{_what(outcome)} is well again{_of_months(outcome)}.")
    message: dict[str, Any] = {"text": text, "blocks": [_section(text), _button(outcome, base_url)]}
    if entry is not None:
        blocks = [_section(f"*Resolved.* {text}"), *entry.message.get("blocks", [])]
        message["entry"] = {"key": entry.key, "text": f"Resolved. {entry.message['text']}", "blocks": blocks}
    return message


def _what(outcome: Outcome) -> str:
    return {
        "step": f"Step {outcome.name}",
        "check": f"Check {outcome.name}",
        "run": f"Run of {outcome.name}",
    }[outcome.kind]


def _of_months(outcome: Outcome, before: str = ", ") -> str:
    return f"{before}{outcome.extent.months}" if outcome.extent.months else ""


def _button(outcome: Outcome, base_url: str) -> dict[str, Any]:
    button = {
        "type": "button",
        "text": {"type": "plain_text", "text": "Open the run"},
        "url": f"{base_url}/runs/{outcome.run}",
    }
    return {"type": "actions", "elements": [button]}


def _state(outcome: Outcome, state: Literal["ok", "firing"], extent: Extent, entry: str | None) -> State:
    noted = _Noted(outcome.at, fingerprint(outcome.problem) if outcome.problem else "", extent)
    month = f"{datetime.fromtimestamp(outcome.at, UTC):%Y-%m}"
    return State(
        outcome.fingerprint,
        RULES[outcome.kind],
        outcome.name[:100],
        state,
        month,
        SEVERITY,
        recovers_at=noted.text,
        entry=entry,
    )


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(text)}


def _markdown(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text[:SECTION_LIMIT]}
