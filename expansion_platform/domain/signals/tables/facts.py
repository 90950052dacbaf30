"""Floor `crm`: what is known of the relationship with each customer, and since when.

Here: the tables, and the user's own tables as their rows. Not here: which of the rows are new, which were
known at a close (`facts.py`); reading (`sources/crm/`).

A row is a version of a fact, and is never changed: what is read later is appended. So what was known at a
close stays known as it was.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pandas as pd

from expansion_platform.domain.catalog import tables as given
from expansion_platform.domain.catalog.instants import instants
from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core import money
from expansion_platform.domain.core.table import DECIMAL_PATTERN, Instant, Table, columns, key

STATED, OWN, BEGUN = "stated_at", "own_at", "begun_at"
"""Columns of rows read: the `known_at` that the source states; the end of the fact's own day; the end of the
day on which it began, earlier only for a closed ticket.
"""
LARGEST = 2**62
"""Minor units from which an amount is a slip of the keyboard: it counts as unknown."""


class Fact(Table):
    """Columns of every table of facts."""

    customer: str = pa.Field(description="Stripe customer, as the source says")
    known_at: Instant = pa.Field(
        description="Since when this version is known: what the source says, else the first read that had it"
    )
    version: int = pa.Field(
        description="Number of the version of this fact in the order it was stored, from 1; of two of one "
        "known_at the higher counts",
        ge=1,
    )
    stated_at: Instant = pa.Field(
        description="The known_at that the source says; null when it says none", nullable=True
    )
    first_load: bool = pa.Field(
        description="known_at is the end of the fact's own day: nothing was stored before, and the source "
        "says none"
    )
    gone: bool = pa.Field(description="The fact is no longer in the source from known_at on")


VERSION = ("known_at", "version", STATED, "first_load", "gone")
"""Columns that say of a version when it is known; the others say what."""


class Activity(Fact):
    """One row per opportunity or touch, and version of it."""

    date: str = pa.Field(
        description="Day of the touch, or on which the opportunity entered its stage, YYYY-MM-DD",
        str_matches=given.DATE_PATTERN,
    )
    kind: str = pa.Field(description="`opportunity` or `touch`", isin=[given.OPPORTUNITY, given.TOUCH])
    id: str = pa.Field(description="The CRM's id of it")
    stage: str = pa.Field(
        description="`open`, `won` or `lost`; null for a touch", isin=list(given.STAGES), nullable=True
    )
    stage_name: str = pa.Field(description="What the CRM calls the stage", nullable=True)
    channel: str = pa.Field(
        description=f"How it came about: {', '.join(f'`{each}`' for each in given.CHANNELS)} or a name of "
        "the user's own; null when unknown",
        nullable=True,
    )
    amount: pd.Int64Dtype = pa.Field(
        description="Worth of the opportunity, minor units of the reporting currency; null when unknown or "
        "in another currency",
        ge=0,
        nullable=True,
    )
    owner: str = pa.Field(description="Owner of the opportunity; null when unknown", nullable=True)

    class Config(Table.Config):
        name = "crm/activity"
        metadata = {"key": ["kind", "id", "version"]}
        unique = ["kind", "id", "version"]


class OwnerPeriods(Fact):
    """One row per customer and day from which it has an owner, and version of it."""

    owner: str = pa.Field(description="Id or short name of the owner; null for nobody", nullable=True)
    valid_from: str = pa.Field(
        description="First day of it, YYYY-MM-DD; null where the source only knows today's owner: it counts "
        "from known_at",
        str_matches=given.DATE_PATTERN,
        nullable=True,
    )

    class Config(Table.Config):
        name = "crm/owners"
        metadata = {"key": ["customer", "valid_from", "version"]}
        unique = ["customer", "valid_from", "version"]


class SupportTickets(Fact):
    """One row per support ticket, and version of it."""

    id: str = pa.Field(description="The support tool's id of the ticket")
    opened: str = pa.Field(description="Day it was opened, YYYY-MM-DD", str_matches=given.DATE_PATTERN)
    closed: str = pa.Field(
        description="Day it was closed, YYYY-MM-DD; null while it is open, opened again included",
        str_matches=given.DATE_PATTERN,
        nullable=True,
    )
    severity: str = pa.Field(
        description=f"{', '.join(f'`{each}`' for each in given.SEVERITIES)}; null when unknown",
        isin=list(given.SEVERITIES),
        nullable=True,
    )
    feature: str = pa.Field(description="Feature it is about or asks for; null when unknown", nullable=True)
    tier: str = pa.Field(
        description="Plan or tier that has what it asks for; null when unknown", nullable=True
    )

    class Config(Table.Config):
        name = "crm/tickets"
        metadata = {"key": ["id", "version"]}
        unique = ["id", "version"]


class NpsAnswers(Fact):
    """One row per NPS answer, and version of it."""

    date: str = pa.Field(description="Day of the answer, YYYY-MM-DD", str_matches=given.DATE_PATTERN)
    id: str = pa.Field(description="The survey tool's id of the answer; null when it has none", nullable=True)
    score: pd.Int64Dtype = pa.Field(description="0 to 10", ge=0, le=10)

    class Config(Table.Config):
        name = "crm/nps"
        metadata = {"key": ["customer", "date", "id", "version"]}
        unique = ["customer", "date", "id", "version"]


class SignalValues(Fact):
    """One row per customer, day and signal of the user's own, and version of it."""

    date: str = pa.Field(description="Day the value is of, YYYY-MM-DD", str_matches=given.DATE_PATTERN)
    signal: str = pa.Field(description="The signal, a feature of that name", str_matches=given.NAME_PATTERN)
    value: str = pa.Field(
        description="Decimal text without zeros at the end of its fraction", str_matches=DECIMAL_PATTERN
    )

    class Config(Table.Config):
        name = "crm/customer_signals"
        metadata = {"key": ["customer", "date", "signal", "version"]}
        unique = ["customer", "date", "signal", "version"]


FACT_TABLES: dict[type[Table], type[Fact]] = {
    given.CrmActivity: Activity,
    given.Owners: OwnerPeriods,
    given.Tickets: SupportTickets,
    given.Nps: NpsAnswers,
    given.CustomerSignals: SignalValues,
}
"""The lake's table of each of the user's."""
_DATED = {Activity: "date", OwnerPeriods: "valid_from", NpsAnswers: "date", SignalValues: "date"}


def fact_key(model: type[Fact]) -> list[str]:
    """Columns that say which fact a row is a version of."""
    return [name for name in key(model) if name != "version"]


def content(model: type[Fact]) -> list[str]:
    """Columns that say what a version says."""
    return [name for name in columns(model) if name not in VERSION]


def as_facts(rows: pd.DataFrame, model: type[Fact], currency: str, timezone: str) -> pd.DataFrame:
    """Rows of one of the user's tables, in the types of the lake's.

    Args:
        rows: Text, as `read_given` or `read_facts` gave it: valid rows of the user's table.
        model: The lake's table of it (`FACT_TABLES`).
        currency: Reporting currency. An amount in another one becomes null.
        timezone: Reporting time zone, in which days end.

    Returns:
        The columns of `content`, and three instants that may be NaT: STATED, OWN, BEGUN.
    """
    own = rows["closed"].fillna(rows["opened"]) if model is SupportTickets else rows[_DATED[model]]
    begun = rows["opened"] if model is SupportTickets else own
    typed = rows.assign(
        **{STATED: instants(rows["known_at"], timezone)},
        **{name: instants(days, timezone) for name, days in ((OWN, own), (BEGUN, begun))},
    )
    if model is Activity:
        of_touch = rows["kind"] == given.TOUCH
        typed["stage"] = rows["stage"].fillna(given.WON).mask(of_touch).astype("str")
        typed["amount"] = _minor_units(rows, currency)
    if model is NpsAnswers:
        typed["score"] = pd.to_numeric(rows["score"]).astype("Int64")
    if model is SignalValues:
        texts = {text: _shortest(text) for text in rows["value"].unique()}
        typed["value"] = rows["value"].map(texts).astype("str")
    return typed[[*content(model), STATED, OWN, BEGUN]].reset_index(drop=True)


def _minor_units(rows: pd.DataFrame, currency: str) -> pd.Series[int]:
    ours = rows["amount"].where(rows["currency"].isna() | (rows["currency"] == currency))
    factor = Fraction(10 ** money.exponent(currency))
    units = {text: money.round_half_even(money.decimal(text), factor) for text in ours.dropna().unique()}
    found = [units.get(text) for text in ours]
    return pd.Series(
        [None if each is None or each >= LARGEST else each for each in found],
        index=rows.index,
        dtype="Int64",
    )


def _shortest(text: str) -> str:
    value = Decimal(text)
    whole = value.to_integral_value()
    return f"{whole if value == whole else value.normalize():f}" if value else "0"
