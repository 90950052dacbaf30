"""Opportunities, conversations and owners of Salesforce, as Fivetran's connector writes them.

Here: which tables and columns say what, and since when. Not here: cases (`salesforce_cases.py`), finding
tables (`fivetran.py`), customers of accounts (`accounts.py`).

Stage and amount are of `opportunity_history`, owners of the field history or of a table in history mode: the
tables `opportunity` and `account` have today's, which are known only today. Who was the owner before the
first change that was recorded is not known: changes are recorded from when somebody switched that on.
Descriptions, subjects, next steps and contacts are never read; the field history of owners has names beside
ids, and only ids are taken.

A task counts on the day it was completed. A call or an e-mail without such a day was logged when it was
created; any other task without one is work to do. The day a task is planned for (`activity_date`) can be
written at any time, so it is not read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from expansion_platform.domain.catalog.tables import LOST, OPEN, OPPORTUNITY, TOUCH, WON, CrmActivity, Owners
from expansion_platform.sources.crm.accounts import Accounts, accounts_of
from expansion_platform.sources.crm.collected import Collected, Facts
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

LINKS = ("stripe_customer_id_c", "stripe_customer_id")
OWNER = ("owner", "ownerid", "ownerassignment", "owneraccepted")
"""Fields of a field history that hold the owner, in lower case."""
_OF_USER = re.compile(r"(005|00G)[A-Za-z0-9]{12}([A-Za-z0-9]{3})?")
_LOGGED = {"call": "call", "email": "email", "listemail": "email"}
_TYPES = {"call": "call", "email": "email", "meeting": "meeting", "demo": "meeting"}
_Stages = dict[str, str]


class Edit(NamedTuple):
    """An entry of a field history."""

    at: datetime
    field: str
    old: Any
    new: Any


def accounts(schema: Schema, link: str | None) -> Accounts:
    """The customers of accounts."""
    return accounts_of(schema, "account", "id", link, LINKS)


def activity(schema: Schema, link: str | None, zone: ZoneInfo) -> Facts:
    """Opportunities and touches as CrmActivity.

    An opportunity's `date` is the day it entered its stage.
    """
    collected = Collected(CrmActivity, accounts(schema, link))
    account_of = _opportunities(schema, collected, zone)
    _tasks(schema, collected, account_of, zone)
    _events(schema, collected, account_of, zone)
    return collected.facts()


def owners(schema: Schema, link: str | None, zone: ZoneInfo) -> Facts:
    """Owners of accounts as Owners."""
    collected = Collected(Owners, accounts(schema, link))
    owned = owner_changes(schema, "account", "account_history?", "account_id", zone)
    for row in schema.rows("account", {"id": "id", "owner": "owner_id?"}):
        account, today = text(row["id"]), user(row.get("owner"))
        versions = versions_of(owned.pop(account or "", []))
        last = versions[-1].fields["owner"] if versions else None
        if "owner" in row and today != last:
            versions.append(Version(None, {"owner": today, "valid_from": None}))
        if versions:
            collected.add("account", None, [([account], version) for version in versions])
    return collected.facts()


def edits(schema: Schema, table: str, key: str, fields: tuple[str, ...]) -> dict[str, list[Edit]]:
    """The entries of a field history about some fields (lower case), by record, the oldest first."""
    found: dict[str, list[Edit]] = defaultdict(list)
    wanted = {"id": key, "field": "field", "old": "old_value?", "new": "new_value", "at": "created_date"}
    for row in schema.rows(table, wanted, instants=["at"], only={"field": fields}, history=True):
        identity = text(row["id"])
        if identity is not None and row["at"] is not None:
            found[identity].append(Edit(row["at"], row["field"].lower(), row.get("old"), row["new"]))
    for entries in found.values():
        entries.sort(key=lambda edit: (edit.at, edit.field, str(edit.old), str(edit.new)))
    return found


def owner_changes(
    schema: Schema, table: str, history: str, key: str, zone: ZoneInfo
) -> dict[str, list[Change]]:
    """Owners by record: of past rows of a table in history mode, else of its field history."""
    found: dict[str, list[Change]] = defaultdict(list)
    past = {"id": "id", "owner": "owner_id?", "at": "_fivetran_start?"}
    for row in schema.rows(table, past, instants=["at"], history=True):
        if row.get("at") is not None and "owner" in row:
            found[text(row["id"]) or ""].append(_owned(row["at"], user(row["owner"]), zone))
    if not found:
        for identity, entries in edits(schema, history, key, OWNER).items():
            found[identity] = [
                _owned(edit.at, user(edit.new), zone) for edit in entries if _is_of_users(edit)
            ]
    for identity, changes in found.items():
        changes.sort(key=lambda change: change.at)
        before = [None, *(change.fields["owner"] for change in changes)]
        found[identity] = [
            change for change, last in zip(changes, before, strict=False) if change.fields["owner"] != last
        ]
    return found


def user(value: Any) -> str | None:
    """The id of a user or queue; None for anything else, such as a name."""
    found = text(value)
    return found if found is not None and _OF_USER.fullmatch(found) else None


def _is_of_users(edit: Edit) -> bool:
    """Whether an entry has ids: Salesforce writes one of names beside each."""
    values = [value for value in (edit.old, edit.new) if text(value) is not None]
    return bool(values) and all(user(value) is not None for value in values)


def _owned(at: datetime, owner: str | None, zone: ZoneInfo) -> Change:
    return Change(at, at, {"owner": owner, "valid_from": day_of(at, zone)})


def _opportunities(schema: Schema, collected: Collected, zone: ZoneInfo) -> dict[str, str | None]:
    """Takes the opportunities up; returns their accounts."""
    wanted = {
        "id": "id",
        "account": "account_id",
        "owner": "owner_id?",
        "stage": "stage_name",
        "amount": "amount?",
        "closes": "close_date?",
        "created": "created_date?",
        "closed": "is_closed?",
        "won": "is_won?",
        "currency": "currency_iso_code?",
    }
    stages = _stages(schema)
    changes = _stage_changes(schema, stages, zone)
    owned = owner_changes(schema, "opportunity", "opportunity_field_history?", "opportunity_id", zone)
    account_of: dict[str, str | None] = {}
    for row in schema.rows("opportunity", wanted, instants=["closes", "created"]):
        identity = text(row["id"])
        if identity is None:
            continue
        account_of[identity] = text(row["account"])
        owner = [Change(at, then, {"owner": fields["owner"]}) for at, then, fields in owned.pop(identity, [])]
        versions = versions_of([*changes.pop(identity, []), *owner], needs="date")
        versions = and_today(versions, _today(row, stages, versions, zone), needs="date")
        always: Fields = {"kind": OPPORTUNITY, "currency": currency(row.get("currency"))}
        of = [account_of[identity]]
        collected.add(
            "opportunity", identity, [(of, Version(at, {**fields, **always})) for at, fields in versions]
        )
    return account_of


def _stage_changes(schema: Schema, stages: _Stages, zone: ZoneInfo) -> dict[str, list[Change]]:
    wanted = {
        "id": "opportunity_id",
        "stage": "stage_name",
        "amount": "amount?",
        "at": "created_date",
        "forecast": "forecast_category?",
    }
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in schema.rows("opportunity_history?", wanted, instants=["at"], history=True):
        if (identity := text(row["id"])) is not None and row["at"] is not None and text(row["stage"]):
            rows[identity].append(row)
    found: dict[str, list[Change]] = {}
    for identity, entries in rows.items():
        entries.sort(key=lambda row: (row["at"], str(row["stage"]), str(row.get("amount"))))
        stage, since, changes = None, "", []
        for row in entries:
            # An entry of another amount or date repeats the stage, which was entered before.
            if text(row["stage"]) != stage:
                stage, since = text(row["stage"]), day_of(row["at"], zone)
            fields = {**_stage(stages, stage or "", row.get("forecast")), "date": since}
            known = {"amount": amount(row["amount"])} if "amount" in row else {}
            changes.append(Change(row["at"], row["at"], fields | known))
        found[identity] = changes
    return found


def _today(row: Row, stages: _Stages, versions: list[Version], zone: ZoneInfo) -> Fields:
    """An opportunity as it is today. A stage that its history does not lead to is dated by itself."""
    found: dict[str, str | None] = {}
    if "amount" in row:
        found["amount"] = amount(row["amount"])
    if "owner" in row:
        found["owner"] = user(row["owner"])
    stage = text(row["stage"])
    if stage is not None:
        found |= _stage(stages, stage, None)
        last = versions[-1].fields if versions else {}
        if last.get("stage_name") != found["stage_name"]:
            closes, created = row.get("closes"), row.get("created")
            if found["stage"] != OPEN and closes is not None:  # a date without a time zone of its own
                found["date"] = closes.date().isoformat()
            elif created is not None:
                found["date"] = day_of(created, zone)
    return found


def _stage(stages: _Stages, stage: str, forecast: Any) -> dict[str, str | None]:
    named = {"closed won": WON, "closed lost": LOST}.get(stage.lower())
    guess = named or (WON if (text(forecast) or "").lower() == "closed" else OPEN)
    return {"stage": stages.get(stage, guess), "stage_name": label(stage)}


def _stages(schema: Schema) -> _Stages:
    """Kind by stage: of the list of stages, and of what opportunities are that are in it."""
    found: _Stages = {}
    for table, name in (("opportunity", "stage_name"), ("opportunity_stage?", "master_label|api_name")):
        wanted = {"stage": name, "closed": "is_closed?", "won": "is_won?"}
        for row in schema.rows(table, wanted, deleted=True):
            stage = text(row["stage"])
            if stage is not None and row.get("closed") is not None:
                closed = LOST if is_true(row["closed"]) else OPEN
                found[stage] = WON if is_true(row.get("won")) else closed
    return found


def _tasks(schema: Schema, collected: Collected, account_of: dict[str, str | None], zone: ZoneInfo) -> None:
    wanted = {
        "id": "id",
        "account": "account_id?",
        "what": "what_id?",
        "type": "type?",
        "subtype": "task_subtype?",
        "done": "completed_date_time?",
        "created": "created_date",
        "closed": "is_closed?",
    }
    for row in schema.rows("task?", wanted, instants=["done", "created"]):
        created, done = row["created"], row.get("done")
        logged = _LOGGED.get(_word(row.get("subtype")))
        at = done or created
        if at is None or not (done or logged or is_true(row.get("closed"))):
            continue
        # That a task without a day of completion is closed is today's state of it.
        known_at = max(done, created or done) if done else created if logged else None
        channel = logged or _TYPES.get(_word(row.get("type")), "task")
        _touch(collected, "task", row, account_of, Version(known_at, _touched(at, channel, zone)))


def _events(schema: Schema, collected: Collected, account_of: dict[str, str | None], zone: ZoneInfo) -> None:
    wanted = {
        "id": "id",
        "account": "account_id?",
        "what": "what_id?",
        "type": "type?",
        "at": "start_date_time|activity_date_time",
        "created": "created_date",
    }
    for row in schema.rows("event?", wanted, instants=["at", "created"]):
        if row["at"] is not None and row["created"] is not None:
            channel = _TYPES.get(_word(row.get("type")), "meeting")
            version = Version(max(row["at"], row["created"]), _touched(row["at"], channel, zone))
            _touch(collected, "event", row, account_of, version)


def _touch(
    collected: Collected, table: str, row: Row, account_of: dict[str, str | None], version: Version
) -> None:
    account = text(row.get("account")) or account_of.get(text(row.get("what")) or "")
    collected.add(table, text(row["id"]), [([account], version)])


def _touched(at: datetime, channel: str, zone: ZoneInfo) -> Fields:
    return {"kind": TOUCH, "date": day_of(at, zone), "channel": channel}


def _word(value: Any) -> str:
    return (text(value) or "").lower().replace("_", "").replace(" ", "")
