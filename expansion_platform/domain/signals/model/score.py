"""A month's model from plain frames: for notebooks, and for whoever judges the models from outside.

Here: the way of `compute_models` without the lake. Not here: any rule of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.signals.model.assess import Assessment, assess
from expansion_platform.domain.signals.model.card import card_of
from expansion_platform.domain.signals.model.closes import CHURN, EXPANSION
from expansion_platform.domain.signals.model.compute import scores_of
from expansion_platform.domain.signals.model.panel import FIGURES, NEVER, UNKNOWN, Panel, figures_of
from expansion_platform.domain.signals.model.splits import HORIZON

CAPACITY = 50


@dataclass(frozen=True)
class Scored:
    """What the model of a month says.

    Args:
        card: rows of signals/model_card without versions.
        scores: month, customer, probability (NaN where the gate refused), decile, model, reasons_json.
        assessment: the model itself, also where it is not released.
    """

    card: pd.DataFrame
    scores: pd.DataFrame
    assessment: Assessment


def score_month(
    features: pd.DataFrame,
    outcomes: pd.DataFrame,
    month: str,
    *,
    model: str = EXPANSION,
    capacity: int = CAPACITY,
) -> Scored:
    """Trains, calibrates, judges and applies a model as of a closed month.

    Args:
        features: month (YYYY-MM), customer, `rule` (the score to beat), and columns of signals/features
            as numbers or decimal texts, null where not known. Numeric columns under other names are figures,
            too. Rows of later months are not looked at.
        outcomes: month, customer, outcome (0 or 1). Those of closes less than three months before the month
            are not looked at; a row without one is not labelled.
        month: the closed month.
        model: EXPANSION or CHURN, by which the baselines are chosen.
        capacity: customers a month that the team can speak to.

    Raises:
        ValueError: a customer twice at a close, or no row of the month.
    """
    if model not in (EXPANSION, CHURN):
        raise ValueError(f"model is {EXPANSION} or {CHURN}, not {model}")
    rows = features[features["month"] <= month].sort_values(["month", "customer"], ignore_index=True)
    if not (rows["month"] == month).any() or rows.duplicated(["month", "customer"]).any():
        raise ValueError(f"one row a customer and month, with some in {month}")
    window = months.between(rows["month"].min(), month)
    panel = _panel(rows, outcomes, window, model)
    found = assess(panel, len(window) - 1, capacity)
    here = (panel.month == len(window) - 1).nonzero()[0]
    now = panel.figures[here]
    customer = rows["customer"].iloc[here].reset_index(drop=True)
    return Scored(card_of(model, window, found, panel, now), scores_of(window, found, customer, now), found)


def _panel(rows: pd.DataFrame, outcomes: pd.DataFrame, window: list[str], model: str) -> Panel:
    names, figures = figures_of(rows)
    own = [
        name
        for name in rows.columns
        if name not in {*FIGURES, "rule", "mrr"} and pd.api.types.is_numeric_dtype(rows[name].dtype)
    ]
    known = pd.DataFrame(figures, columns=list(names))
    column = known.reindex(columns=list(FIGURES))
    place = pd.Index(window).get_indexer(pd.Index(rows["month"])).astype(np.int64)
    said = rows[["month", "customer"]].merge(outcomes, on=["month", "customer"], how="left", validate="1:1")
    outcome = said["outcome"].astype("float64").fillna(UNKNOWN).to_numpy().astype(np.int64)
    limit = np.fmax(column["seat_utilisation"].to_numpy(), column["unit_utilisation"].to_numpy())
    troubled = column[["contractions_6m", "past_due"]].fillna(0).sum(axis=1).to_numpy()
    recent = NEVER - column["months_since_expansion"].fillna(NEVER).to_numpy()
    customer = rows["customer"]
    own = [name for name in own if name != "customer"]
    return Panel(
        place,
        np.unique(customer.to_numpy(dtype=object), return_inverse=True)[1].reshape(-1).astype(np.int64),
        (*names, *own),
        np.hstack([figures, rows[own].to_numpy(dtype=float).reshape(len(rows), len(own))]),
        np.where(place <= len(window) - 1 - HORIZON, outcome, UNKNOWN).astype(np.int64),
        rows["rule"].to_numpy(dtype=float),
        recent if model == EXPANSION else troubled,
        limit if model == EXPANSION else -limit,
    )
