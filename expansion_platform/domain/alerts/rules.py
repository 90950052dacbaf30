"""The rules over rates and mixes: what fires when (semantics 5.3, 5.4).

Here: `rate_drop`, `below_target`, `mix_shift`, `segment_deterioration`. Not here: the tests
(`core/statistics.py`), rules that look at what became of earlier expansion (`followups.py`), states over time
(`lifecycle.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from math import isfinite

import numpy as np

from expansion_platform.domain.alerts.decomposition import decompose
from expansion_platform.domain.alerts.findings import Drop, Finding
from expansion_platform.domain.alerts.panel import SLICES, TOTAL, Panel, Sums
from expansion_platform.domain.alerts.severity import severity, step
from expansion_platform.domain.core import months, statistics
from expansion_platform.domain.core.money import round_half_even
from expansion_platform.domain.mrr.vocabulary import ORGANIC

BASELINE_MONTHS = 6
MINIMUM_BASELINE = 3
DROP = Fraction(3, 4)
RECOVERED = Fraction(9, 10)  # of the frozen baseline: well above where it fired, so that it does not flicker
ALPHA = Fraction(5, 100)
SHARE_OF_OPENING = Fraction(1, 1000)
NET_FALL = Fraction(2, 100)
NET_RECOVERED = Fraction(2, 1000)  # a tenth of the fall that fires, as for rates
SLICE_MEMBERS = 30
NEARLY_ALL = Fraction(95, 100)
RECENT_MIX, EARLIER_MIX = 3, 6
MIX_DIVERGENCE = 0.05
MIX_EXPANDERS = 10
MIX_INSTABILITY = 0.25
RatesByScope = Mapping[str, Mapping[str, Fraction]]
"""Expansion rates by scope (`total`, `segment:smb`) and month."""
HISTORY = RECENT_MIX + EARLIER_MIX
"""Months a panel should hold for all of these, the newest closed one being the last."""


def drop_of(panel: Panel, month: str, scope: tuple[str, str], seed: str) -> Drop | None:
    """The month's rate against its baseline.

    None when the month or fewer than three of the six before it have a base (semantics 5.3).

    Args:
        panel: of the scope, with the month and the six before it.
        month: the month judged.
        scope: dimension and value.
        seed: policy hash.
    """
    sums = panel.sums()
    baseline = tuple(
        name
        for name in months.between(months.shift(month, -BASELINE_MONTHS), months.shift(month, -1))
        if name in sums
    )
    if month not in sums or len(baseline) < MINIMUM_BASELINE:
        return None
    now = sums[month]
    mean = sum((sums[name].rate for name in baseline), Fraction(0)) / len(baseline)
    columns = [panel.at(name) for name in (*baseline, month)]
    rng = statistics.generator("rate", *scope, month, seed)
    p_amount, p_count = statistics.month_labels(
        panel.expansion[:, columns], panel.opening[:, columns], len(baseline), rng
    )
    return Drop(
        rate=now.rate,
        baseline=mean,
        baseline_months=baseline,
        three_months=sum((sums[name].rate for name in baseline[-3:]), Fraction(0)) / 3,
        expansion=now.expansion,
        opening=now.opening,
        shortfall=round_half_even((mean - now.rate) * now.opening),
        members=now.members,
        expanders=now.expanders,
        p_amount=p_amount,
        p_count=p_count,
        parts=decompose(panel, month, baseline),
    )


def large(drop: Drop, smallest: int) -> bool:
    """Conditions (a) and (c) of `rate_drop`: a quarter below the baseline, and enough money to matter."""
    matters = drop.shortfall >= smallest and drop.shortfall >= SHARE_OF_OPENING * drop.opening
    return drop.baseline > 0 and drop.rate <= DROP * drop.baseline and matters


def rate_drop(
    panel: Panel, month: str, seed: str, smallest: int, rates: Mapping[str, Fraction]
) -> Finding | None:
    """The total's expansion rate fell by a quarter or more, by more than noise, and by money that matters.

    Args:
        panel: of all customers.
        month: the newest closed month.
        seed: policy hash.
        smallest: shortfall in minor units under which nobody is notified.
        rates: the total's rate of every month up to this one that has a base, for what is shown beside and
            decides nothing.
    """
    drop = drop_of(panel, month, TOTAL, seed)
    if drop is None:
        return None
    fires = large(drop, smallest) and drop.p < ALPHA
    return Finding(
        "rate_drop",
        *TOTAL,
        month,
        outcome="fires" if fires else "clear",
        severity=severity(drop, grr_fall(panel.sums(), month, drop.baseline_months)),
        measured=drop.rate,
        recovers_at=RECOVERED * drop.baseline,
        shortfall=drop.shortfall,
        drop=drop,
        figures=_beside(panel, month, TOTAL, drop, rates, seed),
    )


def below_target(
    panel: Panel, month: str, scope: tuple[str, str], target: Fraction, before: Fraction | None, seed: str
) -> Finding | None:
    """Below target in two closed months running, and by more than noise in the latest.

    A first month below is `pending`.

    The end of semantics 5.4's interval is that of the studentised bootstrap: the percentile interval, which
    is only shown, is too narrow to decide.

    Args:
        panel: of the scope.
        month: the newest closed month.
        scope: dimension and value.
        target: rate to reach in the month.
        before: rate to reach in the month before, None when there was none.
        seed: policy hash.
    """
    sums, earlier = panel.sums(), months.shift(month, -1)
    if month not in sums:
        return None
    column, now = panel.at(month), sums[month]
    here = panel.members[:, column]
    expanded = panel.expansion[panel.expansion > 0]
    usual = Fraction(int(expanded.sum()), max(1, len(expanded)))
    rng = statistics.generator("target", *scope, month, seed)
    limit = statistics.rate_limit(panel.expansion[here, column], panel.opening[here, column], usual, rng)
    high = Fraction(limit) if isfinite(limit) else max(Fraction(1), target)
    twice = before is not None and earlier in sums and sums[earlier].rate < before
    fires = now.rate < target and twice and high < target
    missed = round_half_even((target - now.rate) * now.opening)
    return Finding(
        "below_target",
        *scope,
        month,
        outcome="fires" if fires else "pending" if now.rate < target else "clear",
        severity=step("warning", -(now.members < 100)) if fires else "info",
        measured=high,
        recovers_at=target,
        shortfall=missed,
        figures={
            "rate": now.rate,
            "target": target,
            "high": high,
            "expansion": now.expansion,
            "opening": now.opening,
            "members": now.members,
            "expanders": now.expanders,
        },
    )


def mix_shift(panel: Panel, month: str, seed: str) -> Finding | None:
    """What expansion is made of moved.

    Three months pooled against the six before, by more than noise, with ten expanders on each side.
    """
    names = [
        name
        for name in months.between(months.shift(month, 1 - RECENT_MIX - EARLIER_MIX), month)
        if name in panel.months
    ]
    if len(names) < RECENT_MIX + EARLIER_MIX:
        return None
    columns = [panel.at(name) for name in names]
    types, opening = panel.types[:, columns], panel.opening[:, columns]
    recent = np.arange(len(names)) >= EARLIER_MIX
    expanded = types.sum(axis=2) > 0
    if min(int(expanded[:, side].any(axis=1).sum()) for side in (recent, ~recent)) < MIX_EXPANDERS:
        return None
    measured, p = statistics.mix_labels(
        types, opening, recent, statistics.generator("mix", *TOTAL, month, seed)
    )
    now, before = types[:, recent].sum(axis=(0, 1)).tolist(), types[:, ~recent].sum(axis=(0, 1)).tolist()
    moved = {
        name: Fraction(a, sum(now)) - Fraction(b, sum(before))
        for name, a, b in zip(ORGANIC, now, before, strict=True)
    }
    largest = max(ORGANIC, key=lambda name: abs(moved[name]))
    instability = statistics.stability_index(before, now)
    figures: dict[str, Fraction | int | str] = {
        "type": largest,
        "divergence": Fraction(measured),
        "psi": Fraction(instability),
        "p": p,
    }
    figures |= {f"{name}_now": Fraction(a, sum(now)) for name, a in zip(ORGANIC, now, strict=True)}
    figures |= {f"{name}_before": Fraction(b, sum(before)) for name, b in zip(ORGANIC, before, strict=True)}
    return Finding(
        "mix_shift",
        *TOTAL,
        month,
        outcome="fires" if measured >= MIX_DIVERGENCE and p < ALPHA else "clear",
        severity=step("warning", instability > MIX_INSTABILITY),
        measured=Fraction(measured),
        recovers_at=RECOVERED * Fraction(MIX_DIVERGENCE),
        falling=False,
        figures=figures,
    )


def segment_deterioration(
    panel: Panel, dimension: str, month: str, seed: str, smallest: int, rates: RatesByScope
) -> list[Finding]:
    """Segments, or pricing models, that got worse by more than noise (semantics 5.4).

    Their rate dropped, or their organic net rate fell by two points.

    The p-values are Holm's over all pairs of a judged slice and one of the two tests. Each pair would
    otherwise add its own chance of a false alarm. The net rate holds churn, which ends a membership, so its
    test exchanges customer-months and not a customer's months (`statistics.customer_months`).

    Args:
        panel: of all customers.
        dimension: `segment` or `pricing_model`.
        month: the newest closed month.
        seed: policy hash.
        smallest: shortfall in minor units under which a drop of the rate does not matter.
        rates: as of `rate_drop`, by scope.

    Returns:
        A finding for each slice that is judged: it has a baseline and thirty opening members, and a pricing
            model less than 95 % of opening MRR.
    """
    judged = list(_judged(panel, dimension, month, seed))
    nets = [_net_p(of_slice, month, drop, (dimension, name), seed) for name, of_slice, drop in judged]
    adjusted = statistics.holm([drop.p for *_, drop in judged] + nets)
    return [
        _deterioration(
            of_slice,
            month,
            (dimension, name),
            drop,
            (adjusted[index], adjusted[len(judged) + index]),
            smallest,
            rates,
            seed,
        )
        for index, (name, of_slice, drop) in enumerate(judged)
    ]


def _deterioration(
    panel: Panel,
    month: str,
    scope: tuple[str, str],
    drop: Drop,
    adjusted: tuple[Fraction, Fraction],
    smallest: int,
    rates: RatesByScope,
    seed: str,
) -> Finding:
    """The finding of one slice; `adjusted` are the p-values of its rate and of its net rate."""
    sums, (p_rate, p_net) = panel.sums(), adjusted
    net_before = sum((sums[earlier].net_rate for earlier in drop.baseline_months), Fraction(0)) / len(
        drop.baseline_months
    )
    net_rate = sums[month].net_rate
    by_rate = large(drop, smallest) and p_rate < ALPHA
    by_net = net_before - net_rate >= NET_FALL and p_net < ALPHA
    finding = Finding(
        "segment_deterioration",
        *scope,
        month,
        outcome="fires" if by_rate or by_net else "clear",
        severity=severity(drop, grr_fall(sums, month, drop.baseline_months)),
        measured=drop.rate,
        recovers_at=RECOVERED * drop.baseline,
        shortfall=drop.shortfall,
        drop=drop,
        figures={
            "p_adjusted": p_rate,
            "net_rate": net_rate,
            "net_before": net_before,
            "p_net": p_net,
            "by_net": int(by_net and not by_rate),
        },
    )
    if by_net and not by_rate:
        missing = round_half_even((net_before - net_rate) * drop.opening)
        finding = replace(
            finding, measured=net_rate, recovers_at=net_before - NET_RECOVERED, shortfall=missing
        )
    if finding.outcome == "fires":
        finding.figures.update(_beside(panel, month, scope, drop, rates.get(finding.scope, {}), seed))
    return finding


def _beside(
    panel: Panel, month: str, scope: tuple[str, str], drop: Drop, rates: Mapping[str, Fraction], seed: str
) -> dict[str, Fraction | int | str]:
    """What is shown beside a drop and decides nothing (semantics 5.3, 5.4).

    The percentile interval, the robust z, whether last year was alike.
    """
    column = panel.at(month)
    here = panel.members[:, column]
    rng = statistics.generator("interval", *scope, month, seed)
    low, high = statistics.rate_interval(panel.expansion[here, column], panel.opening[here, column], rng)
    shown: dict[str, Fraction | int | str] = {"low": Fraction(low), "high": Fraction(high)}
    z = statistics.robust_z(
        drop.rate, [rate for name, rate in rates.items() if months.shift(month, -12) <= name < month]
    )
    if z is not None:
        shown["robust_z"] = f"{z:.1f}"
    if _seasonal(rates, month, drop):
        shown["note"] = "seasonal"
    return shown


def grr_fall(sums: dict[str, Sums], month: str, baseline: tuple[str, ...]) -> Fraction:
    """How far gross retention lies under its mean over the baseline."""
    return sum((sums[name].grr for name in baseline), Fraction(0)) / len(baseline) - sums[month].grr


def _judged(panel: Panel, dimension: str, month: str, seed: str) -> Iterator[tuple[str, Panel, Drop]]:
    """The slices of a dimension that can be judged: with a baseline and enough members.

    A pricing model with nearly all MRR is the total again.
    """
    opening = int(panel.opening[:, panel.at(month)].sum()) if month in panel.months else 0
    for name in SLICES[dimension]:
        inside = panel.of(dimension, name)
        drop = drop_of(inside, month, (dimension, name), seed)
        if (
            drop is None
            or drop.members < SLICE_MEMBERS
            or (dimension == "pricing_model" and drop.opening >= NEARLY_ALL * opening)
        ):
            continue
        yield name, inside, drop


def _net_p(panel: Panel, month: str, drop: Drop, scope: tuple[str, str], seed: str) -> Fraction:
    columns = [panel.at(name) for name in (*drop.baseline_months, month)]
    rng = statistics.generator("net", *scope, month, seed)
    return statistics.customer_months(
        panel.net[:, columns], panel.opening[:, columns], len(drop.baseline_months), rng
    )


def _seasonal(rates: Mapping[str, Fraction], month: str, drop: Drop) -> bool:
    """With two years of history.

    The same month last year lay as far (within a fifth) from its own baseline, to the same side (semantics
    5.3).
    """
    last_year = months.shift(month, -12)
    before = [
        rates[name]
        for name in months.between(months.shift(last_year, -BASELINE_MONTHS), months.shift(last_year, -1))
        if name in rates
    ]
    if len(rates) < 24 or last_year not in rates or len(before) < MINIMUM_BASELINE or not any(before):
        return False
    then = rates[last_year] / (sum(before, Fraction(0)) / len(before)) - 1
    return abs(then - drop.change) <= Fraction(1, 5) * abs(drop.change)
