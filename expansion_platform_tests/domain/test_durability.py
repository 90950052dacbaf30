"""What lasts of an expansion, worked out by hand. US cents, March 2026, judged in June:

| customer | expansion | organic causes of April to June | left | kept |
|---|---|---|---|---|
| ada | 100 | seats -30, plan +10, price +500 | | 80 |
| bob | 200 (seat surge) | seats -250 | | 0 |
| cy | 50 | seats +40 | | 50 |
| dee | 70 | | churned in May, back in June | 0 |
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from expansion_platform.domain import durability, reconciliation
from expansion_platform.domain.metrics import slices
from expansion_platform.domain.schemas import metrics as tables
from expansion_platform.domain.schemas.mrr import ORGANIC
from expansion_platform.storage.engine import query

GREW, JUDGED = "2026-03", "2026-06"
EXPANDED = {"ada": ("enterprise", 100), "bob": ("smb", 200), "cy": ("smb", 50), "dee": ("smb", 70)}
CAUSES = [
    (GREW, "ada", "seat", 100),  # the expansion itself is not taken twice
    ("2026-04", "ada", "seat", -30),
    ("2026-06", "ada", "tier", 10),
    ("2026-06", "ada", "price", 500),
    ("2026-05", "bob", "seat", -250),
    ("2026-04", "cy", "seat", 40),
    ("2026-07", "cy", "seat", -90),  # after the three months
]


def movement(month: str, customer: str, kind: str = "continuing", expansion: int = 0, flags: str = "[]") -> dict[str, Any]:
    segment = EXPANDED[customer][0]
    return {"month": month, "customer": customer, "segment": segment, "movement": kind, "flow_expansion": expansion, "flags_json": flags}


def rows(months: tuple[str, ...] = (JUDGED,)) -> pd.DataFrame:
    moved = [movement(GREW, name, expansion=up, flags='["seat_surge"]' if name == "bob" else "[]") for name, (_, up) in EXPANDED.items()]
    moved += [movement("2026-05", "dee", "churn"), movement("2026-06", "dee", "reactivation")]
    opened = [{"month": GREW, "customer": name, "segment": segment, "opening": 1_000} for name, (segment, _) in EXPANDED.items()]
    read = {
        "customer_months": pd.DataFrame(opened),
        "movements": pd.DataFrame(moved),
        "causes": pd.DataFrame(CAUSES, columns=["month", "customer", "cause", "amount"]),
        "organic": pd.DataFrame({"cause": ORGANIC}),
    }
    sums = query("durability_sums", {"spans": durability.spans(list(months)), "slices": slices(), **read})
    return tables.Durability.validate(durability.durability(sums).assign(policy_hash="p", catalog_hash="c"))


def told(frame: pd.DataFrame, value: str = "all") -> dict[str, tuple[Any, ...]]:
    """Metric -> the month that expanded, numerator, denominator, ratio."""
    chosen = frame[frame["value"] == value]
    return {
        row.metric: (row.expanded_month, row.numerator, row.denominator, None if pd.isna(row.ratio) else row.ratio) for row in chosen.itertuples()
    }


def test_what_is_left_after_three_months() -> None:
    frame = rows()
    assert told(frame) == {
        "durability_3m": (GREW, 130, 420, "0.3095238095"),
        "durable_expansion_rate": (GREW, 130, 4_000, "0.0325000000"),
        "core_expansion_rate": (JUDGED, 0, 0, None),
    }
    assert told(frame, "smb")["durability_3m"] == (GREW, 50, 320, "0.1562500000")
    assert told(frame, "mid_market")["durability_3m"] == (GREW, 0, 0, None)
    reconciliation.slices_sum(frame)


def test_at_once_a_surge_is_left_out_and_nothing_is_judged() -> None:
    frame = rows((GREW,))
    assert told(frame)["core_expansion_rate"] == (GREW, 220, 4_000, "0.0550000000")
    assert told(frame)["durability_3m"] == ("2025-12", 0, 0, None)
    assert set(frame.loc[frame["metric"] != "core_expansion_rate", "quality"]) == {"no_base"}


def test_several_months_at_once_are_those_months() -> None:
    both = rows((GREW, JUDGED))
    for month in (GREW, JUDGED):
        alone = rows((month,)).reset_index(drop=True)
        keys = ["metric", "dimension", "value"]
        of_month = both[both["month"] == month].sort_values(keys).reset_index(drop=True)
        pd.testing.assert_frame_equal(of_month, alone.sort_values(keys).reset_index(drop=True))
