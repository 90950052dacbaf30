"""Which signs a customer showed before it expanded, for `expansion explain`.

Here: the closes of the three months before, in words. Not here: the signs (`domain/signals/indicators.py`),
what explains the month itself (`explain.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from expansion_platform.domain.core import months as calendar
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.indicators import SIGNS
from expansion_platform.domain.signals.model.panel import figures_of
from expansion_platform.domain.signals.model.reasons import sentence
from expansion_platform.resources import Platform
from expansion_platform.storage.rows import among

BEFORE = 3
_TITLE = "What was known of it before (signals/features), which need not be why:"
_NOTHING = "no sign"


def signals_before(platform: Platform, customer: str, month: str) -> Iterator[str]:
    """Lines about the three closes before a month; none where nothing was computed of them.

    Args:
        platform: with the tables.
        customer: after aliases.
        month: in which it expanded.
    """
    wanted = [calendar.shift(month, -back) for back in range(BEFORE, 0, -1)]
    where = among("customer", [customer])
    rows = platform.lake.read(signals.Features, wanted, where=where)
    if rows.empty:
        return
    scores = platform.lake.read(signals.Readiness, wanted, where=where).set_index("month")["score"]
    yield _TITLE
    for _, row in rows.sort_values("month").iterrows():
        name = str(row["month"])
        said = "; ".join(_signs(row.to_frame().T.astype(rows.dtypes))) or _NOTHING
        ready = f", readiness {scores[name]} of 100" if name in scores.index else ""
        yield f"- close of {name}{ready}: {said}"


def _signs(row: pd.DataFrame) -> Iterator[str]:
    """The signs of one row of signals/features, each by its figure."""
    names, figures = figures_of(row)
    known = dict(zip(names, figures[0], strict=True))
    if row["months_since_expansion"].isna().iloc[0]:
        del known["months_since_expansion"]
    for sign in SIGNS:
        if sign.figure in known and bool(sign.shows(figures[:, names.index(sign.figure)])[0]):
            yield sentence(sign.figure, float(known[sign.figure]))
