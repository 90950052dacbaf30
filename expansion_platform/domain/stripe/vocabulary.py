"""Stripe's words that rules and tables share.

Here: statuses, pauses, billing intervals, usage types. Not here: which of them count (`pricing/policy.py`).
"""

from __future__ import annotations

STATUSES = [
    "active",
    "canceled",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
]
PAUSES = ["keep_as_draft", "mark_uncollectible", "void"]
INTERVALS = ["day", "week", "month", "year"]
USAGE_TYPES = ["licensed", "metered"]
