"""A company whose usage drives what its customers do, through the whole pipeline: the signals are those that
were true, the expansions those that were drawn, no person is kept anywhere, and usage cannot hurt MRR.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from expansion_platform.alerting.outbox import channels, deliver
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.tables import TABLES
from expansion_platform.simulator.company.signalled import Signalled
from expansion_platform.simulator.company.usage_of_states import CANARY
from expansion_platform.simulator.world import with_signals
from expansion_platform.sources.analytics import requesting
from expansion_platform_tests.pipelines import Pipeline

pytestmark = pytest.mark.xdist_group("signalled")
KEPT = {  # what the platform has of it, beside the truth's name for it
    "gate_hits": "gate_hits",
    "limit_warnings": "limit_warnings",
    "invites": "invites",
    "milestones": "milestones",
    "integrations": "integrations",
}


# Mixpanel's export is of single events with their persons: what is kept nowhere did pass through.
@pytest.fixture(scope="module")
def signalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with (
        with_signals(
            tmp_path_factory.mktemp("signalled"), customers=60, months=6, analytics="mixpanel"
        ) as world,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        made = Pipeline(world, world.settings, instance)
        made.refresh()
        yield made


def true_of(pipeline: Pipeline) -> Signalled:
    assert pipeline.world.company.signals is not None
    return pipeline.world.company.signals


def test_features_are_what_was_true_of_customers(signalled: Pipeline) -> None:
    truth = true_of(signalled).truth.states.set_index(["customer", "month"])
    rows = signalled.lake.read(signals.Features).set_index(["customer", "month"])
    unmapped = rows["active_users"].isna()
    assert unmapped.any() and unmapped.mean() < 0.05  # the company's account map lacks some
    assert rows.loc[unmapped, "gate_hits"].isna().all()  # not read is not zero
    rows = rows[~unmapped & rows.index.isin(truth.index)]
    assert len(rows) > 200
    for found, true in KEPT.items():
        apart = rows[found].astype("float64") != truth.loc[rows.index, true].astype("float64")
        assert not apart.any(), (found, list(rows.index[apart]))
    people = rows["active_users"].astype("float64") == truth.loc[rows.index, "people"]
    assert people.mean() >= 0.98


def test_expansions_are_those_that_were_drawn(signalled: Pipeline) -> None:
    drawn = true_of(signalled).truth.risks.dropna(subset=["expanded_at"])
    moved = signalled.lake.read(mrr.Movements).query("flow_expansion > 0")
    expected = set(zip(drawn["customer"], drawn["expanded_at"].dt.strftime("%Y-%m"), strict=True))
    assert len(expected) > 10
    assert expected <= set(zip(moved["customer"], moved["month"], strict=True))


def test_no_person_is_kept_anywhere(signalled: Pipeline, tmp_path: Path) -> None:
    for name, model in TABLES.items():
        rows = signalled.lake.read(model)
        for column in rows.columns:
            assert not rows[column].astype("str").str.contains(CANARY, regex=False).any(), (name, column)
    with signalled.copied(tmp_path) as copied:
        sent = deliver(copied.ledger, *channels(copied.settings))
        assert sent  # the digest to owners
        assert CANARY not in str(copied.world.slack.messages)
        for path in copied.settings.data_dir.rglob("*"):
            assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path
    history = "\n".join(
        str(record)
        for run in signalled.instance.get_runs()
        for record in signalled.instance.all_logs(run.run_id)
    )
    assert len(history) > 100_000 and CANARY not in history


@pytest.mark.slow  # a second company of 20 s of CPU
def test_usage_that_cannot_be_read_leaves_mrr_as_it_is(
    signalled: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an empty folder, so that nothing was read before; usage is not known, and is not zero."""
    monkeypatch.setattr(requesting, "ATTEMPTS", 1)
    money = [model for name, model in TABLES.items() if name.split("/")[0] in ("billing", "mrr", "metrics")]
    unreachable = {"expansion_data_dir": str(tmp_path), "mixpanel_host": "http://127.0.0.1:9"}
    with dg.DagsterInstance.ephemeral() as instance:
        without = replace(signalled, instance=instance).with_settings(**unreachable)
        assert without.refresh().success
    apart = [
        model for model in money if without.lake.content_hash(model) != signalled.lake.content_hash(model)
    ]
    assert apart == []
    because = without.lake.read(signals.UsageMonths)["incomplete_because"]
    assert len(because) and because.str.contains("could not be reached").all()
    assert len(signalled.lake.read(signals.UsageMonths)) == len(because)
    features = without.lake.read(signals.Features)
    assert len(features) and features[["active_users", "gate_hits", "seat_utilisation"]].isna().all(axis=None)
