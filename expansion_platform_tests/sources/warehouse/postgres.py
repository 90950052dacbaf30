"""A Postgres server of the tests' own: in a folder of its own, on a free loopback port, gone afterwards.

Postgres does not run as root; there it runs as the user `postgres`, else `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def binaries() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, None when Postgres is not installed."""
    found = shutil.which("initdb")
    folders = [
        *([Path(found).parent] if found else []),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
    ]
    return next(
        (folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None
    )


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """A running server; yields the SQLAlchemy URL of its database.

    Args:
        folder: Of the binaries.
    """
    identity = _identity()
    home = Path(tempfile.mkdtemp(prefix="expansion-postgres-"))
    if identity:
        os.chown(home, identity["user"], identity["group"])
    port = _free_port()
    data, log = home / "data", home / "log"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    try:
        _run(
            [
                folder / "initdb",
                "-D",
                data,
                "-U",
                "tests",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ],
            identity,
            home,
        )
        _run([folder / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"], identity, home)
        try:
            yield f"postgresql+psycopg://tests@127.0.0.1:{port}/postgres"
        finally:
            _run([folder / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], identity, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _identity() -> dict[str, int]:
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid}


def _run(command: list[Any], identity: dict[str, Any], home: Path) -> None:
    extra = {**identity, "extra_groups": []} if identity else {}
    subprocess.run([str(part) for part in command], check=True, cwd=home, stdout=subprocess.DEVNULL, **extra)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
