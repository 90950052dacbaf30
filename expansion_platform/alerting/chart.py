"""The picture of an alert: thirteen months of a rate, the mean it is judged against, the month it is about.

Here: what a picture shows, and drawing it. Not here: where it is posted (`slack.py`). Altair and vl-convert
are an extra (`charts`): without them there is no picture and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from expansion_platform.domain.alerts.findings import Finding
from expansion_platform.domain.core import months
from expansion_platform.domain.core.wording import percent

MONTHS = 13  # a year and the month, so that the same month last year is in it
PLAIN, ALERTED, LINE = "#8fb1cc", "#c0392b", "#333333"
WIDTH, HEIGHT, SCALE = 640, 260, 2


def chart_data(
    finding: Finding, rates: Mapping[str, Fraction], target: Fraction | None
) -> dict[str, Any] | None:
    """What the picture of a finding shows, as text; None where there is no rate to show.

    Args:
        finding: of a rate.
        rates: of its scope by month, up to the finding's.
        target: to reach, of the same scope.
    """
    wanted = months.between(months.shift(finding.month, 1 - MONTHS), finding.month)
    shown = {month: str(rates[month]) for month in wanted if month in rates}
    if finding.month not in shown or len(shown) < 2:
        return None
    drop = finding.drop
    return {
        "month": finding.month,
        "scope": "all customers" if finding.dimension == "total" else finding.value,
        "rates": shown,
        "baseline": None if drop is None else str(drop.baseline),
        "baseline_months": []
        if drop is None
        else [month for month in drop.baseline_months if month in shown],
        "target": None if target is None else str(target),
    }


def drawn(data: Mapping[str, Any]) -> bytes | None:
    """The picture as PNG; None where the extra `charts` is not installed."""
    try:
        import altair
        import vl_convert
    except ImportError:
        return None
    return bytes(vl_convert.vegalite_to_png(_chart(altair, data).to_dict(), scale=SCALE))


def _chart(altair: Any, data: Mapping[str, Any]) -> Any:
    rates = {month: Fraction(text) for month, text in data["rates"].items()}
    bars = [
        {"month": month, "rate": _height(rate), "label": percent(rate), "alerted": month == data["month"]}
        for month, rate in sorted(rates.items())
    ]
    axis = altair.X("month:O", title=None, axis=altair.Axis(labelAngle=0, ticks=False, domain=False))
    highest = altair.Y("rate:Q", title=None, axis=None)
    base = altair.Chart(altair.Data(values=bars)).encode(x=axis, y=highest)
    layers = [
        base.mark_bar(width={"band": 0.7}).encode(
            color=altair.condition("datum.alerted", altair.value(ALERTED), altair.value(PLAIN))
        )
    ]
    captions = [f"{data['month']}: {percent(rates[data['month']])} of opening MRR"]
    if data["baseline"] is not None and data["baseline_months"]:
        mean = Fraction(data["baseline"])
        span = [
            {"month": month, "rate": _height(mean)} for month in (*data["baseline_months"], data["month"])
        ]
        layers.append(
            altair.Chart(altair.Data(values=span))
            .mark_line(color=LINE, strokeWidth=2, strokeDash=[6, 4])
            .encode(x=axis, y=highest)
        )
        captions.append(
            f"dashed: the mean of the {len(data['baseline_months'])} months before, {percent(mean)}"
        )
    if data["target"] is not None:
        target = Fraction(data["target"])
        line = altair.Chart(altair.Data(values=[{"rate": _height(target)}])).mark_rule(
            color="#888888", strokeDash=[2, 3]
        )
        layers.append(line.encode(y=highest))
        captions.append(f"dotted: the target, {percent(target)}")
    labels = base.encode(text="label:N")
    # So that no line runs through a number.
    layers.append(labels.mark_text(dy=-7, fontSize=11, stroke="white", strokeWidth=4))
    layers.append(labels.mark_text(dy=-7, fontSize=11))
    title = altair.TitleParams(
        f"Expansion rate, {data['scope']}",
        subtitle="; ".join(captions),
        anchor="start",
        subtitlePadding=6,
        offset=12,
    )
    return (
        altair.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=title).configure_view(stroke=None)
    )


def _height(rate: Fraction) -> float:
    """For the eye only: every number a reader reads is text made of the exact rate."""
    return float(rate * 100)
