"""Many alerts that begin at once, as one message in the channel and the rest in its thread.

Here: when they are many, and the message above them. Not here: the text of each (`messages.py`,
`failures.py`), posting (`outbox.py`).

A database that is away fails every step of a run: forty messages say less than one that names the first and
counts the others. Each stays an alert of its own, with its update and its end. A channel without threads gets
each of them, at the pace of the outbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from expansion_platform.alerting.limits import HEADER_LIMIT, SECTION_LIMIT
from expansion_platform.domain.alerts.findings import SEVERITIES, fingerprint
from expansion_platform.storage.ledger import Alert

FEW = 5  # alerts that begin at once and stand for themselves
NAMED = 10
LINE = 200  # characters of an alert in the list; its own message has all of it


def group_alerts(alerts: Sequence[Alert]) -> list[Alert]:
    """The alerts, grouped where more than `FEW` begin no thread's reply.

    Those are then replies to one that lists them.
    """
    begun = [alert for alert in alerts if alert.event == "entry" and alert.thread is None]
    if len(begun) <= FEW:
        return list(alerts)
    worst_first = sorted(begun, key=lambda alert: -SEVERITIES.index(alert.severity))
    key = fingerprint("together", *sorted(alert.key for alert in begun))
    above = replace(worst_first[0], key=key, scope="several", message=_message(worst_first))
    return [above, *(replace(alert, thread=above.key) if alert in begun else alert for alert in alerts)]


def _message(begun: Sequence[Alert]) -> dict[str, Any]:
    heading = f"{begun[0].severity.capitalize()}: {len(begun)} alerts at once, {begun[0].month}"
    lines = [f"• {_short(alert.message['text'])}" for alert in begun[:NAMED]]
    lines += [f"+ {len(begun) - NAMED} more"] if len(begun) > NAMED else []
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": heading[:HEADER_LIMIT]}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)[:SECTION_LIMIT]}},
        {
            "type": "context",
            "elements": [{"type": "mrkdwn", "text": "Each alert is in this thread, and later its end too."}],
        },
    ]
    return {"text": "\n".join([heading, *lines]), "blocks": blocks}


def _short(text: str) -> str:
    """The first line, cut at a space: an escaped character has none within."""
    line = text.splitlines()[0]
    return line if len(line) <= LINE else f"{line[:LINE].rpartition(' ')[0]} …"
