"""The HogQL queries of one month of product usage.

Here: their texts. Not here: asking PostHog (`posthog.py`).

Each aggregates at PostHog, so that no person's id leaves it. Figures stand twice in a row: of the events that
had arrived before the close (`_0`), and of all (`_1`).
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.definition import KINDS, SignalDefinition
from expansion_platform.sources.analytics.usage import Asked

NO_ACTIVITY = (
    "$groupidentify",
    "$identify",
    "$create_alias",
    "$merge_dangerously",
    "$set",
    "$feature_flag_called",
    "$exception",
    "$web_vitals",
)
"""Events that PostHog makes itself and that are nobody's activity."""
GROUPS = ("0", "1", "2", "3", "4")
ACCOUNT_FIGURES = (
    "active_users",
    "active_days",
    "person_days",
    "features_used",
    "new_users",
    *KINDS,
)
FEATURE_FIGURES = ("active_users", "events")
_EVENTS = """
    SELECT
        {account} AS account,
        {feature} AS feature,
        event,
        uuid,
        person_id,
        person.created_at >= fromUnixTimestamp({begins})
            AND person.created_at < fromUnixTimestamp({ends}) AS new,
        toString(toDate(toTimeZone(timestamp, {timezone}))) AS day,
        created_at AS arrived,
        created_at < fromUnixTimestamp({closes}) AS in_time
    FROM events
    WHERE timestamp >= fromUnixTimestamp({begins})
        AND timestamp < fromUnixTimestamp({ends})
        AND event NOT IN ({excluded})
"""
_TOTALS = """
SELECT
    count(DISTINCT uuid) AS events,
    count(DISTINCT if(notEmpty(account), NULL, uuid)) AS without_account
FROM ({events})
"""
_GROUPED = """
SELECT
    {columns}
FROM ({events})
WHERE {conditions}
GROUP BY {keys}
ORDER BY {keys}
LIMIT {limit}
"""
_FIGURES = {
    "active_users": "count(DISTINCT if({when}, person_id, NULL))",
    "active_days": "count(DISTINCT if({when}, day, NULL))",
    "person_days": "count(DISTINCT if({when}, concat(toString(person_id), day), NULL))",
    "features_used": "count(DISTINCT if({when}, feature, NULL))",
    "events": "count(DISTINCT if({when}, uuid, NULL))",
}


@dataclass(frozen=True)
class Queries:
    """The queries of a month; each pages by its key and can be asked of a part of the accounts."""

    asked: Asked
    definition: SignalDefinition

    @property
    def days(self) -> int:
        """Days of the month."""
        year, month = map(int, self.asked.month.split("-"))
        return calendar.monthrange(year, month)[1]

    @property
    def by_sign_up(self) -> bool:
        """Whether sign-up events say who is new, and not when PostHog first saw a person."""
        return bool(self.definition.events.sign_ups)

    def totals(self) -> str:
        """`events`, `without_account`."""
        return _TOTALS.format(events=self._events())

    def accounts(self, after: Sequence[str], part: int, parts: int, limit: int) -> str:
        """`account`, then `known_at` and ACCOUNT_FIGURES of both versions."""
        return self._grouped(("account",), ACCOUNT_FIGURES, "notEmpty(account)", after, part, parts, limit)

    def features(self, after: Sequence[str], part: int, parts: int, limit: int) -> str:
        """`account`, `feature`, then `known_at` and FEATURE_FIGURES of both versions."""
        where = "notEmpty(account) AND isNotNull(feature)"
        return self._grouped(("account", "feature"), FEATURE_FIGURES, where, after, part, parts, limit)

    def _grouped(
        self,
        grain: Sequence[str],
        figures: Sequence[str],
        where: str,
        after: Sequence[str],
        part: int,
        parts: int,
        limit: int,
    ) -> str:
        versions = ("in_time", "true")
        columns = [
            f"{text} AS {name}_{number}"
            for number, when in enumerate(versions)
            for name, text in [
                ("known_at", f"max(if({when}, toUnixTimestamp(arrived), NULL))"),
                *((name, self._figure(name, when)) for name in figures),
            ]
        ]
        conditions = [where]
        if self.definition.internal_accounts:
            conditions.append(f"account NOT IN ({_texts(self.definition.internal_accounts)})")
        if parts > 1:
            conditions.append(f"cityHash64(account) % {parts} = {part}")
        if after:
            conditions.append(f"({', '.join(grain)}) > ({_texts(after)})")
        return _GROUPED.format(
            columns=",\n    ".join([*grain, *columns]),
            events=self._events(),
            conditions=" AND ".join(conditions),
            keys=", ".join(grain),
            limit=limit,
        )

    def _figure(self, name: str, when: str) -> str:
        if name == "new_users":
            new = f"event IN ({_texts(self.definition.events.sign_ups)})" if self.by_sign_up else "new"
            return f"count(DISTINCT if({when} AND {new}, person_id, NULL))"
        if name in KINDS:
            events = getattr(self.definition.events, name)
            counted = f"count(DISTINCT if({when} AND event IN ({_texts(events)}), uuid, NULL))"
            return counted if events else "0"
        return _FIGURES[name].format(when=when)

    def _events(self) -> str:
        definition, asked = self.definition, self.asked
        return _EVENTS.format(
            account=_account(definition),
            feature=_feature(definition),
            timezone=text(asked.timezone),
            begins=int(asked.begins.timestamp()),
            ends=int(asked.ends.timestamp()),
            closes=int(asked.closes.timestamp()),
            excluded=_texts([*NO_ACTIVITY, *definition.excluded_events]),
        )


def text(value: str) -> str:
    """A string literal of HogQL."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _texts(values: Iterable[str]) -> str:
    return ", ".join(map(text, values))


def _property(name: str) -> str:
    return f"toString(properties[{text(name)}])"


def _account(definition: SignalDefinition) -> str:
    group, name = definition.account.group, definition.account.property
    if name is not None:
        return f"coalesce({_property(name)}, '')"
    if group is not None and group not in GROUPS:
        raise ConfigurationError(
            f"signals: account.group is {group}; for PostHog it is the number of the group type, 0 to 4 "
            "(Settings, Group analytics), or use account.property"
        )
    return f'"$group_{group or 0}"'


def _feature(definition: SignalDefinition) -> str:
    """The event, unless PostHog made it, or the property that names the feature; null for none."""
    of_event = "if(event LIKE '$%', NULL, event)"
    name = definition.feature_property
    found = of_event if name is None else f"coalesce(nullIf({_property(name)}, ''), {of_event})"
    if definition.features is None:
        return found
    return f"if({found} IN ({_texts(definition.features)}), {found}, NULL)" if definition.features else "NULL"
