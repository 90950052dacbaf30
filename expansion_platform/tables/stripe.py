"""Floor `stripe`: Stripe's objects as received.

Here: the asset, its checks and metadata. Not here: how a pull (`pulling.py`) or an import from a warehouse
(`importing.py`) is run, requests or columns (`sources/`).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from expansion_platform.domain.core import validation
from expansion_platform.domain.core.errors import ConfigurationError, DataQualityError
from expansion_platform.domain.core.table import table_name
from expansion_platform.engine import checks
from expansion_platform.engine.describe import asset_spec, preview_metadata, table_metadata
from expansion_platform.ingestion.committing import MODELS
from expansion_platform.ingestion.importing import Importing
from expansion_platform.ingestion.pulling import Pulling
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Commit


@dg.multi_asset(
    specs=[asset_spec(model, deps=[], kinds={"stripe", "pandera", "deltalake"}) for model in MODELS],
    check_specs=[checks.schema_spec(model) for model in MODELS],
    name="stripe",
    retry_policy=dg.RetryPolicy(max_retries=1, delay=10),
)
def stripe_tables(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
    """One pull of the Stripe account, or import from a warehouse that has it.

    Everything the first time, later only what may have changed.

    Rows are committed as they come and what was read is noted, so a run killed anywhere is taken up where it
    stopped, and nothing is written twice.
    """
    pulling = (Importing if platform.from_warehouse else Pulling)(
        platform, context.log.info, {"run": context.run.run_id}
    )
    try:
        pulling.run()
    except DataQualityError as error:
        yield from (checks.failed(model, validation.SCHEMA_CHECK, error) for model in MODELS)
        raise dg.Failure(
            f"{error}; nothing was written of it or of what was read with it", allow_retries=False
        ) from error
    except ConfigurationError as error:  # a key does not mend itself while a retry waits
        raise dg.Failure(str(error), allow_retries=False) from error
    for model in MODELS:
        rows = pulling.rows[model]
        yield checks.passed(model, validation.SCHEMA_CHECK, "checked before it was written", rows=rows)
        commit = Commit(table_name(model), rows > 0, rows, platform.lake.version(model))
        metadata = {
            **table_metadata(platform.lake, model, written=commit is not None and commit.changed),
            **preview_metadata(platform.lake, model),
            "pull": pulling.reason,
        }
        yield dg.MaterializeResult(asset_key=checks.asset_key(model), metadata=metadata)
    read = ", ".join(f"{count:,} {resource}" for resource, count in pulling.counts.items() if count)
    context.log.info(f"stripe: {pulling.reason}: {read or 'nothing new'}")
