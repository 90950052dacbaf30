"""A configuration file's text and its errors, described so that the person who wrote it finds the line.

See semantics 8.1.

Here: YAML without silent losses, and a model's complaints as sentences with key paths. Not here: what the
keys mean (`catalog/catalog.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from expansion_platform.domain.core.errors import ConfigurationError

# Ten times faster on a catalog of a thousand list prices.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # which base it is shows at run time
    """A safe loader that refuses a key written twice.

    YAML libraries keep the last one without a word.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            name, line = getattr(key, "value", None), key.start_mark.line + 1
            if isinstance(name, str) and name != "<<" and seen.setdefault(name, line) != line:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name} is written twice, in lines {seen[name]} and {line}", None
                )
        return super().construct_mapping(node, deep=deep)


class FileModel(BaseModel):
    """A part of a file that people write: its values never change, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, None when it is empty.

    Raises:
        ConfigurationError: the file cannot be read, is not YAML, or has a key twice.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  a safe loader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def problems_text(error: ValidationError, model: type[BaseModel]) -> str:
    """Every problem with its key path, such as `products.prod_1.tier: unknown; did you mean tier_rank?`."""
    return "; ".join(_problem(problem, model) for problem in error.errors())


def only_known(values: tuple[str, ...], allowed: list[str], what: str) -> tuple[str, ...]:
    """The values, each one of those allowed; ValueError names the others and what is known."""
    unknown = sorted(set(values) - set(allowed))
    if unknown:
        raise ValueError(f"unknown {what} {', '.join(unknown)}; known are {', '.join(allowed)}")
    return values


def _problem(problem: Any, model: type[BaseModel]) -> str:
    path = ".".join(map(str, problem["loc"])) or "the file"
    if problem["type"] != "extra_forbidden":
        return f"{path}: {problem['msg'].removeprefix('Value error, ')}"
    known = list(_model_at(model, problem["loc"][:-1]).model_fields)
    written = str(problem["loc"][-1])
    # The beginning of a name is nearer than its letters: `tier` is tier_rank, not meter.
    near = [
        name for name in known if name.startswith(written) or written.startswith(name)
    ] or get_close_matches(written, known, n=1, cutoff=0.5)
    return (
        f"{path}: unknown; did you mean {near[0]}?"
        if near
        else f"{path}: unknown; known are {', '.join(known)}"
    )


def _model_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that the keys of `path` lead to; ids and positions on the way are passed over."""
    for name in path:
        if isinstance(name, str) and (field := model.model_fields.get(name)) is not None:
            model = next(_models(field.annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
