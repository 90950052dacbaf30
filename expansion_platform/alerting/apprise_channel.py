"""Every channel but Slack (e-mail, Teams, PagerDuty, ...), through the library apprise.

Plain text, one channel a URL.

Here: posting by apprise, and a message as plain text. Not here: what a message says (`messages.py`,
`failures.py`). Apprise is an extra.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from html import unescape
from typing import Any

from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.settings import Settings
from expansion_platform.storage.ledger import Alert

TITLE_LIMIT = 120
KINDS = {"info": "info", "warning": "warning", "critical": "failure"}
"""Severity to apprise's kind of notice; a recovery is a `success`."""


class AppriseChannel:
    """Posts to one of apprise's services: no threads, nothing is found again or changed.

    Its name is a digest of its URL, which may hold a key.
    """

    def __init__(self, service: Any) -> None:
        self._service = service
        self.name = f"apprise:{hashlib.sha256(service.url().encode()).hexdigest()[:16]}"

    def post(self, alert: Alert, thread: str | None = None) -> str | None:
        """Posts one alert. Apprise logs why a service did not take it and says only that it did not."""
        title, body = plain(alert.message)
        kind = "success" if alert.event == "recovery" else KINDS[alert.severity]
        try:
            taken = self._service.notify(body=body, title=title, notify_type=kind)
        except (OSError, TypeError, ValueError) as error:
            raise ExpansionError(
                f"{self._service.service_name} did not take the alert: {type(error).__name__}"
            ) from error
        if not taken:
            raise ExpansionError(f"{self._service.service_name} did not take the alert")
        return None

    def find(self, alert: Alert, thread: str | None = None) -> str | None:
        """Apprise cannot look."""
        return None

    def replace(self, posted_as: str, alert: Alert, message: dict[str, Any]) -> None:
        """Apprise cannot change anything."""


def apprise_channels(settings: Settings) -> list[AppriseChannel]:
    """The channels of EXPANSION_ALERT_URLS.

    Raises:
        ConfigurationError: the extra is not installed, or a URL is none that apprise knows (not named, since
            it may hold a key).
    """
    if settings.expansion_alert_urls is None:
        return []
    try:
        import apprise
    except ImportError as error:
        raise ConfigurationError("EXPANSION_ALERT_URLS is set: install the extra `apprise`") from error
    services = apprise.Apprise()
    if not services.add(settings.expansion_alert_urls.get_secret_value()):
        raise ConfigurationError(
            f"EXPANSION_ALERT_URLS: only {len(services)} of its URLs are such as apprise knows"
        )
    return [AppriseChannel(service) for service in services]


def plain(message: Mapping[str, Any]) -> tuple[str, str]:
    """Title and body of a message as plain text: its blocks without Slack's markup, links in full."""
    blocks = message.get("blocks") or []
    headers = [block["text"]["text"] for block in blocks if block["type"] == "header"]
    parts = [part for block in blocks for part in _parts(block)]
    text = unescape(message["text"])
    title = headers[0] if headers else text
    return title if len(title) <= TITLE_LIMIT else f"{title[: TITLE_LIMIT - 1]}…", "\n\n".join(parts) or text


def _parts(block: Mapping[str, Any]) -> list[str]:
    match block["type"]:
        case "section":
            texts = [block["text"]] if "text" in block else block["fields"]
            lines = [_plain(text["text"]) for text in texts]
            return lines if "text" in block else ["\n".join(field.replace("\n", ": ", 1) for field in lines)]
        case "context":
            return [_plain(element["text"]) for element in block["elements"]]
        case "actions":
            return ["\n".join(f"{button['text']['text']}: {button['url']}" for button in block["elements"])]
    return []


def _plain(text: str) -> str:
    return unescape(text.replace("*", "").replace("```", ""))
