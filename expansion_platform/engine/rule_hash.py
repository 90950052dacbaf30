"""The hash of a rule: a changed rule is a changed input.

Of the code in `domain/` that the rule is made of, and of its SQL.

Here: the import closure of a rule's module inside `domain/`, module by module as syntax trees. Not here:
fingerprints of months (`fingerprints.py`).

Comments, docstrings and descriptions of columns are left out: one hash over all files of `domain/` computed
every month again after a changed comment, and called the restatements it found `code_change`.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from expansion_platform import domain

DOMAIN = domain.__name__
ROOT = Path(domain.__file__).parent
_QUERIES = ("query", "query_arrow")
"""The functions that run a SQL file of `domain/` by its name."""


def rule_hash(*rules: Callable[..., Any]) -> str:
    """One hash over the modules of `domain/` that some functions are made of.

    The SQL files that these run are part of it.
    """
    # Python's own, such as `any`, do not change.
    return _hash_of(tuple(sorted({rule.__module__ for rule in rules} - {any.__module__})))


@cache
def _hash_of(modules: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for name in sorted(closure(modules)):
        digest.update(f"{name} {_code_hash(name)}\n".encode())
    return digest.hexdigest()[:16]


def closure(modules: tuple[str, ...]) -> set[str]:
    """Modules of `domain/`, and everything in it that they import, at the top or inside a function.

    SQL files by their path from `domain/`.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [] if name.endswith(".sql") else _needs(name)
    return found


def _needs(module: str) -> tuple[str, ...]:
    return _read(module).needs


def _code_hash(name: str) -> str:
    return hashlib.sha256(_sql(name).encode()).hexdigest() if name.endswith(".sql") else _read(name).code


def _sql(name: str) -> str:
    """A SQL file without comments and line breaks."""
    return " ".join(re.sub(r"--[^\n]*", "", (ROOT / name).read_text()).split())


class _Module(NamedTuple):
    """What a module imports of `domain/`, the SQL files that it runs, and the hash of its syntax tree."""

    needs: tuple[str, ...]
    code: str


@cache
def _read(module: str) -> _Module:
    """A module, parsed and walked once.

    The 100 modules of all rules take 0.5 s of CPU, three times as long when each question parses them again.
    """
    bare = _Bare(module)
    tree = bare.visit(_tree(module))
    return _Module((*bare.needs, *bare.taken()), hashlib.sha256(ast.dump(tree).encode()).hexdigest())


def _tree(module: str) -> ast.Module:
    path = _path(module)
    if path is None:
        raise ValueError(f"{module} is no module of {DOMAIN}: rules live there")
    return ast.parse(path.read_text())


class _Bare(ast.NodeTransformer):
    """A syntax tree without docstrings, and without the descriptions of columns and checks.

    On the way it notes what the module needs.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self.needs: list[str] = []
        self._packages: dict[str, str] = {}
        """Packages by the name that they have in the module."""
        self._names: list[str] = []
        self._attributes: list[tuple[str, str]] = []

    def taken(self) -> list[str]:
        """The modules of packages that the module takes something of.

        All of one that it hands on as a whole.
        """
        found = []
        for local, package in self._packages.items():
            attributes = [name for of, name in self._attributes if of == local]
            whole = [package] if len(attributes) < self._names.count(local) else []
            found += [*whole, *dict.fromkeys(_origin(package, name) for name in attributes)]
        return found

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        constant = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if constant else self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST | None:
        return None if node.arg == "description" else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST:
        self.needs += [alias.name for alias in node.names if _path(alias.name) is not None]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module and f"{node.module}.".startswith(f"{DOMAIN}."):
            for alias in node.names:
                origin = _origin(node.module, alias.name)
                if _is_package(origin) and origin == f"{node.module}.{alias.name}":
                    self._packages[alias.asname or alias.name] = origin
                else:
                    self.needs.append(origin)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        self._names.append(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name):
            self._attributes.append((node.value.id, node.attr))
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """SQL files that a module runs.

        Calls of `query` by that name (frames have a method of the same name) with the name of a file.
        """
        if isinstance(node.func, ast.Name) and node.func.id in _QUERIES and node.args:
            named = node.args[0]
            if not isinstance(named, ast.Constant) or not isinstance(named.value, str):
                raise TypeError(
                    f"{self.module}, line {node.lineno}: a query is named by a text, so that its file "
                    "belongs to the rule's hash"
                )
            self.needs.append(f"{named.value}.sql")
        return self.generic_visit(node)


@cache
def _origin(module: str, name: str) -> str:
    """The module that a name of another comes from.

    Itself one, or one that a package's `__init__` imports it from, else the other.
    """
    inside = f"{module}.{name}"
    if _path(inside) is not None:
        return inside
    if _is_package(module):
        for node in _tree(module).body:
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and any((alias.asname or alias.name) == name for alias in node.names)
            ):
                return node.module
    return module


def _is_package(module: str) -> bool:
    path = _path(module)
    return path is not None and path.name == "__init__.py"


@cache
def _path(module: str) -> Path | None:
    """The file of a module of `domain/`; None for anything else."""
    if module != DOMAIN and not module.startswith(f"{DOMAIN}."):
        return None
    place = ROOT.joinpath(*module.removeprefix(DOMAIN).strip(".").split(".")) if module != DOMAIN else ROOT
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
