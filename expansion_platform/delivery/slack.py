"""Posting alerts to Slack, by bot token or incoming webhook, and emptying the outbox.

Here: the two ways to post, with bounded retries. Not here: what is posted (`messages.py`), which alerts exist (`storage/ledger.py`).
An alert is marked sent only after Slack took it: at least once, never zero times.
"""

from __future__ import annotations

from typing import Any, Protocol

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler, ServerErrorRetryHandler
from slack_sdk.webhook import WebhookClient

from expansion_platform.domain.errors import ConfigurationError, ExpansionError
from expansion_platform.settings import Settings
from expansion_platform.storage.ledger import Alert, Ledger

TIMEOUT_SECONDS = 10
RETRIES = 2  # of a 429 (waits as told) or a 5xx; a dropped connection is not retried here, since Slack may have taken the message
BATCH = 20


class Notifier(Protocol):
    """Something that takes an alert and returns the channel's id of the posted message, or raises ExpansionError."""

    def post(self, alert: Alert) -> str | None:
        """Posts one alert."""


class SlackBot:
    """Posts with a bot token (chat:write); each message carries the alert's key as metadata."""

    def __init__(self, token: str, channel: str, base_url: str | None = None) -> None:
        self._channel = channel
        options: dict[str, Any] = {"base_url": base_url.rstrip("/") + "/"} if base_url else {}
        self._client = WebClient(token=token, timeout=TIMEOUT_SECONDS, retry_handlers=_handlers(), **options)

    def post(self, alert: Alert) -> str | None:
        """Posts one alert; returns Slack's `ts`."""
        try:
            answer = self._client.chat_postMessage(
                channel=self._channel,
                text=alert.message["text"],
                blocks=alert.message.get("blocks"),
                metadata={"event_type": "expansion_alert", "event_payload": {"key": alert.key}},
                unfurl_links=False,
            )
        except SlackApiError as error:
            raise ExpansionError(f"Slack refused the alert: {error.response.get('error', error.response.status_code)}") from error
        except (SlackClientError, OSError) as error:
            raise ExpansionError(f"Slack could not be reached: {error}") from error
        return str(answer["ts"])


class SlackWebhook:
    """Posts to an incoming webhook URL."""

    def __init__(self, url: str) -> None:
        self._client = WebhookClient(url, timeout=TIMEOUT_SECONDS, retry_handlers=_handlers())

    def post(self, alert: Alert) -> str | None:
        """Posts one alert. The webhook client never raises on a bad status, so the status is looked at."""
        try:
            answer = self._client.send(text=alert.message["text"], blocks=alert.message.get("blocks"))
        except OSError as error:
            raise ExpansionError(f"Slack could not be reached: {error}") from error
        if answer.status_code != 200:
            raise ExpansionError(f"Slack refused the alert: {answer.status_code} {answer.body[:200]}")
        return None


def notifier(settings: Settings) -> Notifier | None:
    """The channel the settings describe; None when there is none.

    Raises:
        ConfigurationError: a bot token without a channel.
    """
    if settings.slack_bot_token is not None:
        if not settings.slack_channel:
            raise ConfigurationError("SLACK_BOT_TOKEN is set but SLACK_CHANNEL is not: name the channel to post to")
        return SlackBot(settings.slack_bot_token.get_secret_value(), settings.slack_channel, settings.slack_api_base)
    if settings.slack_webhook_url is not None:
        return SlackWebhook(settings.slack_webhook_url.get_secret_value())
    return None


def deliver(ledger: Ledger, channel: Notifier, limit: int = BATCH) -> list[Alert]:
    """Posts pending alerts, oldest first, and marks each sent after the channel took it. Returns those sent.

    Raises:
        ExpansionError: the first one the channel did not take; it and those after it stay pending.
    """
    sent = []
    for alert in ledger.alerts("pending", limit):
        try:
            posted_as = channel.post(alert)
        except ExpansionError as error:
            ledger.mark_failed(alert.key, str(error))
            raise
        ledger.mark_sent(alert.key, posted_as)
        sent.append(alert)
    return sent


def _handlers() -> list[Any]:
    return [RateLimitErrorRetryHandler(max_retry_count=RETRIES), ServerErrorRetryHandler(max_retry_count=RETRIES)]
