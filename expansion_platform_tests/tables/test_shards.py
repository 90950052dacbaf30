"""Customers computed in parts, in processes of their own: the same rows, the same errors, and nothing left
behind.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest

from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.tables import SeatEvents
from expansion_platform_tests.pipelines import COMPUTED, NEWEST, Pipeline
from expansion_platform_tests.tables.test_bad_input import negative_since_newest_month

pytestmark = pytest.mark.xdist_group("pipeline")

BY_CUSTOMER: list[type[Table]] = [mrr.CustomerMonths, mrr.Movements, mrr.Causes, mrr.Origins, SeatEvents]
SMALL = 40
"""Item states of a shard: the company of 50 customers has some hundred."""


def in_parts(pipeline: Pipeline, processes: int = 2) -> Pipeline:
    return pipeline.with_settings(expansion_shard_rows=SMALL, expansion_processes=processes)


def forgotten(pipeline: Pipeline) -> Pipeline:
    """Nothing is known of what was computed."""
    for model in [*BY_CUSTOMER, mrr.PriceMigrations]:
        pipeline.lake.delete_months(model, pipeline.lake.months(model))
    return pipeline


def files(pipeline: Pipeline, model: type[Table], month: str) -> list[Path]:
    return list((pipeline.lake.path(model) / f"month={month}").glob("*.parquet"))


def test_parts_make_the_same_tables(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        expected = {name: content for name, (_, content) in copied.contents(COMPUTED).items()}
        forgotten(copied)
        in_parts(copied).refresh()
        assert {name: content for name, (_, content) in copied.contents(COMPUTED).items()} == expected
        for model in BY_CUSTOMER[:3]:
            named = [uri for uri in copied.lake.dataset(model).files if f"month={NEWEST}" in uri]
            assert len(named) > 2, table_name(model)
        versions = {model: copied.lake.version(model) for model in BY_CUSTOMER}
        in_parts(copied).refresh()
        assert {model: copied.lake.version(model) for model in BY_CUSTOMER} == versions


def test_history_in_parts_is_the_same(pipeline: Pipeline, tmp_path: Path) -> None:
    tables: list[type[Table]] = [billing.ItemChanges, billing.ItemStates, billing.Quarantine]
    with pipeline.copied(tmp_path) as copied:
        expected = {name: content for name, (_, content) in copied.contents(tables).items()}
        for model in tables:
            shutil.rmtree(copied.lake.path(model))
        in_parts(copied).refresh()
        assert {name: content for name, (_, content) in copied.contents(tables).items()} == expected


def test_rows_that_are_the_same_are_not_written_again(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        versions = {model: copied.lake.version(model) for model in BY_CUSTOMER}
        on_disk = {model: files(copied, model, NEWEST) for model in BY_CUSTOMER}
        for model in BY_CUSTOMER:
            known = copied.ledger.builds.of(table_name(model))
            copied.ledger.builds.record(
                table_name(model), {month: ("another rule", state) for month, (_, state) in known.items()}
            )
        in_parts(copied, processes=1).refresh()
        assert {model: copied.lake.version(model) for model in BY_CUSTOMER} == versions
        assert {model: files(copied, model, NEWEST) for model in BY_CUSTOMER} == on_disk


def test_a_month_that_one_part_cannot_compute_is_left_out_by_all(pipeline: Pipeline, tmp_path: Path) -> None:
    whole, split = tmp_path / "whole", tmp_path / "split"
    found = []
    for folder, how in ((whole, Pipeline.refresh), (split, lambda copied: in_parts(copied).refresh())):
        with pipeline.copied(folder) as copied:
            account = copy.deepcopy(copied.account_to_change())
            negative_since_newest_month(account)
            copied.world.stripe.account = account
            forgotten(copied)
            with pytest.raises(ExpansionError) as caught:
                how(copied)
            contents = {name: content for name, (_, content) in copied.contents(BY_CUSTOMER).items()}
            found.append((str(caught.value), contents, [copied.lake.months(model) for model in BY_CUSTOMER]))
            for model in BY_CUSTOMER:
                committed = {Path(uri).name for uri in copied.lake.dataset(model).files}
                assert {file.name for file in files(copied, model, NEWEST)} & committed == set()
    assert found[0] == found[1]
