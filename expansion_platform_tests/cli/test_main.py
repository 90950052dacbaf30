"""The `expansion` command as a user meets it: exit codes, what is printed where, one red line instead of a
traceback.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from expansion_platform.cli import main
from expansion_platform.domain.core.wording import money, percent
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.settings import Settings
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform_tests.pipelines import NEWEST, Pipeline


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def expansion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Command:
    """Runs the command in an empty folder, with only the given settings in the environment."""

    def run(*arguments: str, **environment: str) -> Ran:
        monkeypatch.chdir(tmp_path)
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["expansion", *arguments])
        code: str | int | None = 0
        try:
            main.main()
        except SystemExit as ended:
            code = ended.code
        sys.stdout.flush()
        captured = capfdbinary.readouterr()
        return Ran(int(code or 0), captured.out.decode(), captured.err.decode())

    return run


@pytest.mark.xdist_group("pipeline")
class TestOnAComputedCompany:
    TOTALS = (
        "select month, sum(closing)::bigint as closing from mrr.customer_months group by month order by month"
    )

    def test_sql_as_csv(self, expansion: Command, pipeline: Pipeline) -> None:
        ran = expansion("sql", self.TOTALS, "--format", "csv", **pipeline.world.environment)
        assert ran.code == 0
        rows = list(csv.DictReader(io.StringIO(ran.out)))
        expected = pipeline.lake.read(mrr.CustomerMonths).groupby("month")["closing"].sum()
        assert {row["month"]: int(row["closing"]) for row in rows} == expected.to_dict()

    def test_sql_as_json(self, expansion: Command, pipeline: Pipeline) -> None:
        ran = expansion(
            "sql",
            "select item, valid_to from billing.item_states order by all limit 2",
            "--format",
            "json",
            **pipeline.world.environment,
        )
        rows = json.loads(ran.out)
        assert len(rows) == 2
        assert set(rows[0]) == {"item", "valid_to"}

    def test_sql_as_a_table(self, expansion: Command, pipeline: Pipeline) -> None:
        ran = expansion(
            "sql",
            "select 'smb [red]' as segment, null as nothing, '[/]' as \"x[/y]\"",
            **pipeline.world.environment,
        )
        assert ran.code == 0
        assert "segment" in ran.out
        assert "smb [red]" in ran.out  # what a table holds is text, never markup

    def test_sql_that_is_too_wide_for_a_table(self, expansion: Command, pipeline: Pipeline) -> None:
        statement = f"select '{'x' * 60}' as \"long [red]\", '{'y' * 100}' as longer from range(2)"
        ran = expansion("sql", statement, **pipeline.world.environment | {"COLUMNS": "80"})
        assert ran.code == 0
        assert "…" not in ran.out
        assert ran.out.count("x" * 60) == 2
        assert ran.out.count("y") == 200
        assert "row 2 of 2" in ran.out
        assert "long [red]" in ran.out

    @pytest.mark.parametrize(
        "statement",
        [
            "delete from mrr.movements",
            "select 1; select 2",
            "select * from mrr.nothing",
            "select * from '/etc/passwd'",
        ],
    )
    def test_sql_refuses_in_one_line(self, expansion: Command, pipeline: Pipeline, statement: str) -> None:
        ran = expansion("sql", statement, **pipeline.world.environment)
        assert ran.code == 1
        assert ran.out == ""
        assert ran.err.startswith("error: ")
        assert "Traceback" not in ran.err

    def test_explain(self, expansion: Command, pipeline: Pipeline) -> None:
        customer = pipeline.lake.read(mrr.Movements, [NEWEST])["customer"].iloc[0]
        ran = expansion("explain", customer, NEWEST, **pipeline.world.environment)
        assert ran.code == 0
        assert ran.out.startswith(f"{customer} in {NEWEST}: ")
        assert expansion("explain", customer, "2031-01", **pipeline.world.environment).code == 1
        assert "no customer" in expansion("explain", "cus_nobody", NEWEST, **pipeline.world.environment).err

    def test_month(self, expansion: Command, pipeline: Pipeline) -> None:
        ran = expansion("month", NEWEST, **pipeline.world.environment)
        assert ran.code == 0
        rate = pipeline.lake.read(metrics.Expansion, [NEWEST]).query("metric == 'expansion_rate'").iloc[0]
        first, told = ran.out.splitlines()[:2]
        assert first == NEWEST
        assert told.startswith(
            f"- Expansion was {percent(Fraction(rate['ratio']))} of opening MRR: "
            f"{money(int(rate['numerator']), 'usd')} from "
        )
        assert re.search(
            r"^- expansion rate, fiscal year to date: \d+\.\d\d % of 2\.00 %, \d+ % attained",
            ran.out,
            re.MULTILINE,
        )
        assert expansion("month", "2031-01", **pipeline.world.environment).code == 1

    def test_the_open_month_is_provisional(self, expansion: Command, pipeline: Pipeline) -> None:
        ran = expansion("month", "2026-11", **pipeline.world.environment)
        assert ran.code == 0
        assert ran.out.startswith("2026-11, provisional: open, read up to 2026-11-03 06:00 UTC (day 3)")

    def test_doctor_finds_nothing_wrong(self, expansion: Command, pipeline: Pipeline) -> None:
        ran = expansion("doctor", **pipeline.world.environment)
        assert ran.code == 0, ran.out
        assert "FAIL" not in ran.out
        assert "Stripe credit_notes: readable" in ran.out
        assert "Stripe key: live data" in ran.out
        assert "Stripe tables: live data of 127.0.0.1" in ran.out
        assert "Stripe API version: events come in 20" in ran.out
        assert re.search(
            r"item states are dated by a renewal or by today's subscription, "
            rf"\d+\.\d% of the MRR of {NEWEST}",
            ran.out,
        )
        assert "rk_live_simulated" not in ran.out

    def test_refresh_of_one_month(self, expansion: Command, pipeline: Pipeline, tmp_path: Path) -> None:
        with pipeline.copied(tmp_path) as copied:
            environment = {**pipeline.world.environment, "EXPANSION_DATA_DIR": str(copied.settings.data_dir)}
            before = copied.contents([mrr.Movements])
            ran = expansion("refresh", "--from", NEWEST, "--to", NEWEST, **environment)
            assert ran.code == 0, ran.err
            assert f"{NEWEST} current, nothing to do" in ran.out
            assert copied.contents([mrr.Movements]) == before


@pytest.mark.parametrize(
    ("first", "last"),
    [("2026-03", "2026-02"), ("2026-03", "2026-11"), ("2019-01", "2026-02"), ("march", "2026-03")],
)
@pytest.mark.parametrize("begins", ["2022-01", ""])
def test_refresh_refuses_what_is_no_range_of_closed_months(
    expansion: Command, first: str, last: str, begins: str
) -> None:
    """What can be said without a pull is said before it; whether a month is before the first only where
    EXPANSION_FIRST_MONTH says so.
    """
    if first == "2019-01" and not begins:
        return
    ran = expansion(
        "refresh",
        "--from",
        first,
        "--to",
        last,
        "--as-of",
        "2026-11-03T06:00:00+00:00",
        EXPANSION_FIRST_MONTH=begins,
    )
    assert ran.code == 1
    assert ran.err.startswith("error: no range of closed months")
    assert "2026-10" in ran.err


def test_a_wrong_setting_is_one_line(expansion: Command) -> None:
    ran = expansion("refresh", EXPANSION_TIMEZONE="Mars/Olympus", EXPANSION_CURRENCY="[/]")
    assert ran.code == 1
    assert ran.err.startswith("error: EXPANSION_TIMEZONE: ")
    assert "EXPANSION_CURRENCY: " in ran.err
    assert "Traceback" not in ran.err


def test_refresh_without_a_key_says_what_to_set(expansion: Command) -> None:
    ran = expansion("refresh", "--as-of", "2026-11-03T06:00:00+00:00", EXPANSION_FIRST_MONTH="2026-09")
    assert ran.code == 1
    assert "STRIPE_API_KEY is not set" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.xdist_group("pipeline")
def test_doctor_names_a_missing_permission(expansion: Command, pipeline: Pipeline) -> None:
    with StripeServer(pipeline.world.stripe.account, missing_permissions=["credit_notes"]) as server:
        ran = expansion("doctor", STRIPE_API_KEY="rk_live_simulated", STRIPE_API_BASE=server.url)
    assert ran.code == 1
    (failed,) = [line for line in ran.out.splitlines() if line.startswith("FAIL")]
    assert "Stripe credit_notes: give the key Read on 'Credit notes'" in failed


@pytest.mark.xdist_group("pipeline")
def test_doctor_tells_a_test_key_from_live_data(
    expansion: Command, pipeline: Pipeline, tmp_path: Path
) -> None:
    live = {"STRIPE_API_KEY": "rk_test_simulated", "STRIPE_API_BASE": pipeline.world.stripe.url}
    ran = expansion("doctor", **{**pipeline.world.environment, **live})
    assert ran.code == 1
    failed = [line for line in ran.out.splitlines() if line.startswith("FAIL")]
    assert [line.split(":")[0] for line in failed] == ["FAIL Stripe key", "FAIL Stripe tables"]
    assert "hold live data, and STRIPE_API_KEY is a test key" in failed[1]
    with pipeline.copied(tmp_path) as copied:
        refused = expansion(
            "refresh",
            **{**pipeline.world.environment, **live, "EXPANSION_DATA_DIR": str(copied.settings.data_dir)},
        )
    assert "hold live data, and STRIPE_API_KEY is a test key" in refused.err


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "FAIL Stripe: STRIPE_API_KEY is not set"),
        ({"EXPANSION_TIMEZONE": "Mars/Olympus"}, "FAIL settings: EXPANSION_TIMEZONE: "),
        ({"EXPANSION_CATALOG": "nowhere.yaml"}, "FAIL catalog: "),
        ({"EXPANSION_LEDGER_URL": "sqlite:////proc/nowhere/ledger.sqlite"}, "FAIL ledger: "),
        (
            {"POSTHOG_HOST": "https://us.posthog.com"},
            "FAIL product analytics: product usage from posthog needs",
        ),
        ({"SLACK_BOT_TOKEN": "xoxb-x"}, "FAIL alerts: SLACK_BOT_TOKEN is set but SLACK_CHANNEL is not"),
    ],
)
def test_doctor_names_what_is_wrong(expansion: Command, environment: dict[str, str], told: str) -> None:
    ran = expansion("doctor", **environment)
    assert ran.code == 1
    assert told in ran.out
    assert "Traceback" not in ran.out + ran.err


def test_before_anything_is_computed(expansion: Command) -> None:
    assert expansion(
        "sql", "select count(*) as movements from mrr.movements", "--format", "csv"
    ).out.splitlines() == ['"movements"', "0"]
    assert "nothing has been computed yet" in expansion("explain", "cus_1", "2026-10").err


def test_help_needs_nothing(expansion: Command) -> None:
    ran = expansion("--help")
    assert ran.code == 0
    for command in ("demo", "refresh", "explain", "month", "sql", "doctor", "ui"):
        assert command in ran.out
