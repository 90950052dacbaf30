"""Support tickets of HubSpot, as Fivetran's connector writes them.

Here: which tables and columns say what, and since when. Not here: deals and touches (`hubspot.py`).

Priority and stage are of `ticket_property_history`; the table `ticket` has today's, which are known only
today. A ticket on several companies is one of each. Subjects, contents and contacts are never read.
Categories are kinds of tickets, not features of the product, so `feature` stays empty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from expansion_platform.domain.catalog.tables import Tickets
from expansion_platform.sources.crm.collected import Collected, Facts
from expansion_platform.sources.crm.fivetran import Row, Schema, day_of, is_true, text
from expansion_platform.sources.crm.hubspot import companies, pairs, property_history
from expansion_platform.sources.crm.severities import severity
from expansion_platform.sources.crm.timelines import Change, Fields, and_today, closings, versions_of

_PRIORITY, _STAGE = "hs_ticket_priority", "hs_pipeline_stage"
_USUAL_END = "4"
"""The last stage of the pipeline that every account begins with."""
_Edits = Sequence[tuple[datetime, str, Any]]


def tickets(schema: Schema, link: str | None, zone: ZoneInfo) -> Facts:
    """Tickets as Tickets."""
    collected = Collected(Tickets, companies(schema, link))
    companies_of = pairs(schema, "ticket_company", "ticket_id", "company_id")
    ends = _ends(schema)
    edits: dict[str, list[tuple[datetime, str, Any]]] = defaultdict(list)
    for identity, at, name, value in property_history(schema, "ticket", (_PRIORITY, _STAGE)):
        edits[identity].append((at, name, value))
    wanted = {
        "id": "id",
        "created": "property_createdate",
        "closed": "property_closed_date?",
        "priority": "property_hs_ticket_priority?",
        "stage": "property_hs_pipeline_stage?",
    }
    for row in schema.rows("ticket", wanted, instants=["created", "closed"]):
        ticket, created = text(row["id"]), row["created"]
        if ticket is not None and created is not None:
            entries = edits.get(ticket, [])
            # The day of an imported ticket is before its first entry: it is known since that.
            known_at = max(created, min((at for at, *_ in entries), default=created))
            begun = Change(known_at, created, {"opened": day_of(created, zone), "closed": None})
            versions = versions_of([begun, *_changes(entries, ends, zone)], needs="opened")
            today = _today(row, ends, versions[-1].fields.get("closed"), zone)
            of = companies_of.get(ticket, [])
            collected.add("ticket", ticket, [(of, version) for version in and_today(versions, today)])
    return collected.facts()


def _changes(entries: _Edits, ends: set[str], zone: ZoneInfo) -> list[Change]:
    states = [(at, text(value) in ends) for at, name, value in entries if name == _STAGE]
    raised = [
        Change(at, at, {"severity": severity(value)}) for at, name, value in entries if name == _PRIORITY
    ]
    return [*closings(states, zone), *raised]


def _today(row: Row, ends: set[str], closed: str | None, zone: ZoneInfo) -> Fields:
    """A ticket as it is today; the day it was closed is that of its history, where there is one."""
    found: dict[str, str | None] = {}
    if "priority" in row:
        found["severity"] = severity(row["priority"])
    if "stage" in row and text(row["stage"]) not in ends:
        found["closed"] = None
    elif "stage" in row and closed is None and row.get("closed") is not None:
        found["closed"] = day_of(row["closed"], zone)
    return found


def _ends(schema: Schema) -> set[str]:
    """The stages in which a ticket is closed, also those deleted since."""
    wanted = {"id": "stage_id", "closed": "is_closed?", "state": "ticket_state?"}
    rows = list(schema.rows("ticket_pipeline_stage?", wanted, deleted=True))
    ends = {
        text(row["id"]) or ""
        for row in rows
        if is_true(row.get("closed")) or (text(row.get("state")) or "").lower() == "closed"
    }
    return ends if rows else {_USUAL_END}
