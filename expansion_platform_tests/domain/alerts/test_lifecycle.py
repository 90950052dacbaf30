"""States over months: once in, told of each month, out with a margin, and never twice for one month."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from expansion_platform.domain.alerts import rules
from expansion_platform.domain.alerts.findings import Finding, Outcome
from expansion_platform.domain.alerts.lifecycle import State, advance, step
from expansion_platform.domain.core import months
from expansion_platform_tests.domain.alerts.books import MONTH, steady

FIRST = "2026-01"


def finding(
    month: str,
    rate: int,
    outcome: Outcome,
    *,
    rule: str = "rate_drop",
    scope: tuple[str, str] = ("total", "all"),
    **more: object,
) -> Finding:
    """A finding with a rate in hundredths of a percent; its own baseline would be over at 1.80 %."""
    return Finding(
        rule,
        *scope,
        month,
        outcome=outcome,
        severity=str(more.get("severity", "warning")),
        measured=Fraction(rate, 10_000),
        recovers_at=Fraction(int(str(more.get("over", 180))), 10_000),
        shortfall=int(str(more.get("shortfall", 100))),
    )


def told(*findings: Finding) -> list[str | None]:
    """The event of each month, one finding a month."""
    states: dict[str, State] = {}
    events = []
    for one in findings:
        judged, notices = advance([one], states)
        states |= {state.fingerprint: state for state in judged}
        events.append(notices[0].event if notices else None)
    return events


def test_it_enters_once_tells_each_month_and_ends_with_a_margin() -> None:
    """Fired under 1.50 %; 1.70 % is above that and still under 1.80 %, so it lingers."""
    calendar = months.between(FIRST, "2026-06")
    rates: list[tuple[int, Outcome]] = [
        (200, "clear"),
        (100, "fires"),
        (140, "fires"),
        (170, "clear"),
        (180, "clear"),
        (170, "clear"),
    ]
    assert told(*(finding(month, *rate) for month, rate in zip(calendar, rates, strict=True))) == [
        None,
        "entry",
        "update",
        "update",
        "recovery",
        None,
    ]


def test_the_limit_is_frozen_at_entry() -> None:
    """Bad months pull the rolling baseline down to the rate; that is no recovery."""
    assert told(finding("2026-01", 100, "fires"), finding("2026-02", 100, "clear", over=90)) == [
        "entry",
        "update",
    ]


def test_it_may_enter_again_after_it_ended() -> None:
    assert told(
        finding("2026-01", 100, "fires"), finding("2026-02", 190, "clear"), finding("2026-03", 90, "fires")
    ) == ["entry", "recovery", "entry"]


def test_what_gets_worse_is_told_at_once_and_stays_so() -> None:
    events = told(
        finding("2026-01", 100, "fires"),
        finding("2026-02", 50, "fires", severity="critical"),
        finding("2026-03", 50, "fires", severity="critical"),
        finding("2026-04", 120, "fires"),
        finding("2026-05", 50, "fires", severity="critical"),
    )
    assert events == ["entry", "worse", "update", "update", "update"]


def test_what_lingers_is_not_graded() -> None:
    assert told(finding("2026-01", 100, "fires"), finding("2026-02", 170, "clear", severity="critical")) == [
        "entry",
        "update",
    ]


def test_a_month_is_judged_once() -> None:
    first = finding("2026-02", 200, "clear")
    judged, _ = advance([first], {})
    states = {state.fingerprint: state for state in judged}
    for restated in (finding("2026-02", 50, "fires"), finding("2026-01", 50, "fires")):
        assert advance([restated], states) == ([], [])


def test_a_month_that_is_not_judged_changes_nothing() -> None:
    judged, _ = advance([finding("2026-01", 100, "fires")], {})
    states = {state.fingerprint: state for state in judged}
    assert advance([], states) == ([], [])
    _, notices = advance([finding("2026-03", 190, "clear")], states)
    assert [notice.event for notice in notices] == ["recovery"]


def test_a_missed_target_is_over_after_two_good_months_running() -> None:
    calendar = months.between(FIRST, "2026-07")
    rates: list[tuple[int, Outcome]] = [
        (100, "pending"), (100, "fires"), (190, "clear"), (170, "pending"), (190, "clear"), (190, "clear"),
        (100, "pending"),
    ]  # fmt: skip
    findings = [
        finding(month, *rate, rule="below_target") for month, rate in zip(calendar, rates, strict=True)
    ]
    assert told(*findings) == [None, "entry", "update", "update", "update", "recovery", None]


def test_rising_is_bad_where_high_is() -> None:
    first = replace(finding("2026-01", 500, "fires", rule="mix_shift"), falling=False)
    events = told(
        first,
        replace(first, month="2026-02", measured=Fraction(181, 10_000)),
        replace(first, month="2026-03", measured=Fraction(180, 10_000)),
    )
    assert events == ["entry", "update", "recovery"]


SMB = ("segment", "smb")


def entered(*findings: Finding) -> list[tuple[str, str]]:
    _, notices = advance(list(findings), {})
    return [(notice.finding.rule, notice.event) for notice in notices]


def test_the_totals_drop_tells_of_small_segments_and_of_the_target() -> None:
    total = finding(FIRST, 100, "fires", shortfall=1000)
    segment = finding(FIRST, 100, "fires", rule="segment_deterioration", scope=SMB, shortfall=299)
    target = finding(FIRST, 100, "fires", rule="below_target")
    assert entered(total, segment, target) == [("rate_drop", "entry")]
    assert entered(total, replace(segment, shortfall=300)) == [
        ("rate_drop", "entry"),
        ("segment_deterioration", "entry"),
    ]
    calm = replace(total, outcome="clear", measured=Fraction(2, 100))
    assert entered(calm, segment, target) == [("segment_deterioration", "entry"), ("below_target", "entry")]


def test_the_totals_drop_tells_of_small_pricing_models_too() -> None:
    total = finding(FIRST, 100, "fires", shortfall=1000)
    model = finding(
        FIRST, 100, "fires", rule="segment_deterioration", scope=("pricing_model", "seat"), shortfall=299
    )
    assert entered(total, model) == [("rate_drop", "entry")]
    assert entered(total, replace(model, shortfall=300)) == [
        ("rate_drop", "entry"),
        ("segment_deterioration", "entry"),
    ]
    calm = replace(total, outcome="clear", measured=Fraction(2, 100))
    assert entered(model) == entered(calm, model) == [("segment_deterioration", "entry")]


def test_what_was_silent_enters_once_the_total_has_recovered() -> None:
    states: dict[str, State] = {}
    events = []
    for month, rate in zip(months.between(FIRST, "2026-03"), (100, 170, 190), strict=True):
        total = finding(month, rate, "fires" if rate == 100 else "clear", shortfall=1000)
        judged, notices = advance([total, finding(month, 100, "fires", rule="below_target")], states)
        states |= {state.fingerprint: state for state in judged}
        events.append([(notice.finding.rule, notice.event) for notice in notices])
    assert events == [
        [("rate_drop", "entry")],
        [("rate_drop", "update")],
        [("rate_drop", "recovery"), ("below_target", "entry")],
    ]


def test_the_entry_is_remembered_through_to_the_recovery() -> None:
    _, (entry,) = advance([finding("2026-01", 100, "fires")], {})
    state, event = step(entry.state, finding("2026-02", 190, "clear"))
    assert (event, state.state, state.entry, state.since) == ("recovery", "ok", entry.key, "2026-01")
    again, event = step(state, finding("2026-03", 90, "fires"))
    assert event == "entry"
    assert again.entry != entry.key


def segment(month: str, rate: int, net: int, *, by_net: bool) -> Finding:
    """A segment's rate and organic net rate in hundredths of a percent: over at 1.80 % and at -1.00 %."""
    base = steady(200, 0.1)
    drop = rules.drop_of(base, MONTH, ("segment", "smb"), "seed")
    assert drop is not None
    figures: dict[str, Fraction | int | str] = {"net_rate": Fraction(net, 10_000), "by_net": int(by_net)}
    found = finding(
        month,
        net if by_net else rate,
        "fires",
        rule="segment_deterioration",
        scope=("segment", "smb"),
        over=-100 if by_net else 180,
    )
    return replace(found, drop=replace(drop, rate=Fraction(rate, 10_000)), figures=figures)


def test_a_segment_recovers_by_what_it_was_found_by() -> None:
    """Found by its organic net rate: an expansion rate of 1.00 % is above that limit and says nothing of it.
    And the other way round.
    """
    entry, still, over = (
        segment(month, 100, net, by_net=by_net)
        for month, net, by_net in (("2026-01", -400, True), ("2026-02", -300, False), ("2026-03", -90, False))
    )
    assert told(entry, still, over) == ["entry", "update", "recovery"]
    entry, still, over = (
        segment(month, rate, -400, by_net=by_net)
        for month, rate, by_net in (("2026-01", 100, False), ("2026-02", 170, True), ("2026-03", 180, True))
    )
    assert told(entry, still, over) == ["entry", "update", "recovery"]
