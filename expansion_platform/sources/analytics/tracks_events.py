"""A month's events in a warehouse, each once and with its account, as SQLAlchemy expressions.

Here: rows of all tables, copies, the account by calls that put a person into one. Not here: which tables and
columns there are (`tracks_tables.py`), what is counted (`tracks_sql.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

import pandas as pd
import sqlalchemy as sa

from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.sources.analytics.tracks_tables import EventTable, Expression, GroupTable, Tables
from expansion_platform.sources.analytics.usage import Asked

ARRIVES_BEFORE = timedelta(days=1)
"""How long before its own time an event may arrive, by a wrong clock. Earlier arrivals are not read."""
ZERO, ONE = sa.literal_column("0", sa.Integer()), sa.literal_column("1", sa.Integer())
_FIELDS = ("event", "happened", "arrived", "person", "account", "named")
_CALL = ("person", "account", "happened", "arrived")


@dataclass(frozen=True)
class Question:
    """What is asked of which tables."""

    asked: Asked
    definition: SignalDefinition
    tables: Tables
    first_seen: bool

    @property
    def by_sign_up(self) -> bool:
        """Whether sign-up events say who is new."""
        return bool(self.definition.events.sign_ups)

    @property
    def instants(self) -> sa.types.TypeEngine[Any]:
        """The type of the tables' instants."""
        return self.tables.events[0].arrived.type


def events(question: Question, begins: pd.Timestamp | None, ends: pd.Timestamp) -> sa.Subquery:
    """Rows of all tables that are activity, and happened from `begins` until before `ends`."""
    selected = []
    for table in question.tables.events:
        conditions = [*table.conditions, table.happened < instant(ends, table.happened)]
        if begins is not None:
            conditions.append(table.happened >= instant(begins, table.happened))
        if excluded := question.definition.excluded_events:
            conditions.append(table.event.not_in(excluded))
        fields = [getattr(table, name).label(name) for name in ("id", *_FIELDS)]
        selected.append(sa.select(*fields).where(*conditions, *pruned(table, begins)))
    return sa.union_all(*selected).subquery("usage_rows")


def first_copies(events: sa.Subquery) -> sa.Subquery:
    """Of copies, the one that arrived first; an event without an id is never a copy."""
    # Where a null sorts differs between databases. The last columns make the choice the same each time.
    order = [sa.case((events.c.arrived.is_(None), ONE), else_=ZERO), events.c.arrived, events.c.happened]
    order += [events.c.event, events.c.person, events.c.account, events.c.named]
    copy = sa.func.row_number().over(partition_by=events.c.id, order_by=order).label("copy")
    numbered = sa.select(*events.c, copy).subquery("usage_copies")
    return (
        sa.select(*(numbered.c[name] for name in _FIELDS))
        .where(sa.or_(numbered.c.id.is_(None), numbered.c.copy == ONE))
        .subquery("usage_first_copies")
    )


def with_accounts(question: Question, events: sa.Subquery) -> sa.Select[Any]:
    """The events with the account of the person's last group call before them, where accounts are such.

    An event that arrived before the close goes by the calls that had arrived before it, so that its account
    stays; a later one by all calls. It is known as what it is when both have arrived.
    """
    groups = question.tables.groups
    if groups is None:
        return sa.select(events)
    calls = _memberships(question, groups)
    late = sa.case((events.c.arrived < instant(question.asked.closes, events.c.arrived), ZERO), else_=ONE)
    joined = events.outerjoin(
        calls,
        sa.and_(
            calls.c.person == events.c.person,
            calls.c.late == late,
            calls.c.begins <= events.c.happened,
            sa.or_(calls.c.until.is_(None), events.c.happened < calls.c.until),
        ),
    )
    arrived = sa.case((calls.c.arrived > events.c.arrived, calls.c.arrived), else_=events.c.arrived)
    kept = [events.c[name] for name in ("event", "happened", "person", "named")]
    return sa.select(*kept, calls.c.account, arrived.label("arrived")).select_from(joined)


def _memberships(question: Question, groups: GroupTable) -> sa.Subquery:
    """late, person, account, arrived, begins, until: a row each time that a person changes the account.

    Late 0 is what calls say that had arrived before the close, 1 what all say.
    """
    asked = question.asked
    calls = sa.select(*(getattr(groups, name).label(name) for name in _CALL)).where(
        groups.happened < instant(asked.ends, groups.happened),
        groups.person.is_not(None),
        groups.account.is_not(None),
    )
    early = calls.where(groups.arrived < instant(asked.closes, groups.arrived))
    both = sa.union_all(early.add_columns(ZERO.label("late")), calls.add_columns(ONE.label("late"))).subquery(
        "usage_calls"
    )
    before = sa.func.lag(both.c.account).over(**_in_order(both)).label("account_before")
    marked = sa.select(*both.c, before).subquery("usage_marked_calls")
    # A call a page is usual: without the calls that change nothing, a person has one or two rows.
    changes = (
        sa.select(*(marked.c[name] for name in (*_CALL, "late")))
        .where(sa.or_(marked.c.account_before.is_(None), marked.c.account_before != marked.c.account))
        .subquery("usage_changes")
    )
    until = sa.func.lead(changes.c.happened).over(**_in_order(changes)).label("until")
    kept = [changes.c[name] for name in ("late", "person", "account", "arrived")]
    return sa.select(*kept, changes.c.happened.label("begins"), until).subquery("usage_memberships")


def _in_order(calls: sa.Subquery) -> dict[str, Any]:
    return {
        "partition_by": [calls.c.late, calls.c.person],
        "order_by": [calls.c.happened, calls.c.arrived, calls.c.account],
    }


def pruned(table: EventTable, begins: pd.Timestamp | None) -> list[sa.ColumnElement[bool]]:
    """Leaves out rows that had arrived so long before an instant that they cannot be events after it."""
    if table.prune is None or begins is None:
        return []
    return [table.prune >= instant(begins - ARRIVES_BEFORE, table.prune)]


def instant(value: pd.Timestamp, beside: Expression) -> Expression:
    """An instant in the kind of time of the column it is compared with: with a zone, or UTC without one."""
    moment = value.to_pydatetime().astimezone(UTC)
    aware = bool(getattr(beside.type, "timezone", False))
    return sa.literal(moment if aware else moment.replace(tzinfo=None), beside.type)
