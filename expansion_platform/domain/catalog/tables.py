"""What the user gives because Stripe does not know it.

CRM activity, owners, support tickets, NPS answers, signals of their own, attributes of customers, costs by
month, programmes of outreach and which customers are in which arm of them.

Here: the columns of each file or table, all read as text. Not here: reading them (`sources/user_tables.py`,
`sources/crm/`), what is made of them (`domain/mrr/origins.py`, `domain/signals/facts.py`,
`domain/metrics/dimensions.py`, `domain/metrics/expansion_cac.py`, `domain/signals/programmes/`). They are no
tables of the lake: what is computed from them says so itself.

A thing that changes may have several rows, its versions, each with another `known_at`. Names of people,
e-mail addresses and free text have no column: they are never read.
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.catalog.instants import INSTANT, INSTANT_PATTERN, instants
from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import CURRENCY_PATTERN, DECIMAL_PATTERN, MONTH_PATTERN, Table

DATE_PATTERN = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"
AMOUNT_PATTERN = r"^\d+(\.\d+)?$"
NAME_PATTERN = r"^[a-z][a-z0-9_]*$"
NO_ADDRESS = r"^[^@]+$"
OPPORTUNITY, TOUCH = "opportunity", "touch"
OPEN, WON, LOST = STAGES = ("open", "won", "lost")
CHANNELS = ("call", "email", "meeting", "message", "task", "other")
SEVERITIES = ("low", "normal", "high", "critical")
"""From the least to the most severe."""
TREATMENT, CONTROL = ARMS = ("treatment", "control")
SHARE, AMOUNT = OUTCOMES = ("share", "amount")
_PART_PATTERN = r"^0\.\d*[1-9]\d*$"
"""Above 0 and below 1."""


def _days(cls, dates):  # noqa: ANN001, ANN202
    return pd.to_datetime(dates, format="%Y-%m-%d", errors="coerce").notna()


def _instants(cls, texts):  # noqa: ANN001, ANN202
    return instants(texts, "UTC").notna()


def _known_at() -> pa.Field:
    return pa.Field(
        description=f"since when this is known, {INSTANT}; empty where the table does not say: then it is "
        "known from the first read that has it",
        str_matches=INSTANT_PATTERN,
        nullable=True,
    )


class CrmActivity(Table):
    """One row per expansion opportunity, or touch logged, with a customer, and version of it."""

    customer: str = pa.Field(description="a Stripe customer, cus_...")
    date: str = pa.Field(
        description="a day, YYYY-MM-DD: of the touch, or on which the opportunity entered its stage",
        str_matches=DATE_PATTERN,
    )
    kind: str = pa.Field(
        description="`opportunity` (an expansion opportunity, closed-won that day where `stage` says nothing "
        "else) or `touch` (a CSM or AE spoke with the customer that day)",
        isin=[OPPORTUNITY, TOUCH],
    )
    id: str = pa.Field(description="the CRM's id of it, shown as evidence")
    stage: str = pa.Field(
        description="`open`, `won` or `lost`; empty for an opportunity that was won, and for a touch",
        isin=list(STAGES),
        nullable=True,
    )
    stage_name: str = pa.Field(
        description="what the CRM calls the stage; empty when unknown", str_matches=NO_ADDRESS, nullable=True
    )
    channel: str = pa.Field(
        description=f"how it came about: {', '.join(f'`{each}`' for each in CHANNELS)}, or a name of "
        "lower-case letters, digits and _ of your own; empty when unknown",
        str_matches=NAME_PATTERN,
        nullable=True,
    )
    amount: str = pa.Field(
        description="worth of the opportunity in whole units such as 12000.00; empty when unknown",
        str_matches=AMOUNT_PATTERN,
        nullable=True,
    )
    currency: str = pa.Field(
        description="currency of the amount, lower case; empty for the reporting currency. An amount in "
        "another one counts as unknown",
        str_matches=CURRENCY_PATTERN,
        nullable=True,
    )
    owner: str = pa.Field(
        description="id or short name of who owns the opportunity, no e-mail address; empty when unknown",
        str_matches=NO_ADDRESS,
        nullable=True,
    )
    known_at: str = _known_at()

    a_day = pa.check("date")(_days)
    an_instant = pa.check("known_at")(_instants)

    class Config(Table.Config):
        name = "CRM activity"
        metadata = {"key": ["kind", "id", "known_at"]}


class Owners(Table):
    """One row per customer and day from which it has an owner, and version of it."""

    customer: str = pa.Field(description="a Stripe customer, cus_...")
    owner: str = pa.Field(
        description="id or short name of the owner, no e-mail address; empty for nobody",
        str_matches=NO_ADDRESS,
        nullable=True,
    )
    valid_from: str = pa.Field(
        description="the first day of it, YYYY-MM-DD; empty where only today's owner is known: it counts "
        "from when it is known",
        str_matches=DATE_PATTERN,
        nullable=True,
    )
    known_at: str = _known_at()

    a_day = pa.check("valid_from")(_days)
    an_instant = pa.check("known_at")(_instants)

    class Config(Table.Config):
        name = "owners"
        metadata = {"key": ["customer", "valid_from", "known_at"]}


class Tickets(Table):
    """One row per support ticket and version of it."""

    customer: str = pa.Field(description="a Stripe customer, cus_...")
    id: str = pa.Field(description="the support tool's id of the ticket")
    opened: str = pa.Field(description="the day it was opened, YYYY-MM-DD", str_matches=DATE_PATTERN)
    closed: str = pa.Field(
        description="the day it was closed, YYYY-MM-DD; empty while it is open, opened again included",
        str_matches=DATE_PATTERN,
        nullable=True,
    )
    severity: str = pa.Field(
        description=f"{', '.join(f'`{each}`' for each in SEVERITIES)}; empty when unknown",
        isin=list(SEVERITIES),
        nullable=True,
    )
    feature: str = pa.Field(
        description="the feature it is about or asks for; empty when unknown",
        str_matches=NO_ADDRESS,
        nullable=True,
    )
    tier: str = pa.Field(
        description="the plan or tier that has what it asks for; empty when unknown",
        str_matches=NO_ADDRESS,
        nullable=True,
    )
    known_at: str = _known_at()

    a_day = pa.check("opened")(_days)
    another_day = pa.check("closed")(_days)
    an_instant = pa.check("known_at")(_instants)

    class Config(Table.Config):
        name = "tickets"
        metadata = {"key": ["id", "known_at"]}


class Nps(Table):
    """One row per answer to the question how likely the customer is to recommend, and version of it."""

    customer: str = pa.Field(description="a Stripe customer, cus_...")
    date: str = pa.Field(description="the day of the answer, YYYY-MM-DD", str_matches=DATE_PATTERN)
    id: str = pa.Field(
        description="the survey tool's id of the answer, never of the person; needed only where a customer "
        "answers more than once a day",
        str_matches=NO_ADDRESS,
        nullable=True,
    )
    score: str = pa.Field(description="0 to 10", str_matches=r"^(\d|10)$")
    known_at: str = _known_at()

    a_day = pa.check("date")(_days)
    an_instant = pa.check("known_at")(_instants)

    class Config(Table.Config):
        name = "NPS answers"
        metadata = {"key": ["customer", "date", "id", "known_at"]}


class CustomerSignals(Table):
    """One row per customer, day and signal of the user's own, and version of it."""

    customer: str = pa.Field(description="a Stripe customer, cus_...")
    date: str = pa.Field(description="the day the value is of, YYYY-MM-DD", str_matches=DATE_PATTERN)
    signal: str = pa.Field(
        description="a name of lower-case letters, digits and _, such as csat; it becomes a feature of that "
        "name",
        str_matches=NAME_PATTERN,
    )
    value: str = pa.Field(description="a decimal number such as 0.75", str_matches=DECIMAL_PATTERN)
    known_at: str = _known_at()

    a_day = pa.check("date")(_days)
    an_instant = pa.check("known_at")(_instants)

    class Config(Table.Config):
        name = "customer signals"
        metadata = {"key": ["customer", "date", "signal", "known_at"]}


FACTS: tuple[type[Table], ...] = (CrmActivity, Owners, Tickets, Nps, CustomerSignals)
"""The tables whose rows are versions of facts."""


class CustomerAttributes(Table):
    """One row per customer, attribute and month from which it has a value."""

    customer: str = pa.Field(description="a Stripe customer, cus_...")
    attribute: str = pa.Field(
        description="a name of lower-case letters, digits and _, such as region", str_matches=NAME_PATTERN
    )
    value: str = pa.Field(description="the customer's value")
    valid_from: str = pa.Field(
        description="the first month it holds in, YYYY-MM; empty for always",
        str_matches=MONTH_PATTERN,
        nullable=True,
    )

    class Config(Table.Config):
        name = "customer attributes"
        metadata = {"key": ["customer", "attribute", "valid_from"]}


class Costs(Table):
    """One row per month: what expansion and acquisition cost."""

    month: str = pa.Field(description="a month, YYYY-MM", str_matches=MONTH_PATTERN)
    program_cost: str = pa.Field(
        description="cost of expansion programs, in whole units such as 12000.00", str_matches=AMOUNT_PATTERN
    )
    acquisition_cost: str = pa.Field(
        description="cost of acquiring new customers, in whole units", str_matches=AMOUNT_PATTERN
    )
    currency: str = pa.Field(description="the reporting currency, lower case", str_matches=CURRENCY_PATTERN)

    class Config(Table.Config):
        name = "costs"
        metadata = {"key": ["month"]}


class Assignments(Table):
    """One row per customer that is put into an arm of a programme of outreach."""

    programme: str = pa.Field(description="a name of the programme", str_matches=NO_ADDRESS)
    customer: str = pa.Field(description="a Stripe customer, cus_...")
    arm: str = pa.Field(
        description="`treatment` (is spoken to) or `control` (is left alone)", isin=list(ARMS)
    )
    assigned_at: str = pa.Field(
        description="the day on which the arm was decided, before any outreach, YYYY-MM-DD or an instant "
        "such as 2026-03-05T10:30:00Z (UTC without a zone)",
        str_matches=INSTANT_PATTERN,
    )
    randomised: str = pa.Field(
        description="`true` where chance alone decided the arm, as `expansion holdout` does, else `false`",
        isin=["true", "false"],
    )

    an_instant = pa.check("assigned_at")(_instants)

    class Config(Table.Config):
        name = "assignments"
        metadata = {"key": ["programme", "customer", "assigned_at"]}


class Programmes(Table):
    """One row per programme of outreach: what was planned, and what it cost."""

    programme: str = pa.Field(description="the name that assignments have", str_matches=NO_ADDRESS)
    planned_share: str = pa.Field(
        description="share of customers planned for treatment, such as 0.9", str_matches=_PART_PATTERN
    )
    primary_outcome: str = pa.Field(
        description="what decides whether it worked, chosen before it begins: `share` (of customers that "
        "expand; also where it is empty) or `amount` (expansion per customer)",
        isin=list(OUTCOMES),
        nullable=True,
    )
    cost: str = pa.Field(
        description="what it cost, in whole units of the reporting currency such as 12000.00; empty when "
        "unknown: then it has no ROI",
        str_matches=AMOUNT_PATTERN,
        nullable=True,
    )
    margin: str = pa.Field(
        description="gross margin from 0 to 1, such as 0.8; empty when unknown: then it has no ROI",
        str_matches=r"^(0(\.\d+)?|1(\.0+)?)$",
        nullable=True,
    )
    months_retained: str = pa.Field(
        description="months for which expansion is kept, for the ROI; empty for 12",
        str_matches=r"^[1-9]\d{0,2}$",
        nullable=True,
    )

    class Config(Table.Config):
        name = "programmes"
        metadata = {"key": ["programme"]}
