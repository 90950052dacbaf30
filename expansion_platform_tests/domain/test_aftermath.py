"""Who left within six months of April 2026, worked out by hand. US cents at April's closing:

| stratum | expanded | of them left | others | of them left |
|---|---|---|---|---|
| smb, year_3_plus | ann (surge), abe, amy, ace: 100 each | ann | ten: 50 each | one |
| enterprise, first_90_days | bea, bob: 1,000 each | bea | two: 2,000 and 6,000 | that of 2,000 |
| mid_market, year_3_plus | cy (surge): 300 | | nobody | |
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain import aftermath, reconciliation_metrics
from expansion_platform.domain.detection.statistics import newcombe
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.schemas import lasting as tables

THEN, MONTH, SEED = "2026-04", "2026-10", "policy"
SMB, NEW, MIDDLE = ("smb", "2024-01"), ("enterprise", "2026-02"), ("mid_market", "2024-01")
EXPANDED = dict.fromkeys(("ann", "abe", "amy", "ace"), (SMB, 100)) | {"bea": (NEW, 1_000), "bob": (NEW, 1_000), "cy": (MIDDLE, 300)}
OTHERS = {f"s{number}": (SMB, 50) for number in range(10)} | {"e0": (NEW, 2_000), "e1": (NEW, 6_000)}
SURGED = ("ann", "cy")
LEFT = ["ann", "bea", "s0", "e0", "who_was_not_there"]


ORIGINS = pd.DataFrame(
    [("ann", "sales", 60), ("ann", "unknown", 40), ("abe", "sales", 100), ("bea", "touched", 9), ("bea", "product", 9)],
    columns=["customer", "origin", "expansion"],
)


def base() -> pd.DataFrame:
    rows = [
        {"customer": name, "segment": segment, "first_paid_month": first, "opening": 1, "closing": mrr}
        for name, ((segment, first), mrr) in (EXPANDED | OTHERS).items()
    ]
    rows += [{**rows[0], "customer": "gone", "closing": 0}, {**rows[0], "customer": "came", "opening": 0}]  # neither continued through April
    flags = ['["concentrated","seat_surge"]' if name in SURGED else "[]" for name in EXPANDED]
    return aftermath.base(THEN, pd.DataFrame(rows), pd.DataFrame({"customer": list(EXPANDED), "flags_json": flags}), ORIGINS, "UTC")


def rows(of_base: pd.DataFrame | None = None, left: list[str] | None = None) -> pd.DataFrame:
    told = aftermath.expansion_then_churn(MONTH, 6, base() if of_base is None else of_base, LEFT if left is None else left, SEED)
    return tables.ExpansionThenChurn.validate(told.assign(policy_hash="p", catalog_hash="c"))


def row(frame: pd.DataFrame, value: str = "all") -> dict[str, Any]:
    (found,) = frame[frame["value"] == value].to_dict("records")
    return {name: None if pd.isna(value) else value for name, value in found.items()}


def test_rates_of_the_expanders_and_of_others_like_them() -> None:
    told = row(rows())
    counts = ("expanded_month", "expanders", "compared", "dropped_share", "others", "churned")
    assert [told[name] for name in counts] == [THEN, 7, 6, "0.1428571429", 12, 2]  # nobody is like cy
    # 4 of 6 are smb, where 1 of 10 left; 2 of 6 enterprise, where 1 of 2 did
    assert (told["rate"], told["rate_others"], told["difference"]) == ("0.3333333333", "0.2333333333", "0.1000000000")
    assert (told["mrr"], told["mrr_churned"]) == (2_400, 1_100)
    # 400 of 2,400 are smb, where 50 of 500 left; 2,000 enterprise, where 2,000 of 8,000 did
    assert (told["mrr_rate"], told["mrr_rate_others"], told["mrr_difference"]) == ("0.4583333333", "0.2250000000", "0.2333333333")
    assert (told["interval"], told["quality"], told["signal"]) == ("bootstrap", "low_n", False)


def test_expanders_with_a_flag_are_compared_on_their_own() -> None:
    told = row(rows(), "seat_surge")
    assert (told["dimension"], told["expanders"], told["compared"], told["dropped_share"], told["others"]) == ("flag", 2, 1, "0.5000000000", 10)
    assert (told["rate"], told["rate_others"], told["difference"]) == ("1.0000000000", "0.1000000000", "0.9000000000")
    low, high = newcombe(1.0, 1, 0.1, 10)  # one stratum: nothing is reweighted
    assert (told["interval"], told["low"], told["high"]) == ("newcombe", f"{low:.6f}", f"{high:.6f}")


def test_expanders_are_of_the_origin_of_most_of_their_expansion() -> None:
    """ann and abe are of sales; bea's halves tie, and go by name; nothing says where the others came from."""
    frame = rows()
    assert {value: row(frame, value)["expanders"] for value in ("sales", "product", "touched", "unknown", "csm")} == {
        "sales": 2,
        "product": 1,
        "touched": 0,
        "unknown": 4,
        "csm": 0,
    }
    sales = row(frame, "sales")
    assert (sales["dimension"], sales["churned"], sales["rate"], sales["rate_others"]) == ("origin", 1, "0.5000000000", "0.1000000000")
    assert frame.loc[frame["dimension"] == "origin", "expanders"].sum() == row(frame)["expanders"]


def test_nobody_to_compare_has_no_rate() -> None:
    of_base = base()
    for none in (of_base.head(0), of_base[of_base["kind"] == "other"], of_base[of_base["kind"] != "other"]):
        told = row(rows(none))
        assert (told["compared"], told["rate"], told["difference"], told["low"], told["mrr_low"]) == (0, None, None, None, None)
        assert (told["quality"], told["signal"]) == ("no_base", False)


def test_one_customer_on_each_side() -> None:
    of_base = base()
    told = row(rows(of_base[of_base["customer"].isin(["ann", "s0"])], ["ann"]))
    assert (told["compared"], told["others"], told["rate"], told["rate_others"]) == (1, 1, "1.0000000000", "0.0000000000")


def many(expanders: int, others: int) -> tuple[pd.DataFrame, list[str]]:
    """Three strata of unequal sizes and very unequal customers, of whom expanders leave twice as often."""
    rng = np.random.default_rng(5)
    size = expanders + others
    kind = np.where(np.arange(size) < expanders, "steady/unknown", "other")
    stratum = rng.choice(["a", "b", "c"], size, p=[0.6, 0.3, 0.1])
    mrr = (10_000 * np.exp(rng.normal(0, 1.2, size))).astype(np.int64)
    of_base = pd.DataFrame({"customer": [f"c{number}" for number in range(size)], "stratum": stratum, "kind": kind, "mrr": mrr})
    return of_base, of_base.loc[rng.random(size) < np.where(kind == "other", 0.1, 0.2), "customer"].tolist()


def resampled(of_base: pd.DataFrame, left: list[str], column: str) -> tuple[float, float]:
    """The interval by drawing customers with replacement, one side at a time, and computing everything anew."""
    rng = np.random.default_rng(6)
    weight = of_base["mrr"].to_numpy() if column == "mrr" else np.ones(len(of_base))
    stratum, gone = pd.factorize(of_base["stratum"])[0], of_base["customer"].isin(left).to_numpy()
    sides = [np.flatnonzero(of_base["kind"] == kind) for kind in ("steady/unknown", "other")]
    differences = []
    for _ in range(1_000):
        mine, theirs = (rng.choice(side, len(side)) for side in sides)
        shares = np.bincount(stratum[theirs], weight[theirs] * gone[theirs]) / np.bincount(stratum[theirs], weight[theirs])
        differences.append((weight[mine] * (gone[mine] - shares[stratum[mine]])).sum() / weight[mine].sum())
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.parametrize(("expanders", "others"), [(60, 200), (300, 2_000)])
def test_the_interval_is_that_of_resampling_customers(expanders: int, others: int) -> None:
    of_base, left = many(expanders, others)
    told = row(rows(of_base, left))
    for column, names in (("count", ("low", "high")), ("mrr", ("mrr_low", "mrr_high"))):
        low, high = resampled(of_base, left, column)
        width = high - low
        assert [float(told[name]) for name in names] == pytest.approx([low, high], abs=0.12 * width)
    assert told["signal"] == (float(told["low"]) > 0)


def test_the_same_data_give_the_same_interval() -> None:
    of_base, left = many(60, 200)
    pd.testing.assert_frame_equal(rows(of_base, left), rows(of_base, left))
    other = aftermath.expansion_then_churn(MONTH, 6, of_base, left, "another policy")
    assert other.at[0, "low"] != rows(of_base, left).at[0, "low"]


def test_the_check_sees_an_expander_too_many() -> None:
    frame = rows()
    expansion = pd.DataFrame({"month": [THEN], "metric": ["expander_rate"], "numerator": [7]})
    reconciliation_metrics.expanders_tie(frame, expansion)
    with pytest.raises(DataQualityError, match="2026-10/6"):
        reconciliation_metrics.expanders_tie(frame, expansion.assign(numerator=8))
