"""Emptying the outbox into every channel, each with a state of its own.

Here: what a channel is, which ones the settings describe, delivering to each. Not here: the channels
(`slack.py`, `apprise_channel.py`), which alerts exist (`storage/ledger/`).
"""

from __future__ import annotations

from typing import Any, Protocol

from expansion_platform.alerting.apprise_channel import apprise_channels
from expansion_platform.alerting.slack import slack
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.settings import Settings
from expansion_platform.storage.ledger import Alert, Ledger

BATCH = 20


class Notifier(Protocol):
    """Something that takes messages and returns the channel's id of each, or raises ExpansionError.

    `name` is its name in the ledger.
    """

    @property
    def name(self) -> str:
        """Its name in the ledger; holds no secret."""

    def post(self, alert: Alert, thread: str | None = None) -> str | None:
        """Posts one alert, as a reply where the channel has threads."""

    def find(self, alert: Alert, thread: str | None = None) -> str | None:
        """The message an alert was posted as; None when there is none, or the channel cannot be searched."""

    def replace(self, posted_as: str, alert: Alert, message: dict[str, Any]) -> None:
        """Changes a message posted for an alert, where the channel can."""


def channels(settings: Settings) -> list[Notifier]:
    """Every channel the settings describe.

    Raises:
        ConfigurationError: one of them cannot be.
    """
    first = slack(settings)
    return [*([] if first is None else [first]), *apprise_channels(settings)]


def deliver(ledger: Ledger, *into: Notifier, limit: int = BATCH) -> list[Alert]:
    """Posts pending alerts into each channel, oldest first.

    Each is marked as taken only after the channel's answer. Returns those a channel took.

    An attempt is noted before it is made. One that left no word of how it ended may have been taken, so the
    message is looked for by its key before it is posted again: once where the channel can be searched, at
    worst twice where it cannot, never zero times. A channel that fails keeps its alerts for the next time and
    holds no other channel up.

    Raises:
        ExpansionError: what channels did not take, after all were tried.
    """
    sent: dict[str, Alert] = {}
    problems = []
    for channel in into:
        for alert in ledger.alerts.undelivered(channel.name, limit):
            try:
                posted_as = _deliver(ledger, channel, alert)
            except ExpansionError as error:
                ledger.alerts.mark_failed(alert.key, str(error), channel.name)
                problems.append(str(error))
                break
            ledger.alerts.mark_sent(alert.key, posted_as, channel.name)
            sent[alert.key] = alert
    ledger.alerts.settle(channel.name for channel in into)
    if problems:
        raise ExpansionError("; ".join(problems))
    return list(sent.values())


def _deliver(ledger: Ledger, channel: Notifier, alert: Alert) -> str | None:
    began = None if alert.thread is None else ledger.alerts.get(alert.thread, channel.name)
    thread = None if began is None else began.posted_as
    ledger.alerts.mark_attempt(alert.key, channel.name)
    posted_as = channel.find(alert, thread) if alert.attempts else None
    if posted_as is None:
        posted_as = channel.post(alert, thread)
    resolved = alert.message.get("entry")
    entry = None if resolved is None else ledger.alerts.get(resolved["key"], channel.name)
    if resolved is not None and entry is not None and entry.posted_as is not None:
        channel.replace(entry.posted_as, entry, resolved)
    return posted_as
