"""Many alerts that begin at once: one message in the channel, the others in its thread, nothing lost (fault
51).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from expansion_platform.alerting.failures import Extent, Outcome, judge
from expansion_platform.alerting.group_alerts import FEW, NAMED, group_alerts
from expansion_platform.alerting.outbox import deliver
from expansion_platform.alerting.slack import SlackBot
from expansion_platform.simulator.servers.slack import SlackServer
from expansion_platform.storage.ledger import Alert, Ledger

ALERT = Alert(
    "key", "run_failure", "step", "2026-10", "warning", {"text": "Step a failed: no disk", "blocks": []}
)


def alerts(count: int) -> list[Alert]:
    return [
        replace(
            ALERT, key=f"key-{number:03}", message={"text": f"Step {number:03} failed: no disk", "blocks": []}
        )
        for number in range(count)
    ]


def outcomes(count: int, *, problem: str, at: float) -> list[Outcome]:
    return [
        Outcome(
            "step", f"step_{number:03}", f"run {at}", "monthly_refresh", at, Extent(("mrr/causes",)), problem
        )
        for number in range(count)
    ]


def test_a_few_stand_for_themselves() -> None:
    assert group_alerts(alerts(FEW)) == alerts(FEW)


def test_what_ends_or_replies_is_no_beginning() -> None:
    told = [
        *alerts(FEW),
        replace(ALERT, key="over", event="recovery", thread="earlier"),
        replace(ALERT, key="reply", thread="earlier"),
    ]
    assert group_alerts(told) == told


def test_many_are_listed_worst_first_and_counted() -> None:
    told = alerts(NAMED + 3)
    worst = replace(
        told[-1], severity="critical", message={"text": f"Segment {'x ' * 400}&lt;b&gt;", "blocks": []}
    )
    above, *below = group_alerts([*told[:-1], worst])
    lines = above.message["text"].splitlines()
    assert lines[0] == "Critical: 13 alerts at once, 2026-10"
    assert lines[1].startswith("• Segment x x") and lines[1].endswith("…") and len(lines[1]) < 210
    assert lines[-1] == "+ 3 more"
    assert len(lines) == NAMED + 2
    assert {alert.thread for alert in below} == {above.key}
    assert [alert.key for alert in below] == [alert.key for alert in told]


def test_two_hundred_failures_are_one_message_in_the_channel_and_each_ends_in_its_thread(
    tmp_path: Path,
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with SlackServer() as server:
        bot = SlackBot("xoxb-test", "C1", server.api_url)

        def told(found: list[Outcome]) -> None:
            states = ledger.alerts.states()
            entries = {
                alert.key: alert
                for state in states.values()
                if (alert := ledger.alerts.get(str(state.entry))) is not None
            }
            judged, new = judge(found, states, entries, "http://localhost:3000")
            ledger.alerts.record(judged, group_alerts(new))
            while deliver(ledger, bot):
                pass

        told(outcomes(200, problem="no disk", at=1.0))
        (above,) = [message for message in server.messages if message.thread is None]
        assert above.text.startswith("Warning: 200 alerts at once") and above.text.endswith("+ 190 more")
        assert len(server.messages) == 201
        told(outcomes(1, problem="no memory", at=2.0))  # goes on for another reason
        told(outcomes(200, problem="", at=3.0))
        assert [message for message in server.messages if message.thread is None] == [above]
        assert {message.thread for message in server.messages} == {None, above.ts}
        assert len(server.messages) == 201 + 1 + 200
        assert sum(message.text.startswith("Resolved. ") for message in server.messages) == 200
