"""The shapes of Stripe's objects, as JSON Schemas read from the installed SDK's own class annotations.

Stripe publishes its OpenAPI file on the web only; the `stripe` wheel carries the same facts as annotations,
pinned with it. They are read by AST, one class at a time when first asked for, because importing is not
enough: nested classes and forward references live behind `TYPE_CHECKING`.

Here: schema building. Not here: any object, the check of one, and values: a shape says nothing about numbers.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from expansion_platform.domain.core.errors import ExpansionError

Schema = dict[str, Any]

URI = "stripe:"
# A decimal travels as text; the SDK makes it a Decimal.
_DECIMAL = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}
_PLAIN: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "Decimal": _DECIMAL,
    "Any": {},
}


class ShapeError(ExpansionError):
    """An object that Stripe's API would not send; the text names its class, its id and the path in it."""


@cache
def schema(name: str) -> Schema:
    """JSON Schema (draft 2020-12) of an SDK class such as `Invoice`.

    Also of `InvoiceLineItem` or `billing.CreditBalanceTransaction`.

    Unknown keys are refused, keys not `Optional` required. Other classes are referred to as `stripe:Name`;
    `x-expansionResources` lists the classes an id can be expanded to, as in Stripe's OpenAPI file. `Literal`
    is an enum unless the annotation also allows `str` (Stripe may add values).

    Raises:
        KeyError: the SDK has no such class.
    """
    module, _, class_name = name.rpartition(".")
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower()
    path = _sdk_root().joinpath(*module.split("."), f"_{snake}.py")
    if not path.is_file():
        raise KeyError(f"the stripe SDK has no class {name}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    return _Reader(tree, name).object_schema(node, {})


@cache
def _sdk_root() -> Path:
    spec = importlib.util.find_spec("stripe")  # finds the package without running it
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("stripe")
    return Path(spec.origin).parent


class _Reader:
    """Schemas of the class `name` of one SDK file.

    `classes` maps the file's names of whole classes to their qualified ones.
    """

    def __init__(self, tree: ast.Module, name: str) -> None:
        self.classes = {name.rpartition(".")[2]: name} | {
            alias.asname or alias.name: _qualified(node.module, alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith("stripe.")
            and "params" not in node.module
            for alias in node.names
        }

    def object_schema(self, node: ast.ClassDef, scope: dict[str, ast.ClassDef]) -> Schema:
        """Schema of a class; `scope` holds the classes nested in the classes around it."""
        scope = scope | {child.name: child for child in node.body if isinstance(child, ast.ClassDef)}
        properties: dict[str, Schema] = {}
        required = []
        for statement in node.body:
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            if ast.unparse(statement.annotation).startswith("ClassVar"):
                continue
            key = statement.target.id
            properties[key] = self.type_schema(statement.annotation, scope)
            if not ast.unparse(statement.annotation).startswith("Optional["):
                required.append(key)
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def type_schema(self, node: ast.expr, scope: dict[str, ast.ClassDef]) -> Schema:
        """Schema of one annotation."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            # Quoted: a whole class, even where a nested one bears its name.
            return self.type_schema(ast.parse(node.value, mode="eval").body, {})
        if isinstance(node, ast.Name):
            return self.name_schema(node.id, scope)
        if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
            raise ShapeError(f"an SDK annotation this reader does not know: {ast.unparse(node)}")
        arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        match node.value.id:
            case "Optional":
                return _any_of([self.type_schema(arguments[0], scope), {"type": "null"}])
            case "Union":
                return _any_of([self.type_schema(argument, scope) for argument in arguments])
            case "Literal":
                return {"enum": [ast.literal_eval(argument) for argument in arguments]}
            case "List":
                return {"type": "array", "items": self.type_schema(arguments[0], scope)}
            case "UntypedStripeObject":
                return {"type": "object", "additionalProperties": self.type_schema(arguments[0], scope)}
            case "Dict":
                return {"type": "object", "additionalProperties": self.type_schema(arguments[1], scope)}
            case "ListObject":
                return _list_schema(self.type_schema(arguments[0], scope))
            case "ExpandableField":
                targets = list(_alternatives(self.type_schema(arguments[0], scope)))
                resources = [target["$ref"].removeprefix(URI) for target in targets if "$ref" in target]
                return {"anyOf": [{"type": "string"}, *targets], "x-expansionResources": resources}
        raise ShapeError(f"an SDK annotation this reader does not know: {ast.unparse(node)}")

    def name_schema(self, name: str, scope: dict[str, ast.ClassDef]) -> Schema:
        """Schema of a name: a nested class inline, another class by reference."""
        if name in _PLAIN:
            return _PLAIN[name]
        if name in scope:
            return self.object_schema(scope[name], scope)
        if name == "StripeObject":
            return {"type": "object"}
        if name in self.classes:
            return {"$ref": URI + self.classes[name]}
        raise ShapeError(f"a name in the SDK's annotations this reader does not know: {name}")


def _qualified(module: str, name: str) -> str:
    """`stripe.billing._credit_grant`, `CreditGrant` -> `billing.CreditGrant`."""
    return ".".join([*module.split(".")[1:-1], name])


def _list_schema(items: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {
            "object": {"enum": ["list"]},
            "data": {"type": "array", "items": items},
            "has_more": {"type": "boolean"},
            "url": {"type": "string"},
        },
        "required": ["object", "data", "has_more", "url"],
        "additionalProperties": False,
    }


def _any_of(branches: list[Schema]) -> Schema:
    """One of several; an enum beside plain text is an open enum and becomes text."""
    flat = [inner for branch in branches for inner in _alternatives(branch)]
    if _PLAIN["str"] in flat:
        flat = [branch for branch in flat if "enum" not in branch]
    if len(flat) == 1:
        return flat[0]
    return {"anyOf": flat} | {
        key: value for branch in branches for key, value in branch.items() if key.startswith("x-")
    }


def _alternatives(branch: Schema) -> Iterator[Schema]:
    yield from branch.get("anyOf", [branch])
