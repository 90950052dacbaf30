"""Events stored in one transaction, or over connections that stay open, are those that Dagster stores one by
one; an exception leaves none, and the log works as before afterwards.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from expansion_platform.automation import run_history
from expansion_platform.engine.event_log import EventLog, one_transaction
from expansion_platform.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")

MONTHS = ["2026-01", "2026-02", "2026-03"]
KEY, CHECK = dg.AssetKey("figures"), dg.AssetCheckKey(dg.AssetKey("figures"), "schema")
Stored = tuple[list[Any], set[str], dict[str, str]]


LOGS = {"memory": InMemoryEventLogStorage, "sqlite": SqliteEventLogStorage, "data folder": EventLog}


@contextmanager
def _instance(kind: str, folder: Path) -> Iterator[dg.DagsterInstance]:
    if kind == "memory":
        opened: Any = dg.DagsterInstance.ephemeral()
    elif kind == "sqlite":
        opened = dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}})
    else:
        opened = run_history.instance(Settings(_env_file=None, expansion_data_dir=str(folder)))
    with opened as found:
        assert type(found.event_log_storage) is LOGS[kind]
        yield found


@pytest.fixture(params=LOGS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def instance(kind: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with _instance(kind, tmp_path) as found:
        yield found


def run(instance: dg.DagsterInstance, together: Callable[[Any, str], Any], breaks: bool = False) -> Stored:
    """Materializes the months, and says what the log then has: events of the run, months of the asset, months
    of the check.
    """
    partitions = dg.StaticPartitionsDefinition(MONTHS)

    @dg.multi_asset(
        specs=[dg.AssetSpec(KEY)],
        check_specs=[dg.AssetCheckSpec("schema", asset=KEY, partitions_def=partitions)],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def step(context: dg.AssetExecutionContext) -> Iterator[Any]:
        with together(context.instance.event_log_storage, context.run.run_id):
            for month in MONTHS:
                context.log_event(dg.AssetMaterialization(KEY, partition=month, metadata={"rows": 3}))
                passed = month != "2026-02"
                context.log_event(
                    dg.AssetCheckEvaluation(
                        asset_key=KEY, check_name="schema", passed=passed, metadata={}, partition=month
                    )
                )
            if breaks:
                raise ValueError("no")
        for name in ("figures", "figures_schema"):
            yield dg.Output(
                None,
                output_name=name,
                metadata={"__source_asset_observation__": True} if name == "figures" else {},
            )

    tags = {"dagster/asset_partition_range_start": MONTHS[0], "dagster/asset_partition_range_end": MONTHS[-1]}
    result = dg.materialize([step], instance=instance, tags=tags, raise_on_error=False)
    assert result.success != breaks
    log = instance.event_log_storage
    events = [
        (entry.dagster_event_type, getattr(entry.dagster_event, "partition", None))
        for entry in log.get_logs_for_run(result.run_id)
    ]
    checks = log.get_asset_check_execution_history(CHECK, limit=100)
    statuses = {
        str(record.partition): record.status.value for record in checks if record.run_id == result.run_id
    }
    return events, instance.get_materialized_partitions(KEY), statuses


@pytest.mark.parametrize("together", [one_transaction, lambda *_: nullcontext()])
def test_every_log_stores_what_dagsters_stores_one_by_one(
    kind: str,
    instance: dg.DagsterInstance,
    together: Callable[[Any, str], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    found = run(instance, together)
    dagsters = "memory" if kind == "memory" else "sqlite"
    with _instance(dagsters, tmp_path_factory.mktemp("other")) as other:
        expected = run(other, lambda *_: nullcontext())
    assert found == expected
    assert found[1] == set(MONTHS)
    assert found[2] == {"2026-01": "SUCCEEDED", "2026-02": "FAILED", "2026-03": "SUCCEEDED"}


def test_an_exception_leaves_no_event_and_a_log_that_works(instance: dg.DagsterInstance) -> None:
    events, materialized, _ = run(instance, one_transaction, breaks=True)
    assert not materialized
    assert "STEP_FAILURE" in {str(kind.value) for kind, _ in events if kind is not None}
    assert run(instance, one_transaction)[1] == set(MONTHS)


def test_a_run_that_has_begun_opens_no_connection_again(tmp_path: Path) -> None:
    opened: list[str] = []

    def connected(connection: Any, _record: Any) -> None:
        (file,) = connection.execute("select file from pragma_database_list").fetchone()
        opened.append(Path(file).name)

    @contextmanager
    def counted(*_: Any) -> Iterator[None]:
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", connected)
        yield
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", connected)

    with _instance("data folder", tmp_path) as instance:
        for _ in range(2):
            run(instance, counted)
        log = instance.event_log_storage
        assert isinstance(log, EventLog)
        assert len(log._engines) == 2, "the index's and the newest run's; the older run's is closed"
    assert not opened
    assert not log._engines, "closed with the instance"


def test_other_storages_keep_their_way() -> None:
    storage = object()
    with one_transaction(storage, "run"):
        pass
    assert not vars(type(storage)).get("run_connection")
