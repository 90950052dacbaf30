"""From findings to messages: states that begin once, report progress, and end (semantics 5.6).

Here: the state machine. Not here: where states are kept (`storage/ledger/`), the words
(`alerting/messages.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from expansion_platform.domain.alerts.findings import SEVERITIES, Finding, fingerprint

CLEAR_MONTHS = {"below_target": 2}
"""Closed months running that must be well before it is over; one for every other rule."""
SLICE_SHARE = Fraction(3, 10)
Event = Literal["entry", "update", "worse", "recovery"]


@dataclass(frozen=True)
class State:
    """Where one fingerprint stands after the last month it was judged in.

    `recovers_at` and `baseline` are frozen at entry, as exact text.

    `baseline` is that of the expansion rate; None where something else is measured, such as a segment's
    organic net rate.
    """

    fingerprint: str
    rule: str
    scope: str
    state: Literal["ok", "pending", "firing"]
    month: str
    severity: str = "info"
    since: str | None = None
    recovers_at: str | None = None
    baseline: str | None = None
    clear_months: int = 0
    entry: str | None = None
    """Key of the alert that reported the entry: its message is the thread of those that follow."""


@dataclass(frozen=True)
class Notice:
    """Something to report: an event of a finding, in the state it leads to."""

    event: Event
    finding: Finding
    state: State

    @property
    def key(self) -> str:
        """Key in the outbox: one message per fingerprint and month, however often it is run."""
        return fingerprint(self.finding.fingerprint, self.finding.month)


def advance(findings: Sequence[Finding], states: Mapping[str, State]) -> tuple[list[State], list[Notice]]:
    """The states after a month, and what to report of it.

    Args:
        findings: of one month. A fingerprint without a finding keeps its state: a missing or gated month
            changes nothing.
        states: by fingerprint, as they were. One that was judged in this month or a later one is left alone,
            so nothing is judged twice.

    Returns:
        The states that were judged, and their notices.
    """
    silent = _silent(findings, states)
    judged, notices = [], []
    for finding in findings:
        before = states.get(finding.fingerprint)
        if before is not None and before.month >= finding.month:
            continue
        after, event = step(before, finding, silent=finding.fingerprint in silent)
        judged.append(after)
        if event is not None:
            notices.append(Notice(event, finding, after))
    return judged, notices


def step(before: State | None, finding: Finding, *, silent: bool = False) -> tuple[State, Event | None]:
    """One fingerprint's next state, and what to report of it.

    Args:
        before: None when it was never judged.
        finding: of a later month.
        silent: another message reports it; it does not begin.
    """
    quiet = State(finding.fingerprint, finding.rule, finding.scope, "ok", finding.month)
    if before is None or before.state != "firing":
        if finding.outcome == "fires" and not silent:
            entered = replace(
                quiet,
                state="firing",
                severity=finding.severity,
                since=finding.month,
                recovers_at=str(finding.recovers_at),
                baseline=None
                if finding.drop is None or finding.figures.get("by_net")
                else str(finding.drop.baseline),
            )
            return replace(entered, entry=fingerprint(finding.fingerprint, finding.month)), "entry"
        return replace(quiet, state="ok" if finding.outcome == "clear" else "pending"), None
    limit = Fraction(before.recovers_at or 0)
    amount = measured(finding, before)
    clear = amount >= limit if finding.falling else amount <= limit
    clear_months = before.clear_months + 1 if clear else 0
    if clear_months >= CLEAR_MONTHS.get(finding.rule, 1):
        return replace(
            quiet,
            since=before.since,
            recovers_at=before.recovers_at,
            baseline=before.baseline,
            entry=before.entry,
        ), "recovery"
    # Only a finding that fires is graded: what lingers between firing and recovered keeps its severity.
    worse = finding.outcome == "fires" and SEVERITIES.index(finding.severity) > SEVERITIES.index(
        before.severity
    )
    severity = finding.severity if worse else before.severity
    return replace(
        before, month=finding.month, clear_months=clear_months, severity=severity
    ), "worse" if worse else "update"


def measured(finding: Finding, state: State) -> Fraction:
    """What a state's limit is compared with.

    What was measured when it began, also in a month in which the segment's other test finds more.
    """
    if (
        finding.drop is None
        or "by_net" not in finding.figures
        or bool(finding.figures["by_net"]) == (state.baseline is None)
    ):
        return finding.measured
    return Fraction(finding.figures["net_rate"]) if state.baseline is None else finding.drop.rate


def _silent(findings: Sequence[Finding], states: Mapping[str, State]) -> set[str]:
    """Fingerprints that do not begin while the total's drop is being reported.

    A segment or pricing model with less than 30 % of the total's shortfall is a line among the drop's drivers
    (semantics 5.6), and the total's missed target a figure of its message.
    """
    total = next(
        (finding for finding in findings if finding.rule == "rate_drop" and finding.dimension == "total"),
        None,
    )
    if total is None:
        return set()
    before = states.get(total.fingerprint)
    firing = total.outcome == "fires" or (
        before is not None and before.state == "firing" and step(before, total)[0].state == "firing"
    )
    if not firing:
        return set()
    return {
        finding.fingerprint
        for finding in findings
        if (finding.rule == "segment_deterioration" and finding.shortfall < SLICE_SHARE * total.shortfall)
        or (finding.rule == "below_target" and finding.dimension == "total")
    }
