"""A month in plain words: what its figures say, and how far its targets were met.

Here: reading one month's sentences and attainment and turning them into lines. Not here: the sentences (`domain/diagnosis.py`), printing (`cli.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from expansion_platform.domain.errors import ExpansionError
from expansion_platform.domain.schemas import reading
from expansion_platform.resources import Platform


def told(platform: Platform, month: str) -> Iterator[str]:
    """Lines about a month.

    Raises:
        ExpansionError: the month has not been computed.
    """
    computed = platform.lake.months(reading.Diagnosis)
    if month not in computed:
        raise ExpansionError(f"{month} has nothing to tell; there are {computed[0]} to {computed[-1]}" if computed else "nothing has been computed yet")
    yield month
    for text in platform.lake.read(reading.Diagnosis, [month])["text"]:
        yield f"- {text}"
