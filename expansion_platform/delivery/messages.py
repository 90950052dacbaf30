"""The words and blocks of an alert, as Slack's Block Kit takes them.

Here: pure functions from a finding to {text, blocks}. Not here: posting (`slack.py`), the finding itself (`domain/detection.py`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.domain.detection import Drop
from expansion_platform.domain.money import exponent

HEADER_LIMIT = 150  # Slack's limits: longer text is refused with msg_blocks_too_long or invalid_blocks
SECTION_LIMIT = 3000


def money(minor: int, currency: str) -> str:
    """1234567 usd -> `12,345.67 USD`."""
    places = exponent(currency)
    sign, digits = ("-" if minor < 0 else ""), f"{abs(minor):0{places + 1}d}"
    whole, part = (digits[:-places], digits[-places:]) if places else (digits, "")
    return f"{sign}{int(whole):,}{'.' + part if part else ''} {currency.upper()}"


def percent(ratio: Fraction, places: int = 2) -> str:
    """1/70 -> `1.43 %`, rounded half to even."""
    scaled = round(ratio * 100 * 10**places)
    digits = f"{abs(scaled):0{places + 1}d}"
    return f"{'-' if scaled < 0 else ''}{digits[:-places]}.{digits[-places:]} %"


def escape(text: str) -> str:
    """Slack's three control characters; without it a customer named <!channel> would page everyone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def expansion_drop(
    drop: Drop,
    *,
    currency: str,
    sums: pd.DataFrame,
    baseline_sums: pd.DataFrame,
    retention: dict[str, str | None],
    links: dict[str, str],
    hashes: str,
) -> dict[str, Any]:
    """The message of a fallen expansion rate.

    Args:
        drop: the finding.
        currency: reporting currency.
        sums: slice sums of the month (`sql/slice_sums.sql`).
        baseline_sums: slice sums of the baseline months.
        retention: ratio text of `nrr` and `grr` of the month.
        links: label -> URL of the buttons.
        hashes: policy and catalog hashes, for the context line.
    """
    fallen = percent(-drop.change, 1)
    headline = f"Expansion rate fell by {fallen} in {drop.month}"
    text = (
        f"{headline}: {percent(drop.rate)} of opening MRR against {percent(drop.baseline)} on average over the "
        f"{len(drop.baseline_months)} months before. That is {money(drop.shortfall, currency)} of expansion MRR missing."
    )
    fields = [
        ("Expansion rate", f"{percent(drop.rate)} (was {percent(drop.baseline)})"),
        ("Change", f"{percent(drop.rate - drop.baseline)[:-2]} points, {percent(drop.change, 1)}"),
        ("Expansion MRR", money(drop.expansion, currency)),
        ("Opening MRR", money(drop.opening, currency)),
        ("Missing against the baseline", money(drop.shortfall, currency)),
        ("NRR / GRR", f"{_ratio(retention.get('nrr'))} / {_ratio(retention.get('grr'))}"),
    ]
    total, before = _slice(sums, "total", "all"), _slice(baseline_sums, "total", "all")
    types = _drivers({name: (int(total[f"expansion_{name}"]), int(before[f"expansion_{name}"])) for name in _TYPES}, drop, before, currency)
    segments = _segment_drivers(sums, baseline_sums, drop)
    moved = ", ".join(f"{name} {money(int(total[column]), currency)}" for name, column in _ALSO.items())
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": headline[:HEADER_LIMIT]}},
        {"type": "section", "text": _markdown(text)},
        {"type": "section", "fields": [_markdown(f"*{name}*\n{value}") for name, value in fields]},
        {"type": "section", "text": _markdown(f"*By type, against the baseline's average rate*\n{types}")},
        {"type": "section", "text": _markdown(f"*By segment, own rate*\n{segments}")},
        {"type": "section", "text": _markdown(f"*What else moved*\n{moved}")},
        {
            "type": "context",
            "elements": [
                _markdown(
                    f"{int(total['members'])} customers, {int(total['expanders'])} expanded. {escape(hashes)}. {_limits(int(total['members']))}"
                )
            ],
        },
    ]
    if links:
        blocks.append(
            {
                "type": "actions",
                "elements": [{"type": "button", "text": {"type": "plain_text", "text": name}, "url": url} for name, url in links.items()],
            }
        )
    return {"text": text, "blocks": blocks}


_TYPES = ["seat", "tier", "usage", "cross_sell", "addon"]
_ALSO = {"price": "price", "discount": "discount", "contraction": "contraction", "churn": "churn", "new": "new"}


def _drivers(values: dict[str, tuple[int, int]], drop: Drop, before: pd.Series, currency: str) -> str:
    base = int(before["opening"])
    lines = []
    for name, (now, then) in values.items():
        rate, was = Fraction(now, drop.opening), Fraction(then, base) if base else Fraction(0)
        lines.append((rate - was, f"• {name}: {percent(rate)} (was {percent(was)}), {money(now, currency)}"))
    return "\n".join(line for _, line in sorted(lines))[:SECTION_LIMIT]


def _segment_drivers(sums: pd.DataFrame, baseline_sums: pd.DataFrame, drop: Drop) -> str:
    lines = []
    for value in sums.loc[sums["dimension"] == "segment", "value"]:
        now, then = _slice(sums, "segment", value), _slice(baseline_sums, "segment", value)
        if int(now["opening"]) == 0:
            continue
        rate = Fraction(int(now["expansion"]), int(now["opening"]))
        was = Fraction(int(then["expansion"]), int(then["opening"])) if int(then["opening"]) else Fraction(0)
        lines.append((rate - was, f"• {value}: {percent(rate)} (was {percent(was)}), {int(now['members'])} customers"))
    return "\n".join(line for _, line in sorted(lines))[:SECTION_LIMIT]


def _slice(sums: pd.DataFrame, dimension: str, value: str) -> pd.Series:
    rows = sums[(sums["dimension"] == dimension) & (sums["value"] == value)]
    return rows.drop(columns=["month", "dimension", "value"]).sum()


def _ratio(text: str | None) -> str:
    return "no base" if text is None else percent(Fraction(text))


def _limits(members: int) -> str:
    return (
        "Below 200 customers only large drops can be told from noise." if members < 200 else "A fall by a quarter or more against the six-month mean."
    )


def _markdown(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text[:SECTION_LIMIT]}
