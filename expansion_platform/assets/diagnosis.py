"""Floor `metrics`: what each month's figures say, in sentences.

Here: wiring of `domain/diagnosis.py`. Not here: thresholds and words. A month looks eight months back: when one of them changed, it is read again.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.assets.build import Frames, build_months, fingerprint, monthly_table, states_over
from expansion_platform.domain import diagnosis as rules
from expansion_platform.domain import months
from expansion_platform.domain.schemas import metrics, mrr, reading
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Lake

KINDS = {"pandas", "pandera", "deltalake"}
OF_THE_MONTH = [metrics.Expansion, metrics.ExpansionByType, metrics.Trailing, metrics.Rollforward, mrr.CustomerMonths, mrr.PriceMigrations]
OF_THE_WINDOW = [metrics.Retention, mrr.Movements]


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, reading.Diagnosis, deps=[*OF_THE_MONTH, *OF_THE_WINDOW], kinds=KINDS)
    def diagnosis_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """What each month's figures say."""
        catalog, lake = platform.catalog(), platform.lake
        of_month, of_window = ([platform.states(model) for model in models] for models in (OF_THE_MONTH, OF_THE_WINDOW))

        def inputs(month: str) -> str:
            known = states_over([month], *of_month) + states_over(rules.looked_at(month), *of_window)
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, platform.settings.expansion_currency, *known)

        yield from build_months(
            context,
            platform,
            models=[reading.Diagnosis],
            inputs=inputs,
            prepare=lambda due: _prepare(platform, due),
            describe=lambda wanted: {reading.Diagnosis: _described(lake.read(reading.Diagnosis, wanted))},
            looks_back_to=lambda month: rules.looked_at(month)[0],
        )

    return diagnosis_table


def _prepare(platform: Platform, due: list[str]) -> Callable[[str], Frames]:
    catalog, lake, currency = platform.catalog(), platform.lake, platform.settings.expansion_currency
    window = sorted({name for month in due for name in rules.looked_at(month)})
    total = {model: _total(lake, model, window) for model in (metrics.Expansion, metrics.Retention, metrics.Trailing, metrics.Rollforward)}
    mix = lake.read(metrics.ExpansionByType, due).query("metric == 'expansion_mix'")
    columns = ["month", "customer", "flow_expansion", "flags_json"]
    expanded = (
        lake.dataset(mrr.Movements).to_table(columns=columns, filter=pc.field("month").isin(window) & (pc.field("flow_expansion") > 0)).to_pandas()
    )
    migrations = lake.read(mrr.PriceMigrations, due)
    known = frozenset(platform.months(mrr.Movements))

    def compute(month: str) -> Frames:
        earlier = months.between(months.shift(month, -rules.BASELINE_MONTHS), months.shift(month, -1))
        rates, retention = total[metrics.Expansion], total[metrics.Retention]
        here = rates[(rates["month"] == month) & (rates["metric"] == "expansion_rate")].iloc[0]
        flows = total[metrics.Rollforward].set_index("month").loc[month]
        figures = rules.Figures(
            month=month,
            currency=currency,
            flows={name: int(flows[name]) for name in ("opening", *mrr.FLOWS, "closing")},
            expanders=int(here["n_expanders"]),
            members=int(here["n_customers"]),
            retention=_ratios(retention[retention["month"] == month], "metric"),
            trailing=_ratios(total[metrics.Trailing].query("month == @month"), "metric"),
            mix=_ratios(mix[mix["month"] == month], "value"),
            grr_before=_ratios(retention[(retention["metric"] == "grr") & retention["month"].isin(earlier)], "month"),
        )
        grown = expanded[expanded["month"].isin(rules.looked_at(month))]
        accounts = rules.Accounts(grown, _paying(lake, month, grown["customer"]), migrations[migrations["month"] == month], known)
        rows = rules.diagnosis(figures, accounts)
        return {reading.Diagnosis: rows.assign(policy_hash=catalog.policy_hash, catalog_hash=catalog.catalog_hash)}

    return compute


def _total(lake: Lake, model: type[metrics.MetricValue] | type[metrics.Rollforward], wanted: list[str]) -> pd.DataFrame:
    return lake.read(model, wanted).query("dimension == 'total'")


def _ratios(rows: pd.DataFrame, name: str) -> dict[str, Fraction]:
    known = rows[rows["ratio"].notna()]
    return {str(key): Fraction(text) for key, text in zip(known[name], known["ratio"], strict=True)}


def _paying(lake: Lake, month: str, among: pd.Series) -> frozenset[str]:
    named = pa.array(among.unique().tolist(), pa.string())  # a list without a type fails where nobody expanded
    held = (pc.field("month") == month) & (pc.field("closing") > 0) & pc.field("customer").isin(named)
    return frozenset(lake.dataset(mrr.CustomerMonths).to_table(columns=["customer"], filter=held)["customer"].to_pylist())


def _described(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Each month's sentences as a list, shown on the asset's page."""
    return {
        str(month): {"diagnosis": dg.MetadataValue.md("\n".join(f"- {text}" for text in told["text"]))}
        for month, told in rows.sort_values("position").groupby("month")
    }
