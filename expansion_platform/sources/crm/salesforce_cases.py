"""Support cases of Salesforce, as Fivetran's connector writes them.

Here: which tables and columns say what, and since when. Not here: opportunities and touches
(`salesforce.py`).

That a case was closed is known from `closed_date`, which Salesforce itself sets, and from `case_history`, as
far as changes of the status are recorded. Its priority before the first change that was recorded is not
known. Subjects, descriptions, comments and contacts are never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from expansion_platform.domain.catalog.tables import Tickets
from expansion_platform.sources.crm.collected import Collected, Facts
from expansion_platform.sources.crm.fivetran import Row, Schema, day_of, is_true, text
from expansion_platform.sources.crm.salesforce import Edit, accounts, edits
from expansion_platform.sources.crm.severities import severity
from expansion_platform.sources.crm.timelines import Change, Fields, and_today, closings, versions_of


def tickets(schema: Schema, link: str | None, zone: ZoneInfo) -> Facts:
    """Cases as Tickets, without feature and tier: no field of a case says them."""
    collected = Collected(Tickets, accounts(schema, link))
    wanted = {
        "id": "id",
        "account": "account_id",
        "status": "status?",
        "priority": "priority?",
        "is_closed": "is_closed?",
        "created": "created_date",
        "closed": "closed_date?",
    }
    rows = list(schema.rows("case", wanted, instants=["created", "closed"]))
    ends = {_word(row.get("status")) for row in rows if is_true(row.get("is_closed"))}
    entries = edits(schema, "case_history?", "case_id", ("status", "priority"))
    for row in rows:
        identity, created = text(row["id"]), row["created"]
        if identity is not None and created is not None:
            begun = Change(created, created, {"opened": day_of(created, zone), "closed": None})
            changes = _changes(row, entries.get(identity, []), ends, zone)
            versions = and_today(versions_of([begun, *changes], needs="opened"), _today(row))
            collected.add("case", identity, [([text(row["account"])], version) for version in versions])
    return collected.facts()


def _changes(row: Row, entries: Sequence[Edit], ends: set[str], zone: ZoneInfo) -> list[Change]:
    states = [(edit.at, _is_end(edit.new, ends)) for edit in entries if edit.field == "status"]
    if is_true(row.get("is_closed")) and row.get("closed") is not None:
        states.append((row["closed"], True))
    raised = [
        Change(edit.at, edit.at, {"severity": severity(edit.new)})
        for edit in entries
        if edit.field == "priority"
    ]
    return [*closings(states, zone), *raised]


def _is_end(status: Any, ends: set[str]) -> bool:
    return _word(status) in ends or "closed" in _word(status)


def _today(row: Row) -> Fields:
    found: dict[str, str | None] = {}
    if "priority" in row:
        found["severity"] = severity(row["priority"])
    if "is_closed" in row and not is_true(row["is_closed"]):
        found["closed"] = None
    return found


def _word(status: Any) -> str:
    return (text(status) or "").lower()
