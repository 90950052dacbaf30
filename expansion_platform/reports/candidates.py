"""Whom to speak to first in a month, as people read it (`expansion candidates`).

Here: choosing rows of signals/candidates and writing their values as text. Not here: ranking them
(`domain/signals/candidates.py`), printing (`cli/signals.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction

import pandas as pd

from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.wording import counted, money, percent
from expansion_platform.domain.signals import tables as signals
from expansion_platform.resources import Platform

COLUMNS = [
    *("rank", "customer", "owner", "segment", "mrr", "likelihood", "expected", "why", "likely to buy"),
    *("last touch", "leave alone", "arm"),
]


def candidate_rows(
    platform: Platform, month: str, *, owner: str | None = None, everybody: bool = False
) -> pd.DataFrame:
    """COLUMNS as text, by rank: as many as the team can speak to, or those of one owner among them.

    Whom to leave alone is listed with the reason, and takes no place of the team's capacity.

    Raises:
        ExpansionError: nothing was computed of the month, or nobody has this owner.
    """
    if not platform.computed(signals.Candidates, month):
        months = platform.months(signals.Candidates)
        raise ExpansionError(
            f"{month} has no candidates; there are candidates of {months[0]} to {months[-1]}"
            if months
            else "no candidates have been computed yet: run `expansion refresh`"
        )
    rows = platform.lake.read(signals.Candidates, [month]).sort_values("rank")
    first = (~rows["do_not_push"]).cumsum() <= platform.signals.capacity
    if owner is not None:
        owners = sorted(rows["owner"].dropna().unique())
        rows = rows[rows["owner"] == owner]
        if rows.empty:
            raise ExpansionError(
                f"{owner} owns no customer at the close of {month}; owners are "
                f"{', '.join(owners[:20]) or 'not given: EXPANSION_OWNERS (docs/own-data.md)'}"
            )
    if not everybody:
        rows = rows[first.reindex(rows.index)]
    return _as_text(rows.reset_index(drop=True), platform.settings.expansion_currency)


def notes_of(platform: Platform, month: str, rows: pd.DataFrame) -> Iterator[str]:
    """What a reader of the list has to know of it."""
    every = platform.lake.read(signals.Candidates, [month])
    if len(rows) < len(every):
        yield f"{len(rows)} of {counted(len(every), 'customer')}; --all lists every one."
    if len(every) and (every["basis"] == "rule score").all():
        yield (
            "Ranked by the readiness score (0 to 100): there is no calibrated probability, the model card "
            "says why (signals/model_card)."
        )
    usage = platform.lake.read(signals.UsageMonths, [month])
    if usage.empty:
        yield "No product usage is known of this month: only billing and relationships speak."
    elif not usage["complete"].all():
        yield f"Product usage of this month is not complete: {usage['incomplete_because'].iloc[0]}."
    yield "For people who know the customer; not to set prices for one by."


def _as_text(rows: pd.DataFrame, currency: str) -> pd.DataFrame:
    found = pd.DataFrame(
        {
            "rank": rows["rank"],
            "customer": rows["customer"],
            "owner": rows["owner"],
            "segment": rows["segment"],
            "mrr": [money(int(mrr), currency) for mrr in rows["mrr"]],
            "likelihood": [
                f"{score} points" if pd.isna(probability) else percent(Fraction(probability))
                for score, probability in zip(rows["score"], rows["probability"], strict=True)
            ],
            "expected": [
                None if pd.isna(value) else money(int(value), currency) for value in rows["expected_value"]
            ],
            "why": ["; ".join(json.loads(reasons)) for reasons in rows["reasons_json"]],
            "likely to buy": rows["suggested_type"],
            "last touch": rows["last_touch"],
            "leave alone": rows["do_not_push_because"],
            "arm": rows["arm"],
        }
    )
    return found[COLUMNS].astype(object).where(found[COLUMNS].notna(), None)
