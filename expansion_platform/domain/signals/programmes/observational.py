"""Customers that were picked, not drawn, beside those of their kind that were not (semantics 6.5).

Here: differences within strata of segment and decile of readiness. Not here: anything of programmes whose
arms were drawn. Whoever picks customers picks those that would have expanded anyway, so this is never called
incremental.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

LABEL = "observational, not causal"
_DECILES = 10
_UNKNOWN = -1


@dataclass(frozen=True)
class Stratified:
    """Differences weighted by the treated of each stratum; None where no stratum has both arms.

    Args:
        share: of the shares of expanders.
        amount: of mean expansion per customer, minor units.
        customers: in strata with both arms; the others compare with nobody.
    """

    share: float | None
    amount: float | None
    customers: int


def stratified(units: pd.DataFrame) -> Stratified:
    """Differences of two arms within strata.

    Args:
        units: a row a customer: treated, segment, readiness (NaN where unknown), expansion.
    """
    kind = [units["segment"].fillna("unknown"), pd.Series(deciles(units["readiness"]), index=units.index)]
    values = units.assign(share=(units["expansion"] > 0).astype("int64"), amount=units["expansion"], n=1)
    treated = units["treated"].astype(bool)
    one, other = (
        values[arm].groupby([each[arm] for each in kind])[["n", "share", "amount"]].sum()
        for arm in (treated, ~treated)
    )
    both = one.merge(other, left_index=True, right_index=True, suffixes=("", "_other"))
    if both.empty:
        return Stratified(None, None, 0)
    weights = both["n"] / both["n"].sum()
    share, amount = (
        float((weights * (both[name] / both["n"] - both[f"{name}_other"] / both["n_other"])).sum())
        for name in ("share", "amount")
    )
    return Stratified(share, amount, int((both["n"] + both["n_other"]).sum()))


def deciles(scores: pd.Series[float]) -> npt.NDArray[np.int64]:
    """0 to 9 by rank among those that are known, equal scores together; -1 where unknown."""
    ranks = scores.rank(method="min", pct=False) - 1
    share = (ranks / max(1, int(scores.notna().sum()))).to_numpy(dtype=float)
    return np.where(np.isnan(share), _UNKNOWN, np.floor(_DECILES * np.nan_to_num(share))).astype(np.int64)
