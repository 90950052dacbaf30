"""The tables of models, over whole ranges of months: propensity, churn risk, model card (semantics 6.7).

Here: which months a model learns from, and the rows it makes. Not here: training and judging (`assess.py`),
closes and outcomes (`closes.py`), the churn rule (`../churn_rule.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table, columns, empty, key
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.churn_rule import first_tenth
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.domain.signals.model.assess import Assessment, Trained, assess
from expansion_platform.domain.signals.model.card import card_of, version
from expansion_platform.domain.signals.model.closes import (
    CHURN,
    EXPANSION,
    Closes,
    closes_of,
    panel_of,
    together,
)
from expansion_platform.domain.signals.model.reasons import reasons
from expansion_platform.domain.signals.model.splits import LONGEST, REACH
from expansion_platform.domain.signals.tables import ChurnRisk, ModelCard, Propensity
from expansion_platform.domain.signals.tables.scores import BASES
from expansion_platform.domain.signals.texts import fixed

Floats = npt.NDArray[np.float64]
HISTORY = LONGEST + REACH
"""Months before a month that its models see: those they are trained on, and the later slices."""
PROBABILITY, RULE_SCORE = BASES


def compute_models(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """signals/propensity, churn_risk and model_card of some months.

    Args:
        wanted: months.
        inputs: signals/features and signals/readiness of HISTORY months before each, mrr/movements of the
            same, exponent, signals.
    """
    definition: SignalDefinition = inputs.value("signals")
    exponent, movements = inputs.value("exponent"), inputs.frame(mrr.Movements)
    first = months.shift(min(wanted), -HISTORY)
    learned, whole = dict[str, Closes](), dict[str, Closes]()
    for month in months.between(first, max(wanted)):
        every = closes_of(month, inputs)
        learned[month] = every.of_most()
        if month in wanted:
            whole[month] = every
    frames: dict[type[Table], list[pd.DataFrame]] = {Propensity: [], ChurnRisk: [], ModelCard: []}
    newest: dict[str, tuple[str, Trained | None]] = {}
    for month in sorted(whole):
        now = whole[month]
        if not len(now.frame):
            continue
        window = months.between(months.shift(month, -HISTORY), month)
        seen = together([learned[name] for name in window])
        figures, customer = now.under(seen.names), now.frame["customer"]
        few = len(learned[month].frame)
        sampled = few if few < len(now.frame) else None
        for name in (EXPANSION, CHURN):
            panel = panel_of(name, window, seen, movements, exponent)
            made, before = newest.get(name, ("", None))
            before = before if made == months.shift(month, -1) else None
            found = assess(panel, len(window) - 1, definition.capacity, before)
            newest[name] = (month, found.newest)
            frames[ModelCard].append(card_of(name, window, found, panel, figures, sampled))
            rows = scores_of(window, found, customer, figures)
            if name == EXPANSION:
                frames[Propensity].append(rows.assign(probability=fixed(rows["probability"].to_numpy())))
            else:
                frames[ChurnRisk].append(_churn_risk(rows, found.released, now.frame))
    return Computed({model: _table(parts, model) for model, parts in frames.items()})


def scores_of(
    window: Sequence[str], found: Assessment, customer: pd.Series[str], figures: Floats
) -> pd.DataFrame:
    """What the model of a month says of its customers.

    Args:
        window: months of the panel's calendar, the last one that of the customers.
        found: the month's model.
        customer: by row.
        figures: (rows, names), the names as in the panel.

    Returns:
        month, customer, probability (NaN where the model is not released), decile, model, reasons_json.
    """
    trained = found.trained if found.released else None
    said = np.full(len(customer), np.nan) if trained is None else trained.probability(figures)
    because = (
        pd.Series("[]", customer.index, dtype="str") if trained is None else reasons(trained.fitted, figures)
    )
    return pd.DataFrame(
        {
            "month": window[-1],
            "customer": customer,
            "probability": said,
            "decile": _decile(said, customer),
            "model": pd.Series(version(window, found) if found.released else None, customer.index, "str"),
            "reasons_json": because,
        }
    )


def _decile(said: Floats, customer: pd.Series[str]) -> pd.Series:
    """1 for the tenth with the highest probability; of equal ones those that come first by name."""
    if np.isnan(said).any():
        return pd.Series(pd.NA, index=customer.index, dtype="Int64")
    order = np.lexsort((customer.to_numpy(dtype=object), -said))
    found = np.empty(len(said), dtype=np.int64)
    found[order] = np.arange(len(said)) * 10 // max(len(said), 1) + 1
    return pd.Series(found, index=customer.index).astype("Int64")


def _churn_risk(rows: pd.DataFrame, released: bool, now: pd.DataFrame) -> pd.DataFrame:
    """Rows of signals/churn_risk; `now` has the rule score and its reasons by row."""
    said = rows["probability"].to_numpy()
    score = now["churn"].to_numpy(dtype=np.int64)
    return rows.assign(
        basis=PROBABILITY if released else RULE_SCORE,
        probability=fixed(said),
        score=score,
        top_decile=first_tenth(said if released else score.astype(float), rows["customer"]),
        reasons_json=rows["reasons_json"] if released else now["churn_reasons"],
    )


def _table(parts: Sequence[pd.DataFrame], model: type[Table]) -> pd.DataFrame:
    if not parts:
        return empty(model)
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values(key(model), ignore_index=True)[[name for name in columns(model) if name in rows]]
