"""Tickets and ratings of Zendesk, as Fivetran's connector writes them.

Here: which tables and columns say what, and since when. Not here: finding tables (`fivetran.py`), customers
of organizations (`accounts.py`).

Status, priority, organization and tags are of `ticket_field_history`; the tables `ticket` and `ticket_tag`
have today's, which are known only today. A tag such as `feature_sso` or `tier_enterprise` says the feature or
the tier. Ratings of satisfaction are the signal `csat`, the share of good ones: they are no NPS. Subjects,
comments, requesters and other tags are never taken.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from expansion_platform.domain.catalog.tables import CustomerSignals, Tickets
from expansion_platform.domain.core.ratios import SIGNAL_PLACES, ratio_text
from expansion_platform.sources.crm.accounts import Accounts, accounts_of
from expansion_platform.sources.crm.collected import Collected, Facts
from expansion_platform.sources.crm.fivetran import Row, Schema, day_of, label, text
from expansion_platform.sources.crm.severities import severity
from expansion_platform.sources.crm.timelines import Change, Fields, Version, and_today, closings, versions_of

LINKS = ("custom_stripe_customer_id", "stripe_customer_id", "external_id")
SIGNAL = "csat"
_ENDS = ("solved", "closed")
_DELETED = "deleted"
_SATISFACTION = "satisfaction_score"
_STATUS, _PRIORITY, _ORGANIZATION, _TAGS = _FIELDS = ("status", "priority", "organization_id", "tags")
_TAG = re.compile(r"(feature|tier)[_:-](.+)")
_BETWEEN = re.compile(r"[\s,\[\]\"']+")
_Edits = dict[str, list[tuple[datetime, str, Any]]]


def organizations(schema: Schema, link: str | None) -> Accounts:
    """The customers of organizations."""
    return accounts_of(schema, "organization", "id", link, LINKS)


def tickets(schema: Schema, link: str | None, zone: ZoneInfo) -> Facts:
    """Tickets as Tickets."""
    collected = Collected(Tickets, organizations(schema, link))
    edits, tags = _edits(schema, _FIELDS), _tags(schema)
    wanted = {
        "id": "id",
        "organization": "organization_id",
        "status": "status?",
        "priority": "priority?",
        "created": "created_at",
        "updated": "updated_at?",
    }
    for row in schema.rows("ticket", wanted, instants=["created", "updated"]):
        ticket, created = text(row["id"]), row["created"]
        if ticket is None or created is None or _word(row.get("status")) == _DELETED:
            continue
        entries = edits.pop(ticket, [])
        begun = Change(created, created, {"opened": day_of(created, zone), "closed": None})
        versions = versions_of([begun, *_changes(row, created, entries, zone)], needs="opened")
        own_tags = None if tags is None else tags.get(ticket, [])
        today = _today(row, versions[-1].fields["closed"], own_tags, zone)
        placed = [([version.fields.get(_ORGANIZATION)], version) for version in and_today(versions, today)]
        collected.add("ticket", ticket, placed)
    return collected.facts()


def satisfaction(schema: Schema, link: str | None, zone: ZoneInfo) -> Facts:
    """Ratings as the signal `csat`: by customer and day the share of good ones, as each rating changed it."""
    links = organizations(schema, link)
    collected = Collected(CustomerSignals, links)
    of = {
        text(row["id"]): text(row["organization"])
        for row in schema.rows("ticket", {"id": "id", "organization": "organization_id"})
    }
    days: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    versions: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for at, ticket, good in sorted(_ratings(schema)):
        if ticket not in of:
            continue
        customers = links.of([of[ticket]])
        collected.count("rating", matched=bool(customers))
        for customer in customers:
            place = customer, day_of(at, zone)
            days[place][ticket] = good
            share = ratio_text(sum(days[place].values()), len(days[place]), SIGNAL_PLACES)
            versions[place].append(Change(at, at, {"value": share}))
    for (customer, day), changes in versions.items():
        for version in versions_of(changes):
            fields = {**version.fields, "date": day, "signal": SIGNAL}
            collected.row(customer, Version(version.known_at, fields))
    return collected.facts()


def _edits(schema: Schema, fields: Sequence[str]) -> _Edits:
    """By ticket, instant, field and new value of changes of some fields."""
    found: _Edits = defaultdict(list)
    wanted = {"id": "ticket_id", "field": "field_name", "value": "value", "at": "updated"}
    for row in schema.rows(
        "ticket_field_history?", wanted, instants=["at"], only={"field": fields}, history=True
    ):
        ticket = text(row["id"])
        if ticket is not None and row["at"] is not None:
            found[ticket].append((row["at"], row["field"].lower(), row["value"]))
    return found


def _changes(
    row: Row, created: datetime, entries: Sequence[tuple[datetime, str, Any]], zone: ZoneInfo
) -> list[Change]:
    """Changes of a ticket. Its organization is today's where it never changed."""
    found = closings([(at, _word(value) in _ENDS) for at, name, value in entries if name == _STATUS], zone)
    for at, name, value in entries:
        if name == _PRIORITY:
            found.append(Change(at, at, {"severity": severity(value)}))
        elif name == _ORGANIZATION:
            found.append(Change(at, at, {_ORGANIZATION: text(value)}))
        elif name == _TAGS:
            found.append(Change(at, at, _said(_BETWEEN.split(text(value) or ""))))
    if not any(name == _ORGANIZATION for _, name, _ in entries):
        found.append(Change(created, created, {_ORGANIZATION: text(row["organization"])}))
    return found


def _today(row: Row, closed: str | None, tags: Sequence[str] | None, zone: ZoneInfo) -> Fields:
    """A ticket as it is today. Where no history says when it was closed, its last change does."""
    found: dict[str, str | None] = {_ORGANIZATION: text(row["organization"])}
    if "priority" in row:
        found["severity"] = severity(row["priority"])
    if "status" in row and _word(row["status"]) not in _ENDS:
        found["closed"] = None
    elif "status" in row and closed is None and row.get("updated") is not None:
        found["closed"] = day_of(row["updated"], zone)
    return found if tags is None else found | _said(tags)


def _tags(schema: Schema) -> dict[str, list[str]] | None:
    """Tags by ticket, None where they are not synced."""
    if not schema.has("ticket_tag"):
        return None
    found: dict[str, list[str]] = defaultdict(list)
    for row in schema.rows("ticket_tag", {"ticket": "ticket_id", "tag": "tag"}):
        found[text(row["ticket"]) or ""].append(text(row["tag"]) or "")
    return found


def _said(tags: Sequence[str]) -> dict[str, str | None]:
    """The feature and the tier that tags say: of several the first in the alphabet."""
    found: dict[str, str | None] = {"feature": None, "tier": None}
    matches = [match for tag in tags if (match := _TAG.fullmatch(tag.lower())) is not None]
    said = [(match[1], match[2]) for match in matches if label(match[2]) is not None]
    return found | dict(sorted(said, reverse=True))


def _ratings(schema: Schema) -> Iterator[tuple[datetime, str, bool]]:
    """Instant, ticket and whether it is good, of every rating.

    Of the history of tickets, else of the table of ratings, which has of each rating the last one given.
    """
    history = _edits(schema, (_SATISFACTION,))
    found = [(at, ticket, value) for ticket, edits in history.items() for at, _, value in edits]
    if not any(_rated(value) is not None for *_, value in found):
        wanted = {"ticket": "ticket_id", "score": "score", "at": "updated_at|created_at"}
        rows = schema.rows("satisfaction_rating?", wanted, instants=["at"])
        dated = (row for row in rows if row["at"] is not None)
        found = [(row["at"], text(row["ticket"]) or "", row["score"]) for row in dated]
    for at, ticket, value in found:
        rated = _rated(value)
        if rated is not None:
            yield at, ticket, rated


def _rated(score: Any) -> bool | None:
    """Whether a score is good; None for one that was only offered."""
    word = _word(score)
    return True if word.startswith("good") else False if word.startswith("bad") else None


def _word(value: Any) -> str:
    return (text(value) or "").lower()
