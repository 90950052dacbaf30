"""The files of Amplitude's exports: damaged ones, lines that are something else, and the stand-in's own."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.definition import AccountKey, SignalDefinition
from expansion_platform.simulator.servers.amplitude import PATH, AmplitudeServer
from expansion_platform.simulator.servers.http import LoopbackServer, Request, Response
from expansion_platform.sources.analytics import amplitude, amplitude_lines
from expansion_platform_tests.sources.amplitude_events import (
    CANARY,
    EVENTS,
    assert_read,
    at,
    read,
    rows,
    table,
)


@pytest.fixture
def server() -> Iterator[AmplitudeServer]:
    with AmplitudeServer(lambda: table(EVENTS)) as running:
        running.private = CANARY
        yield running


@pytest.fixture
def few_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests read January and the days after it."""
    monkeypatch.setattr(amplitude, "LONGEST_WINDOW", 24 * 20)


@pytest.mark.usefixtures("few_windows")
@pytest.mark.parametrize("how", ["zip", "gzip", "line"])
def test_a_damaged_export_is_read_again(
    server: AmplitudeServer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The damage is at the end; what is before it has been loaded. Without ids, twice would count twice.
    monkeypatch.setattr(amplitude_lines, "LOADED_AT_ONCE", 20_000)
    server.null = frozenset({"uuid", "$insert_id", "event_id"})
    server.damage_next(how, amplitude.READINGS - 1)
    assert_read(read(server))
    assert len(server.requests) == 2 + amplitude.READINGS - 1


@pytest.mark.usefixtures("few_windows")
@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("zip", "a file in it is cut off or damaged (BadZipFile)"),
        ("gzip", "a file in it is cut off or damaged (EOFError)"),
        ("line", "a line in it is not an event as documented: malformed JSON"),
    ],
)
def test_an_export_that_stays_damaged_leaves_the_month_incomplete(
    server: AmplitudeServer, how: str, problem: str
) -> None:
    server.damage_next(how, 100)
    usage = read(server)
    assert usage.incomplete is not None
    assert problem in usage.incomplete
    assert "2026-01-01 00:00 to 2026-01-21 00:00 UTC" in usage.incomplete
    assert "canary" not in usage.incomplete
    assert len(server.requests) == amplitude.READINGS


class Exported(LoopbackServer):
    """Answers every request with an export of some lines."""

    def __init__(self, *lines: Any) -> None:
        super().__init__()
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("187520/", "")
            archive.writestr(
                "187520/187520_2026-01-01_0#0.json.gz", gzip.compress(b"\n".join(map(_line, lines)))
            )
        self.content = content.getvalue()

    def answer(self, request: Request) -> Response:
        return _Bytes(self.content)


class _Bytes(Response):
    def encoded(self) -> tuple[bytes, str]:
        return self.body, "application/zip"


def _line(line: Any) -> bytes:
    return line if isinstance(line, bytes) else json.dumps(line).encode()


LINE = {
    "event_type": "login",
    "event_time": "2026-01-01 00:00:00.000000",
    "server_upload_time": "2026-01-01 00:00:01.000000",
    "uuid": "uuid-1",
    "amplitude_id": 176632796945,
    "groups": {"company": ["org_a"]},
}


@pytest.mark.usefixtures("few_windows")
@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"event_type": None}, "no event_type"),
        ({"event_time": CANARY}, "no readable event_time"),
        ({"server_upload_time": 1767225600}, "no readable server_upload_time"),
        ({"groups": CANARY}, "Expected OBJECT, but got VARCHAR"),
        ({"groups": [CANARY]}, "Expected OBJECT, but got ARRAY"),
    ],
    ids=str,
)
def test_a_line_that_is_something_else_is_not_left_out(changed: Mapping[str, Any], problem: str) -> None:
    with Exported(LINE, {**LINE, "uuid": "uuid-2", **changed}) as server:
        usage = read(server)
    assert usage.incomplete is not None
    assert usage.incomplete.endswith(f"a line in it is not an event as documented: {problem}")


@pytest.mark.usefixtures("few_windows")
def test_a_line_needs_no_more_than_it_must() -> None:
    with Exported(LINE, b"", {**LINE, "uuid": None, "groups": None}, {**LINE, "uuid": "uuid-1"}) as server:
        usage = read(server)
    assert usage.incomplete is None
    # Both windows have the same lines: the one without an id is counted twice.
    assert (usage.events, usage.events_without_account) == (3, 2)
    assert rows(usage.accounts[["account", "active_users"]]) == [("org_a", 1)]


def test_properties_that_differ_in_case_only_are_refused(server: AmplitudeServer) -> None:
    definition = SignalDefinition(account=AccountKey(property="Plan"), feature_property="plan")
    with pytest.raises(ConfigurationError, match=r"account\.property Plan and feature_property plan"):
        read(server, definition=definition)


def test_files_are_loaded_in_parts_and_deleted(
    server: AmplitudeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(amplitude_lines, "LOADED_AT_ONCE", 20_000)
    left_over = []
    opened = Path.open

    def watched(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.suffix == ".ndjson":
            left_over.append([file for file in tmp_path.rglob("*.ndjson") if file != path])
        return opened(path, *arguments, **options)

    monkeypatch.setattr(amplitude, "LONGEST_WINDOW", 24 * 20)
    monkeypatch.setattr(Path, "open", watched)
    assert_read(read(server))
    assert len(left_over) > 4
    assert not any(left_over)
    assert not list(tmp_path.iterdir())


# The stand-in itself


def test_the_stand_in_exports_as_documented(server: AmplitudeServer) -> None:
    def get(start: str, end: str) -> httpx.Response:
        keys = (server.api_key, server.secret_key)
        return httpx.get(server.url + PATH, params={"start": start, "end": end}, auth=keys, verify=False)  # noqa: S501

    answer = get("20260105T03", "20260105T09")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        lines = [
            json.loads(line) for name in names for line in gzip.decompress(archive.read(name)).splitlines()
        ]
    assert names[0].startswith("187520/187520_2026-01-05_")
    assert names[0].endswith(".json.gz")
    expected = [item for item in EVENTS if at("2026-01-05 03:00") <= item.arrived < at("2026-01-05 10:00")]
    assert sorted(line["event_time"] for line in lines) == sorted(
        item.happened.strftime("%Y-%m-%d %H:%M:%S.%f") for item in expected
    )
    assert all(CANARY in line["user_properties"]["email"] for line in lines)
    assert get("20260105T09", "20260105T03").status_code == 400
    assert get("2026-01-05", "20260105T03").status_code == 400
    assert get("20250101T00", "20260102T00").status_code == 400
    assert (get("20200101T00", "20200101T23").status_code) == 404
    server.clock = at("2026-01-05 05:59")
    assert get("20260105T03", "20260105T09").text == "Raw data files were not found."
