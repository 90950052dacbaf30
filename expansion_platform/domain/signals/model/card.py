"""The card of a month's model: its numbers, verdicts and drift as rows of signals/model_card (semantics 6.7).

Here: rows. Not here: the numbers themselves (`assess.py`, `drift.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.signals.model.assess import TEST, TRAIN, Assessment, Measure, Trained
from expansion_platform.domain.signals.model.drift import MOVED, stability
from expansion_platform.domain.signals.model.panel import Panel
from expansion_platform.domain.signals.texts import fixed

Floats = npt.NDArray[np.float64]
NO_PROBABILITY = "no calibrated probability"
NEWEST_BETTER = "ranks the test at least as well as the model trained a month earlier"
EARLIER_BETTER = "trained a month earlier than the newest, which does not rank the test as well"
SAMPLED = "of more customers {} a close were drawn by a hash of their ids"


def version(window: Sequence[str], found: Assessment) -> str | None:
    """Kind and last month of training, such as `logistic 2025-04`; None where nothing was trained."""
    if found.trained is None:
        return None
    return f"{found.trained.fitted.kind} {window[found.trained.split.trained_through]}"


def card_of(
    name: str,
    window: Sequence[str],
    found: Assessment,
    panel: Panel,
    now: Floats,
    sampled: int | None = None,
) -> pd.DataFrame:
    """The rows of one model's card.

    Args:
        name: of the model, EXPANSION or CHURN.
        window: months of the panel's calendar.
        found: the month's model.
        panel: customers that it learned from and was judged by.
        now: (customers, names) figures of the month's customers.
        sampled: customers of a close that were drawn from more; None where all were taken.
    """
    gate = f"released: {found.because}" if found.released else f"{NO_PROBABILITY}: {found.because}"
    rows: list[tuple[Measure, str | None]] = [(each, None) for each in found.measures]
    rows.append((Measure(TEST, "gate", float(found.released)), gate))
    if found.usage:
        rows.append((Measure(TEST, "usage", np.nan), found.usage))
    if sampled is not None:
        rows.append((Measure(TRAIN, "sampled", float(sampled)), SAMPLED.format(f"{sampled:,}")))
    if found.trained is not None:
        said = NEWEST_BETTER if found.replaced else EARLIER_BETTER
        replaced = Measure(TRAIN, "replaced", float(found.replaced))
        rows.append((replaced, f"{version(window, found)}: {said}"))
        rows += _drift(found.trained, panel, now)
    table = pd.DataFrame([each for each, _ in rows]).rename(columns={"n": "rows"})
    shown = {column: fixed(table[column].to_numpy(dtype=float)) for column in ("value", "low", "high")}
    verdicts = pd.Series([verdict for _, verdict in rows], dtype="str")
    return table.assign(**shown, month=window[-1], model=name, verdict=verdicts)


def _drift(trained: Trained, panel: Panel, now: Floats) -> Iterator[tuple[Measure, str | None]]:
    """How far each figure of the month is from those that the model learned from."""
    rows = panel.between(*trained.split.trained)
    for place in trained.fitted.used.tolist():
        moved = stability(rows.figures[:, place], now[:, place])
        measure = Measure("month", f"psi_{panel.names[place]}", moved, n=len(now))
        yield measure, "moved" if moved > MOVED else None
