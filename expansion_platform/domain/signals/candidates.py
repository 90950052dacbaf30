"""Whom to speak to first (signals/candidates, semantics 6.4).

Here: the ranked list with reasons, what to offer, and whom to leave alone. Not here: the scores
(`readiness.py`), reasons in words (`reason_texts.py`), owners as known at the close (`relationship.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core.money import Bools
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.programmes.assignments import arms_at
from expansion_platform.domain.signals.readiness import ADOPTED, HIGH, LATELY_MONTHS
from expansion_platform.domain.signals.reason_texts import in_words
from expansion_platform.domain.signals.relationship import owners_at
from expansion_platform.domain.signals.tables import (
    Candidates,
    ChurnRisk,
    Features,
    Health,
    Propensity,
    Readiness,
)
from expansion_platform.domain.signals.tables.scores import BASES
from expansion_platform.domain.signals.texts import number

UNHEALTHY = 40
"""Health under which a customer has other worries than a higher plan."""
YEAR = 12
KEY = ["month", "customer"]
PROBABILITY, RULE_SCORE = BASES
MILLION = 1_000_000
"""Probabilities have six places."""


def compute_candidates(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """signals/candidates of some months."""
    rows = inputs.frame(Features)
    rows = rows[rows["month"].isin(list(wanted))]
    for model, names in ((Readiness, ["score", "reasons_json"]), (Health, ["score"])):
        found = inputs.frame(model)[[*KEY, *names]]
        renamed = found.rename(columns={"score": f"{model.__name__.lower()}_score"})
        rows = rows.merge(renamed, on=KEY, how="left", validate="1:1")
    expected = inputs.frame(Propensity).rename(columns={"reasons_json": "model_reasons"})
    risk = inputs.frame(ChurnRisk)
    for found in (expected[[*KEY, "probability", "model_reasons"]], risk[[*KEY, "top_decile"]]):
        rows = rows.merge(found, on=KEY, how="left", validate="1:1")
    medians = median_expansions(wanted, inputs.frame(mrr.Movements))
    rows = rows.merge(medians, on=["month", "segment"], how="left", validate="m:1")
    why_not, known = reasons_against(rows), rows["probability"].notna()
    rows = rows.assign(
        basis=np.where(known, PROBABILITY, RULE_SCORE),
        score=rows["readiness_score"],
        owner=owners_at(rows, inputs),
        suggested_type=suggested(rows),
        reasons_json=in_words(rows).mask(known, rows["model_reasons"]),
        expected_value=expected_values(rows["probability"], rows["median_expansion"]),
        arm=arms_at(rows, inputs),
        do_not_push=why_not.notna(),
        do_not_push_because=why_not,
    )
    # Whom to leave alone stays in the list, at its place: the reason is shown, and the person decides.
    rows = rows.assign(first=number(rows["probability"]))
    rows = rows.sort_values(
        ["month", "first", "score", "mrr", "customer"], ascending=[True, False, False, False, True]
    )
    rows["rank"] = rows.groupby("month").cumcount() + 1
    return Computed({Candidates: rows.reset_index(drop=True)[_COLUMNS]})


_COLUMNS = [
    *("month", "rank", "customer", "owner", "segment", "mrr", "basis", "score", "probability"),
    *("median_expansion", "expected_value", "reasons_json", "suggested_type", "last_touch"),
    *("do_not_push", "do_not_push_because", "arm"),
]


def median_expansions(wanted: Sequence[str], movements: pd.DataFrame) -> pd.DataFrame:
    """month, segment, median_expansion: of the expansions of the year up to each month, half-even."""
    rows = movements.loc[movements["flow_expansion"] > 0, ["month", "segment", "flow_expansion"]]
    index = pd.PeriodIndex(rows["month"], freq="M")
    ends = pd.PeriodIndex(sorted(wanted), freq="M")
    parts = [rows.assign(month=str(end))[(index > end - YEAR) & (index <= end)] for end in ends]
    every = pd.concat([rows.iloc[:0], *parts], ignore_index=True)
    found = every.groupby(["month", "segment"], as_index=False)["flow_expansion"].median()
    values = np.rint(found["flow_expansion"].to_numpy(dtype=float))
    medians: pd.DataFrame = found[["month", "segment"]].assign(
        median_expansion=pd.array(values, dtype="Int64")
    )
    return medians


def expected_values(probability: pd.Series[str], median: pd.Series) -> pd.Series:
    """Probability x median in minor units, half-even; null where one is not known."""
    known = (probability.notna() & median.notna()).to_numpy()
    parts = np.rint(np.where(known, number(probability), 0) * MILLION).astype(np.int64)
    whole, rest = np.divmod(parts * median.fillna(0).to_numpy(dtype=np.int64), MILLION)
    up = (2 * rest > MILLION) | ((2 * rest == MILLION) & (whole % 2 == 1))
    return pd.Series(pd.array(whole + up, dtype="Int64"), index=median.index).mask(~known)


def reasons_against(rows: pd.DataFrame) -> pd.Series[str]:
    """Why each customer should be left alone for now; null where nothing says so."""
    lately = (rows["months_since_expansion"] <= LATELY_MONTHS).fillna(False).to_numpy(dtype=bool)
    critical = (rows["critical_tickets"] > 0).fillna(False).to_numpy(dtype=bool)
    unhealthy = (rows["health_score"] < UNHEALTHY).fillna(False).to_numpy(dtype=bool)
    late = rows["past_due"].to_numpy(dtype=bool)
    leaving = rows["top_decile"].fillna(False).to_numpy(dtype=bool)
    found = np.select(
        [critical, unhealthy, late, leaving, lately],
        [
            "critical ticket open",
            "health is low",
            "payment past due",
            "high risk of leaving",
            "expanded in the last 60 days",
        ],
        default="",
    )
    return pd.Series(found, index=rows.index, dtype="str").where(found != "")


def suggested(rows: pd.DataFrame) -> pd.Series[str]:
    """What each customer would most likely buy, by its strongest signal; null where there is none."""
    seats, units = number(rows["seat_utilisation"]), number(rows["unit_utilisation"])
    tries = rows[["gate_hits", "higher_tier_requests"]].astype("float64").fillna(0).to_numpy()
    higher: Bools = np.asarray((tries > 0).any(axis=1), dtype=bool)
    full = np.fmax(seats, units) >= HIGH
    found = np.select(
        [
            full & (np.nan_to_num(seats, nan=-1) >= np.nan_to_num(units, nan=-1)),
            full,
            higher,
            number(rows["active_users_change_3m"]) > 0,
            number(rows["key_feature_adoption"]) >= ADOPTED,
        ],
        ["seat", "usage", "tier", "seat", "cross_sell"],
        default="",
    )
    return pd.Series(found, index=rows.index, dtype="str").where(found != "")
