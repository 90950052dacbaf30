"""Floor `metrics`: targets beside the figures they are for.

Here: wiring of `domain/attainment.py`. Not here: targets and formulas. A month looks back to where its fiscal year begins.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table, states_over
from expansion_platform.domain import attainment as rules
from expansion_platform.domain import canonical
from expansion_platform.domain.detection.targets import AlertSettings
from expansion_platform.domain.schemas import metrics, reading
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Lake

KINDS = {"pandas", "pandera", "deltalake"}
INPUTS = [metrics.Expansion, metrics.ExpansionBySegment, metrics.Expanders, metrics.Retention]
OF_PUBLISHED = "Every numerator and denominator is the sum of the published ones of its months."


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, reading.Attainment, deps=INPUTS, kinds=KINDS, rule=OF_PUBLISHED)
    def attainment_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """How far each target was met."""
        catalog, lake = platform.catalog(), platform.lake
        settings = AlertSettings.from_yaml(platform.settings.expansion_alerts)
        states = [platform.states(model) for model in INPUTS]
        told = canonical.content_hash(settings.model_dump(mode="json", include={"targets", "fiscal_year_begins"}))

        def inputs(month: str) -> str:
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, told, *states_over(_looked_at(month, settings), *states))

        def prepare(due: list[str]) -> Callable[[str], Frames]:
            figures = _figures(lake, due, settings)

            def compute(month: str) -> Frames:
                known = figures[figures["month"].isin(_looked_at(month, settings))]
                rows = rules.attainment(month, known, settings)
                return {reading.Attainment: rows.assign(policy_hash=catalog.policy_hash, catalog_hash=catalog.catalog_hash)}

            return compute

        def of_published(frames: Frames) -> None:
            frame = frames[reading.Attainment]
            rules.ties(frame, _figures(lake, sorted(frame["month"].unique()), settings))

        yield from build_months(
            context,
            platform,
            models=[reading.Attainment],
            inputs=inputs,
            prepare=prepare,
            reconciled=[Reconciled(reading.Attainment, OF_PUBLISHED, of_published)],
            describe=lambda wanted: {reading.Attainment: _described(lake.read(reading.Attainment, wanted))},
            looks_back_to=lambda month: _looked_at(month, settings)[0],
        )

    return attainment_table


def _looked_at(month: str, settings: AlertSettings) -> list[str]:
    return rules.periods(month, settings.fiscal_year_begins)["year_to_date"]


def _figures(lake: Lake, due: list[str], settings: AlertSettings) -> pd.DataFrame:
    window = sorted({name for month in due for name in _looked_at(month, settings)})
    columns = ["month", "metric", "dimension", "value", "numerator", "denominator", "quality"]
    wanted = pc.field("metric").isin(rules.METRICS)
    return pd.concat([lake.read(model, window, wanted)[columns] for model in INPUTS], ignore_index=True)


def _described(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """How much of each target the month reached, in percent, which the UI plots."""
    plotted: dict[str, dict[str, Any]] = {}
    for row in rows[(rows["period"] == "month") & rows["attainment"].notna()].to_dict("records"):
        name = row["metric"] if row["dimension"] == "total" else f"{row['metric']}_{row['value']}"
        plotted.setdefault(str(row["month"]), {})[f"{name}_attained_percent"] = float(round(Fraction(row["attainment"]) * 100, 1))
    return plotted
