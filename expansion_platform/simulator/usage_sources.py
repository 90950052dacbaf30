"""The sources that the usage of the simulated company is asked of, and the settings that lead to them.

Here: PostHog, Mixpanel and Amplitude on loopback, and a warehouse with Segment's tables in a file of SQLite.
Not here: the events (`company/usage.py`, `company/usage_of_states.py`), what the servers answer (`servers/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow
import sqlalchemy as sa

from expansion_platform.simulator.company.company import Company
from expansion_platform.simulator.company.usage import usage_events
from expansion_platform.simulator.servers.amplitude import AmplitudeServer
from expansion_platform.simulator.servers.mixpanel import MixpanelServer
from expansion_platform.simulator.servers.posthog import PostHogServer

Analytics = Literal["posthog", "mixpanel", "amplitude", "warehouse"]
_TRACKS = sa.Table(
    "tracks",
    sa.MetaData(),
    *(sa.Column(name, sa.Text()) for name in ("id", "event", "user_id", "context_group_id")),
    *(sa.Column(name, sa.DateTime(timezone=True)) for name in ("timestamp", "received_at")),
    sa.Column("context_traits_email", sa.Text()),
)


def usage(company: Company, seed: int, *, properties: bool = False) -> pyarrow.Table:
    """The events of a company, with the people's e-mail addresses in `properties` where it has signals."""
    if company.signals is None:
        return usage_events(seed, company.account_months)
    return company.signals.events(properties=properties)


def of_posthog(server: PostHogServer) -> Mapping[str, str]:
    """The settings that lead to a PostHog."""
    return {
        "POSTHOG_HOST": server.url,
        "POSTHOG_PROJECT_ID": server.project_id,
        "POSTHOG_API_KEY": server.api_key,
    }


@contextmanager
def other_source(
    analytics: Analytics, company: Company, seed: int, folder: Path
) -> Iterator[Mapping[str, str]]:
    """A source that is not PostHog, while it serves; the settings that lead to it."""
    events = partial(usage, company, seed, properties=company.signals is not None)
    if analytics == "mixpanel":
        with MixpanelServer(events) as mixpanel:
            yield {
                "MIXPANEL_HOST": mixpanel.url,
                "MIXPANEL_PROJECT_ID": mixpanel.project_id,
                "MIXPANEL_USERNAME": mixpanel.username,
                "MIXPANEL_SECRET": mixpanel.secret,
            }
    elif analytics == "amplitude":
        with AmplitudeServer(events) as amplitude:
            yield {
                "AMPLITUDE_HOST": amplitude.url,
                "AMPLITUDE_API_KEY": amplitude.api_key,
                "AMPLITUDE_SECRET_KEY": amplitude.secret_key,
            }
    else:
        url = f"sqlite:///{folder / 'tracks.sqlite'}"
        write_tracks(url, usage(company, seed))
        yield {"EXPANSION_TRACKS_MAPPING": "segment", "EXPANSION_WAREHOUSE_URL": url}


def track_rows(events: pyarrow.Table) -> list[dict[str, Any]]:
    """Events as rows of Segment's table `tracks`: people by id, and their e-mail address beside it."""
    return [
        {
            "id": row["uuid"],
            "event": row["event"],
            "user_id": row["person_id"],
            "context_group_id": row["$group_0"],
            "timestamp": row["timestamp"],
            "received_at": row.get("created_at") or row["timestamp"],
            "context_traits_email": row["distinct_id"],
        }
        for row in events.to_pylist()
    ]


def write_tracks(url: str, events: pyarrow.Table) -> None:
    """Writes Segment's table `tracks` into a database, in the place of one that is there."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        _TRACKS.drop(connection, checkfirst=True)
        _TRACKS.create(connection)
        if rows := track_rows(events):
            connection.execute(_TRACKS.insert(), rows)
    engine.dispose()
