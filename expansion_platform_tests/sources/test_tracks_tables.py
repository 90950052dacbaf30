"""The shapes that tables of events come in, and what a wrong mapping, table or value is answered with."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.sources.analytics.tracks import Tracks, TracksError
from expansion_platform.sources.analytics.tracks_mapping import PRESETS, mapping, read_mapping
from expansion_platform.sources.analytics.usage import MonthUsage
from expansion_platform_tests.sources.event_rows import (
    CANARY,
    GROUPS,
    INSTANT,
    TRACKS,
    Call,
    Database,
    Event,
    asked,
    at,
    database,
    group_rows,
    loaded_after,
    track_rows,
)
from expansion_platform_tests.sources.warehouse.postgres import binaries, running_postgres

QUESTION = asked("2026-03")
LOADED = loaded_after(QUESTION)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    folder = binaries()
    if folder is None:
        pytest.skip("Postgres is not installed (apt-get install postgresql)")
    with running_postgres(folder) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def events_in(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = request.getfixturevalue("postgres") if request.param == "postgres" else None
    with database(request.param, f"product_{uuid.uuid4().hex[:8]}", tmp_path, url) as made:
        yield made


@pytest.fixture
def in_postgres(postgres: str, tmp_path: Path) -> Iterator[Database]:
    with database("postgres", f"Product_{uuid.uuid4().hex[:8]}", tmp_path, postgres) as made:
        yield made


def event(name: str, person: str, account: str | None = "org", day: str = "2026-03-02", **more: Any) -> Event:
    return Event(str(uuid.uuid4()), name, at(day), at(day), person, account, **more)


def read(
    database: Database, written: dict[str, Any] | str, signals: dict[str, Any] | None = None
) -> MonthUsage:
    found = mapping(written) if isinstance(written, str) else read_mapping(written, "mine")
    with database.tracks(found, SignalDefinition.model_validate(signals or {})) as source:
        return source.month(QUESTION)


def counts(usage: MonthUsage, *figures: str) -> dict[str, Any]:
    """Figures by account; of one figure, it alone."""
    assert usage.incomplete is None
    rows = usage.accounts.set_index("account")
    if len(figures) == 1:
        return rows[figures[0]].to_dict()
    return {
        str(account): tuple(row)
        for account, row in zip(rows.index, rows[list(figures)].to_numpy(), strict=True)
    }


def refused(database: Database, written: dict[str, Any] | str, **signals: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read(database, written, signals)
    return str(raised.value)


# Segment and RudderStack


def test_a_column_that_no_value_has_made_yet_is_null(events_in: Database) -> None:
    columns = {name: kind for name, kind in TRACKS.items() if name not in {"anonymous_id", "report"}}
    events = [event("opened", "u1"), event("opened", "u2", named="Sales"), LOADED]
    events_in.write("tracks", track_rows(events), columns)
    usage = read(events_in, {"preset": "segment", "feature": "report?"})
    assert counts(usage, "active_users", "features_used") == {"org": (2, 1)}
    assert usage.features["feature"].tolist() == ["opened"]


def test_copies_are_counted_once_and_by_the_first_arrival(events_in: Database) -> None:
    first = event("signed_in", "u1")
    copies = [
        Event(**{**vars(first), "arrived": at(day)}) for day in ("2026-05-01", "2026-03-09", "2026-03-05")
    ]
    events_in.write("tracks", track_rows([*copies, first, LOADED]), TRACKS)
    usage = read(events_in, "rudderstack", {"events": {"logins": ["signed_in"]}})
    assert usage.accounts[["logins", "known_at"]].to_numpy().tolist() == [[1, at("2026-03-02")]]
    assert usage.events == 1


def test_events_have_tables_of_their_own(events_in: Database) -> None:
    """Properties are columns of some of them, and one of them does not name its events."""
    events_in.write("signed_in", track_rows([event("signed_in", "u1"), LOADED]), TRACKS)
    columns = {name: kind for name, kind in TRACKS.items() if name not in {"report", "event"}}
    events_in.write("report_created", track_rows([event("", "u1"), event("", "u2", account=None)]), columns)
    written = {
        "preset": "segment",
        "tables": ["signed_in", "report_created", "invited?"],
        "event": "event?",
    }
    signals = {
        "events": {"logins": ["signed_in"], "milestones": ["report_created"]},
        "feature_property": "report",
    }
    usage = read(events_in, written, signals)
    assert counts(usage, "logins", "milestones", "active_users") == {"org": (1, 1, 1)}
    assert (usage.events, usage.events_without_account) == (3, 1)
    assert usage.features["feature"].tolist() == ["report_created", "signed_in"]


def test_a_person_of_several_accounts_goes_by_the_last_group_call(events_in: Database) -> None:
    """Also where an older form of the table has the group in `id`."""
    columns = {name: kind for name, kind in TRACKS.items() if name != "context_group_id"}
    events = [event("opened", "u1", day=f"2026-03-{day:02d}") for day in (2, 4, 6, 8)]
    events_in.write("tracks", track_rows([*events, event("opened", "visitor"), LOADED]), columns)
    calls = [
        Call("u1", account, at(happened), at(arrived))
        for account, happened, arrived in (
            ("org_a", "2026-03-03", "2026-03-03"),
            ("org_a", "2026-03-04", "2026-03-04"),
            ("org_b", "2026-03-05", "2026-03-05"),
            ("org_c", "2026-03-07", "2026-05-05"),  # arrived after the close: it says nothing of what did not
        )
    ]
    events_in.write("groups", group_rows(calls), GROUPS)
    for name in ("segment", "rudderstack"):
        usage = read(events_in, name)
        assert counts(usage, "active_days") == {"org_a": 1, "org_b": 2}
        assert usage.events_without_account == 2
    older = {name: kind for name, kind in GROUPS.items() if name != "group_id"}
    events_in.write("groups", [{**row, "id": row["group_id"]} for row in group_rows(calls)], older)
    assert counts(read(events_in, "rudderstack"), "active_days") == {"org_a": 1, "org_b": 2}
    assert "has no column group_id (mapping segment, groups.account)" in refused(events_in, "segment")


def test_names_may_be_of_any_case_and_in_any_schema(in_postgres: Database) -> None:
    columns = {"Id": sa.UUID(), "userId": sa.Integer(), "Account Id": sa.BigInteger(), "select": INSTANT}
    rows = [
        {"Id": uuid.uuid4(), "userId": number, "Account Id": 70 + number, "select": at(day).to_pydatetime()}
        for number, day in ((1, "2026-03-02"), (2, "2026-03-03"), (2, "2026-05-01"))
    ]
    in_postgres.write("App Events", rows, columns)
    other = Database(in_postgres.url, f"{in_postgres.schema}_site")
    other.write("App Events", [{**rows[0], "Id": uuid.uuid4()}], columns)
    written = {
        "tables": ["App Events", f"{other.schema}.App Events"],
        "id": "Id",
        "happened": "select",
        "arrived": "select",
        "person": "userId",
        "account": "Account Id",
    }
    usage = read(in_postgres, written)
    assert counts(usage, "active_users") == {"71": 1, "72": 1}
    assert usage.features[["feature", "events"]].to_numpy().tolist() == [["App Events", 2], ["App Events", 1]]


def test_what_arrived_long_before_the_month_is_not_looked_for_in_it(events_in: Database) -> None:
    odd = Event("1", "opened", at("2026-03-02"), at("2026-02-27"), "u1", "org")
    skewed = Event("2", "opened", at("2026-03-01"), at("2026-02-28 00:00:01"), "u2", "org")
    events_in.write("tracks", track_rows([odd, skewed, LOADED]), TRACKS)
    assert counts(read(events_in, "segment"), "active_users") == {"org": 1}
    assert counts(read(events_in, {"preset": "segment", "prune": None}), "active_users") == {"org": 2}


# Snowplow

ATOMIC = {
    **dict.fromkeys(("event_id", "app_id", "event_name", "se_action", "user_id", "domain_userid"), sa.Text()),
    **dict.fromkeys(("collector_tstamp", "derived_tstamp", "load_tstamp"), sa.DateTime()),
    "contexts_com_acme_account_1": sa.Text(),
    "user_ipaddress": sa.Text(),
}
IN_JSON = {"preset": "snowplow", "account": "contexts_com_acme_account_1[0].account_id"}


def atomic(
    name: str, account: Any, person: str | None = "u1", day: str = "2026-03-02", **more: Any
) -> dict[str, Any]:
    instant = at(day).to_pydatetime().replace(tzinfo=None)
    contexts = [] if account is None else [{"account_id": account, "email": CANARY}, {"account_id": "second"}]
    return {
        "event_id": str(uuid.uuid4()),
        "event_name": name,
        "domain_userid": "cookie",
        "user_id": person,
        "collector_tstamp": instant,
        "derived_tstamp": instant,
        "load_tstamp": instant,
        "contexts_com_acme_account_1": json.dumps(contexts),
        "user_ipaddress": "203.0.113.7",
        "app_id": "web",
        **more,
    }


SNOWPLOW = [
    atomic("page_view", "org_a"),
    atomic("page_ping", "org_a", "u9"),
    atomic("event", 42, se_action="share"),
    atomic("page_view", None),
    atomic("page_view", "", contexts_com_acme_account_1=""),
    atomic("page_view", "org_a", None, contexts_com_acme_account_1=json.dumps([{"email": CANARY}])),
    atomic("page_view", "org_a", None, app_id="test", derived_tstamp=None),
    atomic("page_view", "org_a", day="2026-05-01"),
]


def test_snowplow_names_the_account_in_an_array_of_contexts(events_in: Database) -> None:
    events_in.write("events", SNOWPLOW, ATOMIC)
    usage = read(events_in, IN_JSON)
    assert counts(usage, "active_users", "features_used") == {"42": (1, 1), "org_a": (2, 1)}
    assert usage.features["feature"].tolist() == ["share", "page_view"]
    assert (usage.events, usage.events_without_account) == (6, 3)
    only_web = {**IN_JSON, "where": {"app_id": ["web", "app"]}, "person": "user_id"}
    assert counts(read(events_in, only_web), "active_users") == {"42": 1, "org_a": 1}
    by_signals = {"account": {"property": "contexts_com_acme_account_1[1].account_id"}}
    assert counts(read(events_in, "snowplow", by_signals), "active_users") == {"second": 2}


def test_an_array_may_be_json_of_the_database(in_postgres: Database) -> None:
    rows = [
        {**row, "contexts_com_acme_account_1": json.loads(str(row["contexts_com_acme_account_1"]) or "null")}
        for row in SNOWPLOW
    ]
    in_postgres.write("events", rows, {**ATOMIC, "contexts_com_acme_account_1": JSONB()})
    assert counts(read(in_postgres, IN_JSON), "active_users") == {"42": 1, "org_a": 2}


def test_known_is_when_snowplow_loaded_it(events_in: Database) -> None:
    late = atomic(
        "page_view", "org_a", "u2", load_tstamp=at("2026-04-20").to_pydatetime().replace(tzinfo=None)
    )
    events_in.write("events", [*SNOWPLOW[:1], late], ATOMIC)
    assert read(events_in, IN_JSON).accounts["known_at"].tolist() == [at("2026-03-02"), at("2026-04-20")]
    columns = {name: kind for name, kind in ATOMIC.items() if name != "load_tstamp"}
    events_in.write("events", [*SNOWPLOW[:1], late, SNOWPLOW[-1]], columns)
    assert read(events_in, IN_JSON).accounts["known_at"].tolist() == [at("2026-03-02")]


def test_values_that_rows_must_not_have_leave_rows_without_one(events_in: Database) -> None:
    events_in.write("events", [*SNOWPLOW[:2], atomic("x", "org_a", app_id=None), SNOWPLOW[-1]], ATOMIC)
    written = {**IN_JSON, "excluding": {"app_id": "web", "platform?": "srv"}}
    assert read(events_in, written).features["feature"].tolist() == ["x"]
    assert read(events_in, {**IN_JSON, "where": {"platform?": "web"}}).events == 0
    assert "table" in (problem := refused(events_in, {**IN_JSON, "where": {"ap_id": "web"}}))
    assert "has no column ap_id; did you mean app_id? (mapping mine, where)" in problem


# What is wrong


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_whole_and_has_a_hash(name: str) -> None:
    assert mapping(name).called == name
    assert mapping(name).counting_hash == read_mapping({"preset": name}, "mine").counting_hash


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: segment\ntables: [signed_in, invited]\nperson: user_id\n")
    own = mapping(str(path))
    assert own.tables == ("signed_in", "invited")
    assert (str(own.person[0]), str(own.happened[0]), own.called) == ("user_id", "timestamp", str(path))
    assert own.counting_hash != mapping("segment").counting_hash
    path.write_text("tables: {a: 1\n")
    with pytest.raises(ConfigurationError, match=r"(?s)mapping .*mine.yaml cannot be read: .*line 2"):
        mapping(str(path))


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ([], "begin with `tables:` or `preset:`"),
        ({"preset": "segmnt"}, "preset: 'segmnt' is not known; there are rudderstack, segment, snowplow"),
        ({"preset": "segment", "acount": "a"}, "acount: unknown; did you mean account"),
        ({"preset": "segment", "groups": {"table": "g"}}, "groups.person: Field required"),
        ({"tables": "tracks"}, "happened: Field required"),
        ({"preset": "segment", "tables": []}, "tables: name a table, or several"),
        ({"preset": "segment", "tables": ["a", "a"]}, "tables: a is there twice"),
        ({"preset": "segment", "account": "a[x].b"}, "account: 'a\\[x\\].b' is not a column, `column.key`"),
        ({"preset": "segment", "person": []}, "person: write a column"),
        ({"preset": "segment", "happened": "a.b"}, "happened: a.b is inside JSON: this has to be a column"),
        ({"preset": "segment", "where": {"a.b": 1}}, "where: a.b is inside JSON"),
        ({"preset": "segment", "where": {"a": []}}, "where: a has no value"),
    ],
)
def test_a_mapping_that_makes_no_sense_names_the_key(written: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"mapping mine: .*{problem}"):
        read_mapping(written, "mine")


def test_a_mapping_of_no_such_name_says_which_there_are() -> None:
    with pytest.raises(ConfigurationError, match="neither a file nor one of rudderstack, segment, snowplow"):
        mapping("segmnet")


def test_a_table_that_is_not_there_is_named_with_the_nearest(events_in: Database) -> None:
    events_in.write("track", [], TRACKS)
    where = f"schema {events_in.schema}" if events_in.schema else "the connection's own schema"
    assert refused(events_in, "segment") == (
        f"warehouse: there is no table tracks in {where}; did you mean track? (mapping segment, tables)"
    )
    assert refused(events_in, {"preset": "segment", "tables": ["a?", "b?"]}) == (
        f"warehouse: there is none of the tables a or b in {where} (mapping mine, tables)"
    )


@pytest.mark.parametrize(
    ("without", "written", "signals", "problem"),
    [
        ("received_at", {}, {}, "has no column received_at (mapping mine, arrived)"),
        ("id", {"id": "ids"}, {}, "has no column ids (mapping mine, id)"),
        ("", {"event": "evnt"}, {}, "has no column evnt; did you mean event? (mapping mine, event)"),
        ("", {"person": ["a?", "b?"]}, {}, "has no column a nor b (mapping mine, person)"),
        (
            "",
            {"account": "contxt_group_id"},
            {},
            "contxt_group_id; did you mean context_group_id? (mapping mine",
        ),
        ("", {"account": "x?", "groups": None}, {}, "has no column x (mapping mine, account)"),
        ("context_group_id", {}, {}, "has no column context_group_id, and there is no table groups in "),
        (
            "",
            {},
            {"feature_property": "reprt"},
            "did you mean report? (signals, feature_property; Segment and",
        ),
        ("", {}, {"account": {"property": "org_id"}}, "has no column org_id; did you mean user_id? (sig"),
        (
            "",
            {},
            {"account": {"group": "company"}},
            "signals: account.group is 'company', but tables of events",
        ),
        ("", {}, {"feature_property": "a["}, "signals, feature_property: 'a[' is not a column"),
        ("", {"happened": "event"}, {}, "it has to be a timestamp (mapping mine, happened)"),
        ("", {"preset": "snowplow", "tables": "tracks"}, {}, "nothing says which account an event is of"),
    ],
)
def test_a_needed_column_that_is_not_there_is_named(
    without: str, written: dict[str, Any], signals: dict[str, Any], problem: str, events_in: Database
) -> None:
    columns = {name: kind for name, kind in TRACKS.items() if name != without}
    extra = {"domain_userid": sa.Text()} if written.get("preset") == "snowplow" else {}
    events_in.write("tracks", [], {**columns, **extra})
    assert problem in refused(events_in, {"preset": "segment", **written}, **signals)


def test_an_unreachable_warehouse_is_named_without_its_password() -> None:
    url = "postgresql+psycopg://reader:hunter2@127.0.0.1:1/analytics"
    with (
        Tracks(url, mapping("segment"), "web", SignalDefinition()) as source,
        pytest.raises(
            TracksError, match=r"the warehouse 127\.0\.0\.1/analytics/web cannot be read: "
        ) as raised,
    ):
        source.month(QUESTION)
    assert "hunter2" not in str(raised.value)


def test_a_url_that_is_none_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ConfigurationError, match="EXPANSION_WAREHOUSE_URL is not a SQLAlchemy URL"):
        Tracks("nonsense", mapping("segment"), None, SignalDefinition())


def test_who_is_not_let_in_has_to_change_the_settings(in_postgres: Database) -> None:
    in_postgres.write("tracks", track_rows([LOADED]), TRACKS)
    with in_postgres.engine.begin() as connection:
        connection.execute(sa.text("drop role if exists reader"))
        connection.execute(sa.text("create role reader login"))
        connection.execute(sa.text(f'grant usage on schema "{in_postgres.schema}" to reader'))
    for user, problem in (
        ("reader", "permission denied for table tracks"),
        ("nobody", 'role "nobody" does not exist'),
    ):
        url = in_postgres.url.replace("tests@", f"{user}:hunter2@")
        with (
            Tracks(url, mapping("segment"), in_postgres.schema, SignalDefinition()) as source,
            pytest.raises(ConfigurationError, match=f"{problem}.*give the user SELECT") as raised,
        ):
            source.month(QUESTION)
        assert "hunter2" not in str(raised.value)
    with in_postgres.engine.begin() as connection:
        connection.execute(sa.text("drop owned by reader"))
        connection.execute(sa.text("drop role reader"))


def test_nothing_is_written(in_postgres: Database) -> None:
    """Not even by a view that would."""
    in_postgres.write("raw", track_rows([LOADED]), TRACKS)
    with in_postgres.engine.begin() as connection:
        connection.execute(sa.text(f'set search_path to "{in_postgres.schema}"'))
        for statement in (
            "create table written (at text)",
            "create function note() returns bool language sql as "
            f"'insert into \"{in_postgres.schema}\".written values (1) returning true'",
            "create view tracks as select * from raw where note()",
        ):
            connection.execute(sa.text(statement))
    with in_postgres.engine.connect() as connection:
        connection.execute(sa.text(f'set search_path to "{in_postgres.schema}"'))
        found = connection.execute(sa.text("select count(*) from tracks")).scalar()
        assert found == 1  # whoever may write can read it
    with pytest.raises(TracksError, match="cannot execute INSERT in a read-only transaction"):
        read(in_postgres, "segment")


# What must not be shown


def chain(error: BaseException | None) -> str:
    """All that a log shows of an error."""
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(texts)


def test_people_and_what_is_known_of_them_stay_in_the_warehouse(
    events_in: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    events_in.write("tracks", track_rows([event("opened", CANARY), LOADED]), TRACKS)
    usage = read(events_in, "segment")
    assert counts(usage, "active_users") == {"org": 1}
    shown = usage.accounts.to_csv() + usage.features.to_csv() + caplog.text
    assert CANARY not in shown
    assert "203.0.113.7" not in shown


@pytest.mark.parametrize("broken", [CANARY, f'[{{"account_id": {CANARY}}}]'])
def test_json_that_is_none_is_refused_without_its_text(
    broken: str, events_in: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rows = [atomic("page_view", "org_a", contexts_com_acme_account_1=broken), SNOWPLOW[-1]]
    events_in.write("events", rows, ATOMIC)
    with pytest.raises(TracksError, match="cannot be read: ") as raised:
        read(events_in, IN_JSON)
    assert CANARY not in chain(raised.value) + caplog.text


def test_an_instant_that_is_none_is_refused_without_its_text(tmp_path: Path) -> None:
    """SQLite keeps any text in any column."""
    with database("sqlite", "product", tmp_path, None) as made:
        made.write("tracks", track_rows([LOADED]), TRACKS)
        with made.engine.begin() as connection:
            connection.execute(sa.text("update tracks set received_at = :value"), {"value": CANARY})
        with pytest.raises(ExpansionError, match="a column of instants holds something else") as raised:
            read(made, "segment")
    assert CANARY not in chain(raised.value)
