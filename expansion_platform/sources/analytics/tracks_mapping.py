"""Where a warehouse keeps product events: the mapping file, checked, with errors that name the key.

Here: the file's form, and the presets that ship. Not here: the tables themselves (`tracks_tables.py`), what
is counted (`tracks_sql.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, field_validator

from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.core.configuration import FileModel, problems_text, read_yaml
from expansion_platform.domain.core.errors import ConfigurationError

_FOLDER = Path(__file__).parent / "mappings"
PRESETS = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
_WRITTEN = re.compile(r"([^.\[\]?]+)((?:\.[^.\[\]?]+|\[\d+\])*)(\??)")
_STEP = re.compile(r"\.([^.\[\]?]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Place:
    """A column, and the keys and positions that lead into its JSON.

    An `optional` one may be missing from the table.
    """

    column: str
    path: tuple[str | int, ...] = ()
    optional: bool = False

    def __str__(self) -> str:
        steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return f"{self.column}{steps}"


def place(written: str) -> Place:
    """`column`, `column.key` or `column[0].key`; with `?` where the table may lack the column.

    ValueError: it is none of these.
    """
    match = _WRITTEN.fullmatch(written.strip())
    if match is None:
        raise ValueError(f"{written!r} is not a column, `column.key` or `column[0].key`")
    steps = tuple(key or int(position) for key, position in _STEP.findall(match[2]))
    return Place(match[1], steps, bool(match[3]))


def _listed(written: Any) -> Any:
    return [written] if isinstance(written, str | int | bool) else written


def _places(written: Any) -> Any:
    listed = _listed(written)
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError("write a column, `column.key`, `column[0].key`, or a list of them")
    return tuple(each if isinstance(each, Place) else place(str(each)) for each in listed)


def _columns(written: Any) -> Any:
    places = _places(written)
    inside = [str(each) for each in places if each.path]
    if inside:
        raise ValueError(f"{inside[0]} is inside JSON: this has to be a column")
    return places


Places = Annotated[tuple[Place, ...], BeforeValidator(_places)]
"""The first that holds a value counts; an empty text is none."""
Columns = Annotated[tuple[Place, ...], BeforeValidator(_columns)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Values = Annotated[tuple[bool | int | str, ...], BeforeValidator(_listed)]


class GroupCalls(FileModel):
    """A table with a row for each time that a person was put into an account."""

    table: str
    person: Places
    account: Places
    account_else: Places = Field((), description="Where it is in a table that has none of `account`")
    happened: Columns
    arrived: Columns


class TracksMapping(FileModel):
    """The tables of events, and where in them everything is.

    A table that lacks a place of `person`, `account` or `feature` has no value there; one of the tables must
    have it, unless it is written with `?`.
    """

    tables: Names = Field(
        description="Table of all events, or tables of some; `schema.table` where not all are in one schema"
    )
    id: Columns = Field((), description="What the copies of an event share; left out, none is a copy")
    event: Places = Field(
        (), description="Name of the event; where there is none (left out, or `?`), the table's name"
    )
    happened: Columns = Field(description="When it happened, a timestamp; without a zone it is UTC")
    arrived: Columns = Field(description="When it arrived at the tool or in the warehouse")
    person: Places = Field(description="Who did it")
    account: Places = Field((), description="The account; account.property of the signals file goes before")
    groups: GroupCalls | None = Field(
        None, description="Where no table has `account`: the account of the person's last row here"
    )
    feature: Places = Field((), description="The feature; left out, feature_property of the signals file")
    where: Mapping[str, Values] = Field({}, description="Column to the values that a row must have")
    excluding: Mapping[str, Values] = Field({}, description="Column to values that a row must not have")
    prune: Columns = Field(
        (), description="Column that the tables are sorted or partitioned by, about when events arrived"
    )
    first_seen: bool = Field(
        True, description="Whether all earlier events are read to find who is new; sign_ups go before"
    )
    _called: str = PrivateAttr("of event tables")

    @field_validator("tables")
    @classmethod
    def _some(cls, tables: tuple[str, ...]) -> tuple[str, ...]:
        if not tables or not all(name.removesuffix("?") for name in tables):
            raise ValueError("name a table, or several")
        if repeated := sorted({name for name in tables if tables.count(name) > 1}):
            raise ValueError(f"{', '.join(repeated)} is there twice")
        return tables

    @field_validator("where", "excluding")
    @classmethod
    def _valued(cls, values: Mapping[str, Values]) -> Mapping[str, Values]:
        for column, allowed in values.items():
            _columns(column)
            if not allowed:
                raise ValueError(f"{column} has no value")
        return values

    @property
    def called(self) -> str:
        """How errors call it."""
        return self._called

    @property
    def counting_hash(self) -> str:
        """16 hex digits of what it says. Another one: stored usage may say something else."""
        return content_hash(self.model_dump(mode="json"))


def mapping(name: str) -> TracksMapping:
    """The preset of that name, else the file of that path.

    A file may begin with `preset: segment`. Its other keys then take the place of the preset's; one without a
    value leaves the preset's out.

    Raises:
        ConfigurationError: there is neither, or the file makes no sense; names the key.
    """
    if name in PRESETS:
        return read_mapping(read_yaml(_FOLDER / f"{name}.yaml"), name)
    path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigurationError(
            f"EXPANSION_TRACKS_MAPPING is {name!r}: neither a file nor one of {_all(PRESETS)}"
        )
    try:
        content = read_yaml(path)
    except ConfigurationError as error:
        raise ConfigurationError(f"mapping {path} cannot be read: {error.__cause__}") from error
    return read_mapping(content, str(path))


def read_mapping(content: Any, called: str) -> TracksMapping:
    """A mapping from a file's content. ConfigurationError names `called` and the key."""
    if not isinstance(content, dict):
        raise ConfigurationError(f"mapping {called}: not a mapping; begin with `tables:` or `preset:`")
    own = {key: value for key, value in content.items() if key != "preset"}
    if "preset" in content:
        if (preset := content["preset"]) not in PRESETS:
            raise ConfigurationError(
                f"mapping {called}: preset: {preset!r} is not known; there are {_all(PRESETS)}"
            )
        own = {**read_yaml(_FOLDER / f"{preset}.yaml"), **own}
    try:
        found = TracksMapping.model_validate({key: value for key, value in own.items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError(f"mapping {called}: {problems_text(error, TracksMapping)}") from error
    found._called = called
    return found


def _all(names: Iterable[str]) -> str:
    return ", ".join(names)
