"""The monthly digest: to each owner, which of their customers to speak to about more.

Here: the words and blocks of its messages. Not here: whom it names (`domain/signals/candidates.py`), when it
is due (`tables/digest.py`), posting it (`slack.py`).

A customer that should be left alone for now is never named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.alerting.limits import HEADER_LIMIT, SECTION_LIMIT, escape
from expansion_platform.domain.core.wording import counted, money, percent

PER_OWNER = 10
"""Customers named to one owner; their message still fits a phone's screen."""
CONTROL = "control"
NOBODY = "Nobody's customers"
BUYS = {
    "seat": "more seats",
    "usage": "a larger allowance",
    "tier": "a higher plan",
    "cross_sell": "another product",
}
_ADVICE = "Leave out whom you know to be unhappy."
LEAST_SCORE = 40
"""Readiness under which nobody is named: a limit nearly reached, and one sign more, make 40."""


def to_name(rows: pd.DataFrame, capacity: int) -> pd.DataFrame:
    """The candidates that may be spoken to, the first ones by rank, as many as the team can.

    Neither those to leave alone nor the control arm of a programme, nor, where only the readiness score ranks
    them, those under LEAST_SCORE.

    Args:
        rows: of signals/candidates of one month.
        capacity: customers that the team can speak to in a month.
    """
    ready = rows["probability"].notna() | (rows["score"] >= LEAST_SCORE)
    free = rows[ready & ~rows["do_not_push"] & (rows["arm"].fillna("") != CONTROL)]
    return free.sort_values("rank").head(capacity)


def head(
    month: str, named: pd.DataFrame, rows: pd.DataFrame, notes: Sequence[str], links: Mapping[str, str]
) -> dict[str, Any]:
    """The message above those of the owners: {text, blocks}.

    Args:
        month: the month whose close it is about.
        named: `to_name` of the candidates.
        rows: all of them.
        notes: what a reader has to know of the figures.
        links: label -> URL.
    """
    owners = named["owner"].nunique()
    left = int(rows["do_not_push"].sum())
    alone = f" {counted(left, 'customer')} should be left alone for now and are not named." if left else ""
    text = (
        f"Whom to speak to about more, as known when {month} closed: {counted(len(named), 'customer')} of "
        f"{counted(owners, 'owner')}.{alone}"
    )
    blocks = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": f"Expansion candidates: {month}"[:HEADER_LIMIT]},
        },
        _section(escape(text)),
        {"type": "context", "elements": [_markdown(escape(" ".join([*notes, _ADVICE]))[:SECTION_LIMIT])]},
    ]
    if links:
        buttons = [
            {"type": "button", "text": {"type": "plain_text", "text": name}, "url": url}
            for name, url in links.items()
        ]
        blocks.append({"type": "actions", "elements": buttons})
    return {"text": text, "blocks": blocks}


def of_owner(
    owner: str | None, month: str, named: pd.DataFrame, currency: str, shown: Callable[[str], str] = str
) -> dict[str, Any]:
    """The message to one owner: {text, blocks}.

    Args:
        owner: None for customers that nobody owns.
        month: the month whose close it is about.
        named: their rows of `to_name`.
        currency: of the amounts.
        shown: how a customer is named.
    """
    who = NOBODY if owner is None else owner
    text = f"{who}, {month}: {counted(len(named), 'customer')} to speak to about more"
    lines = [
        _line(row, currency, shown(str(row["customer"]))) for row in named.head(PER_OWNER).to_dict("records")
    ]
    if len(named) > PER_OWNER:
        lines.append(f"and {len(named) - PER_OWNER} more in `expansion candidates {month}`")
    blocks = [_section(f"*{escape(text)}*"), *(_section(line[:SECTION_LIMIT]) for line in lines)]
    return {"text": text, "blocks": blocks}


def _line(row: Mapping[Any, Any], currency: str, customer: str) -> str:
    likely = (
        f"readiness {row['score']} of 100"
        if pd.isna(row["probability"])
        else f"{percent(Fraction(row['probability']), 0)} likely within three months"
    )
    facts = [f"MRR {money(int(row['mrr']), currency)}", likely]
    if pd.notna(row["expected_value"]):
        facts.append(f"worth {money(int(row['expected_value']), currency)} on average")
    if pd.notna(row["suggested_type"]):
        facts.append(f"perhaps {BUYS[row['suggested_type']]}")
    touched = "" if pd.isna(row["last_touch"]) else f" Last touch {row['last_touch']}."
    reasons = "; ".join(json.loads(row["reasons_json"])) or "no single reason stands out"
    return (
        escape(f"{row['rank']}. ")
        + f"*{escape(customer)}*: "
        + escape(f"{', '.join(facts)}.\nWhy: {reasons}.{touched}")
    )


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(text)}


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}
