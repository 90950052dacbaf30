"""Each close sees what the CRM knew then: read, stored, and compared with the simulated CRM."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.catalog.tables import CrmActivity, Owners, Tickets
from expansion_platform.domain.core.table import Table, empty
from expansion_platform.domain.core.validation import validate
from expansion_platform.domain.signals.facts import known_facts, versions
from expansion_platform.domain.signals.tables.facts import FACT_TABLES, as_facts
from expansion_platform.sources.crm import Facts, Unmatched, read_facts
from expansion_platform_tests.sources.crm import layouts
from expansion_platform_tests.sources.crm.database import camel, joined, snake, write
from expansion_platform_tests.sources.crm.world import CLOSES, LABELS, NOW, STAGES, World, simulated

WORLD = simulated()
HUBSPOT, SALESFORCE, ZENDESK = "fivetran_hubspot", "fivetran_salesforce", "fivetran_zendesk"
LAYOUTS: dict[str, Callable[[World], layouts.Tables]] = {
    HUBSPOT: layouts.hubspot,
    SALESFORCE: layouts.salesforce,
    ZENDESK: layouts.zendesk,
}


class Read:
    """What a source says of a table, read, and stored at a first load."""

    def __init__(self, source: str, url: str, schema: str, model: type[Table]) -> None:
        self.facts = read_facts(f"{source}:{schema}", model, url)
        model.validate(self.facts.frame)
        self.model = FACT_TABLES[model]
        self.read = as_facts(self.facts.frame, self.model, "usd", "UTC")
        added = versions(empty(self.model), self.read, NOW, self.model, own_dates=self.facts.own_dates)
        self.stored = validate(self.model, added)

    def known(self, close: Any) -> list[dict[str, Any]]:
        rows = known_facts(self.stored, self.model, close).astype(object)
        return rows.where(rows.notna(), None).to_dict("records")


def number(identity: str) -> int:
    """The number behind a CRM's id, without the customer that a second one has behind it."""
    own = identity.split(":")[0]
    return int(own[3:]) if own[:3] in ("006", "00T", "500") else int(own)


@pytest.mark.parametrize("spelled", [snake, camel, joined])
def test_deals_of_hubspot(database: str, schema: str, spelled: Callable[[str], str]) -> None:
    write(database, schema, layouts.hubspot(WORLD), spelled)
    read = Read(HUBSPOT, database, schema, CrmActivity)
    names = "stage", "stage_name", "date", "amount", "owner"
    for close in [*CLOSES, NOW]:
        known = {
            (row["customer"], number(row["id"])): tuple(row[name] for name in names)
            for row in read.known(close)
            if row["kind"] == "opportunity"
        }
        truth = {
            place: (
                STAGES[deal["stage"]],
                LABELS[deal["stage"]],
                deal["date"],
                deal["amount"],
                str(deal["owner"]),
            )
            for place, deal in WORLD.deals_known(close).items()
        }
        assert known == truth
    assert len(truth) > 60
    assert {stage for stage, *_ in truth.values()} == {"open", "won", "lost"}


@pytest.mark.parametrize("spelled", [snake, camel, joined])
def test_opportunities_of_salesforce(database: str, schema: str, spelled: Callable[[str], str]) -> None:
    """The owner is known from its first recorded change on, and today."""
    write(database, schema, layouts.salesforce(WORLD), spelled)
    read = Read(SALESFORCE, database, schema, CrmActivity)
    names = "stage", "stage_name", "date", "amount", "owner"
    for close in [*CLOSES, NOW]:
        known = {
            (row["customer"], number(row["id"])): tuple(row[name] for name in names)
            for row in read.known(close)
            if row["kind"] == "opportunity"
        }
        truth = {}
        for (customer, deal), state in WORLD.deals_known(close).items():
            changes = [at for at, name, _ in WORLD.deals[deal].events if name == "owner"][1:]
            recorded = close == NOW or any(at <= close for at in changes)
            owner = layouts.sf("005", state["owner"]) if recorded else None
            kind, name = STAGES[state["stage"]], LABELS[state["stage"]]
            truth[customer, deal] = kind, name, state["date"], state["amount"], owner
        assert known == truth


@pytest.mark.parametrize("source", [HUBSPOT, SALESFORCE])
def test_touches(database: str, schema: str, source: str) -> None:
    write(database, schema, LAYOUTS[source](WORLD))
    read = Read(source, database, schema, CrmActivity)
    first = 10_000 if source == HUBSPOT else 0
    for close in [*CLOSES, NOW]:
        known = {
            (row["customer"], number(row["id"]) - first): (row["date"], row["channel"])
            for row in read.known(close)
            if row["kind"] == "touch"
        }
        truth = WORLD.touches_known(close)
        if source == SALESFORCE:
            truth = {
                (customer, touch): (day, _channel_of_salesforce(channel, touch))
                for (customer, touch), (day, channel) in truth.items()
                if not _on_a_deal_gone(touch)
            }
        assert known == truth
    assert len(truth) > 100


def _channel_of_salesforce(channel: str, touch: int) -> str:
    """Odd touches are events there; a type that is no conversation's is a task."""
    if touch % 2:
        return "call" if channel == "call" else "meeting"
    return "task" if channel == "message" else channel


def _on_a_deal_gone(touch: int) -> bool:
    deal = WORLD.touches[touch].deal
    return deal is not None and (WORLD.deals[deal].deleted or WORLD.deals[deal].merged_into is not None)


@pytest.mark.parametrize("source", [HUBSPOT, SALESFORCE])
def test_owners(database: str, schema: str, source: str) -> None:
    """Salesforce records changes, not the first owner."""
    write(database, schema, LAYOUTS[source](WORLD))
    read = Read(source, database, schema, Owners)
    assert read.facts.frame["owner"].dropna().str.fullmatch(r"\d+|005\d{15}").all()
    firsts = {
        (customer, each.events[0][0].date().isoformat())
        for each in WORLD.companies
        for customer in each.customers
    }
    for close in [*CLOSES, NOW]:
        known = {
            (row["customer"], row["valid_from"]): row["owner"]
            for row in read.known(close)
            if row["valid_from"] is not None
        }
        truth = WORLD.owners_known(close)
        if source == HUBSPOT:
            assert known == {place: None if owner is None else str(owner) for place, owner in truth.items()}
        else:
            assert known == {
                place: layouts.sf("005", owner or 9) for place, owner in truth.items() if place not in firsts
            }
    assert len(known) > 10


@pytest.mark.parametrize("source", [HUBSPOT, SALESFORCE, ZENDESK])
def test_tickets(database: str, schema: str, source: str) -> None:
    """The first priority of a case of Salesforce is known from its first change on, and today."""
    write(database, schema, LAYOUTS[source](WORLD))
    read = Read(source, database, schema, Tickets)
    raised = reopened = 0
    for close in [*CLOSES, NOW]:
        known = {
            (row["customer"], number(row["id"])): (row["opened"], row["closed"], row["severity"])
            for row in read.known(close)
        }
        truth = {}
        for (customer, ticket), state in WORLD.tickets_known(close).items():
            events = [event for event in WORLD.tickets[ticket].events if event[0] <= close]
            words = [event for event in events if event[1] == "severity"]
            unknown = source == SALESFORCE and len(words) == 1 and close != NOW
            severity = None if unknown else state["severity"]
            truth[customer, ticket] = state["opened"], state.get("closed"), severity
            raised += len(words) > 1
            reopened += [value for _, name, value in events if name == "closed"][-1:] == [False]
        assert known == truth
    assert raised > 50
    assert reopened > 10


@pytest.mark.parametrize(
    ("source", "model"),
    [
        (HUBSPOT, CrmActivity),
        (HUBSPOT, Owners),
        (HUBSPOT, Tickets),
        (SALESFORCE, CrmActivity),
        (SALESFORCE, Owners),
        (SALESFORCE, Tickets),
        (ZENDESK, Tickets),
    ],
)
def test_reading_twice_adds_nothing_and_nothing_private_is_read(
    database: str, schema: str, source: str, model: type[Table], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    write(database, schema, LAYOUTS[source](WORLD))
    read = Read(source, database, schema, model)
    again = as_facts(read_facts(f"{source}:{schema}", model, database).frame, read.model, "usd", "UTC")
    later = pd.Timestamp(NOW) + pd.Timedelta(days=1)
    assert versions(read.stored, again, later, read.model, own_dates=False).empty
    said = read.facts.frame.to_csv() + " ".join(read.facts.notes) + caplog.text
    assert "canary" not in said
    assert "Ann" not in said


@pytest.mark.parametrize("source", [HUBSPOT, SALESFORCE, ZENDESK])
def test_conflicts_and_the_unmatched_are_counted(database: str, schema: str, source: str) -> None:
    write(database, schema, LAYOUTS[source](WORLD))
    facts: Facts = read_facts(f"{source}:{schema}", Tickets, database)
    there = [each for each in WORLD.tickets if not each.deleted]
    without = [each for each in there if not WORLD.customers(each.company)]
    (counted,) = facts.unmatched.values()
    assert counted == Unmatched(len(there), len(without))
    assert counted.share == f"{len(without) / len(there):.6f}"
    assert [each.customer for each in facts.conflicts] == ["cus_6"]
    assert len(facts.conflicts[0].accounts) == 2
    assert "cus_6" not in set(facts.frame["customer"])
    assert any("cus_6" in note for note in facts.notes)
