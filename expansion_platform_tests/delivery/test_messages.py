"""The words of an alert, and that Slack takes them whatever the figures and names are."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pandas as pd
import pytest

from expansion_platform.delivery.messages import escape, expansion_drop, money, percent
from expansion_platform.domain.detection import Drop
from expansion_platform.domain.schemas.mrr import FLOWS, ORGANIC, SEGMENTS
from expansion_platform.simulator.slack_server import block_problems

DROP = Drop(
    month="2026-10",
    rate=Fraction(1, 100),
    baseline=Fraction(2, 100),
    baseline_months=("2026-07", "2026-08", "2026-09"),
    expansion=5_000_00,
    opening=500_000_00,
    shortfall=5_000_00,
)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123_456_789, "usd", "1,234,567.89 USD"),
        (0, "usd", "0.00 USD"),
        (-5, "eur", "-0.05 EUR"),
        (1_234, "jpy", "1,234 JPY"),
        (1_234_567, "kwd", "1,234.567 KWD"),
        (9_007_199_254_740_993, "usd", "90,071,992,547,409.93 USD"),  # beyond 2^53: no float on the way
    ],
)
def test_money(minor: int, currency: str, text: str) -> None:
    assert money(minor, currency) == text


@pytest.mark.parametrize(
    ("ratio", "places", "text"),
    [
        (Fraction(7, 500), 2, "1.40 %"),
        (Fraction(1, 3), 2, "33.33 %"),
        (Fraction(0), 2, "0.00 %"),
        (Fraction(-1, 4), 1, "-25.0 %"),
        (Fraction(1, 20_000), 2, "0.00 %"),  # half to even: 0.005 % down,
        (Fraction(3, 20_000), 2, "0.02 %"),  # 0.015 % up
    ],
)
def test_percent(ratio: Fraction, places: int, text: str) -> None:
    assert percent(ratio, places) == text


def test_escape_leaves_nothing_that_slack_would_read_as_a_command() -> None:
    assert escape("<!channel> R&D <https://x|y>") == "&lt;!channel&gt; R&amp;D &lt;https://x|y&gt;"
    assert escape("&lt;") == "&amp;lt;"  # the ampersand first, or the others would be escaped twice


def sums(opening: int, expansion: int, seat: int, members: int) -> pd.DataFrame:
    """Slice sums: the total and three segments that share it equally, `seat` of the expansion from seats and the rest from plans."""
    zero = dict.fromkeys([*FLOWS, *(f"expansion_{name}" for name in ORGANIC)], 0)
    total = {**zero, "opening": opening, "expansion": expansion, "expansion_seat": seat, "expansion_tier": expansion - seat}
    rows = [{"dimension": "total", "value": "all", **total, "members": members, "expanders": members // 10, "churn": -700_00}]
    rows += [
        {"dimension": "segment", "value": name, **{key: value // 3 for key, value in total.items()}, "members": members // 3, "expanders": 1}
        for name in SEGMENTS
    ]
    return pd.DataFrame(rows).assign(month="2026-10").rename(columns={"interval": "interval_"})


def message(**changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "currency": "usd",
        "sums": sums(500_000_00, 5_000_00, 1_000_00, 300),
        "baseline_sums": pd.concat([sums(500_000_00, 10_000_00, 8_000_00, 300)] * 3),
        "retention": {"nrr": "1.0100000000", "grr": None},
        "links": {"Open in Dagster": "http://localhost:3000/assets/metrics/expansion?partition=2026-10"},
        "hashes": "policy a, catalog b",
    }
    return expansion_drop(changed.pop("drop", DROP), **{**given, **changed})


def shown(message: dict[str, Any]) -> str:
    texts = []
    for block in message["blocks"]:
        parts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        texts += [part["text"] if isinstance(part["text"], str) else part["text"]["text"] for part in parts if part]
    return "\n".join(texts)


def test_the_message_says_how_much_fell_and_what_is_missing() -> None:
    told = message()
    assert told["text"] == (
        "Expansion rate fell by 50.0 % in 2026-10: 1.00 % of opening MRR against 2.00 % on average over the 3 months before. "
        "That is 5,000.00 USD of expansion MRR missing."
    )
    text = shown(told)
    assert told["blocks"][0]["text"]["text"] == "Expansion rate fell by 50.0 % in 2026-10"
    assert "*Change*\n-1.00 points, -50.0 %" in text
    assert "*NRR / GRR*\n101.00 % / no base" in text
    assert "churn -700.00 USD" in text
    assert "300 customers, 30 expanded. policy a, catalog b." in text


def test_types_are_compared_with_the_baselines_rate_not_its_sum() -> None:
    """Three months of 8,000 from seats over 500,000 are 1.60 % a month; the largest fall comes first."""
    drivers = next(block["text"]["text"] for block in message()["blocks"] if "By type" in str(block)).splitlines()
    assert drivers[1] == "• seat: 0.20 % (was 1.60 %), 1,000.00 USD"
    assert drivers[-1] == "• tier: 0.80 % (was 0.40 %), 4,000.00 USD"


def test_a_small_base_is_said_to_be_one() -> None:
    assert "only large drops" in shown(message(sums=sums(500_000_00, 5_000_00, 1_000_00, 199)))
    assert "only large drops" not in shown(message(sums=sums(500_000_00, 5_000_00, 1_000_00, 200)))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"links": {}},
        {"hashes": "<!channel> & " * 600},
        {"baseline_sums": sums(0, 0, 0, 0)},
        {"sums": sums(10**17, 10**16, 10**15, 10**6)},
    ],
)
def test_slack_takes_it(changed: dict[str, Any]) -> None:
    told = message(**changed)
    assert block_problems(told["blocks"]) == []
    assert "<!channel>" not in shown(told)
