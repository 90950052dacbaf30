"""A company whose usage says something of what its customers do next: what can be chosen of it.

Here: the choices, and three companies made of them. Not here: the hidden states (`hidden.py`), the hazards
(`hazards.py`), what shows of them (`usage_of_states.py`, `relationship.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from expansion_platform.domain.core import months as calendar

EXPANSIONS = ("seats", "upgrade", "addon")
"""What a customer can expand by, in the order in which a draw chooses."""


@dataclass(frozen=True)
class Programme:
    """A programme of outreach, and its true effect.

    Attributes:
        name: of it.
        begins: month, YYYY-MM, on whose first day every customer that could expand gets an arm.
        multiplier: of the hazard of expansion of who is treated; 1 for no effect.
        months: for which the effect lasts, from `begins` on.
        planned_share: of treatment.
        randomised: chance alone decides; else customers who are likely to expand are treated more often.
        primary_outcome: `share` or `amount`.
        cost: in whole units of the reporting currency.
        margin: gross margin.
        months_retained: for the ROI.
    """

    name: str
    begins: str
    multiplier: float = 1.0
    months: int = 3
    planned_share: float = 0.5
    randomised: bool = True
    primary_outcome: str = "share"
    cost: str = "12000.00"
    margin: str = "0.8"
    months_retained: int = 12

    @property
    def lasting(self) -> list[str]:
        """The months in which it has its effect."""
        return calendar.between(self.begins, calendar.shift(self.begins, self.months - 1))


@dataclass(frozen=True)
class Rates:
    """Monthly hazards of a customer of average usage and no difference of its own."""

    seats: float = 0.045
    upgrade: float = 0.012
    addon: float = 0.012
    churn: float = 0.012


@dataclass(frozen=True)
class Effects:
    """What a state adds to the logarithm of a hazard, at strength 1 (`hazards.py`)."""

    utilisation: float = 1.1
    """Of seats, for each 20 percentage points above 70 % in use."""
    gate_hits: float = 0.8
    """Of an upgrade, for each hit of the month from the second on, up to four."""
    integrations: float = 0.3
    """Of seats and add-ons, for each integration connected beyond the first, up to four."""
    falling: float = -1.2
    """Of each expansion, for engagement that fell to 37 % within three months."""
    churn_falling: float = 2.6
    """Of churn, for the same."""
    churn_unused: float = 0.5
    """Of churn, for each 20 percentage points below 70 % in use."""
    trouble: float = 1.2
    """Of churn, while the customer is in trouble (tickets and NPS show it); of `relationship` strength."""
    size: float = 0.7
    """Of each expansion, for 2.7 times the seats; of `billing` strength."""
    lately: float = -1.0
    """Of each expansion, in the two months after one; of `billing` strength."""


@dataclass(frozen=True)
class Signals:
    """How the signals of a simulated company are related to what happens to it.

    Attributes:
        strength: of usage in the hazards; 0 for none.
        relationship: of trouble in the hazard of churn.
        billing: of size and the last expansion in the hazards of expansion.
        unobserved: standard deviation of the difference between customers that nothing shows, in logarithms
            of the hazard of expansion; half of it, the other way, in that of churn.
        rates: where nothing else says more.
        effects: by which states act.
        programmes: of outreach.
        days_per_person: on which an engaged person is active in a month.
    """

    strength: float = 1.0
    relationship: float = 1.0
    billing: float = 0.0
    unobserved: float = 0.4
    rates: Rates = Rates()
    effects: Effects = Effects()
    programmes: tuple[Programme, ...] = ()
    days_per_person: float = 3.0


PREDICTIVE = Signals()
"""Usage drives expansion and churn, and customers differ in what nothing shows."""
NOTHING = Signals(strength=0.0, relationship=0.0, unobserved=0.0)
"""Nothing predicts anything."""
USAGE_IRRELEVANT = Signals(strength=0.0, billing=1.0, unobserved=0.2)
"""What bills show predicts expansion, and usage adds nothing."""
