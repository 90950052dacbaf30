"""Customers at closes as the models of a month see them, and what happened afterwards (semantics 6.2, 6.8).

Here: from rows of the lake to panels. Not here: the figures' names (`panel.py`), training (`assess.py`), the
tables (`compute.py`).

Of large accounts MOST_CUSTOMERS customers of a close are enough to learn from and to judge by: those whose
ids have the lowest hashes, so the same ones each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.signals.churn_rule import churn_points, churn_reasons, churn_score
from expansion_platform.domain.signals.health import highest
from expansion_platform.domain.signals.model.panel import NEVER, UNKNOWN, Panel, figures_of, own_figures
from expansion_platform.domain.signals.model.splits import HORIZON
from expansion_platform.domain.signals.outcomes import outcomes_of
from expansion_platform.domain.signals.tables import Features, Readiness

Floats = npt.NDArray[np.float64]
MOST_CUSTOMERS = 10_000
EXPANSION, CHURN = "expansion", "churn"
PLANNED = '"contracted_ramp"'
"""The flag of a movement that a subscription schedule had planned."""


@dataclass(frozen=True)
class Closes:
    """Customers at closes, by month and customer.

    Args:
        frame: month, customer, mrr, the scores to beat (readiness, churn), churn_reasons.
        names: of the figures.
        figures: (rows, names).
        recent: how lately it expanded, more is later.
        troubled: contractions and payments past due.
        limit: the highest utilisation, NaN where not known.
    """

    frame: pd.DataFrame
    names: tuple[str, ...]
    figures: Floats
    recent: Floats
    troubled: Floats
    limit: Floats

    def take(self, here: Ints) -> Closes:
        """Some of the rows."""
        return Closes(
            self.frame.iloc[here].reset_index(drop=True),
            self.names,
            self.figures[here],
            self.recent[here],
            self.troubled[here],
            self.limit[here],
        )

    def of_most(self) -> Closes:
        """Rows of MOST_CUSTOMERS customers; of one close."""
        if len(self.frame) <= MOST_CUSTOMERS:
            return self
        drawn = pd.util.hash_array(self.frame["customer"].to_numpy(dtype=object))
        return self.take(np.sort(np.argsort(drawn, kind="stable")[:MOST_CUSTOMERS]))

    def under(self, names: Sequence[str]) -> Floats:
        """(rows, names): the figures of these names, NaN where there are none."""
        found = np.full((len(self.frame), len(names)), np.nan)
        places = {name: place for place, name in enumerate(self.names)}
        for place, name in enumerate(names):
            if name in places:
                found[:, place] = self.figures[:, places[name]]
        return found


def closes_of(month: str, inputs: Inputs) -> Closes:
    """The customers of one close; read by month, so that texts of one month are in memory at a time."""
    rows = inputs.frame(Features, [month]).sort_values("customer", ignore_index=True)
    scores = inputs.frame(Readiness, [month])[["customer", "score"]].rename(columns={"score": "readiness"})
    frame = rows[["month", "customer", "mrr"]].merge(scores, on="customer", how="left", validate="1:1")
    names, figures = figures_of(rows)
    own, theirs = own_figures(rows)
    points = churn_points(rows)
    return Closes(
        frame.assign(
            readiness=frame["readiness"].fillna(0),
            churn=churn_score(points),
            churn_reasons=churn_reasons(points),
        ),
        (*names, *own),
        np.hstack([figures, theirs]),
        NEVER - figures[:, names.index("months_since_expansion")],
        rows["contractions_6m"].to_numpy(dtype=float) + rows["past_due"].to_numpy(dtype=float),
        highest(rows),
    )


def together(parts: Sequence[Closes]) -> Closes:
    """Several closes; figures that only some of them have are not known in the others."""
    names = tuple(dict.fromkeys([*parts[0].names, *sorted({name for each in parts for name in each.names})]))
    return Closes(
        pd.concat([each.frame for each in parts], ignore_index=True),
        names,
        np.vstack([each.under(names) for each in parts]),
        np.concatenate([each.recent for each in parts]),
        np.concatenate([each.troubled for each in parts]),
        np.concatenate([each.limit for each in parts]),
    )


def panel_of(
    model: str, window: Sequence[str], seen: Closes, movements: pd.DataFrame, exponent: int
) -> Panel:
    """The closes of a window with what followed, as far as it is known at the last month's end.

    Args:
        model: EXPANSION or CHURN.
        window: months without gaps, the last one that of the model.
        seen: their closes.
        movements: month, customer, movement, dormant, opening, flow_expansion, flags_json.
        exponent: decimal places of the currency.
    """
    last = window[-1]
    happened = movements[movements["month"] <= last]
    if model == CHURN:
        left = happened[(happened["movement"] == "churn") & ~happened["dormant"]]
        # Of any size: whoever leaves, leaves with all of its MRR.
        happened = left.assign(flow_expansion=left["opening"].clip(lower=1))
        outcomes = outcomes_of(seen.frame.assign(mrr=0), happened, last, exponent, least=1)
    else:
        outcomes = outcomes_of(seen.frame, happened, last, exponent)
    place = pd.Index(window).get_indexer(pd.Index(seen.frame["month"])).astype(np.int64)
    known = place <= len(window) - 1 - HORIZON
    if model == EXPANSION:
        # What a schedule had planned is known and not predicted: such a customer is no example of anything.
        planned = happened[happened["flags_json"].str.contains(PLANNED, regex=False)]
        known = known & ~outcomes_of(seen.frame, planned, last, exponent, least=1).expanded
    return Panel(
        place,
        outcomes.customer,
        seen.names,
        seen.figures,
        np.where(known, outcomes.expanded, UNKNOWN).astype(np.int64),
        seen.frame["readiness" if model == EXPANSION else "churn"].to_numpy(dtype=float),
        seen.recent if model == EXPANSION else seen.troubled,
        seen.limit if model == EXPANSION else -seen.limit,
    )
