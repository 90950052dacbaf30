"""Floor `signals`: what models expect of customers, and what customers that expanded had shown before.

Here: declarations and what the UI plots of them. Not here: rules (`domain/signals/`).
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import feature_adoption, indicators, lookback, practices
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.model.compute import HISTORY, compute_models
from expansion_platform.engine.declaration import Declaration, Plotted, Read, Window
from expansion_platform.engine.describe import calibration_picture
from expansion_platform.engine.uses import CATALOG, CLOSE_LAG_DAYS, EXPONENT, SIGNALS, TIMEZONE

_LEARNED = Window(HISTORY)
_LOOKED_AT = Window(lookback.BACK)
_PLOTTED = {
    ("test", "pr_auc", ""): "mean_precision",
    ("test", "pr_auc", "rule score"): "rule_score_precision",
    ("test", "base_rate", ""): "base_rate",
    ("test", "lift_top_decile", ""): "top_decile_lift",
    ("test", "calibration_slope", ""): "calibration_slope",
    ("test", "brier_skill", "base rate"): "brier_skill",
}
_VERDICTS = ("gate", "usage", "replaced")


def _plot_models(_months: list[str], inputs: Inputs) -> Plotted:
    """Whether each model is released and how good it is; of how many customers something is expected."""
    cards: dict[str, dict[str, Any]] = {}
    rows = inputs.frame(signals.ModelCard)
    for row in rows.to_dict("records"):
        found = cards.setdefault(row["month"], {})
        name = _PLOTTED.get((row["split"], row["metric"], row["baseline"]))
        if name is not None and isinstance(row["value"], str):
            found[f"{row['model']}_{name}"] = float(row["value"])
        if row["metric"] in _VERDICTS:
            found[f"{row['model']}_{row['metric']}"] = row["verdict"]
    for (month, model), card in rows.groupby(["month", "model"]):
        bins = _bins(card)
        if bins:
            cards[str(month)][f"{model}_calibration"] = dg.MetadataValue.md(calibration_picture(bins))
    risk = {
        str(month): {
            "customers_at_high_risk": int(found["top_decile"].sum()),
            "basis": str(found["basis"].iloc[0]),
        }
        for month, found in inputs.frame(signals.ChurnRisk).groupby("month")
    }
    said = {
        str(month): {
            "customers": len(found),
            "customers_with_probability": int(found["probability"].notna().sum()),
        }
        for month, found in inputs.frame(signals.Propensity).groupby("month")
    }
    return {signals.ModelCard: cards, signals.ChurnRisk: risk, signals.Propensity: said}


def _bins(card: pd.DataFrame) -> list[tuple[float, float]]:
    """What a model said and what happened, by tenths."""
    numbers = dict(zip(card["metric"].astype(str), card["value"], strict=True))
    places = [name[: -len("_said")] for name in sorted(numbers) if name.endswith("_said")]
    return [(float(numbers[f"{each}_said"]), float(numbers[f"{each}_happened"])) for each in places]


MODELS = Declaration(
    name="models",
    models=(signals.Propensity, signals.ChurnRisk, signals.ModelCard),
    reads=(
        Read(signals.Features, window=_LEARNED),
        Read(signals.Readiness, ("month", "customer", "score"), _LEARNED),
        Read(
            mrr.Movements,
            ("month", "customer", "movement", "dormant", "opening", "flow_expansion", "flags_json"),
            _LEARNED,
            where=(pc.field("flow_expansion") > 0) | (pc.field("movement") == "churn"),
        ),
    ),
    uses=(CATALOG, EXPONENT, SIGNALS),
    rule=compute_models,
    plots=_plot_models,
)

_BEFORE = (
    Read(signals.Features, window=_LOOKED_AT),
    Read(
        mrr.Movements,
        ("month", "customer", "flow_expansion"),
        _LOOKED_AT,
        where=pc.field("flow_expansion") > 0,
    ),
)


def _plot_indicators(_months: list[str], inputs: Inputs) -> Plotted:
    """How many signs are shown to come before expansion, and the strongest."""
    shown: dict[str, dict[str, Any]] = {}
    for month, rows in inputs.frame(signals.Indicators).groupby("month"):
        found = rows[rows["verdict"] == "shown"]
        shown[str(month)] = {"signs": len(rows), "signs_shown": len(found)}
        if len(found):
            best = found.iloc[int(found["lift"].astype("float64").to_numpy().argmax())]
            shown[str(month)] |= {"strongest": best["says"], "lift_of_the_strongest": float(best["lift"])}
    return {signals.Indicators: shown}


INDICATORS = Declaration(
    name="indicators",
    models=(signals.Indicators,),
    reads=(
        *_BEFORE,
        Read(
            mrr.Origins,
            ("month", "customer", "expansion", "changed_at"),
            _LOOKED_AT,
            where=pc.field("expansion") > 0,
        ),
    ),
    uses=(CATALOG, EXPONENT, TIMEZONE),
    rule=indicators.compute_indicators,
    plots=_plot_indicators,
)


def _plot_practices(_months: list[str], inputs: Inputs) -> Plotted:
    """In how many figures customers that expand differ."""
    return {
        signals.Practices: {
            str(month): {
                "figures_compared": len(rows),
                "differences_shown": int((rows["verdict"] == "shown").sum()),
            }
            for month, rows in inputs.frame(signals.Practices).groupby("month")
        }
    }


PRACTICES = Declaration(
    name="practices",
    models=(signals.Practices,),
    reads=_BEFORE,
    uses=(CATALOG, EXPONENT),
    rule=practices.compute_practices,
    plots=_plot_practices,
)


def _plot_adoption(_months: list[str], inputs: Inputs) -> Plotted:
    """How many features come before expansion."""
    return {
        signals.FeatureAdoption: {
            str(month): {"features": len(rows), "features_shown": int((rows["verdict"] == "shown").sum())}
            for month, rows in inputs.frame(signals.FeatureAdoption).groupby("month")
        }
    }


FEATURE_ADOPTION = Declaration(
    name="feature_adoption",
    models=(signals.FeatureAdoption,),
    reads=(
        *_BEFORE,
        Read(signals.FeatureUsage, window=Window(lookback.BACK + feature_adoption.NEW_TO)),
        Read(signals.UsageMonths, window=Window(lookback.BACK + feature_adoption.NEW_TO)),
    ),
    uses=(CATALOG, EXPONENT, TIMEZONE, CLOSE_LAG_DAYS),
    rule=feature_adoption.compute_feature_adoption,
    plots=_plot_adoption,
)
