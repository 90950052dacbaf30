"""The open month in words: for the command line, and for the notice that it is behind.

Here: pure functions from rows of metrics/pace to text and blocks. Not here: the figures
(`domain/metrics/pace.py`), posting (`alerting/slack.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.alerting.limits import HEADER_LIMIT, escape
from expansion_platform.domain.core.wording import counted, money, percent
from expansion_platform.domain.mrr.vocabulary import FLOWS

Row = Mapping[Any, Any]


def open_month(rows: Sequence[Row], currency: str) -> Iterator[str]:
    """Lines about the open month, the total first.

    Each says that it is provisional, or follows one that does.
    """
    total = next(row for row in rows if row["dimension"] == "total")
    yield (
        f"{total['month']}, provisional: open, read up to {_instant(total)} (day {total['day']}); usage "
        "counts as last month's until the month ends"
    )
    yield f"- {_bridge(total, currency)}"
    yield f"- {standing(total, currency)}"
    for row in rows:
        if row["dimension"] != "total" and row["behind"]:
            yield f"- {standing(row, currency)}"


def standing(row: Row, currency: str) -> str:
    """How far expansion is, beside the pace of past months and what the target asks for."""
    scope = "" if row["dimension"] == "total" else f" of {row['value']}"
    so_far = f"Expansion{scope} so far: {money(row['expansion'], currency)}"
    if row["share_median"] is None:
        return (
            f"{so_far}; {counted(row['months_compared'], 'month')} before it had expansion, too few for a "
            "pace."
        )
    median, lower, upper = (
        percent(Fraction(row[name]), 0) for name in ("share_median", "share_lower", "share_upper")
    )
    usual = (
        f"by this day {row['months_compared']} months before had made {median} of theirs in the median, "
        f"{lower} to {upper} in the middle half"
    )
    if row["target"] is None:
        return f"{so_far}; {usual}."
    asked = (
        f"At the pace of the slowest tenth, a target of {percent(Fraction(row['target']))} asks for "
        f"{money(row['due'], currency)} by now"
    )
    return (
        f"{so_far}; {usual}. "
        f"{asked}{'' if row['behind'] is None else ': behind' if row['behind'] else ': on its way'}."
    )


def pace_message(row: Row, currency: str, closes: pd.Timestamp, links: Mapping[str, str]) -> dict[str, Any]:
    """The one notice that an open month is behind: {text, blocks}."""
    scope = "" if row["dimension"] == "total" else f" ({row['value']})"
    title = f"Expansion behind pace{scope} in {row['month']}, provisional"
    text = f"{title}: {standing(row, currency)}"
    shown = [
        ("Expansion so far", money(row["expansion"], currency)),
        ("Due by now", money(row["due"], currency)),
        ("Target of the month", f"{percent(Fraction(row['target']))} of {money(row['opening'], currency)}"),
        (
            "Share reached by this day",
            f"{percent(Fraction(row['share_median']), 0)} in the median of {row['months_compared']} months",
        ),
    ]
    context = (
        f"Provisional: read up to {_instant(row)}, usage counts as last month's. No rule has fired; the "
        f"month is judged when it closes on {closes.strftime('%Y-%m-%d')}. One month in ten that meets "
        "its target is as slow."
    )
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": f"Info: {title}"[:HEADER_LIMIT]}},
        {"type": "section", "text": {"type": "mrkdwn", "text": escape(text)}},
        {
            "type": "section",
            "fields": [{"type": "mrkdwn", "text": f"*{name}*\n{value}"} for name, value in shown],
        },
        {"type": "context", "elements": [{"type": "mrkdwn", "text": f"{_bridge(row, currency)} {context}"}]},
    ]
    if links:
        buttons = [
            {"type": "button", "text": {"type": "plain_text", "text": name}, "url": url}
            for name, url in links.items()
        ]
        blocks.append({"type": "actions", "elements": buttons})
    return {"text": text, "blocks": blocks}


def _bridge(row: Row, currency: str) -> str:
    moved = ", ".join(f"{name} {money(row[name], currency)}" for name in FLOWS if row[name])
    scope = "" if row["dimension"] == "total" else f" of {row['value']}"
    return (
        f"MRR{scope} {money(row['opening'], currency)} at the month's opening, "
        f"{money(row['closing'], currency)} now: {moved or 'nothing moved'}."
    )


def _instant(row: Row) -> str:
    return pd.Timestamp(row["read_until"]).strftime("%Y-%m-%d %H:%M UTC")
