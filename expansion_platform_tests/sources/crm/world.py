"""A simulated CRM: what happened to companies, deals, conversations and tickets, and who knew what when.

The layouts (`layouts.py`) write it down as the connectors do. What was known at an instant is counted here,
from the same events, one after the other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

CANARY = "canary-4711@example.com"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 7, 1, 6, tzinfo=UTC)
CLOSES = [datetime(2026, month, 6, tzinfo=UTC) for month in range(2, 7)]
STAGES = {"qualified": "open", "proposal": "open", "won": "won", "lost": "lost"}
LABELS = {"qualified": "Qualified", "proposal": "Proposal sent", "won": "Closed Won", "lost": "No budget"}
CHANNELS = ["call", "email", "meeting", "message"]
Event = tuple[datetime, str, Any]


@dataclass
class Company:
    number: int
    customers: list[str]
    events: list[Event]
    """(at, "owner", number of the owner or None)"""
    deleted: bool = False


@dataclass
class Deal:
    number: int
    companies: list[int]
    """Where there are several, the first is the primary one if `primary`."""
    events: list[Event]
    """(at, "stage" | "amount" | "owner", value)"""
    primary: bool = True
    deleted: bool = False
    merged_into: int | None = None


@dataclass
class Touch:
    number: int
    company: int
    channel: str
    at: datetime
    written: datetime
    deal: int | None = None
    """Only on a deal, not on the company."""


@dataclass
class Ticket:
    number: int
    company: int
    events: list[Event]
    """(at, "opened", True), (at, "severity", word), (at, "closed", bool)"""
    deleted: bool = False


@dataclass
class World:
    companies: list[Company]
    deals: list[Deal]
    touches: list[Touch]
    tickets: list[Ticket]
    claimed: set[str] = field(default_factory=set)
    """Customers that two companies name."""

    def customers(self, company: int) -> list[str]:
        found = self.companies[company]
        return [] if found.deleted else [each for each in found.customers if each not in self.claimed]

    def company_of(self, deal: Deal) -> int:
        """The primary company, else the lowest; of those that are not deleted."""
        there = [each for each in deal.companies if not self.companies[each].deleted]
        if deal.primary and deal.companies[0] in there:
            return deal.companies[0]
        return min(there, default=deal.companies[0])

    def deals_known(self, at: datetime) -> dict[tuple[str, int], dict[str, Any]]:
        """By customer and deal: day and name of the stage, amount, owner."""
        found = {}
        for deal in self.deals:
            if deal.deleted or deal.merged_into is not None:
                continue
            state: dict[str, Any] = {}
            for when, name, value in sorted(deal.events, key=lambda event: event[:2]):
                if when <= at:
                    state[name] = value
                    if name == "stage":
                        state["date"] = when.date().isoformat()
            for customer in self.customers(self.company_of(deal)) if state else []:
                found[customer, deal.number] = state
        return found

    def tickets_known(self, at: datetime) -> dict[tuple[str, int], dict[str, Any]]:
        """By customer and ticket: days it was opened and closed, severity."""
        found = {}
        for ticket in self.tickets:
            state: dict[str, Any] = {}
            for when, name, value in sorted(ticket.events):
                if when <= at:
                    day = when.date().isoformat()
                    state[name] = value if name == "severity" else day if value else None
            for customer in self.customers(ticket.company) if state and not ticket.deleted else []:
                found[customer, ticket.number] = state
        return found

    def owners_known(self, at: datetime) -> dict[tuple[str, str], int | None]:
        """By customer and day since when: the owner."""
        return {
            (customer, when.date().isoformat()): owner
            for company in self.companies
            for when, _, owner in sorted(company.events, key=lambda event: event[0])
            for customer in self.customers(company.number)
            if when <= at
        }

    def touches_known(self, at: datetime) -> dict[tuple[str, int], tuple[str, str]]:
        """By customer and touch: day, channel."""
        found = {}
        for touch in self.touches:
            of = touch.company if touch.deal is None else self.company_of(self.deals[touch.deal])
            for customer in self.customers(of):
                if max(touch.at, touch.written) <= at:
                    found[customer, touch.number] = touch.at.date().isoformat(), touch.channel
        return found


def simulated(seed: int = 7, companies: int = 30) -> World:
    """Thirty companies with three deals, six touches and three tickets each, and every trouble there is."""
    rng = random.Random(seed)  # noqa: S311
    world = World([_company(rng, number) for number in range(companies)], [], [], [])
    world.companies[3].customers = []
    world.companies[4].customers = ["cus_4", "cus_4b"]
    world.companies[5].customers = ["cus_6"]
    world.claimed = {"cus_6"}
    world.companies[7].deleted = world.companies[19].deleted = True
    for number in range(3 * companies):
        company = number % companies
        world.deals.append(Deal(number, [company], _life(rng)))
        if number % 9 == 0 and company < companies - 1:
            world.deals[-1].companies.append(company + 1)
            world.deals[-1].companies.reverse()  # the primary one has the higher id
            world.deals[-1].primary = number % 18 == 0
    for number in (8, 40):
        world.deals[number].deleted = True
    for number in (10, 41):
        world.deals[number].merged_into = number + 1
    for number in range(6 * companies):
        at = BEGIN + timedelta(hours=rng.uniform(0, 24 * 175))
        written = at + timedelta(hours=rng.choice([-48, 0, 1, 24 * 40]))  # planned, at once, and much later
        deal = number % (3 * companies) if number % 5 == 0 else None
        touch = Touch(number, number % companies, rng.choice(CHANNELS), at, min(written, NOW), deal)
        world.touches.append(touch)
    for number in range(3 * companies):
        world.tickets.append(Ticket(number, number % companies, _ticket(rng), deleted=number in (11, 50)))
    return world


def _company(rng: random.Random, number: int) -> Company:
    days = sorted(rng.sample(range(170), rng.randint(1, 3)))
    owners = rng.sample([1, 2, 3, 4, None], len(days))
    at = [BEGIN + timedelta(days=day, hours=rng.uniform(1, 20)) for day in days]
    return Company(
        number, [f"cus_{number}"], [(when, "owner", one) for when, one in zip(at, owners, strict=True)]
    )


def _life(rng: random.Random) -> list[Event]:
    """Stages one after the other, some won and opened again; amounts edited at any time, also at the end."""
    at = BEGIN + timedelta(hours=rng.uniform(1, 24 * 120))
    events: list[Event] = [
        (at, "stage", "qualified"),
        (at, "amount", rng.randint(1, 900) * 100),
        (at, "owner", 1),
    ]
    ends = rng.choice([[], ["won"], ["lost"], ["won", "proposal", "lost"], ["won", "proposal", "won"]])
    for stage in ["proposal", *ends]:
        at += timedelta(hours=rng.uniform(1, 24 * 30))
        events.append((at, "stage", stage))
    for name, values in (("amount", [None, 4_950, 120_000]), ("owner", [2, 3, 4])):
        for value in rng.sample(values, rng.randint(0, 2)):
            events.append((events[0][0] + timedelta(hours=rng.uniform(1, 24 * 90)), name, value))
    return sorted((event for event in events if event[0] < NOW), key=lambda event: event[:2])


def _ticket(rng: random.Random) -> list[Event]:
    at = BEGIN + timedelta(hours=rng.uniform(1, 24 * 140))
    events: list[Event] = [(at, "opened", True), (at, "severity", rng.choice(["low", "normal", "high"]))]
    for closed in [True, False, True][: rng.randint(0, 3)]:
        at += timedelta(hours=rng.uniform(2, 24 * 25))
        events.append((at, "closed", closed))
    if rng.random() < 0.5:
        raised = events[0][0] + timedelta(hours=rng.uniform(1, 24 * 60))
        events.append((raised, "severity", "critical"))
    return sorted(event for event in events if event[0] < NOW)
