"""Floor `signals` and the digest through the whole pipeline: facts given as files, what people get of them,
and that what goes wrong here leaves MRR as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from expansion_platform.cli.main import app
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.tables import TABLES
from expansion_platform.storage.ledger import Alert
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")
CANARY = "person@canary.example"


def write(path: Path, header: str, *rows: str) -> str:
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def members(pipeline: Pipeline) -> list[str]:
    """Who pays at the newest month's end, the largest first."""
    rows = pipeline.lake.read(mrr.CustomerMonths, [NEWEST]).query("closing > 0")
    return list(rows.sort_values("closing", ascending=False)["customer"])


@pytest.fixture
def related(pipeline: Pipeline, members: list[str], tmp_path: Path) -> Iterator[Pipeline]:
    """The company with owners, tickets and NPS answers, refreshed."""
    half = len(members) // 2
    owners = [f"{each},{'Ana' if place < half else 'Bo'},2025-01-01" for place, each in enumerate(members)]
    with pipeline.copied(tmp_path) as copied:
        given = copied.with_settings(
            expansion_owners=write(tmp_path / "owners.csv", "customer,owner,valid_from", *owners[:-1]),
            expansion_tickets=write(
                tmp_path / "tickets.csv",
                "customer,id,opened,closed,severity,feature,tier",
                f"{members[0]},t1,{NEWEST}-02,,critical,,",
                f"{members[1]},t2,{NEWEST}-02,{NEWEST}-09,critical,,",
            ),
            expansion_nps=write(
                tmp_path / "nps.csv", "customer,date,id,score", f"{members[2]},{NEWEST}-03,n1,4"
            ),
        )
        given.refresh()
        yield given


def command(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    environment = {
        **pipeline.world.environment,
        "EXPANSION_DATA_DIR": str(pipeline.settings.data_dir),
        **({"EXPANSION_OWNERS": owners} if (owners := pipeline.settings.expansion_owners) else {}),
        "COLUMNS": "300",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, list(arguments))


def digests(pipeline: Pipeline) -> list[Alert]:
    return [alert for alert in pipeline.ledger.alerts.read() if alert.rule == "candidates"]


def test_owners_are_notified_once_and_see_their_customers(
    related: Pipeline, members: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = related.lake.read(signals.Candidates, [NEWEST]).set_index("customer")
    assert set(rows["owner"].dropna()) == {"Ana", "Bo"}
    assert rows.loc[members[0], "do_not_push_because"] == "critical ticket open"
    assert rows.loc[members[1], "do_not_push_because"] != "critical ticket open"  # closed before the close
    assert related.lake.read(signals.Features, [NEWEST]).set_index("customer").loc[members[2], "nps"] == 4

    posted = digests(related)
    assert {alert.thread for alert in posted} == {None, posted[0].key}
    assert {alert.message["text"].split(",")[0] for alert in posted[1:]} == {
        "Ana",
        "Bo",
        "Nobody's customers",
    }
    said = json.dumps([alert.message for alert in posted])
    assert members[0] not in said  # to be left alone
    told_of = [name for name in members if f"*{name}*" in said]
    assert told_of and not set(told_of) & set(rows.index[rows["do_not_push"]])
    related.refresh()
    assert len(digests(related)) == len(posted)

    ran = command(related, monkeypatch, "candidates", NEWEST, "--owner", "Bo")
    assert ran.exit_code == 0, ran.output
    assert "readiness score" in ran.output and members[-2] in ran.output and members[0] not in ran.output
    listed = command(related, monkeypatch, "candidates", NEWEST, "--format", "csv", "--all").stdout
    assert len(listed.splitlines()) == len(rows) + 1
    ran = command(related, monkeypatch, "candidates", NEWEST, "--owner", "Carl")
    assert isinstance(ran.exception, ExpansionError) and "owners are Ana, Bo" in str(ran.exception)
    ran = command(related, monkeypatch, "candidates", "2031-01")
    assert isinstance(ran.exception, ExpansionError) and "2031-01 has no candidates" in str(ran.exception)


def test_without_owners_nobody_is_notified(pipeline: Pipeline) -> None:
    assert digests(pipeline) == []
    assert len(pipeline.lake.read(signals.Candidates, [NEWEST]))


def test_a_file_that_cannot_be_read_leaves_mrr_and_its_alerts_as_they_are(
    pipeline: Pipeline, members: list[str], tmp_path: Path
) -> None:
    money = [model for name, model in TABLES.items() if name.split("/")[0] in ("billing", "mrr", "metrics")]
    with pipeline.copied(tmp_path) as copied:
        before = copied.contents(money)
        judged = copied.ledger.alerts.judgements()
        broken = write(
            tmp_path / "nps.csv", "customer,date,id,score", f"{members[0]},{NEWEST}-03,n1,{CANARY}"
        )
        with pytest.raises(ExpansionError, match="crm/nps") as raised:
            copied.with_settings(expansion_nps=broken).refresh()
        assert CANARY not in str(raised.value)
        assert copied.contents(money) == before
        assert copied.ledger.alerts.judgements() == judged
        assert_nothing_of(CANARY, copied.settings.data_dir)


def assert_nothing_of(text: str, folder: Path) -> None:
    found: list[Any] = [
        path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()
    ]
    assert found == []


def test_explain_says_which_signs_a_customer_showed_before(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a customer whose seats were nearly full before it expanded."""
    moved = pipeline.lake.read(mrr.Movements, [NEWEST]).query("flow_expansion > 0")["customer"]
    features = pipeline.lake.read(signals.Features, ["2026-09"]).set_index("customer")
    full = features[features["seat_utilisation"].astype(float) >= 0.8].index
    customer = sorted(set(moved) & set(full))[0]
    share = round(100 * float(features.loc[customer, "seat_utilisation"]))
    said = command(pipeline, monkeypatch, "explain", customer, NEWEST).output
    line = next(line for line in said.splitlines() if line.startswith("- close of 2026-09, readiness "))
    assert f"uses {share} % of its seats" in line
    assert "need not be why" in said
    other = sorted(set(features.index) - set(pipeline.lake.read(mrr.Movements, [NEWEST])["customer"]))[0]
    assert "close of" not in command(pipeline, monkeypatch, "explain", other, NEWEST).output
