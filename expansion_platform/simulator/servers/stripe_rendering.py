"""How Stripe shows an object: what `expand` adds, and what is left out until asked for.

Here: checking `expand` paths against the SDK's shapes, and rendering. Not here: HTTP, lists, and the objects
themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from expansion_platform.simulator.servers import shapes

Expansion = dict[str, "Expansion"]
"""Expanded properties as a tree: `discounts.source.coupon` is {"discounts": {"source": {"coupon": {}}}}."""

MAX_LEVELS = 4
EMBEDDED_OBJECTS = 10

# Left out of an object unless expanded.
_INCLUDED_ON_REQUEST: dict[str, frozenset[str]] = {
    "price": frozenset({"tiers", "currency_options"}),
    "plan": frozenset({"tiers"}),
    "coupon": frozenset({"applies_to", "currency_options"}),
}
_INCLUDABLE = {
    "Price": _INCLUDED_ON_REQUEST["price"],
    "Plan": _INCLUDED_ON_REQUEST["plan"],
    "Coupon": _INCLUDED_ON_REQUEST["coupon"],
}
# Objects always embedded in others: they are rendered too, and the lists among them cut.
_EMBEDDED: dict[str, tuple[str, ...]] = {
    "subscription": ("items",),
    "subscription_item": ("price", "plan"),
    "invoice": ("lines",),
    "credit_note": ("lines",),
    "list": ("data",),
}


_MAPS = {"currency_options": ("tiers",)}
"""Properties that are maps by currency, and what is left out of each of their values unless it is expanded by
that currency's name.
"""


def expansion(paths: Iterable[str], sdk_class: str, *, in_list: bool) -> Expansion:
    """The tree of the `expand` paths of a request for objects of an SDK class.

    In a list every path begins with `data.`.

    Raises:
        ValueError: with Stripe's message, for a path of more than four levels (`data` counts) or one that
            cannot be expanded.
    """
    tree: Expansion = {}
    if isinstance(paths, str):
        raise ValueError("Invalid array")
    for path in paths:
        segments = path.split(".")
        if len(segments) > MAX_LEVELS:
            raise ValueError(
                f"You cannot expand more than {MAX_LEVELS} levels of a property. Property: {path}"
            )
        if in_list and segments[0] != "data":
            raise ValueError(
                f"This property cannot be expanded ({path}). You may want to try expanding "
                f"'data.{path}' instead."
            )
        inner = segments[1:] if in_list else segments
        if len(inner) == 2 and inner[0] in _MAPS:  # accepted and ignored
            inner = inner[:1]
        if not inner or not _expandable(sdk_class, shapes.schema(sdk_class), inner):
            raise ValueError(f"This property cannot be expanded ({path}).")
        branch = tree
        for segment in inner:
            branch = branch.setdefault(segment, {})
    return tree


def _expandable(sdk_class: str | None, schema: shapes.Schema, segments: list[str]) -> bool:
    """Whether the path leads to something that is an id, or is missing, until expanded."""
    found = schema.get("properties", {}).get(segments[0])
    if found is None:
        return False
    branches = list(_branches(found))
    if len(segments) == 1:
        return any("x-expansionResources" in branch for branch in branches) or segments[0] in _INCLUDABLE.get(
            sdk_class or "", ()
        )
    for branch in branches:
        for name in [
            *branch.get("x-expansionResources", ()),
            *([branch["$ref"].removeprefix("stripe:")] if "$ref" in branch else ()),
        ]:
            if _expandable(name, shapes.schema(name), segments[1:]):
                return True
        if "properties" in branch and _expandable(None, branch, segments[1:]):
            return True
        if segments[0] in _MAPS and len(segments) == 3 and segments[2] in _MAPS[segments[0]]:
            return True
    return False


def _branches(schema: shapes.Schema) -> Iterator[shapes.Schema]:
    """A property's alternatives, and those of a list's elements."""
    yield schema
    for branch in schema.get("anyOf", ()):
        yield from _branches(branch)
    if "items" in schema:
        yield from _branches(schema["items"])


def render(value: Any, tree: Expansion, by_id: Mapping[str, dict[str, Any]]) -> Any:
    """An object (or a list, or the id of one) as the API shows it.

    Ids the account does not hold stay ids, as those of its charges do.
    """
    if isinstance(value, str):
        found = by_id.get(value)
        return value if found is None else render(found, tree, by_id)
    if isinstance(value, list):
        return [render(element, tree, by_id) for element in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("object", "")
    hidden = _INCLUDED_ON_REQUEST.get(kind, frozenset()) - tree.keys()
    shown = {key: content for key, content in value.items() if key not in hidden}
    embedded = _EMBEDDED.get(kind, ())
    if kind == "list":
        shown["data"] = value["data"][:EMBEDDED_OBJECTS]
        shown["has_more"] = len(value["data"]) > EMBEDDED_OBJECTS
    for key in (*tree, *(key for key in embedded if key not in tree)):
        content = shown.get(key)
        if key in _MAPS and isinstance(content, dict):
            shown[key] = {
                name: _in_map(option, _MAPS[key], tree.get(key, {}).get(name, {}))
                for name, option in content.items()
            }
        elif content is not None and (key in tree or not isinstance(content, str)):
            shown[key] = render(content, tree.get(key, {}), by_id)
    return shown


def _in_map(option: dict[str, Any], on_request: Iterable[str], tree: Expansion) -> dict[str, Any]:
    """A value of a map by currency. Expanding `currency_options.tiers` is no error, and does nothing."""
    return {key: content for key, content in option.items() if key not in on_request or key in tree}
