"""Kinds of values in Stripe's objects: what a value of each has to be, and what stands for one that is not.

Here: reading a value of any JSON type without ever failing. Not here: which object has which fields
(`shapes.py`), and what a value means: a word that Stripe may add to (a status, an interval, a behaviour)
passes as text, and the domain judges it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from expansion_platform.domain.core import canonical

LAST_MOMENT = 7_258_118_400
"""The year 2200: later instants are no dates of a subscription, and nanoseconds end in 2262."""
NO_CURRENCY = "xxx"
"""ISO 4217 for no currency."""
_DIGITS, _PLACES = 18, 40
_SHOWN = 40
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_CURRENCY = re.compile(r"[a-z]{3}")


class UnreadError(ValueError):
    """A value that is not what its field holds; the text follows on the field's name."""


class Kind:
    """What a value has to be; `blank` stands for one that is needed and is not there."""

    blank: Any = None

    def read(self, value: Any, wrong: list[str]) -> Any:
        """The value as the mappings take it; problems of its parts go to `wrong`.

        Raises:
            UnreadError: It is none.
        """
        raise NotImplementedError


class Text(Kind):
    """Text that is not empty: an id, or a word nobody judges."""

    blank = ""

    def read(self, value: Any, wrong: list[str]) -> str:
        """See `Kind`."""
        if not is_text(value) or not value:
            raise UnreadError(" is no text")
        return str(value)


class Label(Kind):
    """Text that only people read: anything else is none, and nothing is wrong."""

    def read(self, value: Any, wrong: list[str]) -> str | None:
        """See `Kind`."""
        return str(value) if is_text(value) and value else None


class Word(Kind):
    """A word of a vocabulary; whatever else comes passes as its JSON text, which no vocabulary has."""

    blank = ""

    def read(self, value: Any, wrong: list[str]) -> str:
        """See `Kind`."""
        return str(value) if is_text(value) else json.dumps(value, default=str)[:_SHOWN]


class Currency(Kind):
    """Three letters, in lower case."""

    blank = NO_CURRENCY

    def read(self, value: Any, wrong: list[str]) -> str:
        """See `Kind`."""
        if not isinstance(value, str) or not _CURRENCY.fullmatch(value.lower()) or not value.isascii():
            raise UnreadError(f" is no currency{shown(value)}")
        return value.lower()


class Number(Kind):
    """A decimal number, as Stripe writes quantities, percentages and unit amounts: text, or a JSON number.

    It is read as canonical decimal text.
    """

    def read(self, value: Any, wrong: list[str]) -> str:
        """See `Kind`."""
        found = exact(value)
        if found is None:
            raise UnreadError(f" is no number{shown(value)}")
        return canonical.decimal_text(found)


class Whole(Kind):
    """A whole number of 64 bits: an amount in minor units, a count."""

    blank = 0

    def __init__(self, least: int = -(2**63)) -> None:
        self._least = least

    def read(self, value: Any, wrong: list[str]) -> int:
        """See `Kind`."""
        found = exact(value) if isinstance(value, int | Decimal) else None
        if found is None or found != found.to_integral_value() or not self._least <= found < 2**63:
            raise UnreadError(
                " is no whole "
                f"number{f' of at least {self._least}' if self._least >= 0 else ''}{shown(value)}"
            )
        return int(found)


class Moment(Whole):
    """An instant, in whole seconds since 1970."""

    def __init__(self) -> None:
        super().__init__(0)

    def read(self, value: Any, wrong: list[str]) -> int:
        """See `Kind`."""
        try:
            found = super().read(value, wrong)
        except UnreadError:
            found = LAST_MOMENT
        if found >= LAST_MOMENT:
            raise UnreadError(f" is no instant{shown(value)}")
        return found


class Flag(Kind):
    """True or false."""

    blank = False

    def read(self, value: Any, wrong: list[str]) -> bool:
        """See `Kind`."""
        if not isinstance(value, bool):
            raise UnreadError(f" is neither true nor false{shown(value)}")
        return value


class Metadata(Kind):
    """The account's own keys.

    Stripe's values are text; what else a warehouse may hold is kept as its JSON text.
    """

    def read(self, value: Any, wrong: list[str]) -> dict[str, str]:
        """See `Kind`."""
        if not isinstance(value, Mapping):
            raise UnreadError(" is no object")
        texts = {
            str(name): given if isinstance(given, str) else json.dumps(given, default=str)
            for name, given in value.items()
            if given is not None
        }
        return {name: text for name, text in texts.items() if is_text(text)}


class Needed:
    """A field without which the object cannot be read."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind


class Found(dict[str, Any]):
    """The fields of an object that were read.

    Asking for one that is not declared is a mistake of the code, never of the data.
    """

    declared: frozenset[str] = frozenset()

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a declared field, the default where the object does not have it."""
        if name not in self.declared:
            raise TypeError(
                f"the field {name} is not declared: add it to its shape in sources/stripe/shapes.py"
            )
        return super().get(name, default)


class Fields(Kind):
    """An object with the fields declared; of those it does not have, only needed ones get a value.

    `loose`: what is wrong in it is not said.
    """

    def __init__(self, fields: Mapping[str, Kind | Needed], *, loose: bool = False) -> None:
        self.fields = {name: kind.kind if isinstance(kind, Needed) else kind for name, kind in fields.items()}
        self.needed = frozenset(name for name, kind in fields.items() if isinstance(kind, Needed))
        self._declared = frozenset(self.fields)
        self._loose = loose
        self.blank = self._found({name: self.fields[name].blank for name in self.needed})

    def read(self, value: Any, wrong: list[str]) -> Found | None:
        """See `Kind`."""
        if not isinstance(value, Mapping):
            if self._loose:
                return None
            raise UnreadError(" is no object")
        return self.read_fields(value, [] if self._loose else wrong)

    def read_fields(self, value: Mapping[str, Any], wrong: list[str]) -> Found:
        """The declared fields of an object, whatever they hold."""
        found = self._found({})
        for name, kind in self.fields.items():
            given = value.get(name)
            if given is None:
                if name in self.needed:
                    found[name] = kind.blank
                    if not isinstance(kind, Word):  # an empty word is one no vocabulary has
                        wrong.append(f"{name} is missing")
                elif name in value:
                    found[name] = None
                continue
            before = len(wrong)
            try:
                found[name] = kind.read(given, wrong)
            except UnreadError as error:
                wrong.append(str(error))
                found[name] = kind.blank if name in self.needed else None
            if len(wrong) > before:
                wrong[before:] = [_under(name, text) for text in wrong[before:]]
        return found

    def _found(self, values: dict[str, Any]) -> Found:
        found = Found(values)
        found.declared = self._declared
        return found


class ListOf(Kind):
    """A list, of one element or more where it is `filled`; what is no element of it is left out."""

    blank: Any = ()

    def __init__(self, kind: Kind, *, filled: bool = False) -> None:
        self.kind = kind
        self.filled = filled

    def read(self, value: Any, wrong: list[str]) -> list[Any]:
        """See `Kind`."""
        if not isinstance(value, list | tuple):
            raise UnreadError(" is no list")
        if self.filled and not value:
            raise UnreadError(" is empty")
        found = []
        for place, each in enumerate(value):
            before = len(wrong)
            try:
                found.append(self.kind.read(each, wrong))
            except UnreadError as error:
                wrong.append(str(error))
            wrong[before:] = [_under(f"[{place}]", text) for text in wrong[before:]]
        return found


_CODE = Currency()


class ByCurrency(Kind):
    """An object whose keys are currencies."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def read(self, value: Any, wrong: list[str]) -> dict[str, Any]:
        """See `Kind`."""
        if not isinstance(value, Mapping):
            raise UnreadError(" is no object")
        named = {_CODE.read(name, wrong): each for name, each in value.items()}
        return Fields({name: Needed(self.kind) for name in named}).read_fields(named, wrong)


_ID = Text()
_BY_ID = Fields({"id": Needed(_ID)})


class Reference(Kind):
    """An id, or the object in its place: read as the id."""

    blank = ""

    def read(self, value: Any, wrong: list[str]) -> Any:
        """See `Kind`."""
        return (
            _BY_ID.read_fields(value, wrong)["id"] if isinstance(value, Mapping) else _ID.read(value, wrong)
        )


class Expanded(Fields):
    """An object, or its id alone: read as the object. `partial`: some of its fields, and maybe not the id."""

    def __init__(self, fields: Mapping[str, Kind | Needed], *, partial: bool = False) -> None:
        super().__init__({**fields, "id": Text() if partial else Needed(Text())})

    def read(self, value: Any, wrong: list[str]) -> Found:
        """See `Kind`."""
        return self.read_fields(value if isinstance(value, Mapping) else {"id": value}, wrong)


class Anything(Kind):
    """An object that is read later, when it is known what it is."""

    blank: Any = MappingProxyType({})

    def read(self, value: Any, wrong: list[str]) -> Mapping[str, Any]:
        """See `Kind`."""
        if not isinstance(value, Mapping):
            raise UnreadError(" is no object")
        return value


class Discount(Fields):
    """A discount with its coupon, in `source` or, in older versions, beside it.

    One of which anything cannot be read is none.
    """

    def read_fields(self, value: Mapping[str, Any], wrong: list[str]) -> Found:
        """See `Fields`."""
        before = len(wrong)
        found = super().read_fields(value, wrong)
        if not (found.get("source") or {}).get("coupon") and not found.get("coupon"):
            wrong.append("coupon is missing")
        if len(wrong) > before:
            raise UnreadError(wrong.pop() if len(wrong) == before + 1 else " cannot be read")
        return found


class IdOr(Kind):
    """An id, or an object of another kind in its place; each stays what it is."""

    def __init__(self, kind: Fields) -> None:
        self.kind = kind

    def read(self, value: Any, wrong: list[str]) -> Any:
        """See `Kind`."""
        return self.kind.read_fields(value, wrong) if isinstance(value, Mapping) else _ID.read(value, wrong)


class Embedded(Kind):
    """Objects of an embedded list that become rows of their own: they are read one by one, later.

    The list has to be whole.
    """

    blank: Any = MappingProxyType({"data": ()})

    def read(self, value: Any, wrong: list[str]) -> Mapping[str, Any]:
        """See `Kind`."""
        data = value.get("data") if isinstance(value, Mapping) else None
        if not isinstance(data, list | tuple) or not all(isinstance(each, Mapping) for each in data):
            raise UnreadError(" is no list of objects")
        if value.get("has_more"):
            raise UnreadError(" is cut off")
        return {"data": data}


def exact(value: Any) -> Decimal | None:
    """A number in text of ASCII digits, or a JSON number, exactly.

    None for anything else, and for one longer than any amount.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    # Its shortest decimal form, which is the number that was written.
    value = Decimal(repr(value)) if isinstance(value, float) else value
    if isinstance(value, str) and (len(value) > _DIGITS + _PLACES or not _NUMBER.fullmatch(value)):
        return None
    if isinstance(value, int) and abs(value) >= 2**64:
        return None
    found = Decimal(value)
    exponent = found.as_tuple().exponent
    return (
        found
        if isinstance(exponent, int) and exponent >= -_PLACES and found.adjusted() < _DIGITS + 1
        else None
    )


def is_text(value: Any) -> bool:
    """Whether a value is text that every store takes: no lone surrogates, no NUL."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return "\0" not in value
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value)


def _under(name: str, text: str) -> str:
    return f"{name}{text}" if text[0] in " [" else f"{name}.{text}"


def shown(value: Any) -> str:
    """A short value of a field that never holds anything personal, to find it by."""
    text = json.dumps(value, default=str) if isinstance(value, int | str | Decimal) else ""
    return f" ({text})" if 0 < len(text) <= _SHOWN else ""
