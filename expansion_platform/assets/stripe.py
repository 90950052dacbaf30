"""Floor `stripe`: Stripe's objects as received.

Here: wiring of `sources/stripe/pull.py`: one pull, eleven tables, then the cursor. Not here: requests or columns.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from expansion_platform import checks
from expansion_platform.assets.metadata import asset_spec, preview_metadata, table_metadata
from expansion_platform.domain.errors import ConfigurationError, DataQualityError
from expansion_platform.domain.schemas import TABLES
from expansion_platform.domain.schemas.base import table_name
from expansion_platform.resources import Platform
from expansion_platform.sources.stripe.changes import PullState
from expansion_platform.sources.stripe.pull import pull
from expansion_platform.storage.lake import Commit

MODELS = [model for name, model in TABLES.items() if name.startswith("stripe/")]
CURSOR = "stripe"
PROGRESS_EVERY = 1000  # objects; ten pages, a second or so at the default rate


@dg.multi_asset(
    specs=[asset_spec(model, deps=[], kinds={"stripe", "pandera", "deltalake"}) for model in MODELS],
    check_specs=[checks.schema_spec(model) for model in MODELS],
    name="stripe",
    retry_policy=dg.RetryPolicy(max_retries=1, delay=10),
)
def stripe_tables(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
    """One pull of the Stripe account: everything the first time, later only what may have changed.

    The cursor moves after every table is committed, so a run killed in between reads the same again and writes nothing twice.
    """
    stored = platform.ledger.cursor(CURSOR)
    here = urlsplit(platform.settings.stripe_api_base or "https://api.stripe.com").hostname
    if stored is not None and stored.get("server", here) != here:
        raise dg.Failure(
            f"the tables in {platform.settings.data_dir} come from {stored['server']}, not from {here}: "
            "set EXPANSION_DATA_DIR to a folder of its own, or run `make clean` if they are the demo's",
            allow_retries=False,
        )
    state = PullState() if stored is None else PullState(stored["last_pull_at"], tuple(stored["recent_events"]))
    if any(not platform.lake.exists(model) for model in MODELS):
        state = PullState()
    try:
        result = pull(platform.stripe, state, platform.as_of, progress=lambda resource, count: _progress(context, resource, count))
        frames = {}
        for model in MODELS:
            change = result.changes[table_name(model)]
            rows, gone = change.against(platform.lake.read(model))
            frames[model] = (checks.validate(model, rows), gone)
    except DataQualityError as error:
        yield from (checks.failed(model, checks.SCHEMA_CHECK, error) for model in MODELS)
        raise dg.Failure(f"{error}; nothing was written", allow_retries=False) from error
    except ConfigurationError as error:  # a key does not mend itself while a retry waits
        raise dg.Failure(str(error), allow_retries=False) from error
    for model, (rows, gone) in frames.items():
        commit: Commit = platform.lake.upsert(model, rows, delete=gone, info={"run": context.run.run_id})
        yield checks.passed(model, checks.SCHEMA_CHECK, "checked before it was written", rows=len(rows))
        metadata = {**table_metadata(platform.lake, model, commit), **preview_metadata(platform.lake, model), "pull": result.reason}
        yield dg.MaterializeResult(asset_key=checks.asset_key(model), metadata=metadata)
    platform.ledger.set_cursor(CURSOR, {"last_pull_at": result.state.last_pull_at, "recent_events": list(result.state.recent_events), "server": here})
    read = ", ".join(f"{count:,} {resource}" for resource, count in result.counts.items() if count)
    context.log.info(f"stripe: {result.reason}: {read or 'nothing new'}")


def _progress(context: dg.AssetExecutionContext, resource: str, count: int) -> None:
    if count and count % PROGRESS_EVERY == 0:
        context.log.info(f"stripe: {count:,} {resource} so far")
