"""Deals, conversations and owners of HubSpot, as Fivetran's connector writes them.

Here: which tables and columns say what, and since when. Not here: tickets (`hubspot_tickets.py`), finding
tables (`fivetran.py`), customers of companies (`accounts.py`).

A deal's stage is of `deal_stage`, its amount and owner of `deal_property_history`: the table `deal` has
today's, which are known only today. Names, subjects, bodies and contacts are never read. Calls, e-mails,
meetings and messages are touches; notes and tasks are not: they say nothing of a conversation. The outcome of
a meeting has no history, so it is not read: a meeting that was cancelled but stayed in the calendar counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from expansion_platform.domain.catalog.tables import LOST, OPEN, OPPORTUNITY, TOUCH, WON, CrmActivity, Owners
from expansion_platform.sources.crm.accounts import Accounts, accounts_of, in_order
from expansion_platform.sources.crm.collected import Collected, Facts, some
from expansion_platform.sources.crm.fivetran import (
    Row,
    Schema,
    amount,
    currency,
    day_of,
    is_true,
    label,
    text,
)
from expansion_platform.sources.crm.timelines import Change, Fields, Version, and_today, versions_of

LINKS = ("property_stripe_customer_id", "stripe_customer_id")
CHANNELS = {
    "engagement_call": "call",
    "engagement_email": "email",
    "engagement_meeting": "meeting",
    "engagement_communication": "message",
}
_PRIMARY = "5"
_USUAL_STAGES = {"closedwon": WON, "closedlost": LOST}
_Stages = dict[str, tuple[str, str | None]]


def companies(schema: Schema, link: str | None) -> Accounts:
    """The customers of companies."""
    return accounts_of(schema, "company", "id", link, LINKS)


def activity(schema: Schema, link: str | None, zone: ZoneInfo) -> Facts:
    """Deals and touches as CrmActivity.

    An opportunity's `date` is the day it entered its stage.
    """
    accounts = companies(schema, link)
    collected = Collected(CrmActivity, accounts)
    companies_of, several = _companies_of_deals(schema, accounts)
    _deals(schema, collected, companies_of, zone)
    _touches(schema, collected, companies_of, zone)
    remark = (
        f"{len(several)} deals are on several companies and none is the primary one; the lowest id counts: "
        f"{some(several)}"
    )
    return collected.facts([remark] if several else [])


def owners(schema: Schema, link: str | None, zone: ZoneInfo) -> Facts:
    """Owners of companies as Owners, of `company_property_history`."""
    collected = Collected(Owners, companies(schema, link))
    changes: dict[str, list[Change]] = defaultdict(list)
    for identity, at, _, value in property_history(schema, "company", ("hubspot_owner_id",)):
        changes[identity].append(Change(at, at, {"owner": text(value), "valid_from": day_of(at, zone)}))
    for row in schema.rows("company", {"id": "id", "owner": "property_hubspot_owner_id?"}):
        company = text(row["id"])
        versions = versions_of(changes.get(company or "", []))
        last = versions[-1].fields["owner"] if versions else None
        if "owner" in row and text(row["owner"]) != last:
            versions.append(Version(None, {"owner": text(row["owner"]), "valid_from": None}))
        if versions:
            collected.add("company", None, [([company], version) for version in versions])
    return collected.facts()


def property_history(
    schema: Schema, of: str, names: tuple[str, ...]
) -> Iterator[tuple[str, datetime, str, Any]]:
    """Id, instant, property and new value of every change of some properties of deals, companies, tickets."""
    wanted = {"id": f"{of}_id", "name": "name", "value": "value", "at": "timestamp|timestamp_instant"}
    for row in schema.rows(
        f"{of}_property_history?", wanted, instants=["at"], only={"name": names}, history=True
    ):
        identity = text(row["id"])
        if identity is not None and row["at"] is not None:
            yield identity, row["at"], row["name"].lower(), row["value"]


def pairs(schema: Schema, table: str, key: str, value: str) -> dict[str, list[str]]:
    """The values that a table puts beside each key."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in schema.rows(table, {"key": key, "value": value}):
        if (one := text(row["key"])) is not None and (other := text(row["value"])) is not None:
            found[one].add(other)
    return {one: sorted(others, key=in_order) for one, others in found.items()}


def _deals(schema: Schema, collected: Collected, companies_of: dict[str, list[str]], zone: ZoneInfo) -> None:
    stages, merged = _stages(schema), _merged(schema)
    changes = _changes_of_deals(schema, stages, zone)
    wanted = {
        "id": "deal_id",
        "stage": "deal_pipeline_stage_id|property_dealstage?",
        "owner": "owner_id|property_hubspot_owner_id?",
        "amount": "property_amount?",
        "currency": "property_deal_currency_code?",
        "created": "property_createdate?",
        "closed": "property_closedate?",
    }
    for row in schema.rows("deal", wanted, instants=["created", "closed"]):
        deal = text(row["id"])
        if deal is None or deal in merged:
            continue
        versions = versions_of(changes.pop(deal, []), needs="date")
        versions = and_today(versions, _today(row, stages, versions, zone), needs="date")
        always: Fields = {"kind": OPPORTUNITY, "currency": currency(row.get("currency"))}
        of = companies_of.get(deal, [])[:1]
        collected.add("deal", deal, [(of, Version(at, {**fields, **always})) for at, fields in versions])


def _changes_of_deals(schema: Schema, stages: _Stages, zone: ZoneInfo) -> dict[str, list[Change]]:
    changes: dict[str, list[Change]] = defaultdict(list)
    wanted = {"id": "deal_id", "stage": "value", "entered": "date_entered?", "start": "_fivetran_start?"}
    for row in schema.rows("deal_stage?", wanted, instants=["entered", "start"], history=True):
        times = [at for at in (row.get("entered"), row.get("start")) if at is not None]
        deal, stage = text(row["id"]), text(row["stage"])
        if deal is not None and stage is not None and times:
            fields = {**_stage(stages, stage), "date": day_of(times[0], zone)}
            changes[deal].append(Change(max(times), times[0], fields))
    for deal, at, name, value in property_history(schema, "deal", ("amount", "hubspot_owner_id")):
        field = {"amount": amount(value)} if name == "amount" else {"owner": text(value)}
        changes[deal].append(Change(at, at, field))
    return changes


def _today(row: Row, stages: _Stages, versions: list[Version], zone: ZoneInfo) -> Fields:
    """A deal as it is today. A stage that its history does not lead to is dated by the deal itself."""
    found: dict[str, str | None] = {}
    if "amount" in row:
        found["amount"] = amount(row["amount"])
    if "owner" in row:
        found["owner"] = text(row["owner"])
    stage = text(row.get("stage"))
    if stage is not None:
        found |= _stage(stages, stage)
        last = versions[-1].fields if versions else {}
        if last.get("stage_name") != found["stage_name"] or last.get("stage") != found["stage"]:
            at = (row.get("closed") if found["stage"] != OPEN else None) or row.get("created")
            if at is not None:
                found["date"] = max(day_of(at, zone), last.get("date") or "")
    return found


def _touches(
    schema: Schema, collected: Collected, companies_of: dict[str, list[str]], zone: ZoneInfo
) -> None:
    companies_in, deals_in = (
        pairs(schema, "engagement_company?", "engagement_id", "company_id"),
        pairs(schema, "engagement_deal?", "engagement_id", "deal_id"),
    )
    wanted = {
        "id": "engagement_id",
        "at": "property_hs_timestamp|timestamp?",
        "created": "property_hs_createdate|property_createdate?",
    }
    for table, channel in CHANNELS.items():
        for row in schema.rows(f"{table}?", wanted, instants=["at", "created"]):
            identity, created = text(row["id"]), row.get("created")
            at = row.get("at") or created
            if identity is None or at is None:
                continue
            # Known once it was written down; one that is planned is no conversation before it took place.
            known_at = None if created is None else max(at, created)
            fields = {"kind": TOUCH, "date": day_of(at, zone), "channel": channel}
            of = companies_in.get(identity) or [
                company for deal in deals_in.get(identity, []) for company in companies_of.get(deal, [])[:1]
            ]
            collected.add(table, identity, [(of, Version(known_at, fields))])


def _companies_of_deals(schema: Schema, accounts: Accounts) -> tuple[dict[str, list[str]], list[str]]:
    """By deal its companies, that of the deal first; and the deals of which nothing says which that is."""
    found: dict[str, set[str]] = defaultdict(set)
    primary: dict[str, set[str]] = defaultdict(set)
    for row in schema.rows("deal_company", {"deal": "deal_id", "company": "company_id", "type": "type_id?"}):
        deal, company = text(row["deal"]), text(row["company"])
        if deal is not None and company is not None and company in accounts.there:
            found[deal].add(company)
            if text(row.get("type")) == _PRIMARY:
                primary[deal].add(company)
    ordered = {
        deal: [*sorted(primary[deal], key=in_order), *sorted(of - primary[deal], key=in_order)]
        for deal, of in found.items()
    }
    unclear = [deal for deal, of in found.items() if len(of) > 1 and len(primary[deal]) != 1]
    return ordered, sorted(unclear, key=in_order)


def _merged(schema: Schema) -> set[str]:
    """Deals that went into another one."""
    rows = schema.rows("merged_deal?", {"into": "deal_id", "merged": "merged_deal_id"}, deleted=True)
    pairs = ((text(row["into"]), text(row["merged"])) for row in rows)
    return {merged for into, merged in pairs if merged is not None and merged != into}


def _stage(stages: _Stages, stage: str) -> dict[str, str | None]:
    kind, name = stages.get(stage, (_USUAL_STAGES.get(stage, OPEN), label(stage)))
    return {"stage": kind, "stage_name": name}


def _stages(schema: Schema) -> _Stages:
    """Kind and name by stage, also of stages that were deleted since.

    Won is closed with probability 1, lost is closed otherwise. A schema from before `is_closed` says which
    are won; lost are those of probability 0.
    """
    wanted = {
        "id": "stage_id",
        "name": "label?",
        "probability": "probability?",
        "closed": "is_closed?",
        "won": "closed_won?",
    }
    found: _Stages = {}
    for row in schema.rows("deal_pipeline_stage?", wanted, deleted=True):
        stage, probability = text(row["id"]), amount(row.get("probability"))
        if stage is None:
            continue
        if row.get("closed") is None:
            kind = WON if is_true(row.get("won")) else LOST if probability == "0" else OPEN
        elif is_true(row["closed"]):
            kind = WON if probability == "1" or is_true(row.get("won")) else LOST
        else:
            kind = OPEN
        found[stage] = kind, label(row.get("name")) or label(stage)
    return found
