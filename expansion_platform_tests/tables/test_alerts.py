"""Judging the newest month of a computed company: once, only on data that holds, and not again when it is
restated.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table, columns, partitioned_by
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.resources import Platform
from expansion_platform.simulator.servers.slack import block_problems
from expansion_platform.tables.alerts import expansion_alerts
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")


def judge(pipeline: Pipeline) -> dict[str, object]:
    """Metadata of one run of the asset alone."""
    with Platform(pipeline.settings) as platform:
        ran = dg.materialize([expansion_alerts], resources={"platform": platform}, instance=pipeline.instance)
    (event,) = ran.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def forget(pipeline: Pipeline) -> None:
    """As if the month had never been judged."""
    Path(str(pipeline.ledger.url.database)).rename(pipeline.settings.data_dir / "forgotten.sqlite")


def test_a_month_is_judged_once(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copy:
        states, alerts = copy.ledger.alerts.states(), copy.ledger.alerts.read()
        assert states
        assert {state.month for state in states.values()} == {NEWEST}
        assert judge(copy)["judged"] is False
        assert (copy.ledger.alerts.states(), copy.ledger.alerts.read()) == (states, alerts)


def test_a_month_that_was_judged_is_not_gated_again(pipeline: Pipeline, tmp_path: Path) -> None:
    """A large restatement of the months before would fail the gate, as data that is not read to the
    end does.
    """
    with pipeline.copied(tmp_path) as copy:
        alerts = copy.ledger.alerts.read()
        copy.ledger.pulls.set_cursor("stripe", {"last_pull_at": 1_790_000_000})
        assert judge(copy) == {"month": NEWEST, "judged": False}
        assert copy.ledger.alerts.read() == alerts


def test_data_that_was_not_read_to_the_end_is_told_once_and_judged_when_it_is(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    with pipeline.copied(tmp_path) as copy:
        forget(copy)
        copy.ledger.pulls.set_cursor("stripe", {"last_pull_at": 1_790_000_000})  # 2026-09-21
        for new in (True, False):
            metadata = judge(copy)
            assert (metadata["judged"], metadata["new"]) == (False, new)
        assert copy.ledger.alerts.states() == {}
        assert [alert.rule for alert in copy.ledger.alerts.read()] == ["data_quality"]
        copy.ledger.pulls.set_cursor(
            "stripe", {"last_pull_at": int(Platform(copy.settings).as_of.timestamp())}
        )
        assert judge(copy)["judged"] is True
        assert {state.month for state in copy.ledger.alerts.states().values()} == {NEWEST}
        entry, over = [alert for alert in copy.ledger.alerts.read() if alert.rule == "data_quality"]
        assert (over.event, over.thread, over.message["entry"]["key"]) == ("recovery", entry.key, entry.key)
        assert over.message["entry"]["text"] == f"Resolved. {entry.message['text']}"
        assert block_problems(over.message["entry"]["blocks"]) == []


BEFORE = months.shift(NEWEST, -1)


def one_more(rows: pd.DataFrame, column: str, **where: str) -> pd.DataFrame:
    """The rows, one cent more in a column of the first one that is so."""
    chosen = rows[(rows[list(where)] == pd.Series(where)).all(axis=1)].index[0]
    return rows.assign(**{column: rows[column].mask(rows.index == chosen, rows[column] + 1)})


def half_as_many_items(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(items=rows["items"].mask(rows["month"] == BEFORE, rows["items"] * 2))


def inferred(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(numerator=rows["denominator"].astype("int64") // 50 + 1)


def restated(rows: pd.DataFrame, platform: Platform) -> pd.DataFrame:
    """A customer's closing MRR of the month before, a hundredth of all MRR higher than first reported."""
    moved = (
        int(
            platform.lake.read(metrics.Rollforward, [NEWEST]).query("dimension == 'total'")["opening"].iloc[0]
        )
        // 100
    )
    row = dict.fromkeys(columns(metrics.Restatements), "x") | {
        "month": BEFORE,
        "metric": "closing",
        "reason": "late_event",
    }
    row |= {
        "first_reported": 0,
        "restated": moved,
        "difference": moved,
        "reported_at": pd.Timestamp("2026-10-06", tz="UTC"),
    }
    return pd.DataFrame([{name: row[name] for name in rows.columns}])


def unmetered(rows: pd.DataFrame) -> pd.DataFrame:
    """Twenty items more that are sold by use, and used in every month but the newest."""
    calendar = months.between(months.shift(NEWEST, -3), NEWEST)
    like = rows.iloc[0].to_dict() | {"customer": "cus_calls", "usage_type": "metered", "status": "active"}
    calls = [
        like
        | {
            "item": f"si_calls_{number}",
            "quantity": "0" if month == NEWEST else "7",
            "valid_from": months.opening(month),
            "valid_to": months.closing(month),
        }
        for number in range(20)
        for month in calendar
    ]
    return pd.concat([rows, pd.DataFrame(calls).astype(rows.dtypes.to_dict())], ignore_index=True)


BROKEN: dict[str, tuple[type[Table], Callable[..., pd.DataFrame]]] = {
    "causes do not sum": (mrr.Causes, lambda rows: one_more(rows, "amount", month=NEWEST)),
    "opening + flows is not closing": (
        mrr.Movements,
        lambda rows: one_more(rows, "flow_price", month=NEWEST),
    ),
    "is not the closing": (mrr.CustomerMonths, lambda rows: one_more(rows, "closing", month=BEFORE)),
    "segments do not sum": (
        metrics.Rollforward,
        lambda rows: one_more(rows, "price", month=NEWEST, dimension="segment"),
    ),
    "counting items went from": (mrr.CustomerMonths, half_as_many_items),
    "of MRR is in products the catalog does not name": (metrics.Coverage, inferred),
    f"{BEFORE} was restated by 1.0 %": (metrics.Restatements, restated),
    "metered items had usage": (billing.ItemStates, unmetered),
}
"""What a gate's condition says (semantics 5.8) -> the table in which exactly it is broken, and how."""


def test_each_condition_of_the_gate_is_one_message_and_no_alert(pipeline: Pipeline, tmp_path: Path) -> None:
    """Each is broken in the tables as stored, and mended again.

    What breaks a table's own rules (a duplicate item, a negative quantity, an unknown tier, a missing rate)
    stops its month before it is written.
    """
    with pipeline.copied(tmp_path) as copy:
        forget(copy)
        copy.ledger.pulls.set_cursor(
            "stripe", {"last_pull_at": int(Platform(copy.settings).as_of.timestamp())}
        )
        for said, (model, broken) in BROKEN.items():
            rows = copy.lake.read(model)
            wanted = None if partitioned_by(model) is None else sorted({*rows["month"], BEFORE})
            changed = broken(rows, Platform(copy.settings)) if broken is restated else broken(rows)
            copy.lake.replace(model, changed, months=wanted)
            metadata = judge(copy)
            assert metadata["judged"] is False, said
            (problem,) = metadata["problems"]  # type: ignore[misc]
            assert said in problem
            copy.lake.replace(model, rows, months=wanted)
        (told,) = copy.ledger.alerts.read()
        assert (told.rule, told.severity) == ("data_quality", "warning")
        assert copy.ledger.alerts.states() == {}
        assert judge(copy)["judged"] is True


def test_a_newest_month_that_is_not_computed_is_not_judged(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copy:
        later = copy.with_settings(expansion_as_of="2026-12-03T06:00:00+00:00")
        alerts = later.ledger.alerts.read()
        assert judge(later) == {"month": "2026-11", "judged": False}
        assert later.ledger.alerts.read() == alerts
