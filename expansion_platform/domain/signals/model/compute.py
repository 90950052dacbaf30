"""The tables of models, over whole ranges of months: propensity, churn risk, model card (semantics 6.7).

Here: the history that a model of a month learns from, and its rows. Not here: training and judging
(`assess.py`), the churn rule (`../churn_rule.py`).

A month's model sees the closes of HISTORY months before it, and what followed them up to the month's end.
Of large accounts MOST_CUSTOMERS customers are enough to learn from and to judge by: drawn by a hash of their
ids, so the same ones each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.core.table import Table, columns, empty, key
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.churn_rule import churn_points, churn_reasons, churn_score, first_tenth
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.domain.signals.health import highest
from expansion_platform.domain.signals.model.assess import TEST, TRAIN, Assessment, Measure, Trained, assess
from expansion_platform.domain.signals.model.drift import MOVED, stability
from expansion_platform.domain.signals.model.panel import NEVER, UNKNOWN, Panel, figures_of
from expansion_platform.domain.signals.model.reasons import reasons
from expansion_platform.domain.signals.model.splits import HORIZON
from expansion_platform.domain.signals.outcomes import outcomes_of
from expansion_platform.domain.signals.tables import ChurnRisk, Features, ModelCard, Propensity, Readiness
from expansion_platform.domain.signals.tables.scores import BASES
from expansion_platform.domain.signals.texts import fixed

Floats = npt.NDArray[np.float64]
HISTORY = 36
MOST_CUSTOMERS = 10_000
EXPANSION, CHURN = "expansion", "churn"
PROBABILITY, RULE_SCORE = BASES
NO_PROBABILITY = "no calibrated probability"
PLANNED = '"contracted_ramp"'
"""The flag of a movement that a subscription schedule had planned."""


@dataclass(frozen=True)
class Closes:
    """Customers at closes, of all months that are looked at.

    Args:
        frame: month, customer, mrr, the scores to beat (readiness, churn), churn_reasons.
        names: of the figures.
        figures: (rows, names).
        recent: how lately it expanded, more is later.
        troubled: contractions and payments past due.
        limit: the highest utilisation, NaN where not known.
        drawn: order in which customers are taken, by a hash of their ids.
    """

    frame: pd.DataFrame
    names: tuple[str, ...]
    figures: Floats
    recent: Floats
    troubled: Floats
    limit: Floats
    drawn: npt.NDArray[np.uint64]

    def take(self, here: Ints) -> Closes:
        """Some of the rows."""
        return Closes(
            self.frame.iloc[here].reset_index(drop=True),
            self.names,
            self.figures[here],
            self.recent[here],
            self.troubled[here],
            self.limit[here],
            self.drawn[here],
        )

    def of_most(self) -> Closes:
        """Rows of the first MOST_CUSTOMERS customers."""
        limit = np.unique(self.drawn)
        if len(limit) <= MOST_CUSTOMERS:
            return self
        return self.take(np.flatnonzero(self.drawn < limit[MOST_CUSTOMERS]))


def compute_models(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """signals/propensity, churn_risk and model_card of some months.

    Args:
        wanted: months.
        inputs: signals/features and signals/readiness of HISTORY months before each, mrr/movements of the
            same, exponent, signals.
    """
    definition: SignalDefinition = inputs.value("signals")
    first = months.shift(min(wanted), -HISTORY)
    learned, whole = dict[str, Closes](), dict[str, Closes]()
    for month in months.between(first, max(wanted)):
        every = _closes_of(month, inputs)
        learned[month] = every.of_most()
        if month in wanted:
            whole[month] = every
    frames: dict[type[Table], list[pd.DataFrame]] = {Propensity: [], ChurnRisk: [], ModelCard: []}
    movements = inputs.frame(mrr.Movements)
    for month in wanted:
        now = whole[month]
        if not len(now.frame):
            continue
        window = months.between(months.shift(month, -HISTORY), month)
        seen = _together([learned[name] for name in window]).of_most()
        for model, rows, card in _models(month, window, seen, now, movements, inputs, definition.capacity):
            frames[model].append(rows)
            frames[ModelCard].append(card)
    return Computed({model: _table(parts, model) for model, parts in frames.items()})


def _models(
    month: str,
    window: Sequence[str],
    seen: Closes,
    now: Closes,
    movements: pd.DataFrame,
    inputs: Inputs,
    capacity: int,
) -> Iterator[tuple[type[Table], pd.DataFrame, pd.DataFrame]]:
    """Of each model its table, rows and card."""
    for name in (EXPANSION, CHURN):
        panel = _panel(name, window, seen, movements, inputs.value("exponent"))
        found = assess(panel, len(window) - 1, capacity)
        card = _card(month, name, window, found, panel, now)
        if name == EXPANSION:
            yield Propensity, _propensity(month, window, found, now), card
        else:
            yield ChurnRisk, _churn_risk(month, window, found, now), card


def _closes_of(month: str, inputs: Inputs) -> Closes:
    """The customers of one close; read by month, so that texts of one month are in memory at a time."""
    rows = inputs.frame(Features, [month]).sort_values("customer", ignore_index=True)
    scores = inputs.frame(Readiness, [month])[["customer", "score"]].rename(columns={"score": "readiness"})
    frame = rows[["month", "customer", "mrr"]].merge(scores, on="customer", how="left", validate="1:1")
    names, figures = figures_of(rows)
    since, points = figures[:, names.index("months_since_expansion")], churn_points(rows)
    return Closes(
        frame.assign(
            readiness=frame["readiness"].fillna(0),
            churn=churn_score(points),
            churn_reasons=churn_reasons(points),
        ),
        names,
        figures,
        NEVER - since,
        rows["contractions_6m"].to_numpy(dtype=float) + rows["past_due"].to_numpy(dtype=float),
        highest(rows),
        pd.util.hash_array(rows["customer"].to_numpy(dtype=object)),
    )


def _together(parts: Sequence[Closes]) -> Closes:
    names = parts[0].names
    return Closes(
        pd.concat([each.frame for each in parts], ignore_index=True),
        names,
        np.vstack([each.figures for each in parts]),
        np.concatenate([each.recent for each in parts]),
        np.concatenate([each.troubled for each in parts]),
        np.concatenate([each.limit for each in parts]),
        np.concatenate([each.drawn for each in parts]),
    )


def _panel(name: str, window: Sequence[str], seen: Closes, movements: pd.DataFrame, exponent: int) -> Panel:
    """The closes of a window with what followed, as far as it is known at the last month's end."""
    last = window[-1]
    happened = movements[movements["month"] <= last]
    if name == CHURN:
        left = happened[(happened["movement"] == "churn") & ~happened["dormant"]]
        # Of any size: whoever leaves, leaves with all of its MRR.
        happened = left.assign(flow_expansion=left["opening"].clip(lower=1))
        rows = seen.frame.assign(mrr=0)
        outcomes = outcomes_of(rows, happened, last, exponent, least=1)
    else:
        outcomes = outcomes_of(seen.frame, happened, last, exponent)
    place = pd.Index(window).get_indexer(pd.Index(seen.frame["month"])).astype(np.int64)
    known = place <= len(window) - 1 - HORIZON
    if name == EXPANSION:
        # What a schedule had planned is known and not predicted: such a customer is no example of anything.
        planned = happened[happened["flags_json"].str.contains(PLANNED, regex=False)]
        known = known & ~outcomes_of(seen.frame, planned, last, exponent, least=1).expanded
    return Panel(
        place,
        outcomes.customer,
        seen.names,
        seen.figures,
        np.where(known, outcomes.expanded, UNKNOWN).astype(np.int64),
        seen.frame["readiness" if name == EXPANSION else "churn"].to_numpy(dtype=float),
        seen.recent if name == EXPANSION else seen.troubled,
        seen.limit if name == EXPANSION else -seen.limit,
    )


def _said(found: Assessment, now: Closes) -> Floats:
    """The probability of each customer of the month; NaN where the model is not released."""
    if found.trained is None or not found.released:
        return np.full(len(now.frame), np.nan)
    return found.trained.probability(now.figures)


def _version(window: Sequence[str], found: Assessment) -> str | None:
    if found.trained is None:
        return None
    return f"{found.trained.fitted.kind} {window[found.trained.split.trained_through]}"


def _decile(said: Floats, customer: pd.Series[str]) -> pd.Series:
    """1 for the tenth with the highest probability; of equal ones those that come first by name."""
    if np.isnan(said).any():
        return pd.Series(pd.NA, index=customer.index, dtype="Int64")
    order = np.lexsort((customer.to_numpy(dtype=object), -said))
    found = np.empty(len(said), dtype=np.int64)
    found[order] = np.arange(len(said)) * 10 // max(len(said), 1) + 1
    return pd.Series(found, index=customer.index).astype("Int64")


def _propensity(month: str, window: Sequence[str], found: Assessment, now: Closes) -> pd.DataFrame:
    customer, said = now.frame["customer"], _said(found, now)
    return pd.DataFrame(
        {
            "month": month,
            "customer": customer,
            "probability": fixed(said),
            "decile": _decile(said, customer),
            "model": pd.Series(_version(window, found) if found.released else None, customer.index, "str"),
            "reasons_json": _reasons(found, now),
        }
    )


def _reasons(found: Assessment, now: Closes) -> pd.Series[str]:
    if found.trained is None or not found.released:
        return pd.Series("[]", now.frame.index, dtype="str")
    return reasons(found.trained.fitted, now.figures)


def _churn_risk(month: str, window: Sequence[str], found: Assessment, now: Closes) -> pd.DataFrame:
    customer, said = now.frame["customer"], _said(found, now)
    score = now.frame["churn"].to_numpy(dtype=np.int64)
    released = found.released
    return pd.DataFrame(
        {
            "month": month,
            "customer": customer,
            "basis": PROBABILITY if released else RULE_SCORE,
            "probability": fixed(said),
            "score": score,
            "decile": _decile(said, customer),
            "top_decile": first_tenth(said if released else score.astype(float), customer),
            "model": pd.Series(_version(window, found) if released else None, customer.index, "str"),
            "reasons_json": _reasons(found, now) if released else now.frame["churn_reasons"],
        }
    )


def _card(
    month: str, name: str, window: Sequence[str], found: Assessment, panel: Panel, now: Closes
) -> pd.DataFrame:
    """The rows of one model's card."""
    gate = f"released: {found.because}" if found.released else f"{NO_PROBABILITY}: {found.because}"
    rows: list[tuple[Measure, str | None]] = [(each, None) for each in found.measures]
    rows.append((Measure(TEST, "gate", float(found.released)), gate))
    if found.usage:
        rows.append((Measure(TEST, "usage", np.nan), found.usage))
    if found.trained is not None:
        said = (
            "better than the model of the month before"
            if found.replaced
            else "the model of the month before stays: it ranks the test better"
        )
        replaced = Measure(TRAIN, "replaced", float(found.replaced))
        rows.append((replaced, f"{_version(window, found)}: {said}"))
        rows += _drift(found.trained, panel, now)
    table = pd.DataFrame([each for each, _ in rows]).rename(columns={"n": "rows"})
    shown = {column: fixed(table[column].to_numpy(dtype=float)) for column in ("value", "low", "high")}
    verdicts = pd.Series([verdict for _, verdict in rows], dtype="str")
    return table.assign(**shown, month=month, model=name, verdict=verdicts)


def _drift(trained: Trained, panel: Panel, now: Closes) -> Iterator[tuple[Measure, str | None]]:
    """How far each figure of the month is from those that the model learned from."""
    rows = panel.between(0, trained.split.trained_through)
    for place in trained.fitted.used.tolist():
        moved = stability(rows.figures[:, place], now.figures[:, place])
        measure = Measure("month", f"psi_{panel.names[place]}", moved, n=len(now.frame))
        yield measure, "moved" if moved > MOVED else None


def _table(parts: Sequence[pd.DataFrame], model: type[Table]) -> pd.DataFrame:
    if not parts:
        return empty(model)
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values(key(model), ignore_index=True)[[name for name in columns(model) if name in rows]]
