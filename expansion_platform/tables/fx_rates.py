"""Floor `billing`: exchange rates.

Here: wiring of `sources/fx.py`. Not here: item history (`tables/history.py`).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.history import tables as billing
from expansion_platform.engine import checks
from expansion_platform.engine.declaration import PANDAS
from expansion_platform.engine.describe import asset_spec
from expansion_platform.engine.fingerprints import hashed
from expansion_platform.engine.whole import build_tables
from expansion_platform.resources import Platform
from expansion_platform.sources import fx

COMPLETE_CHECK = "complete"
COMPLETE = (
    "Every currency charged has a rate at every month end; a month without one stops, it is not guessed."
)


@dg.multi_asset(
    specs=[asset_spec(billing.FxRates, deps=[billing.ItemStates], kinds=PANDAS)],
    check_specs=[
        checks.schema_spec(billing.FxRates),
        dg.AssetCheckSpec(COMPLETE_CHECK, asset=checks.asset_key(billing.FxRates), description=COMPLETE),
    ],
    name="billing_fx_rates",
)
def fx_rates(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
    """One rate per month end and currency, from the account's first month to the newest closed one."""
    states = platform.lake.read(billing.ItemStates)
    wanted = (
        []
        if states.empty
        else months.between(first_rate_month(states, platform.timezone), platform.newest_closed_month)
    )
    reporting = platform.settings.expansion_currency
    found, missing = fx.available(
        wanted, set(states["currency"]) | {reporting}, reporting, platform.settings.expansion_fx_rates
    )
    yield from build_tables(
        context,
        platform,
        models=[billing.FxRates],
        inputs=hashed(content_hash(found.to_numpy().tolist())),
        compute=lambda: {billing.FxRates: found},
    )
    yield _completeness([f"{currency} {month}" for month, currency in missing])


def _completeness(missing: list[str]) -> dg.AssetCheckResult:
    """A missing rate is a warning here and an error in its own month, so the other months still come out."""
    return dg.AssetCheckResult(
        asset_key=checks.asset_key(billing.FxRates),
        check_name=COMPLETE_CHECK,
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"no rate for {', '.join(missing[:10])}" if missing else None,
        metadata={"missing": len(missing), "which": dg.MetadataValue.json(missing[: checks.SHOWN_ROWS])},
    )


def first_rate_month(states: pd.DataFrame, timezone: str) -> str:
    """The month before the first state: its closing rate is the first opening rate."""
    return months.shift(months.of(states["valid_from"].min(), timezone), -1)
