"""The ledger: cursors, builds, and an outbox that takes an alert once and forgets none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from expansion_platform.domain.alerts.lifecycle import State
from expansion_platform.storage.ledger import SLACK, Alert, Ledger
from expansion_platform_tests.sources.warehouse.postgres import binaries, running_postgres

ALERT = Alert("key-1", "rate_drop", "total", "2026-10", "warning", {"text": "fell", "blocks": []})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'folder' / 'ledger.sqlite'}")


def test_a_cursor_moves_and_survives(ledger: Ledger) -> None:
    assert ledger.pulls.cursor("stripe") is None
    ledger.pulls.set_cursor("stripe", {"last_pull_at": 1, "recent_events": ["evt_1"]})
    ledger.pulls.set_cursor("stripe", {"last_pull_at": 2, "recent_events": []})
    ledger.pulls.set_cursor("other", {"at": 9})
    assert Ledger(str(ledger.url)).pulls.cursor("stripe") == {"last_pull_at": 2, "recent_events": []}


def test_builds_are_by_table_and_month(ledger: Ledger) -> None:
    ledger.builds.record("mrr/movements", {"2026-01": ("in", "state"), "2026-02": ("in", "state")})
    ledger.builds.record("mrr/movements", {"2026-02": ("other", "new")})
    ledger.builds.record("mrr/causes", {"2026-01": ("causes", "state")})
    assert ledger.builds.of("mrr/movements") == {"2026-01": ("in", "state"), "2026-02": ("other", "new")}
    assert ledger.builds.of("mrr/customer_months") == {}


def test_an_alert_is_taken_once_per_key(ledger: Ledger) -> None:
    assert ledger.alerts.put(ALERT)
    assert not ledger.alerts.put(replace(ALERT, message={"text": "fell again"}))
    assert ledger.alerts.read() == [ALERT]
    ledger.alerts.mark_sent(ALERT.key, "1.1")
    ledger.alerts.settle([SLACK])
    assert not ledger.alerts.put(ALERT)
    assert ledger.alerts.read("pending") == []


def test_a_failed_alert_stays_pending_with_its_reason_until_it_is_sent(ledger: Ledger) -> None:
    ledger.alerts.put(ALERT)
    for error in ("is_archived", "timeout"):
        ledger.alerts.mark_attempt(ALERT.key)
        ledger.alerts.mark_failed(ALERT.key, error)
    assert ledger.alerts.read("pending") == [replace(ALERT, attempts=2, last_error="timeout")]
    ledger.alerts.mark_attempt(ALERT.key)
    ledger.alerts.mark_sent(ALERT.key, "1700000000.000001")
    assert ledger.alerts.undelivered(SLACK) == []
    ledger.alerts.settle([SLACK])
    assert ledger.alerts.read("sent") == [
        replace(ALERT, status="sent", attempts=3, posted_as="1700000000.000001")
    ]


def test_an_alert_is_sent_when_every_channel_took_it(ledger: Ledger) -> None:
    ledger.alerts.put(ALERT)
    ledger.alerts.settle([])
    ledger.alerts.mark_sent(ALERT.key, "1.1")
    ledger.alerts.mark_attempt(ALERT.key, "mail")
    ledger.alerts.mark_failed(ALERT.key, "timeout", "mail")
    ledger.alerts.settle([SLACK, "mail"])
    assert ledger.alerts.undelivered(SLACK) == []
    assert ledger.alerts.undelivered("mail") == [replace(ALERT, attempts=1, last_error="timeout")]
    ledger.alerts.mark_sent(ALERT.key, None, "mail")
    ledger.alerts.settle([SLACK, "mail"])
    assert ledger.alerts.read("pending") == []
    assert ledger.alerts.get(ALERT.key, "mail") == replace(ALERT, status="sent", attempts=1)
    assert ledger.alerts.undelivered("a channel configured later") == []


def test_alerts_come_oldest_month_first_up_to_a_limit(ledger: Ledger) -> None:
    for key, month in (("a", "2026-10"), ("b", "2026-08"), ("c", "2026-09")):
        ledger.alerts.put(replace(ALERT, key=key, month=month))
    assert [alert.key for alert in ledger.alerts.read("pending")] == ["b", "c", "a"]
    assert [alert.key for alert in ledger.alerts.read("pending", limit=2)] == ["b", "c"]


def test_a_reply_comes_after_what_it_replies_to(ledger: Ledger) -> None:
    ledger.alerts.put(replace(ALERT, key="a", event="update", thread="b"))
    ledger.alerts.put(replace(ALERT, key="b"))
    assert [alert.key for alert in ledger.alerts.read("pending")] == ["b", "a"]
    assert ledger.alerts.get("a") == replace(ALERT, key="a", event="update", thread="b")
    assert ledger.alerts.get("nobody") is None


STATE = State(
    "f1", "rate_drop", "total", "firing", "2026-10", "critical", "2026-10", "29/2000", "161/10000", 0, "key-1"
)


def test_states_and_what_is_told_of_them_are_recorded_together(ledger: Ledger) -> None:
    assert ledger.alerts.record([STATE], [ALERT]) == 1
    assert ledger.alerts.states() == {"f1": STATE}
    later = replace(STATE, month="2026-11", clear_months=1)
    assert ledger.alerts.record([later], [ALERT]) == 0  # told before
    assert ledger.alerts.states() == {"f1": later}
    with pytest.raises(sa.exc.StatementError, match=r"TypeError.*object is not JSON serializable"):
        ledger.alerts.record(
            [replace(later, month="2026-12")], [replace(ALERT, key="new", message={"text": object()})]
        )
    assert ledger.alerts.states() == {"f1": later}
    assert ledger.alerts.read() == [ALERT]


def test_a_ledger_of_an_earlier_version_is_opened(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "create table alerts (key varchar(64) primary key, rule text, scope text, month text, "
                "severity text, message text, status text, attempts integer, last_error text, posted_as "
                "text, sent_at text)"
            )
        )
        connection.execute(
            sa.text(
                "insert into alerts values ('k', 'expansion_drop', 'total', '2026-09', 'warning', '{}', "
                "'sent', 1, null, '1.1', null)"
            )
        )
    ledger = Ledger(url)
    assert ledger.alerts.read() == [
        Alert("k", "expansion_drop", "total", "2026-09", "warning", {}, "sent", 1, None, "1.1")
    ]
    assert ledger.alerts.put(ALERT)


def test_writers_wait_for_each_other(ledger: Ledger) -> None:
    def write(number: int) -> None:
        Ledger(str(ledger.url)).builds.record(
            "mrr/movements", {f"2026-{number + 1:02d}": ("in", str(number))}
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(12)))
    assert len(ledger.builds.of("mrr/movements")) == 12


def test_ping(ledger: Ledger) -> None:
    ledger.ping()


def opened_at_once(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        ledgers = list(pool.map(Ledger, [url] * 8))
    for ledger in ledgers:
        ledger.pulls.set_cursor("stripe", {"last_pull_at": 1})
        ledger.close()


@pytest.mark.parametrize("number", range(5))
def test_a_new_ledger_may_be_opened_by_many_at_once(tmp_path: Path, number: int) -> None:
    opened_at_once(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


def test_a_new_ledger_on_postgres_may_be_opened_by_many_at_once() -> None:
    folder = binaries()
    if folder is None:
        pytest.skip("Postgres is not installed (apt-get install postgresql)")
    with running_postgres(folder) as url:
        opened_at_once(url)
