"""Values as YAML that reads as the same values.

Here: one value on one line. Not here: the files made of them (`file.py`).
"""

from __future__ import annotations

import json
import re

import yaml


def flow(value: object) -> str:
    """A value on one line; JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def scalar(text: str) -> str:
    """Text as YAML: quoted unless it is a plain word that YAML takes for nothing else."""
    plain = re.fullmatch(r"[A-Za-z][\w.-]*", text, re.ASCII) is not None and yaml.safe_load(text) == text
    return text if plain else json.dumps(text, ensure_ascii=True)
