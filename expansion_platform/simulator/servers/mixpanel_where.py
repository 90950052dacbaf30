"""The expressions of Mixpanel's parameter `where`, as far as the stand-in knows them.

`properties["plan"] == "pro" and not (properties["seats"] in [1, 2])`: comparisons, `in`, and, or, not.

Here: which events an expression keeps. Not here: arithmetic, casts and dates, which it refuses.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

Keeps = Callable[[Mapping[str, Any]], bool]

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, values: value in values,
}
_NAMES = {"true": True, "false": False, "null": None, "undefined": None}


def parse(expression: str) -> Keeps:
    """Whether an event with these properties is kept.

    Mixpanel's operators are spelled and nested as Python's, so Python reads them. Nothing of it is run.

    Raises:
        ValueError: the expression has something else in it.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"bad expression: {error.msg}") from error
    _value(tree, {})  # what is not known is refused before an event is looked at
    return lambda properties: bool(_value(tree, properties))


def _value(node: ast.expr, properties: Mapping[str, Any]) -> Any:
    match node:
        case ast.BoolOp():
            values = [_value(part, properties) for part in node.values]
            return all(values) if isinstance(node.op, ast.And) else any(values)
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, properties)
        case ast.Compare(ops=[comparison], comparators=[right]) if type(comparison) in _COMPARISONS:
            return _compared(
                _COMPARISONS[type(comparison)], _value(node.left, properties), _value(right, properties)
            )
        case ast.Subscript(value=ast.Name(id="properties"), slice=ast.Constant(value=str() as name)):
            return properties.get(name)
        case ast.List():
            return [_value(element, properties) for element in node.elts]
        case ast.Constant(value=str() | int() | float()):
            return node.value
        case ast.Name() if node.id in _NAMES:
            return _NAMES[node.id]
    raise ValueError(f"unknown expression: {ast.unparse(node)}")


def _compared(comparison: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """Values of two kinds, such as a text and a number, are in no order: no event is kept for them."""
    try:
        return bool(comparison(left, right))
    except TypeError:
        return False
