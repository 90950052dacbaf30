"""The signals of a simulated company: its events, its user's tables and files, and the truth behind them.

Here: putting together what shows of the states; files of a folder and the settings that name them. Not here:
how states arise (`hidden.py`, `hindsight.py`), servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow
import yaml

from expansion_platform.domain.catalog.tables import Assignments, Programmes
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import columns
from expansion_platform.simulator.company.hidden import Hidden
from expansion_platform.simulator.company.hindsight import states_in_hindsight
from expansion_platform.simulator.company.keys import seeded, uniform
from expansion_platform.simulator.company.relationship import Relationship, relationship
from expansion_platform.simulator.company.signals import Programme, Signals
from expansion_platform.simulator.company.usage_of_states import DEFINITION, usage_of_states
from expansion_platform.simulator.truth.signals import RISKS, STATES, SignalTruth

SETTINGS = {
    "owners.csv": "EXPANSION_OWNERS",
    "tickets.csv": "EXPANSION_TICKETS",
    "nps.csv": "EXPANSION_NPS",
    "crm_activity.csv": "EXPANSION_CRM_ACTIVITY",
    "customer_signals.csv": "EXPANSION_CUSTOMER_SIGNALS",
    "assignments.csv": "EXPANSION_ASSIGNMENTS",
    "programmes.csv": "EXPANSION_PROGRAMMES",
    "signals.yaml": "EXPANSION_SIGNALS",
}
"""The setting that names each file."""
HINDSIGHT_DAYS = 1.4
"""On which a person of the demo is active in a month: its events cost time."""
TOUCH_BEFORE, TOUCH_AFTER = pd.Timedelta(days=65), pd.Timedelta(days=2)
"""Around a change, without touches of a company in hindsight: a touch would be its origin."""
RANDOM_PROGRAMME = "outreach_by_chance"


@dataclass(frozen=True)
class Signalled:
    """What shows of a company's states, and the truth."""

    seed: int
    as_of: datetime
    days_per_person: float
    truth: SignalTruth
    facts: Relationship
    assignments: pd.DataFrame
    programmes: pd.DataFrame

    def events(self, *, properties: bool = False) -> pyarrow.Table:
        """Product events (`usage_of_states.py`), made anew at each call."""
        return usage_of_states(
            self.seed, self.truth.states, self.days_per_person, self.as_of, properties=properties
        )

    def write(self, folder: Path) -> dict[str, str]:
        """Writes the user's files into a folder that is there; the settings that name them."""
        tables = {
            "owners.csv": self.facts.owners,
            "tickets.csv": self.facts.tickets,
            "nps.csv": self.facts.nps,
            "crm_activity.csv": self.facts.crm_activity,
            "customer_signals.csv": self.facts.customer_signals,
            "assignments.csv": self.assignments,
            "programmes.csv": self.programmes,
        }
        for name, table in tables.items():
            table.to_csv(folder / name, index=False)
        (folder / "signals.yaml").write_text(yaml.safe_dump(DEFINITION, sort_keys=True))
        return {setting: str(folder / name) for name, setting in SETTINGS.items()}


def lived(seed: int, signals: Signals, lives: Sequence[Hidden], as_of: datetime, newest: str) -> Signalled:
    """The signals of a company whose customers lived by them.

    Args:
        seed: of the company.
        signals: how states acted.
        lives: of its customers.
        as_of: until when they lived.
        newest: the newest closed month; later ones have no rows.
    """
    states = _frame([row for life in lives for row in life.states], STATES)
    states["since_expansion"] = states["since_expansion"].astype("Int64")
    risks = _frame([row for life in lives for row in life.risks], RISKS)
    for column in ("expanded_at", "churned_at"):
        risks[column] = pd.to_datetime(risks[column].astype("Int64"), unit="s", utc=True)
    risks = risks.astype({"drawn": "str", "drawn_churn": "bool"})
    states, risks = (each[each["month"] <= newest].reset_index(drop=True) for each in (states, risks))
    customers = pd.DataFrame(
        [life.identity for life in lives], columns=["account", "customer", "frailty"]
    ).sort_values("account", ignore_index=True)
    grown = risks[risks["expanded_at"].notna()]
    expansions = pd.DataFrame(
        {"customer": grown["customer"], "at": grown["expanded_at"].dt.as_unit("s").astype("int64")}
    )
    arms = pd.DataFrame(
        [(name, life.identity[1], arm, began) for life in lives for name, (arm, began) in life.arms.items()],
        columns=["programme", "customer", "arm", "began"],
    )
    chance = {each.name: str(each.randomised).lower() for each in signals.programmes}
    day = pd.to_datetime(arms["began"], unit="s").dt.strftime("%Y-%m-%d")
    arms = arms.assign(assigned_at=day, randomised=arms["programme"].map(chance))
    begun = [each for each in signals.programmes if each.name in set(arms["programme"])]
    return Signalled(
        seed=seed,
        as_of=as_of,
        days_per_person=signals.days_per_person,
        truth=SignalTruth(states, risks, customers, _programmes_truth(signals.programmes)),
        facts=relationship(seed, states, expansions, as_of),
        assignments=_assignments(arms),
        programmes=_programmes(begun),
    )


def in_hindsight(
    seed: int,
    account_months: pd.DataFrame,
    items: pd.DataFrame,
    shown: pd.DataFrame,
    crm_activity: pd.DataFrame,
    as_of: datetime,
) -> Signalled:
    """Signals for a company that lived without them; none of its amounts, nor their origins, changes.

    Args:
        seed: of the company.
        account_months: account, customer, month, seats.
        items: true item states.
        shown: item states as Stripe's records can show them, which may date a change later.
        crm_activity: what the CRM has already; it stays.
        as_of: until when the company lived.
    """
    states = states_in_hindsight(seed, account_months, items)
    none = pd.DataFrame({"customer": pd.Series(dtype="str"), "at": pd.Series(dtype="int64")})
    facts = relationship(seed, states, none, as_of)
    added = facts.crm_activity[_apart(facts.crm_activity, pd.concat([items, shown]))]
    activity = pd.concat([crm_activity.reindex(columns=added.columns).astype("str").fillna(""), added])
    by = ["customer", "date", "kind", "id", "known_at"]
    facts = Relationship(
        facts.owners,
        facts.tickets,
        facts.nps,
        activity.sort_values(by, ignore_index=True),
        facts.customer_signals,
    )
    programmes, arms = _by_chance(seed, states)
    empty = _frame([], RISKS)
    customers = states[["account", "customer"]].drop_duplicates(ignore_index=True).assign(frailty=0.0)
    truth = SignalTruth(states, empty, customers, _programmes_truth(programmes))
    return Signalled(seed, as_of, HINDSIGHT_DAYS, truth, facts, _assignments(arms), _programmes(programmes))


def _apart(activity: pd.DataFrame, items: pd.DataFrame) -> pd.Series[bool]:
    """Records after which no subscription of the customer changed for long: none is the origin of a change.

    An opportunity that is open or lost never is one.
    """
    touches = activity[activity["kind"] == "touch"]
    day = pd.to_datetime(touches["date"], utc=True)
    changes = items[["customer", "valid_from"]].drop_duplicates()
    near = touches.assign(day=day, record=touches.index).merge(changes, on="customer")
    close = near["valid_from"].between(near["day"] - TOUCH_AFTER, near["day"] + TOUCH_BEFORE)
    return ~activity.index.to_series().isin(near.loc[close, "record"])


def _by_chance(seed: int, states: pd.DataFrame) -> tuple[list[Programme], pd.DataFrame]:
    """A programme without an effect, on the customers of five months before the newest, by chance."""
    if states.empty:
        return [], pd.DataFrame(columns=list(columns(Assignments)))
    begins = months.shift(states["month"].max(), -4)
    programme = Programme(RANDOM_PROGRAMME, begins, multiplier=1.0)
    there = states[states["month"] == months.shift(begins, -1)]
    treated = uniform(seeded(seed, there["customer"]), 91) < programme.planned_share
    arms = pd.DataFrame(
        {
            "programme": programme.name,
            "customer": there["customer"],
            "arm": pd.Series(treated, index=there.index).map({True: "treatment", False: "control"}),
            "assigned_at": f"{begins}-01",
            "randomised": "true",
        }
    )
    return ([programme] if len(arms) else []), arms


def _frame(rows: list[dict[str, object]], names: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(names)).sort_values(["account", "month"], ignore_index=True)
    return frame.astype({"account": "str", "customer": "str", "month": "str"})


def _assignments(arms: pd.DataFrame) -> pd.DataFrame:
    names = list(columns(Assignments))
    return arms[names].astype("str").sort_values(names, ignore_index=True)


def _programmes(programmes: Sequence[Programme]) -> pd.DataFrame:
    rows = [
        (
            each.name,
            str(each.planned_share),
            each.primary_outcome,
            each.cost,
            each.margin,
            each.months_retained,
        )
        for each in programmes
    ]
    return pd.DataFrame(rows, columns=list(columns(Programmes))).astype("str")


def _programmes_truth(programmes: Sequence[Programme]) -> pd.DataFrame:
    rows = [(each.name, each.multiplier, each.begins, each.months, each.randomised) for each in programmes]
    return pd.DataFrame(rows, columns=["programme", "multiplier", "begins", "months", "randomised"])
