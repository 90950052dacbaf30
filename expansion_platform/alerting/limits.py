"""What every message to Slack has to keep to: its limits, and escaping.

Here: the limits and the escaping. Not here: the messages (`messages.py`, `failures.py`), figures as text
(`domain/core/wording.py`).
"""

from __future__ import annotations

HEADER_LIMIT = 150  # Slack's limits: longer text is refused with msg_blocks_too_long or invalid_blocks
SECTION_LIMIT = 3000


def escape(text: str) -> str:
    """Slack's three control characters; without it a customer named <!channel> would page everyone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
