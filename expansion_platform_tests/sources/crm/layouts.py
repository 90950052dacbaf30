"""The simulated CRM as Fivetran writes HubSpot, Salesforce and Zendesk; every text that is not needed is the
canary.

A table that is empty in a connector has one row of nothing here, which is not written (`database.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from expansion_platform_tests.sources.crm.database import Row
from expansion_platform_tests.sources.crm.world import CANARY, LABELS, NOW, STAGES, Deal, Event, Ticket, World

HUBSPOT_STAGES = {"qualified": "1001", "proposal": "1002", "won": "closedwon", "lost": "77"}
HUBSPOT_TABLES = dict(
    zip(["call", "email", "meeting", "message"], ["call", "email", "meeting", "communication"], strict=True)
)
PRIORITIES = {"low": "LOW", "normal": "MEDIUM", "high": "HIGH", "critical": "URGENT"}
Tables = dict[str, list[Row]]


def company_id(number: int) -> int:
    return 90 + number  # 99 is before 100, as texts it is not


def last(events: list[Event], name: str) -> Any:
    found = [value for _, each, value in sorted(events, key=lambda event: event[0]) if each == name]
    return found[-1] if found else None


def of(events: list[Event], name: str) -> list[tuple[datetime, Any]]:
    return [(at, value) for at, each, value in sorted(events, key=lambda event: event[0]) if each == name]


def ended(events: list[Event], name: str) -> Iterator[tuple[datetime, datetime | None, Any]]:
    """Each value with when it began and ended."""
    found = of(events, name)
    ends = [at for at, _ in found[1:]]
    for (at, value), end in zip(found, [*ends, None], strict=True):
        yield at, end, value


def hubspot(world: World) -> Tables:
    tables: Tables = {
        "company": [
            {
                "id": company_id(each.number),
                "property_stripe_customer_id": " ;".join(each.customers) or None,
                "property_name": CANARY,
                "property_hubspot_owner_id": last(each.events, "owner"),
                "_fivetran_deleted": each.deleted,
                "_fivetran_synced": NOW,
            }
            for each in world.companies
        ],
        "company_property_history": [
            {
                "company_id": company_id(each.number),
                "name": name,
                "value": value,
                "timestamp": at,
                "source": CANARY,
            }
            for each in world.companies
            for at, owner in of(each.events, "owner")
            for name, value in (("hubspot_owner_id", None if owner is None else str(owner)), ("name", CANARY))
        ],
        "deal_pipeline_stage": [
            {
                "stage_id": HUBSPOT_STAGES[stage],
                "pipeline_id": "default",
                "label": LABELS[stage],
                "probability": {"won": 1.0, "lost": 0.0}.get(kind, 0.4),
                "is_closed": kind != "open",
                "_fivetran_deleted": stage == "proposal",
            }
            for stage, kind in STAGES.items()
        ],
        "merged_deal": [
            {"deal_id": each.merged_into, "merged_deal_id": each.number}
            for each in world.deals
            if each.merged_into is not None
        ],
    }
    return tables | _hubspot_deals(world) | _hubspot_touches(world) | _hubspot_tickets(world)


def _hubspot_deals(world: World) -> Tables:
    def amounts(deal: Deal) -> list[tuple[datetime, str, str | None]]:
        found = [
            (at, "amount", None if value is None else f"{value / 100}")
            for at, value in of(deal.events, "amount")
        ]
        owners = [(at, "hubspot_owner_id", str(value)) for at, value in of(deal.events, "owner")]
        return [*found, *owners, (deal.events[0][0], "dealname", CANARY)]

    return {
        "deal": [
            {
                "deal_id": deal.number,
                "deal_pipeline_stage_id": HUBSPOT_STAGES[last(deal.events, "stage")],
                "owner_id": last(deal.events, "owner"),
                "property_dealname": CANARY,
                "property_amount": None
                if (cents := last(deal.events, "amount")) is None
                else Decimal(cents) / 100,
                "property_createdate": deal.events[0][0],
                "property_closedate": NOW + timedelta(days=9),
                "_fivetran_deleted": deal.deleted,
            }
            for deal in world.deals
        ],
        "deal_stage": [
            {
                "deal_id": deal.number,
                "value": HUBSPOT_STAGES[stage],
                "date_entered": at,
                "source": CANARY,
                "_fivetran_start": at,
                "_fivetran_end": end,
                "_fivetran_active": end is None,
            }
            for deal in world.deals
            for at, end, stage in ended(deal.events, "stage")
        ],
        "deal_property_history": [
            {"deal_id": deal.number, "name": name, "value": value, "timestamp": at, "source": CANARY}
            for deal in world.deals
            for at, name, value in amounts(deal)
        ],
        "deal_company": [
            {
                "deal_id": deal.number,
                "company_id": company_id(company),
                "type_id": 5 if deal.primary and at == 0 else 341,
                "category": "HUBSPOT_DEFINED",
            }
            for deal in world.deals
            for at, company in enumerate(deal.companies)
        ],
    }


def _hubspot_touches(world: World) -> Tables:
    tables: Tables = {
        "engagement_company": [
            {"engagement_id": 10_000 + each.number, "company_id": company_id(each.company)}
            for each in world.touches
            if each.deal is None
        ],
        "engagement_deal": [
            {"engagement_id": 10_000 + each.number, "deal_id": each.deal}
            for each in world.touches
            if each.deal is not None
        ],
        "engagement_note": [
            {"engagement_id": 1, "property_hs_timestamp": NOW, "property_hs_note_body": CANARY}
        ],
    }
    for channel, table in HUBSPOT_TABLES.items():
        tables[f"engagement_{table}"] = [
            {
                "engagement_id": 10_000 + each.number,
                "type": CANARY,
                "property_hs_timestamp": each.at,
                "property_hs_createdate": each.written,
                "property_hs_call_body": CANARY,
                "property_hubspot_owner_id": 1,
            }
            for each in world.touches
            if each.channel == channel
        ]
    return tables


def _hubspot_tickets(world: World) -> Tables:
    def history(ticket: Ticket) -> Iterator[tuple[datetime, str, str]]:
        yield ticket.events[0][0], "subject", CANARY
        yield ticket.events[0][0], "hs_pipeline_stage", "1"
        for at, value in of(ticket.events, "severity"):
            yield at, "hs_ticket_priority", PRIORITIES[value]
        for at, closed in of(ticket.events, "closed"):
            yield at, "hs_pipeline_stage", "4" if closed else "2"

    return {
        "ticket": [
            {
                "id": each.number,
                "property_createdate": each.events[0][0],
                "property_closed_date": NOW,
                "property_hs_ticket_priority": PRIORITIES[last(each.events, "severity")],
                "property_hs_pipeline_stage": "4" if last(each.events, "closed") else "2",
                "property_content": CANARY,
                "is_deleted": each.deleted,
            }
            for each in world.tickets
        ],
        "ticket_company": [
            {"ticket_id": each.number, "company_id": company_id(each.company)} for each in world.tickets
        ],
        "ticket_property_history": [
            {"ticket_id": each.number, "name": name, "value": value, "timestamp_instant": at}
            for each in world.tickets
            for at, name, value in history(each)
        ],
        "ticket_pipeline_stage": [
            {"stage_id": stage, "is_closed": closed, "label": CANARY, "_fivetran_deleted": False}
            for stage, closed in (("1", False), ("2", False), ("4", True))
        ],
    }


def sf(prefix: str, number: int | None) -> str | None:
    return None if number is None else f"{prefix}{number:015d}"


def salesforce(world: World) -> Tables:
    """`task` has the even touches, `event` the odd ones."""
    tables: Tables = {
        "account": [
            {
                "id": sf("001", each.number),
                "owner_id": sf("005", last(each.events, "owner") or 9),
                "stripe_customer_id__c": " ;".join(each.customers) or None,
                "industry": CANARY,
                "is_deleted": each.deleted,
            }
            for each in world.companies
        ],
        "account_history": [
            {"account_id": sf("001", each.number), "field": "Owner", **change}
            for each in world.companies
            for change in _owner_history(each.events)
        ],
        "user": [{"id": sf("005", number), "is_active": True, "username": CANARY} for number in range(10)],
        "opportunity_stage": [
            {"master_label": LABELS[stage], "is_closed": kind != "open", "is_won": kind == "won"}
            for stage, kind in STAGES.items()
        ],
    }
    return tables | _salesforce_deals(world) | _salesforce_touches(world) | _salesforce_cases(world)


def _owner_history(events: list[Event]) -> Iterator[Row]:
    """An entry of ids and one of names for each change after the first."""
    found = of(events, "owner")
    for (_, old), (at, new) in itertools.pairwise(found):
        ids = sf("005", old or 9), sf("005", new or 9)
        for before, after in (ids, (CANARY, "Ann Example, canary-4711")):
            yield {"old_value": before, "new_value": after, "created_date": at}


def _salesforce_deals(world: World) -> Tables:
    def states(deal: Deal) -> Iterator[tuple[datetime, str, Decimal | None]]:
        stage, cents = "", None
        for at in sorted({at for at, name, _ in deal.events if name != "owner"}):
            stage = next((value for when, value in of(deal.events, "stage") if when == at), stage)
            cents = next((value for when, value in of(deal.events, "amount") if when == at), cents)
            yield at, stage, None if cents is None else Decimal(cents) / 100

    def kept(deal: Deal) -> bool:
        return not deal.deleted and deal.merged_into is None

    return {
        "opportunity": [
            {
                "id": sf("006", deal.number),
                "account_id": sf("001", world.company_of(deal)),
                "owner_id": sf("005", last(deal.events, "owner")),
                "stage_name": LABELS[last(deal.events, "stage")],
                "amount": None if (cents := last(deal.events, "amount")) is None else Decimal(cents) / 100,
                "close_date": (NOW + timedelta(days=9)).date(),
                "created_date": deal.events[0][0],
                "is_closed": STAGES[last(deal.events, "stage")] != "open",
                "is_won": STAGES[last(deal.events, "stage")] == "won",
                "next_step": CANARY,
                "is_deleted": not kept(deal),
            }
            for deal in world.deals
        ],
        "opportunity_history": [
            {
                "id": sf("008", 1000 * deal.number + at_),
                "opportunity_id": sf("006", deal.number),
                "stage_name": LABELS[stage],
                "amount": amount,
                "created_date": at,
                "is_deleted": not kept(deal),
            }
            for deal in world.deals
            for at_, (at, stage, amount) in enumerate(states(deal))
        ],
        "opportunity_field_history": [
            {"opportunity_id": sf("006", deal.number), "field": "Owner", **change}
            for deal in world.deals
            for change in _owner_history(deal.events)
        ],
    }


def _salesforce_touches(world: World) -> Tables:
    def where(touch: Any) -> Row:
        on_deal = touch.deal is not None
        return {
            "id": sf("00T", touch.number),
            "account_id": None if on_deal else sf("001", touch.company),
            "what_id": sf("006", touch.deal) if on_deal else None,
            "who_id": CANARY,
            "created_date": touch.written,
            "is_deleted": False,
        }

    return {
        "task": [
            where(each)
            | {
                "type": {"call": "Call", "email": "Email", "meeting": "Meeting"}.get(each.channel, "Other"),
                "task_subtype": "Task",
                "status": CANARY,
                "is_closed": True,
                "activity_date": (each.at - timedelta(days=100)).date(),
                "completed_date_time": each.at,
            }
            for each in world.touches[::2]
        ],
        "event": [
            where(each) | {"type": "Call" if each.channel == "call" else None, "start_date_time": each.at}
            for each in world.touches[1::2]
        ],
    }


def _salesforce_cases(world: World) -> Tables:
    def history(ticket: Ticket) -> Iterator[Row]:
        words = of(ticket.events, "severity")
        for (_, old), (at, new) in itertools.pairwise(words):
            yield {
                "field": "Priority",
                "old_value": old.title(),
                "new_value": new.title(),
                "created_date": at,
            }
        for at, closed in of(ticket.events, "closed"):
            yield {
                "field": "Status",
                "old_value": None,
                "new_value": "Done" if closed else "Working",
                "created_date": at,
            }
        yield {
            "field": "Subject",
            "old_value": CANARY,
            "new_value": CANARY,
            "created_date": ticket.events[0][0],
        }

    return {
        "case": [
            {
                "id": sf("500", each.number),
                "account_id": sf("001", each.company),
                "status": "Done" if last(each.events, "closed") else "Working",
                "priority": last(each.events, "severity").title(),
                "is_closed": bool(last(each.events, "closed")),
                "created_date": each.events[0][0],
                "closed_date": next((at for at, closed in of(each.events, "closed")[::-1] if closed), None)
                if last(each.events, "closed")
                else None,
                "is_deleted": each.deleted,
            }
            for each in world.tickets
        ],
        "case_history": [
            {"case_id": sf("500", each.number), **change}
            for each in world.tickets
            for change in history(each)
        ],
    }


def zendesk(world: World) -> Tables:
    def history(ticket: Ticket) -> Iterator[tuple[datetime, str, str]]:
        opened = ticket.events[0][0]
        yield opened, "subject", CANARY
        yield opened, "status", "new"
        for at, value in of(ticket.events, "severity"):
            yield at, "priority", {"critical": "urgent"}.get(value, value)
        for at, closed in of(ticket.events, "closed"):
            yield at, "status", "solved" if closed else "open"
            if closed:
                yield (
                    at + timedelta(hours=1),
                    "status",
                    "closed" if closed is last(ticket.events, "closed") else "solved",
                )

    return {
        "organization": [
            {
                "id": company_id(each.number),
                "external_id": " ;".join(each.customers) or f"crm-{each.number}",
                "details": CANARY,
                "_fivetran_deleted": each.deleted,
            }
            for each in world.companies
        ],
        "ticket": [
            {
                "id": each.number,
                "organization_id": company_id(each.company),
                "status": "closed" if last(each.events, "closed") else "open",
                "priority": {"critical": "urgent"}.get(
                    last(each.events, "severity"), last(each.events, "severity")
                ),
                "created_at": each.events[0][0],
                "updated_at": NOW,
                "recipient": CANARY,
                "_fivetran_deleted": each.deleted,
            }
            for each in world.tickets
        ],
        "ticket_field_history": [
            {"ticket_id": each.number, "field_name": name, "value": value, "updated": at, "user_id": 1}
            for each in world.tickets
            for at, name, value in history(each)
        ],
        "ticket_tag": [{"ticket_id": each.number, "tag": CANARY} for each in world.tickets],
    }
