"""The roll-forward: opening MRR, nine flows, closing MRR, transfers between segments (semantics 4.1).

Here: its columns from the sums. Not here: the sums (`slice_sums.sql`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.mrr.vocabulary import FLOWS


def rollforward(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/rollforward without hashes."""
    columns = ["month", "dimension", "value", "opening", *FLOWS, "closing", "transfer_in", "transfer_out"]
    return sums.rename(columns={"interval_": "interval"})[columns]
