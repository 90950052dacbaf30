"""Which inputs of a table are missing: those never made, and months left out between months that were
computed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.engine.declaration import Read
from expansion_platform.engine.missing import absent_tables, missing, read_by
from expansion_platform.engine.reading import Reading
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.storage.lake import ABSENT
from expansion_platform.tables import pace
from expansion_platform.tables.metrics import TRAILING

SETTINGS = {
    "_env_file": None,
    "expansion_first_month": "2026-01",
    "expansion_as_of": "2026-11-08T06:00:00+00:00",
}


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(Settings(expansion_data_dir=str(tmp_path), **SETTINGS))  # type: ignore[arg-type]


def computed(platform: Platform, model: type[Table], *months: str, state: str = ABSENT) -> None:
    platform.ledger.builds.record(table_name(model), dict.fromkeys(months, ("inputs", state)))


def lacking_for(platform: Platform, month: str) -> str | None:
    """What the twelve months up to `month` lack for trailing figures."""
    return missing(TRAILING.needed, Reading(platform, [month]))(month)


def test_a_month_needs_every_input_of_it(platform: Platform) -> None:
    for model in (mrr.CustomerMonths, mrr.Movements):
        computed(platform, model, "2026-05")
    assert TRAILING.inputs == [mrr.CustomerMonths, mrr.Movements, metrics.Rollforward]
    lacking = lacking_for(platform, "2026-05")
    assert lacking is not None
    assert lacking.startswith(
        "needs metrics/rollforward, which was never computed for it: run `expansion refresh`"
    )
    computed(platform, metrics.Rollforward, "2026-05")
    # Without rows, and computed; what it looks back at begins with it.
    assert lacking_for(platform, "2026-05") is None
    assert lacking_for(platform, "2026-06") is not None


def test_a_month_left_out_is_not_a_month_in_which_nobody_paid(platform: Platform) -> None:
    for model in (mrr.CustomerMonths, mrr.Movements, metrics.Rollforward):
        computed(platform, model, "2026-03", "2026-05")
    assert missing([Read(mrr.Movements)], Reading(platform, ["2026-05"]))("2026-05") is None
    lacking = lacking_for(platform, "2026-05")
    assert lacking is not None
    assert lacking.startswith(
        "looks back at metrics/rollforward of 2026-04, mrr/customer_months of 2026-04, mrr/movements of "
        "2026-04, never computed"
    )


def test_a_month_whose_rows_were_deleted_is_missing(platform: Platform) -> None:
    for model in (mrr.CustomerMonths, mrr.Movements):
        computed(platform, model, "2026-05")
    computed(platform, metrics.Rollforward, "2026-05", state="files that are gone")
    lacking = lacking_for(platform, "2026-05")
    assert lacking is not None
    assert "metrics/rollforward" in lacking


def test_a_whole_table_needs_any_month(platform: Platform) -> None:
    lacking = absent_tables(read_by(pace.pace_table, [metrics.Pace]), platform)
    assert lacking is not None
    assert lacking.startswith(
        "needs billing/item_states, billing/quarantine, billing/fx_rates, metrics/rollforward, which "
        "were never computed:"
    )
