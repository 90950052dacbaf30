"""Events of one month, counted by account and by feature.

For providers that send events and not counts.

Here: the temporary table that a source fills, and what is counted of it. Not here: reading events (a module a
provider).

People are 64-bit hashes from the moment a row is inserted, and the file they are in is deleted when the
counting ends. DuckDB writes to it what does not fit into MEMORY, so memory does not grow with the events: ten
million take 30 s of CPU and 0.7 GB.
"""

from __future__ import annotations

import calendar
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Self

import duckdb
import pandas as pd

from expansion_platform.domain.core.ratios import SIGNAL_PLACES, ratio_text
from expansion_platform.domain.core.table import to_pandas
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.sources.analytics.usage import ACCOUNT_COLUMNS, FEATURE_COLUMNS, Asked, MonthUsage

MEMORY = "512MB"
SIGN_UPS = "sign-up events"
FIRST_SEEN = "first seen by the provider"
_EVENTS = """
CREATE TABLE events (
    accounts VARCHAR[],    -- empty where the event names none
    person UBIGINT,        -- hash(...) of the provider's id of the person; null where nobody did it
    happened TIMESTAMPTZ,
    arrived TIMESTAMPTZ,
    event VARCHAR,
    named VARCHAR,         -- the value of feature_property
    id UBIGINT,            -- hash(...) of what the copies of an event share; null for one that is no copy
    began TIMESTAMPTZ      -- when the provider first saw the person; null where it does not say
)
"""


class EventCounter:
    """Counts events that a source inserts into the table `events` of `connection`. A context manager.

    Attributes:
        connection: DuckDB, time zone UTC.
        folder: for files that the events are read from; deleted with the events.
    """

    def __init__(self, definition: SignalDefinition) -> None:
        self._definition = definition
        self._temporary = tempfile.TemporaryDirectory(prefix="usage-")
        self.folder = Path(self._temporary.name)
        self.connection = duckdb.connect(
            str(self.folder / "events.duckdb"),
            config={"memory_limit": MEMORY, "temp_directory": str(self.folder / "spilled")},
        )
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET preserve_insertion_order = false")
        self.connection.execute(_EVENTS)
        self._create("kinds", ["kind", "event"], definition.counted)
        self._create("excluded", ["event"], [(event,) for event in definition.excluded_events])
        self._create("internal", ["account"], [(account,) for account in definition.internal_accounts])
        self._create("listed", ["feature"], [(feature,) for feature in definition.features or ()])

    def __enter__(self) -> Self:
        """The counter itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Deletes the events."""
        self.connection.close()
        self._temporary.cleanup()

    def month(self, asked: Asked, incomplete: str | None = None) -> MonthUsage:
        """What the inserted events of the month say; events of other months are left out."""
        by_sign_up = bool(self._definition.events.sign_ups)
        instants = [instant.to_pydatetime() for instant in (asked.begins, asked.ends, asked.closes)]
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE asked AS SELECT "
            "? AS begins, ? AS ends, ? AS closes, ? AS timezone, ? AS all_features, ? AS by_sign_up",
            [*instants, asked.timezone, self._definition.features is None, by_sign_up],
        )
        self.connection.execute(resources.files(__package__).joinpath("counting.sql").read_text())
        events, without_account, with_began = self.connection.table("totals").fetchall()[0]
        new_users_by = SIGN_UPS if by_sign_up else FIRST_SEEN if with_began else None
        year, number = map(int, asked.month.split("-"))
        return MonthUsage(
            accounts=account_versions(
                to_pandas(self.connection.table("accounts").to_arrow_table()),
                calendar.monthrange(year, number)[1],
                new_users_known=new_users_by is not None,
            ),
            features=feature_versions(to_pandas(self.connection.table("features").to_arrow_table())),
            events=events,
            events_without_account=without_account,
            new_users_by=new_users_by,
            incomplete=incomplete,
        )

    def _create(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        texts = pd.DataFrame(list(rows), columns=list(columns), dtype="str")
        self.connection.from_df(texts).create(name)


def account_versions(rows: pd.DataFrame, days: int, *, new_users_known: bool) -> pd.DataFrame:
    """ACCOUNT_COLUMNS of rows that say `late`, and `person_days` instead of mean_daily_users.

    Args:
        rows: one an account and version, as known at the close (`late` false) and as known now.
        days: of the month.
        new_users_known: whether `new_users` says anything.
    """
    means = [ratio_text(int(person_days), days, SIGNAL_PLACES) for person_days in rows["person_days"]]
    new_users = rows["new_users"].astype("Int64")
    counted = rows.drop(columns="person_days").assign(
        mean_daily_users=pd.Series(means, index=rows.index, dtype="str"),
        new_users=new_users if new_users_known else new_users.mask(new_users.notna()),
    )
    return _versions(counted, ["account"])[list(ACCOUNT_COLUMNS)]


def feature_versions(rows: pd.DataFrame) -> pd.DataFrame:
    """FEATURE_COLUMNS of rows that say `late`."""
    return _versions(rows, ["account", "feature"])[list(FEATURE_COLUMNS)]


def _versions(rows: pd.DataFrame, grain: Sequence[str]) -> pd.DataFrame:
    """The rows as known at the close (`late` false), and those as known now that are other ones.

    Columns beside the grain: late, known_at and the figures. Sorted by grain and known_at; without `late`.
    """
    figures = [name for name in rows.columns if name not in {"late", "known_at"}]
    kept = rows.sort_values([*grain, "late"]).drop_duplicates(figures).drop(columns="late")
    known_at = pd.to_datetime(kept["known_at"], utc=True).astype("datetime64[us, UTC]")
    return kept.assign(known_at=known_at).sort_values([*grain, "known_at"], ignore_index=True)
