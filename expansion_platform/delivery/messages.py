"""What every message shares: figures as text, Slack's limits, escaping.

Here: the limits and the escaping; `money` and `percent` are the domain's. Not here: the messages made of them (`alert_messages.py`, `failures.py`).
"""

from __future__ import annotations

from expansion_platform.domain.wording import money, percent

__all__ = ["HEADER_LIMIT", "SECTION_LIMIT", "escape", "money", "percent"]

HEADER_LIMIT = 150  # Slack's limits: longer text is refused with msg_blocks_too_long or invalid_blocks
SECTION_LIMIT = 3000


def escape(text: str) -> str:
    """Slack's three control characters; without it a customer named <!channel> would page everyone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
