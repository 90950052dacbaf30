"""What a month's figures say, in sentences.

Here: columns, and which kinds of sentences there are. Not here: thresholds and words
(`domain/metrics/diagnosis.py`).
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table

KINDS = [
    *("headline", "growth_masks_losses", "losses_behind_growth", "stay_without_growing"),
    *("one_type", "few_customers", "seat_surges"),
    *("possible_price_migrations", "stopped_growing"),
]


class Diagnosis(Monthly):
    """One row per month and sentence: what the figures say, only where a stated threshold holds."""

    position: int = pa.Field(description="Order of the sentence within its month, from 1", ge=1)
    kind: str = pa.Field(
        description="Which threshold was reached (`domain/metrics/diagnosis.py` states each)", isin=KINDS
    )
    text: str = pa.Field(description="The sentence, with its numbers")
    numbers_json: str = pa.Field(
        description="The same numbers: minor units, counts, decimal "
        "text, and the customers behind them, at most 50"
    )

    class Config(Table.Config):
        name = "metrics/diagnosis"
        metadata = {"key": ["month", "position"], "partitioned_by": "month"}
        unique = ["month", "kind"]
