"""Customers at closes as a model sees them: figures, what happened afterwards, and the scores to beat.

Here: the matrix of figures, and which of them are of product usage. Not here: splits by time, fitting.

Neither the customer nor the month is a figure: a model that knew them would learn names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.signals.texts import number

Floats = npt.NDArray[np.float64]
BILLING = (
    *("log_mrr", "tenure_months", "seats", "seats_growth_1m", "seats_growth_3m", "seats_growth_6m"),
    *("months_since_expansion", "expansions_12m", "contractions_3m", "contractions_6m", "discount_share"),
    *("interval_months", "months_to_renewal", "past_due", "products_held", "tier_rank", "tier_headroom"),
    *("unit_utilisation", "months_to_discount_end"),
)
USAGE = (
    *("seat_utilisation", "active_users", "active_users_change_1m", "active_users_change_3m", "new_users"),
    *("active_days", "stickiness", "engagement_trend", "features_used", "key_feature_adoption", "logins"),
    *("invites", "gate_hits", "limit_warnings", "integrations", "milestones"),
)
"""Figures of product analytics; without them a model knows billing and relationships alone."""
RELATIONSHIP = ("open_tickets", "critical_tickets", "higher_tier_requests", "nps", "touches_3m")
FIGURES = (*BILLING, *USAGE, *RELATIONSHIP)
OWN_MOST = 20
"""Signals of the user's own that are figures; more would be more chances to learn noise."""
UNKNOWN = -1
"""The outcome of a row whose three months have not all closed."""


@dataclass(frozen=True)
class Panel:
    """Customers at closes, by month and customer.

    Args:
        month: by row, its place in a calendar without gaps.
        customer: by row, its number.
        names: of the figures.
        figures: (rows, names), NaN where not known.
        outcome: by row 1, 0, or UNKNOWN.
        rule: by row, the rule score: what a model has to beat.
        recent: by row, a score by what happened before (`expanded lately`).
        limit: by row, utilisation alone.
    """

    month: Ints
    customer: Ints
    names: tuple[str, ...]
    figures: Floats
    outcome: Ints
    rule: Floats
    recent: Floats
    limit: Floats

    def take(self, here: Bools | Ints) -> Panel:
        """Some of the rows."""
        return Panel(
            self.month[here],
            self.customer[here],
            self.names,
            self.figures[here],
            self.outcome[here],
            self.rule[here],
            self.recent[here],
            self.limit[here],
        )

    def without(self, names: Sequence[str]) -> Panel:
        """The same without some figures."""
        kept = [place for place, name in enumerate(self.names) if name not in set(names)]
        return Panel(
            self.month,
            self.customer,
            tuple(self.names[place] for place in kept),
            self.figures[:, kept],
            self.outcome,
            self.rule,
            self.recent,
            self.limit,
        )

    def between(self, first: int, last: int) -> Panel:
        """Labelled rows of the months first to last."""
        return self.take((self.month >= first) & (self.month <= last) & (self.outcome != UNKNOWN))

    @property
    def positives(self) -> int:
        """Rows with the outcome."""
        return int((self.outcome == 1).sum())

    def __len__(self) -> int:
        return len(self.month)


def figures_of(rows: pd.DataFrame) -> tuple[tuple[str, ...], Floats]:
    """The figures of rows of signals/features, and their names; columns that rows lack are left out.

    A customer that never expanded has a null there, which is known to mean never: it is taken as long ago.
    """
    names = tuple(name for name in FIGURES if name in rows)
    found = np.empty((len(rows), len(names)))
    for place, name in enumerate(names):
        values = rows[name]
        texts = pd.api.types.is_string_dtype(values.dtype) or values.dtype == object
        found[:, place] = number(values) if texts else values.astype("float64").to_numpy()
    if "months_since_expansion" in names:
        column = found[:, names.index("months_since_expansion")]
        column[np.isnan(column)] = NEVER
    return names, found


def own_figures(rows: pd.DataFrame) -> tuple[tuple[str, ...], Floats]:
    """The signals of the user's own of rows of signals/features (`own_json`), each a figure under its name.

    At most OWN_MOST, the first by name; one that is named as a figure of ours is left out.
    """
    if "own_json" not in rows:
        return (), np.empty((len(rows), 0))
    code, texts = pd.factorize(rows["own_json"].fillna("{}"))
    said = [json.loads(text) for text in texts]
    names = sorted({name for each in said for name in each} - set(FIGURES))[:OWN_MOST]
    table = np.array([[float(each.get(name, "nan")) for name in names] for each in said], dtype=float)
    return tuple(names), table.reshape(len(said), len(names))[code]


NEVER = 25.0
"""Months since an expansion of a customer that had none in the 24 that are looked at."""
