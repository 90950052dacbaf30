"""Ledgers of other versions: an old one is upgraded with every row, whoever opens it and whatever dies; a
newer one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from expansion_platform.domain.alerts.lifecycle import State
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.storage.ledger import Alert, Build, Checkpoint, Close, Judgement, Ledger
from expansion_platform.storage.ledger.migrate import MIGRATIONS
from expansion_platform.storage.ledger.schema import REVISION, VERSION_TABLE, Base
from expansion_platform_tests.sources.warehouse.postgres import binaries, running_postgres
from expansion_platform_tests.storage.ledger_processes import kill, open_at_once

BEFORE_MIGRATIONS = (Path(__file__).parent / "ledger_before_migrations.sql").read_text()
NewDatabase = Callable[[], str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewDatabase]:
    """Makes an empty database and gives its URL."""
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.sqlite'}"
        return
    folder = binaries()
    if folder is None:
        pytest.skip("Postgres is not installed (apt-get install postgresql)")
    with running_postgres(folder) as url:
        names = iter(f"ledger_{number}" for number in range(1000))

        def made() -> str:
            name = next(names)
            with connected(url) as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                    f"create database {name}"
                )
            return sa.make_url(url).set(database=name).render_as_string()

        yield made


@pytest.fixture
def old(database: NewDatabase) -> str:
    return old_ledger(database())


@pytest.fixture
def upgraded(old: str) -> Iterator[Ledger]:
    with closing(Ledger(old)) as ledger:
        yield ledger


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def old_ledger(url: str) -> str:
    """Fills a database with what the code before migrations wrote."""
    with connected(url) as connection:
        cursor: Any = connection.connection.cursor()
        if connection.dialect.name == "sqlite":
            cursor.execute("pragma journal_mode=wal")
            cursor.executescript(BEFORE_MIGRATIONS)
        else:
            cursor.execute(BEFORE_MIGRATIONS)
        connection.connection.commit()
        cursor.close()
    return url


def rows(url: str) -> dict[str, list[str]]:
    """Every row of every table."""
    with connected(url) as connection:
        names = sorted(sa.inspect(connection).get_table_names())
        return {
            name: sorted(str(tuple(row)) for row in connection.execute(sa.text(f"select * from {name}")))
            for name in names
        }


def upgrade(url: str) -> None:
    Ledger(url).close()


def test_pulls_are_kept(upgraded: Ledger) -> None:
    read = {
        "last_pull_at": 1793682000,
        "reconciled_at": 1793682000,
        "recent_events": ["evt_1", "evt_2"],
        "server": "api.stripe.com",
    }
    assert upgraded.pulls.cursor("stripe") == read
    assert upgraded.pulls.cursor("stripe, under way") == {
        "as_of": "2026-11-04T06:00:00+00:00",
        "server": "api.stripe.com",
    }
    windows = [
        ("customers", 0, 1790000000),
        ("customers", 1790000000, 1793768400),
        ("invoices", 0, 1793768400),
    ]
    assert upgraded.pulls.windows("stripe, under way") == windows


def test_builds_closes_and_checkpoints_are_kept(upgraded: Ledger) -> None:
    builds = upgraded.builds
    assert builds.of("billing/item_states") == {"all": Build("aaaa", "bbbb")}
    assert builds.of("mrr/movements") == {
        "2026-09": Build("inputs-9", "state-9"),
        "2026-10": Build("inputs-10", "absent"),
    }
    august, september = "8888888888888888", "9999999999999999"
    assert builds.of("mrr/first_reported") == {
        "2026-08": Build(august, "state-8"),
        "2026-09": Build(september, "absent"),
        "2026-10": Build("open", "absent"),
    }
    assert builds.closes() == {
        "2026-08": Close(datetime(2026, 11, 3, 5, tzinfo=UTC), august),
        "2026-09": Close(datetime(2026, 11, 3, 5, 30, 0, 250_000, tzinfo=UTC), september),
    }
    until = datetime(2026, 11, 3, 5, tzinfo=UTC)
    assert builds.checkpoint("billing/item_changes") == Checkpoint(
        "0123456789abcdef", ("77aa",), {"stripe/invoices": ("table-1", 7)}, until
    )
    assert builds.checkpoint("billing/item_states") == Checkpoint(
        "fedcba9876543210", ("88bb", "99cc"), {"billing/item_changes": ("table-2", 3)}
    )


def test_alerts_their_deliveries_and_states_are_kept(upgraded: Ledger) -> None:
    fell = {
        "text": 'Expansion fell to 1.5 %: it\'s the "worst" month \u2014 since 2025',
        "blocks": [{"type": "divider"}],
    }
    over = {"text": "Over", "blocks": [], "entry": {"key": "key-1", "text": "Resolved.", "blocks": []}}
    alerts = upgraded.alerts
    assert alerts.read() == [
        Alert(
            "key-0", "expansion_drop", "total", "2025-12", "warning", {"text": "old"}, "sent", 2, None, "1.1"
        ),
        Alert(
            "key-1", "rate_drop", "total", "2026-08", "critical", fell, "sent", 1, None, "1700000000.000001"
        ),
        Alert(
            *(
                "key-2",
                "rate_drop",
                "total",
                "2026-09",
                "critical",
                over,
                "pending",
                2,
                "Slack refused the alert: is_archived",
            ),
            event="recovery",
            thread="key-1",
        ),
        Alert("key-3", "data_quality", "total", "2026-10", "warning", {"text": "waits", "blocks": []}),
    ]
    assert alerts.get("key-1", "mail") == Alert(
        "key-1", "rate_drop", "total", "2026-08", "critical", fell, "sent", 1
    )
    assert [alert.key for alert in alerts.undelivered("slack")] == ["key-2", "key-3"]
    assert alerts.judgements() == {
        "2026-08": Judgement("2026-08", "policy-a"),
        "2026-09": Judgement("2026-09", "policy-b"),
    }
    assert alerts.states() == {
        "f1": State(
            "f1",
            "rate_drop",
            "total",
            "firing",
            "2026-09",
            "critical",
            "2026-08",
            "29/2000",
            "161/10000",
            1,
            "key-1",
        ),
        "f2": State(
            "f2", "below_target", "segment:smb", "ok", "2026-09", "warning", None, None, None, 0, None
        ),
    }


def test_no_row_is_lost_but_what_the_next_run_computes_again(upgraded: Ledger, old: str) -> None:
    counted = {name: len(found) for name, found in rows(old).items()}
    assert counted == {
        "alert_deliveries": 4,
        "alert_states": 2,
        "alerts": 4,
        "builds": 6,  # of 10: two were judgements, two digests
        "checkpoints": 2,
        "closes": 2,
        "cursors": 2,  # of 4: two were checkpoints
        "digests": 0,
        "judgements": 2,
        "pull_windows": 3,
        VERSION_TABLE: 1,
    }


def test_an_upgraded_ledger_can_be_written(upgraded: Ledger) -> None:
    upgraded.builds.record_closes({"2026-10": Close(datetime(2026, 12, 3, tzinfo=UTC), "aaaa")})
    upgraded.builds.record_digests("a name", "basis", {"2026-10": "digest"})
    upgraded.alerts.mark_sent("key-2", "2.2")
    upgraded.alerts.settle(["slack"])
    assert upgraded.builds.closes().keys() == {"2026-08", "2026-09", "2026-10"}
    assert upgraded.builds.digests("a name", "basis") == {"2026-10": "digest"}
    assert [alert.key for alert in upgraded.alerts.read("sent")] == ["key-0", "key-1", "key-2"]


@pytest.mark.parametrize("made", [str, old_ledger])
def test_a_new_ledger_and_an_old_one_have_the_tables_of_the_schema(
    database: NewDatabase, made: Callable[[str], str]
) -> None:
    url = made(database())
    upgrade(url)
    with connected(url) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_the_newest_migration_is_the_revision_of_the_schema() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [REVISION]


def test_opening_it_again_does_nothing(old: str) -> None:
    upgrade(old)
    before, statements = rows(old), []

    def noted(*of: Any) -> None:
        statements.append(of[2].split()[0].lower())

    sa.event.listen(sa.Engine, "before_cursor_execute", noted)
    try:
        upgrade(old)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", noted)
    assert set(statements) <= {"select", "pragma", "show"}
    assert rows(old) == before


@pytest.mark.slow
@pytest.mark.parametrize("made", [str, old_ledger])
def test_processes_may_open_a_new_or_an_old_ledger_at_once(
    database: NewDatabase, made: Callable[[str], str]
) -> None:
    alone, *together = [made(database()) for _ in range(4)]
    upgrade(alone)
    open_at_once(together, 6)
    expected = rows(alone)
    for found in map(rows, together):
        assert len(found["builds"]) == len(expected["builds"]) + 6
        assert {**found, "builds": []} == {**expected, "builds": []}


@pytest.mark.slow
def test_an_upgrade_that_was_killed_changed_nothing_and_can_be_run_again(database: NewDatabase) -> None:
    *killed, whole = [old_ledger(database()) for _ in range(11)]
    before = rows(killed[0])
    kill([*killed, whole])
    for url in killed:
        assert rows(url) == before
        upgrade(url)
        assert rows(url) == rows(whole)


def test_a_ledger_of_a_newer_version_is_refused_and_not_changed(database: NewDatabase) -> None:
    url = database()
    upgrade(url)
    with connected(url) as connection:
        connection.execute(sa.text(f"update {VERSION_TABLE} set version_num = '0999'"))
        connection.commit()
    before = rows(url)
    with pytest.raises(
        ExpansionError,
        match=r"has schema 0999, and this version knows schemas up to \d{4}.* Install that version",
    ):
        upgrade(url)
    assert rows(url) == before
