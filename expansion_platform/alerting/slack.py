"""Posting alerts to Slack, by bot token or incoming webhook.

Here: the two ways to post, with bounded retries. Not here: what is posted (`messages.py`), emptying the
outbox (`outbox.py`), other channels (`apprise_channel.py`).
"""

from __future__ import annotations

import logging
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler, ServerErrorRetryHandler
from slack_sdk.webhook import WebhookClient

from expansion_platform.alerting.chart import drawn
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.settings import Settings
from expansion_platform.storage.ledger import SLACK, Alert

_log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
ALT_TEXT_LIMIT = 1000
# Of a 429 (waits as long as Slack asks) or a 5xx; a dropped connection is not retried here, since Slack may
# have taken the message.
RETRIES = 2
HISTORY_LIMIT = 200  # messages looked through for a key; a lost answer is a minute old when it is looked for
# Posting again is better than not at all.
CANNOT_SEARCH = {"missing_scope", "not_in_channel", "channel_not_found", "thread_not_found"}
DATA_RULES = {"data_quality", "run_failure", "check_failure"}  # posted where people look after data
CANNOT_SHOW = {
    "invalid_blocks",
    "msg_blocks_too_long",
}  # Slack has an undocumented limit of about 13,200 characters, too: the text alone says what fell
CANNOT_CHANGE = {
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "channel_not_found",
    "missing_scope",
}


class SlackBot:
    """Posts with a bot token (chat:write; files:write for charts).

    Each message carries the alert's key as metadata, by which it is found again (channels:history).
    """

    name = SLACK

    def __init__(
        self, token: str, channel: str, base_url: str | None = None, data_channel: str | None = None
    ) -> None:
        self._channel = channel
        self._data_channel = data_channel or channel
        options: dict[str, Any] = {"base_url": base_url.rstrip("/") + "/"} if base_url else {}
        self._client = WebClient(token=token, timeout=TIMEOUT_SECONDS, retry_handlers=_handlers(), **options)

    def post(self, alert: Alert, thread: str | None = None) -> str | None:
        """Posts one alert and its chart; returns Slack's `ts`.

        What got worse shows in the channel too, beside its thread.
        """
        answer = self._say(
            self._client.chat_postMessage,
            alert.message,
            channel=self._channel_of(alert),
            metadata={"event_type": "expansion_alert", "event_payload": {"key": alert.key}},
            unfurl_links=False,
            **({"thread_ts": thread, "reply_broadcast": alert.event == "worse"} if thread else {}),
        )
        if chart := alert.message.get("chart"):
            self._illustrate(chart, alert, str(answer["channel"]), thread or str(answer["ts"]))
        return str(answer["ts"])

    def _illustrate(self, chart: dict[str, Any], alert: Alert, channel: str, thread: str) -> None:
        """Puts the chart into the thread.

        It is tried once, and a failure is only logged: the message has been taken, and says everything.
        """
        picture = drawn(chart)
        if picture is None:
            return
        try:
            self._client.files_upload_v2(
                content=picture,
                filename=f"expansion-{alert.month}.png",
                title=f"Expansion rate, {chart['scope']}, to {alert.month}",
                alt_txt=alert.message["text"][:ALT_TEXT_LIMIT],
                channel=channel,
                thread_ts=thread,
            )
        except (SlackApiError, SlackClientError, OSError) as error:
            _log.warning("the chart of the alert of %s was not uploaded: %s", alert.month, error)

    def find(self, alert: Alert, thread: str | None = None) -> str | None:
        """The `ts` of the message that carries the alert's key.

        It is looked for among the newest of the channel or its thread.
        """
        among: dict[str, Any] = {
            "channel": self._channel_of(alert),
            "include_all_metadata": True,
            "limit": HISTORY_LIMIT,
        }
        try:
            answer = (
                self._call(self._client.conversations_replies, ts=thread, **among)
                if thread
                else self._call(self._client.conversations_history, **among)
            )
        except _RefusedError as refused:
            if refused.reason in CANNOT_SEARCH:
                return None
            raise
        payloads = (
            (message, (message.get("metadata") or {}).get("event_payload") or {})
            for message in answer["messages"]
        )
        return next(
            (str(message["ts"]) for message, payload in payloads if payload.get("key") == alert.key), None
        )

    def replace(self, posted_as: str, alert: Alert, message: dict[str, Any]) -> None:
        """Changes a message.

        One that is gone or may not be changed is left: the reply in its thread says the same.
        """
        try:
            self._say(self._client.chat_update, message, channel=self._channel_of(alert), ts=posted_as)
        except _RefusedError as refused:
            if refused.reason not in CANNOT_CHANGE:
                raise

    def _channel_of(self, alert: Alert) -> str:
        return self._data_channel if alert.rule in DATA_RULES else self._channel

    def _say(self, method: Any, message: dict[str, Any], **arguments: Any) -> Any:
        """A message with its blocks.

        Its text alone where Slack cannot show them, so that no alert waits for ever and none behind it.
        """
        try:
            return self._call(method, text=message["text"], blocks=message.get("blocks"), **arguments)
        except _RefusedError as refused:
            if refused.reason not in CANNOT_SHOW or not message.get("blocks"):
                raise
            _log.warning(
                "Slack cannot show the blocks of an alert (%s): its text was sent alone", refused.reason
            )
            return self._call(method, text=message["text"], blocks=[], **arguments)

    def _call(self, method: Any, **arguments: Any) -> Any:
        try:
            return method(**arguments)
        except SlackApiError as error:
            raise _RefusedError(str(error.response.get("error", error.response.status_code))) from error
        except (SlackClientError, OSError) as error:
            raise ExpansionError(f"Slack could not be reached: {error}") from error


class _RefusedError(ExpansionError):
    """Slack answered that it did not."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Slack refused the alert: {reason}")


class SlackWebhook:
    """Posts to an incoming webhook URL: no threads, nothing is found again or changed."""

    name = SLACK

    def __init__(self, url: str) -> None:
        self._client = WebhookClient(url, timeout=TIMEOUT_SECONDS, retry_handlers=_handlers())

    def post(self, alert: Alert, thread: str | None = None) -> str | None:
        """Posts one alert. The webhook client never raises on a bad status, so the status is looked at."""
        answer = self._send(text=alert.message["text"], blocks=alert.message.get("blocks"))
        if answer.body in CANNOT_SHOW and alert.message.get("blocks"):
            _log.warning(
                "Slack cannot show the blocks of an alert (%s): its text was sent alone", answer.body
            )
            answer = self._send(text=alert.message["text"])
        if answer.status_code != 200:
            raise ExpansionError(f"Slack refused the alert: {answer.status_code} {answer.body[:200]}")
        return None

    def _send(self, **message: Any) -> Any:
        try:
            return self._client.send(**message)
        except OSError as error:
            raise ExpansionError(f"Slack could not be reached: {error}") from error

    def find(self, alert: Alert, thread: str | None = None) -> str | None:
        """A webhook cannot look."""
        return None

    def replace(self, posted_as: str, alert: Alert, message: dict[str, Any]) -> None:
        """A webhook cannot change anything."""


def slack(settings: Settings) -> SlackBot | SlackWebhook | None:
    """Slack as the settings describe it; None when there is none.

    Raises:
        ConfigurationError: a bot token without a channel.
    """
    if settings.slack_bot_token is not None:
        if not settings.slack_channel:
            raise ConfigurationError(
                "SLACK_BOT_TOKEN is set but SLACK_CHANNEL is not: name the channel to post to"
            )
        token = settings.slack_bot_token.get_secret_value()
        return SlackBot(token, settings.slack_channel, settings.slack_api_base, settings.slack_data_channel)
    if settings.slack_webhook_url is not None:
        return SlackWebhook(settings.slack_webhook_url.get_secret_value())
    return None


def _handlers() -> list[Any]:
    return [
        RateLimitErrorRetryHandler(max_retry_count=RETRIES),
        ServerErrorRetryHandler(max_retry_count=RETRIES),
    ]
