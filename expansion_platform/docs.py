"""Documents made from the code, so that they cannot say anything else: `make docs` writes them.

Here: the data dictionary from the Pandera models; the list of identities; the settings page's table and
`.env.example` from the settings class. Not here: what people write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandera.pandas as pa
from pydantic import SecretStr

from expansion_platform.domain import identities
from expansion_platform.domain.core.table import Table, arrow_schema, columns, key, partitioned_by
from expansion_platform.domain.tables import TABLES
from expansion_platform.settings import Settings

SETTINGS_BEGIN, SETTINGS_END = "<!-- settings: made by `make docs` -->\n", "<!-- end of settings -->"
_BOUNDS = {
    "greater_than": lambda check: f"> {check['min_value']}",
    "greater_than_or_equal_to": lambda check: f">= {check['min_value']}",
    "less_than_or_equal_to": lambda check: f"<= {check['max_value']}",
    "not_equal_to": lambda check: f"not {check['value']}",
    "isin": lambda check: "one of " + ", ".join(f"`{value}`" for value in check["allowed_values"]),
    "str_matches": lambda check: f"matches `{check['pattern']}`",
}
_TYPES = {"string": "text", "timestamp[us, tz=UTC]": "timestamp, UTC"}


def dictionary() -> str:
    """Every table with its grain, key and columns, as markdown (`docs/data-dictionary.md`)."""
    lines = [
        "# Data dictionary",
        "",
        "Made from the models in `expansion_platform/domain/*/tables` by `make docs`; change it there. "
        "`expansion dictionary` prints it,",
        'and `expansion sql "select * from mrr.movements limit 5"` reads any of these tables.',
        "",
        "Money is whole minor units (cents) of a named currency. Rates, unit prices and quantities are "
        "decimal text. Instants are UTC.",
        '"Semantics" is [semantics.md](semantics.md). Every value is checked against its model before a '
        "row is written.",
    ]
    floor = ""
    for name, model in TABLES.items():
        if not name.startswith(f"{floor}/"):
            floor = name.split("/")[0]
            lines += ["", f"## {floor}"]
        lines += ["", f"### {name.replace('/', '.')}", "", *_table(model)]
    return "\n".join(lines) + "\n"


def settings_table() -> str:
    """Every setting as a markdown table."""
    lines = ["| variable | default | what it is |", "|---|---|---|"]
    for name, default, text in _settings():
        lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {_cell(text)} |")
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """Every setting with its default, commented out (`.env.example`)."""
    lines = [
        "# Copy to .env and fill in what you need; every line is optional for `make demo`. Made by "
        "`make docs`."
    ]
    for name, default, text in _settings():
        lines += ["", f"# {text}", f"#{name}={default}"]
    return "\n".join(lines) + "\n"


def with_settings(page: str) -> str:
    """The settings page with its table as it is now."""
    pattern = re.compile(re.escape(SETTINGS_BEGIN) + ".*?" + re.escape(SETTINGS_END), re.DOTALL)
    return pattern.sub(lambda _: SETTINGS_BEGIN + settings_table() + SETTINGS_END, page)


def generated(root: Path) -> dict[Path, str]:
    """Path -> content of every document made here."""
    settings = root / "docs" / "settings.md"
    return {
        root / "docs" / "data-dictionary.md": dictionary(),
        root / "docs" / "identities.md": identities.document(),
        root / ".env.example": env_example(),
        settings: with_settings(settings.read_text(encoding="utf-8")),
    }


def _table(model: type[Table]) -> Iterator[str]:
    yield inspect.cleandoc(model.__doc__ or "")
    yield ""
    month = partitioned_by(model)
    yield (
        f"Key: {', '.join(f'`{name}`' for name in key(model))}. "
        f"{'One partition a month.' if month else 'Not partitioned.'}"
    )
    yield ""
    yield "| column | type | null | meaning | allowed |"
    yield "|---|---|---|---|---|"
    types = {field.name: str(field.type) for field in arrow_schema(model)}
    checked = model.to_schema().columns
    for name, column in columns(model).items():
        kind = _TYPES.get(types[name], types[name])
        yield (
            f"| `{name}` | {kind} | {'yes' if column.nullable else ''} | {_cell(column.description or '')} "
            f"| {_cell(_allowed(checked[name]))} |"
        )
    if rules := [check.description for check in model.to_schema().checks]:
        yield ""
        yield f"Holds in every row: {'; '.join(rules)}."


def _allowed(column: pa.Column) -> str:
    return ", ".join(_BOUNDS[check.name](check.statistics) for check in column.checks)


def _settings() -> Iterator[tuple[str, str, str]]:
    for name, field in Settings.model_fields.items():
        yield name.upper(), _default(field.default), field.description or ""


def _default(value: Any) -> str:
    return (
        ""
        if value is None or isinstance(value, SecretStr)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Writes the documents into the repository this package lies in."""
    for path, content in generated(Path(__file__).parents[1]).items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
