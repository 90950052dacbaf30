"""What the events of a product may mean, guessed from their names (`expansion signals init`).

Here: the guesses, each with its reason. Not here: writing them down (`reports/signals_file.py`), what a
definition may say (`definition.py`). Nothing is computed from a guess: a person uncomments what is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from expansion_platform.domain.core.wording import counted

_PATTERNS = {
    "sign_ups": r"sign(ed)? ?up|register(ed)?|registration|account created|user created",
    "logins": r"log(ged)? ?in|sign(ed)? ?in|session (start|started|begin)|authenticated",
    "invites": r"invit(e|es|ed|ation|ations)|team ?mates? added|members? added",
    "gate_hits": r"paywall|gate|gated|locked|upgrade (view|viewed|click|clicked|modal|prompt|shown|page)"
    r"|upsell|feature (blocked|unavailable)|premium (click|clicked|viewed)",
    "limit_warnings": r"(limit|quota|allowance|seats?) (\w+ )?(warning|reached|exceeded|hit|near|nearly)"
    r"|near limit|over (limit|quota)|usage warning|overage",
    "integrations": r"integration|webhook|api key"
    r"|connect(ed)? (\w+ )?(app|account|slack|crm|salesforce|hubspot)"
    r"|app (installed|connected)|sso (enabled|configured)",
    "milestones": r"onboarding (complete|completed|finished)|activat(ed|ion)|first \w+|milestone"
    r"|(setup|checklist|trial) (complete|completed|finished)",
}
"""Words of a name, in lower case and parted by single spaces; the first kind that fits is the guess."""
_OWN = r"^\$|^\[|^(page|screen|page ?viewed|page ?view|identify|group|alias)$"
"""Names that analytics tools give events of their own, and page views: activity, but no feature."""
MOST_KEY_FEATURES = 8
SOME, MOST = 0.2, 0.9
"""A feature that fewer accounts use says little yet; one that all use tells nobody apart."""


@dataclass(frozen=True)
class Guess:
    """An event, what it may count as, and why."""

    event: str
    reason: str


@dataclass(frozen=True)
class Suggestions:
    """The guesses of an account.

    Args:
        kinds: by field of `Events`, events by how often they were sent.
        key_features: features that some accounts use and others do not, the most used first.
        other: events of which nothing is guessed, the most sent first.
    """

    kinds: dict[str, list[Guess]]
    key_features: list[Guess]
    other: list[Guess]


def suggestions(features: pd.DataFrame, month: str) -> Suggestions:
    """What the events of one month may mean.

    Args:
        features: account, feature (the event's name), active_users, events: a row an account and event.
        month: their month, for the reasons.
    """
    by_event = features.groupby("feature").agg(events=("events", "sum"), accounts=("account", "nunique"))
    by_event = by_event.reset_index().sort_values(["events", "feature"], ascending=[False, True])
    accounts = max(features["account"].nunique(), 1)
    kinds: dict[str, list[Guess]] = {name: [] for name in _PATTERNS}
    candidates, other = list[tuple[int, Guess]](), list[Guess]()
    for event, sent, users in by_event[["feature", "events", "accounts"]].itertuples(index=False):
        seen = f"{counted(sent, 'time')} by {users:,} of {counted(accounts, 'account')} in {month}"
        kind = next(_kinds(event), None)
        if kind is not None:
            kinds[kind].append(Guess(event, f"its name; {seen}"))
        elif not re.search(_OWN, event.lower()) and SOME <= users / accounts <= MOST:
            candidates.append((users, Guess(event, seen)))
        else:
            other.append(Guess(event, seen))
    candidates.sort(key=lambda each: (-each[0], each[1].event))
    key_features = [guess for _, guess in candidates]
    return Suggestions(kinds, key_features[:MOST_KEY_FEATURES], other + key_features[MOST_KEY_FEATURES:])


def _kinds(event: str) -> Iterator[str]:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", " ", event).strip().lower()
    for kind, pattern in _PATTERNS.items():
        if re.search(rf"\b(?:{pattern})\b", words):
            yield kind
