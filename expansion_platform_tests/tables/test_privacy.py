"""No e-mail address, name, phone number or street of a customer reaches the lake, the ledger, Dagster's
history or Slack.
"""

from __future__ import annotations

import re

import pytest

from expansion_platform.alerting.outbox import channels, deliver
from expansion_platform.domain.tables import TABLES
from expansion_platform_tests.pipelines import Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")

CANARIES = re.compile(
    r"billing-\d+@example\.com|Example Company \d+|\d+ Example Street|\+1555\d{7}|Springfield"
)


def test_the_company_has_what_must_not_be_found(pipeline: Pipeline) -> None:
    customers = pipeline.world.company.account.objects["customers"]
    for customer in customers:
        assert all(
            CANARIES.fullmatch(text)
            for text in (customer["email"], customer["name"], customer["phone"], customer["address"]["line1"])
        )
    assert CANARIES.search("…sent to billing-12@example.com…")


@pytest.mark.parametrize("name", TABLES)
def test_the_lake(pipeline: Pipeline, name: str) -> None:
    rows = pipeline.lake.read(TABLES[name])
    for column in rows.columns:
        found = rows[column].astype("str").str.contains(CANARIES, na=False)
        assert not found.any(), f"{column}: {rows.loc[found, column].iloc[0]}"


def test_every_file_under_the_data_folder(pipeline: Pipeline) -> None:
    """Delta's log with its statistics and the ledger are plain bytes; Parquet's are decoded above."""
    files = [
        path for path in pipeline.settings.data_dir.rglob("*") if path.is_file() and path.suffix != ".parquet"
    ]
    assert {"ledger.sqlite", "00000000000000000000.json"} <= {path.name for path in files}
    for path in files:
        assert not CANARIES.search(path.read_bytes().decode("latin-1")), path


def test_dagsters_history(pipeline: Pipeline) -> None:
    told = [
        str(record)
        for run in pipeline.instance.get_runs()
        for record in pipeline.instance.all_logs(run.run_id)
    ]
    assert len(told) > 100
    assert not [text for text in told if CANARIES.search(text)]


def test_the_messages_slack_takes(pipeline: Pipeline, tmp_path) -> None:
    with pipeline.copied(tmp_path) as copied:
        (channel,) = channels(copied.settings)
        before = len(copied.world.slack.messages)
        assert deliver(copied.ledger, channel)
        for message in copied.world.slack.messages[before:]:
            assert not CANARIES.search(str(message))


def test_keys_are_nowhere_in_dagsters_history(pipeline: Pipeline) -> None:
    secrets = [
        pipeline.world.environment[name] for name in ("STRIPE_API_KEY", "POSTHOG_API_KEY", "SLACK_BOT_TOKEN")
    ]
    told = "\n".join(
        str(record)
        for run in pipeline.instance.get_runs()
        for record in pipeline.instance.all_logs(run.run_id)
    )
    assert not [secret for secret in secrets if secret in told]
