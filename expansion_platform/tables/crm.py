"""Floor `crm`: what the user's CRM and support tool know of customers, and since when.

Here: wiring. Not here: reading (`sources/crm/`), versions (`domain/signals/facts.py`), features made of them
(`signals.py`).

Each table is read by itself: one that cannot be read fails its own step, and neither the others nor the money
tables.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.table import Table, empty, table_name
from expansion_platform.domain.signals.facts import versions
from expansion_platform.domain.signals.tables import FACT_TABLES, Fact, as_facts
from expansion_platform.engine import checks
from expansion_platform.engine.declaration import PANDAS
from expansion_platform.engine.describe import asset_spec
from expansion_platform.engine.fingerprints import hashed
from expansion_platform.engine.rule_hash import rule_hash
from expansion_platform.engine.whole import build_tables
from expansion_platform.resources import Platform

_NOT_GIVEN = "not given"


def _step(given: type[Table], model: type[Fact]) -> dg.AssetsDefinition:
    """The asset of one table."""

    @dg.multi_asset(
        specs=[asset_spec(model, deps=[], kinds=PANDAS)],
        check_specs=[checks.schema_spec(model)],
        name=f"crm_{table_name(model).split('/')[1]}",
    )
    def read(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """What the source says now, as versions that come to those stored."""
        try:
            facts = platform.facts(given)
        except ExpansionError as error:
            raise dg.Failure(f"{table_name(model)}: {error}", allow_retries=False) from error
        for note in () if facts is None else facts.notes:
            context.log.warning(f"{table_name(model)}: {note}")
        rows = None if facts is None else facts.frame
        basis = _NOT_GIVEN if rows is None else content_hash(_texts(rows))
        yield from build_tables(
            context,
            platform,
            models=[model],
            inputs=hashed(rule_hash(versions), basis),
            compute=lambda: {model: _added(platform, facts, model)},
            append=True,
        )

    return read


def _added(platform: Platform, facts: Any, model: type[Fact]) -> pd.DataFrame:
    if facts is None:
        return empty(model)
    read = as_facts(facts.frame, model, platform.settings.expansion_currency, platform.timezone)
    return versions(platform.lake.read(model), read, platform.as_of, model, own_dates=facts.own_dates)


def _texts(rows: pd.DataFrame) -> list[list[Any]]:
    ordered = rows.sort_values(list(rows.columns))
    found: list[list[Any]] = ordered.astype(object).where(ordered.notna(), None).to_numpy().tolist()
    return found


CRM = [_step(given, model) for given, model in FACT_TABLES.items()]
