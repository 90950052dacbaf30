"""All declarations: each monthly table has one, data goes up, rules live in `domain/`, identities and plots
name tables that are theirs.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from expansion_platform.domain.core.table import columns, partitioned_by, table_name
from expansion_platform.domain.metrics import audits
from expansion_platform.domain.tables import TABLES
from expansion_platform.engine.declaration import Declaration
from expansion_platform.engine.rule_hash import DOMAIN, ROOT, closure
from expansion_platform.tables.declarations import DECLARATIONS
from expansion_platform.tables.first_reported import FIRST_REPORTED

TABLE_MODULES = Path(__file__).parents[2] / "expansion_platform" / "tables"
FLOORS = {"analytics": 0, "crm": 0, "stripe": 0, "billing": 1, "mrr": 2, "metrics": 3, "signals": 3}
every = pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda declaration: declaration.name)


def test_every_monthly_table_has_one_declaration() -> None:
    monthly = {name for name, model in TABLES.items() if partitioned_by(model) is not None}
    assert Counter(table_name(model) for each in DECLARATIONS for model in each.models) == Counter(monthly)


def test_data_goes_up() -> None:
    """No table reads one of a floor above it, or, over others, itself."""
    made_by = {model: each for each in DECLARATIONS for model in each.models}
    below: dict[str, set[str]] = {
        each.name: {made_by[model].name for model in each.inputs if model in made_by} for each in DECLARATIONS
    }
    for each in DECLARATIONS:
        top = max(FLOORS[table_name(model).split("/")[0]] for model in each.models)
        assert all(FLOORS[table_name(model).split("/")[0]] <= top for model in each.inputs), each.name
    while below:
        ready = [name for name, needs in below.items() if not needs & below.keys()]
        assert ready, f"in a circle: {sorted(below)}"
        below = {name: needs for name, needs in below.items() if name not in ready}


@every
def test_a_rule_is_a_function_of_domain(declaration: Declaration) -> None:
    rules = [declaration.rule, *(digest.rule for digest in declaration.digests)]
    if declaration is not FIRST_REPORTED:
        assert all(rule.__module__.startswith(f"{DOMAIN}.") for rule in rules)


@every
def test_what_is_declared_exists(declaration: Declaration) -> None:
    assert len({use.name for use in declaration.uses}) == len(declaration.uses)
    for read in (*declaration.needed, *declaration.plot_reads):
        known = columns(read.model)
        assert set(read.columns or ()) <= known.keys(), table_name(read.model)
        assert set(read.coded) <= set(read.columns or known), table_name(read.model)
    for identity in declaration.identities:
        assert identity.model in declaration.models
    assert len({(identity.model, identity.check) for identity in declaration.identities}) == len(
        declaration.identities
    )


def test_every_query_belongs_to_a_rule() -> None:
    """A file of SQL that no rule's hash has in it could change without anything being computed again; what
    only compares or is plotted, may.
    """
    modules = {
        rule.__module__
        for each in DECLARATIONS
        for rule in (each.rule, *(digest.rule for digest in each.digests))
    } | {audits.__name__}
    found = {
        name
        for name in closure(tuple(sorted(name for name in modules if name.startswith(DOMAIN))))
        if name.endswith(".sql")
    }
    plotted = {
        name
        for path in TABLE_MODULES.glob("*.py")
        for name in re.findall(r'query\("(\w+/\w+)"', path.read_text())
    }
    found |= {f"{name}.sql" for name in plotted}
    assert found == {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.sql")}


def test_a_declaration_is_short() -> None:
    """A new monthly table costs a model, a rule, and a declaration of about 15 lines."""
    sizes = []
    for path in sorted(TABLE_MODULES.glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Call)
                and getattr(node.value.func, "id", "") == "Declaration"
            ):
                sizes.append((node.end_lineno or 0) - node.lineno + 1)
    assert len(sizes) == len(DECLARATIONS)
    assert sorted(sizes)[len(sizes) // 2] <= 20
