"""An API object against the schema of an SDK class (`simulator/servers/shapes.py`): where it is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from expansion_platform.simulator.servers.shapes import URI, Schema, ShapeError, schema

Problem = tuple[tuple[str, ...], str]
"""Path and text."""


Check = Callable[[Any], Problem | None]


_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def check_shape(item: dict[str, Any], name: str) -> None:
    """Check an API object (as JSON on the wire, expanded or not) against an SDK class.

    Raises:
        ShapeError: with the id, the path and what is wrong there; of several alternatives, what is wrong with
            the one that fits furthest.
    """
    problem = _checker(name)(item)
    if problem is not None:
        path, text = problem
        raise ShapeError(f"{name} {item.get('id', '(no id)')} at ${''.join(path)}: {text}")


@cache
def _checker(name: str) -> Check:
    return _compiled(schema(name))


def _compiled(found: Schema) -> Check:
    """A check of the keywords `schema` uses.

    Closures built once, since a general validator takes 6 ms for an invoice and this 0.2.
    """
    if "$ref" in found:
        name = found["$ref"].removeprefix(URI)
        # Classes refer to each other in circles: compiled when first met.
        return lambda value: _checker(name)(value)
    if "anyOf" in found:
        return _any_check([_compiled(branch) for branch in found["anyOf"]])
    if "enum" in found:
        return lambda value: (
            None if value in found["enum"] else ((), f"{value!r} is not one of {found['enum']}")
        )
    match found.get("type"):
        case None:
            return lambda value: None
        case "object":
            return _object_check(found)
        case "array":
            return _array_check(_compiled(found["items"]))
    return _plain_check(found)


def _plain_check(found: Schema) -> Check:
    accepted = _PYTHON_TYPES[found["type"]]
    pattern = re.compile(found["pattern"]) if "pattern" in found else None

    def check(value: Any) -> Problem | None:
        if type(value) not in accepted:
            return (), f"{value!r} is not of type {found['type']}"
        return (
            None
            if pattern is None or pattern.search(value)
            else ((), f"{value!r} does not match {found['pattern']}")
        )

    return check


def _any_check(branches: list[Check]) -> Check:
    def check(value: Any) -> Problem | None:
        problems = []
        for branch in branches:
            problem = branch(value)
            if problem is None:
                return None
            problems.append(problem)
        return max(problems, key=lambda problem: len(problem[0]))

    return check


def _array_check(element: Check) -> Check:
    def check(value: Any) -> Problem | None:
        if type(value) is not list:
            return (), f"{value!r} is not of type array"
        for number, inner in enumerate(value):
            problem = element(inner)
            if problem is not None:
                return (f"[{number}]", *problem[0]), problem[1]
        return None

    return check


def _object_check(found: Schema) -> Check:
    properties = {key: _compiled(inner) for key, inner in found.get("properties", {}).items()}
    required = frozenset(found.get("required", ()))
    others = found.get("additionalProperties", True)
    other = _compiled(others) if isinstance(others, dict) else None

    def check(value: Any) -> Problem | None:
        if type(value) is not dict:
            return (), f"{value!r} is not of type object"
        if not required <= value.keys():
            return (), f"{', '.join(sorted(required - value.keys()))} missing"
        for key, inner in value.items():
            inner_check = properties.get(key, other)
            if inner_check is not None:
                problem = inner_check(inner)
                if problem is not None:
                    return (f".{key}", *problem[0]), problem[1]
            elif others is False:
                return (), f"{key} unexpected"
        return None

    return check
