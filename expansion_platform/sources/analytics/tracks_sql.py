"""A month's events in a warehouse, counted there by account and by feature: one statement.

Here: the statement, in plain SQLAlchemy Core. Not here: the rows of the tables (`tracks_events.py`), running
it (`tracks.py`). What counts as what is as in `counting.sql`, which counts the events of other providers.

It reads each table once for the month, and once more for the time before it where the first event of a person
says who is new. Days are found by their bounds, so no function of a dialect for time zones is needed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import sqlalchemy as sa

from expansion_platform.domain.core import months
from expansion_platform.domain.signals.definition import KINDS
from expansion_platform.sources.analytics.tracks_events import (
    ONE,
    ZERO,
    Question,
    events,
    first_copies,
    instant,
    pruned,
    with_accounts,
)
from expansion_platform.sources.analytics.tracks_tables import Expression, Tables
from expansion_platform.sources.analytics.usage import ACCOUNT_COUNTS

ACCOUNTS, FEATURES, TOTALS = "accounts", "features", "totals"
COUNTED = ("part", "account", "feature", "late", "known_at", *ACCOUNT_COUNTS, "person_days")
COLUMNS = (*COUNTED, "events", "without_account")
"""Columns of the statement. `part` is one of the three above; what a part does not have is null."""


def newest_arrival(tables: Tables, since: pd.Timestamp | None) -> sa.Select[Any]:
    """The newest arrival in any of the tables; of rows by `prune` since an instant, if one is given."""
    newest = [
        sa.select(sa.func.max(table.arrived).label("arrived")).where(*pruned(table, since))
        for table in tables.events
    ]
    each = sa.union_all(*newest).subquery("usage_newest")
    return sa.select(sa.func.max(each.c.arrived))


def month_statement(question: Question) -> sa.CompoundSelect[Any]:
    """The figures of a month, columns COLUMNS: a row per account, per account and feature, and the totals.

    `late` is 0 for figures of what had arrived before the close, 1 for all.
    """
    asked = question.asked
    once = with_accounts(question, first_copies(events(question, asked.begins, asked.ends))).cte("usage_once")
    tallied = _tallied(question, once).cte("usage_tallied")
    features = (
        sa.select(*_part(question, FEATURES, tallied, tallied.c.feature, known_at=tallied.c.arrived))
        .where(tallied.c.feature.is_not(None))
        .group_by(tallied.c.account, tallied.c.feature, tallied.c.late)
    )
    accounts = sa.select(*_part(question, ACCOUNTS, tallied, None, known_at=tallied.c.known_at)).group_by(
        tallied.c.account, tallied.c.late
    )
    totals: dict[str, Expression] = {
        "part": sa.literal(TOTALS, sa.Text()),
        "events": sa.func.count(),
        "without_account": _count_if(once.c.account.is_(None)),
    }
    return sa.union_all(accounts, features, sa.select(*_padded(question, totals)).select_from(once))


def _tallied(question: Question, once: sa.CTE) -> sa.Select[Any]:
    """Events by version, account, person, day and feature; `fresh` are people who are new.

    `known_at` is `arrived`, or later where an event of an earlier month came late and says that a person is
    not new.
    """
    tallies = _tallies(question, once)
    versions = sa.union_all(sa.select(ZERO.label("late")), sa.select(ONE.label("late"))).subquery(
        "usage_versions"
    )
    in_version = sa.or_(versions.c.late == ONE, tallies.c.early == ONE)
    kept = [versions.c.late, *(column for column in tallies.c if column.name not in {"early", "signed_up"})]
    if question.by_sign_up:
        fresh = sa.case((tallies.c.signed_up == ONE, tallies.c.person))
        return _selected(kept, fresh, tallies.c.arrived, tallies.join(versions, in_version))
    if not question.first_seen:
        nobody = sa.cast(sa.null(), sa.Text())
        return _selected(kept, nobody, tallies.c.arrived, tallies.join(versions, in_version))
    seen = _seen_before(question)
    same = sa.and_(seen.c.account == tallies.c.account, seen.c.person == tallies.c.person)
    joined = tallies.join(versions, in_version).outerjoin(seen, same)
    closes = instant(question.asked.closes, seen.c.seen)
    unknown_yet = sa.and_(versions.c.late == ZERO, seen.c.seen >= closes)
    fresh = sa.case((sa.or_(seen.c.seen.is_(None), unknown_yet), tallies.c.person))
    came_late = sa.and_(versions.c.late == ONE, seen.c.seen >= closes, seen.c.seen > tallies.c.arrived)
    known_at = sa.case((came_late, seen.c.seen), else_=tallies.c.arrived)
    return _selected(kept, fresh, known_at, joined)


def _selected(
    kept: list[Any], fresh: Expression, known_at: Expression, source: sa.FromClause
) -> sa.Select[Any]:
    return sa.select(*kept, fresh.label("fresh"), known_at.label("known_at")).select_from(source)


def _tallies(question: Question, once: sa.CTE) -> sa.Subquery:
    definition = question.definition
    feature: Expression = sa.func.coalesce(once.c.named, once.c.event)
    if definition.features is not None:
        feature = sa.case((feature.in_(definition.features), feature))
    early = sa.case((once.c.arrived < instant(question.asked.closes, once.c.arrived), ONE), else_=ZERO)
    counted: dict[str, list[str]] = {}
    for kind, event in definition.counted:
        counted.setdefault(kind, []).append(event)
    kinds = {
        kind: sa.case((once.c.event.in_(counted[kind]), ONE), else_=ZERO) if kind in counted else ZERO
        for kind in (*KINDS, "sign_ups")
    }
    dated = (
        sa.select(
            *(once.c[name] for name in ("account", "person", "arrived")),
            _day(question, once.c.happened).label("day"),
            feature.label("feature"),
            early.label("early"),
            *(flag.label(kind) for kind, flag in kinds.items()),
        )
        .where(once.c.account.is_not(None), once.c.arrived.is_not(None), *_not_internal(question, once))
        .subquery("usage_dated")
    )
    grain = [dated.c[name] for name in ("account", "person", "day", "feature", "early")]
    return (
        sa.select(
            *grain,
            sa.func.max(dated.c.arrived).label("arrived"),
            sa.func.count().label("events"),
            *(sa.func.sum(dated.c[kind]).label(kind) for kind in KINDS),
            sa.func.max(dated.c.sign_ups).label("signed_up"),
        )
        .group_by(*grain)
        .subquery("usage_tallies")
    )


def _seen_before(question: Question) -> sa.Subquery:
    """When an event of an earlier month had first arrived, by account and person."""
    earlier = with_accounts(question, events(question, None, question.asked.begins)).subquery("usage_earlier")
    return (
        sa.select(earlier.c.account, earlier.c.person, sa.func.min(earlier.c.arrived).label("seen"))
        .where(earlier.c.account.is_not(None), earlier.c.person.is_not(None))
        .group_by(earlier.c.account, earlier.c.person)
        .subquery("usage_seen")
    )


def _part(
    question: Question, part: str, rows: sa.CTE, feature: Expression | None, *, known_at: Expression
) -> list[Expression]:
    """The columns of accounts or, with a `feature`, of features."""
    of_both = {
        "part": sa.literal(part, sa.Text()),
        "account": rows.c.account,
        "late": rows.c.late,
        "known_at": sa.func.max(known_at),
        "active_users": _distinct(rows.c.person),
    }
    if feature is not None:
        return _padded(question, {**of_both, "feature": feature, "events": sa.func.sum(rows.c.events)})
    of_account = {
        "active_days": _distinct(rows.c.day),
        "features_used": _distinct(rows.c.feature),
        "new_users": _distinct(rows.c.fresh),
        **{kind: sa.func.sum(rows.c[kind]) for kind in KINDS},
        "person_days": _distinct(sa.cast(rows.c.day, sa.Text()).concat(" ").concat(rows.c.person)),
    }
    return _padded(question, {**of_both, **of_account})


def _padded(question: Question, found: dict[str, Expression]) -> list[Expression]:
    """COLUMNS of one part, all of their types: a bare null has none in Postgres."""
    types: dict[str, sa.types.TypeEngine[Any]] = {
        **dict.fromkeys(("account", "feature"), sa.Text()),
        "late": sa.Integer(),
        "known_at": question.instants,
    }
    return [
        found.get(name, sa.cast(sa.null(), types.get(name, sa.BigInteger()))).label(name) for name in COLUMNS
    ]


def _day(question: Question, happened: Expression) -> Expression:
    """The day of the month, 1 to 31, in the time zone that is asked for."""
    year, month = months.parse(question.asked.month)
    zone, ends = ZoneInfo(question.asked.timezone), question.asked.ends
    starts = [datetime(year, month, 1, tzinfo=zone)]
    while (following := starts[-1] + timedelta(days=1)).month == month:  # of the calendar, not of 24 hours
        starts.append(following)
    bounds = [*(start.astimezone(UTC) for start in starts[1:]), ends]
    days = [
        (happened < instant(pd.Timestamp(bound), happened), sa.literal_column(str(day), sa.Integer()))
        for day, bound in enumerate(bounds, 1)
    ]
    return sa.case(*days)


def _not_internal(question: Question, rows: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    internal = question.definition.internal_accounts
    return [rows.c.account.not_in(internal)] if internal else []


def _distinct(expression: Expression) -> Expression:
    return sa.func.count(expression.distinct())


def _count_if(condition: sa.ColumnElement[bool]) -> Expression:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, ONE), else_=ZERO)), ZERO)
