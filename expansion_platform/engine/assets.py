"""The Dagster asset of a declaration: its specs, dependencies, checks by month and step.

Here: `monthly_assets`. Not here: what the step does (`monthly.py`), how the UI shows a table (`describe.py`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from expansion_platform.engine import checks
from expansion_platform.engine.declaration import Declaration
from expansion_platform.engine.describe import asset_spec
from expansion_platform.engine.monthly import build
from expansion_platform.resources import Platform

Build = Callable[[dg.AssetExecutionContext, Platform, Declaration], Iterator[Any]]


def monthly_assets(
    declaration: Declaration, partitions: dg.PartitionsDefinition, build: Build = build
) -> dg.AssetsDefinition:
    """The tables of a declaration as one step over a range of months.

    Any of them can be materialized alone.
    """
    declared = declaration

    @dg.multi_asset(
        specs=[
            asset_spec(model, deps=declared.inputs, kinds=declared.kinds, skippable=True)
            for model in declared.models
        ],
        check_specs=[
            *(checks.schema_spec(model, partitions) for model in declared.models),
            *(
                checks.check_spec(identity.model, identity.check, identity.says, partitions)
                for identity in declared.identities
            ),
        ],
        name=declared.name,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def step(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        yield from build(context, platform, declared)

    return step
