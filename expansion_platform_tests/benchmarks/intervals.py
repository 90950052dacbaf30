"""How often the intervals of semantics 4.4 show a difference where there is none: `python -m
expansion_platform_tests.benchmarks.intervals`.

Here: simulated bases in which all leave at one rate, and the share of intervals that lie wholly on one side
of zero. Not here: the interval (`domain/metrics/expansion_then_churn.py`), how often alerts are wrong
(`detection_power.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from expansion_platform.domain.metrics import expansion_then_churn

BASES = 2_000
SIGMA = 1.2  # of the logarithm of MRR, as semantics 5.2
OTHERS = 20  # for each expander
STRATA = {"one stratum": [(1.0, 1.0)], "reweighted": [(0.6, 0.1), (0.3, 0.3), (0.1, 0.6)]}
"""Share of the expanders and of the others in each stratum. Reweighted, most expanders are like few of the
others.
"""


@dataclass(frozen=True)
class Case:
    """Everybody leaves at this rate; `reweighting` is a key of STRATA."""

    rate: float
    expanders: int
    reweighting: str


CASES = [Case(*parts) for parts in product([0.005, 0.02, 0.10], [5, 30, 200], STRATA)]


def one_sided(case: Case, bases: int = BASES) -> dict[str, object]:
    """Share of intervals wholly above and below zero, by customers and by MRR, of `bases` bases without a
    difference.

    `missed` is the share of bases in which nobody left on one side and the interval of customers does not
    contain zero.
    """
    rng = np.random.default_rng([int(case.rate * 1_000), case.expanders, len(STRATA[case.reweighting])])
    found = pd.DataFrame([_limits(case, rng) for _ in range(bases)])
    above, below = found["low"] > 0, found["high"] < 0
    return {
        "rate": case.rate,
        "expanders": case.expanders,
        "reweighting": case.reweighting,
        "above": float(above.mean()),
        "below": float(below.mean()),
        "mrr_above": float((found["mrr_low"] > 0).mean()),
        "mrr_below": float((found["mrr_high"] < 0).mean()),
        "missed": float(((above | below) & found["nobody"]).mean()),
    }


def _limits(case: Case, rng: np.random.Generator) -> dict[str, float]:
    """The limits of one base, by customers and by MRR."""
    shares = STRATA[case.reweighting]
    (ours, mrr, squares), (others, other_mrr, other_squares) = (
        np.array(
            [_stratum(max(1, round(share[side] * size)), case.rate, rng) for share in shares], dtype=object
        ).transpose(1, 0, 2)
        for side, size in enumerate((case.expanders, OTHERS * case.expanders))
    )
    customers, by_mrr = (
        expansion_then_churn.difference(ours, others, ours, others),
        expansion_then_churn.difference(mrr, other_mrr, squares, other_squares),
    )
    limits = {
        f"{name}{end}": float(told[end])
        for name, told in (("", customers), ("mrr_", by_mrr))
        for end in ("low", "high")
    }
    return limits | {"nobody": not ours[:, 1].sum() or not others[:, 1].sum()}


def _stratum(size: int, rate: float, rng: np.random.Generator) -> list[list[int]]:
    """Customers, MRR and squares of MRR of those that stayed and those that left."""
    mrr = (50_000 * np.exp(rng.normal(0, SIGMA, size))).astype(np.int64) + 1
    left = rng.random(size) < rate
    return [
        [int(values[~left].sum()), int(values[left].sum())] for values in (np.ones_like(mrr), mrr, mrr**2)
    ]


def section(bases: int = BASES) -> Iterator[str]:
    """The part of `docs/detection-power.md` on these intervals, as lines of markdown."""
    yield "## Intervals of `metrics/expansion_then_churn` where all leave alike"
    yield ""
    yield (
        f"Share of 95 % intervals (semantics 4.4) wholly above / wholly below zero, of {bases:,} bases "
        "without a difference for each case, with"
    )
    yield (
        f"{OTHERS} others for each expander and lognormal MRR. `reweighted`: three strata, most expanders "
        "are like few of the others. Made by"
    )
    yield "`python -m expansion_platform_tests.benchmarks.intervals`."
    yield ""
    yield "| share that leaves | expanders | weights | customers | by MRR |"
    yield "|---|---|---|---|---|"
    found = [one_sided(case, bases) for case in CASES]
    for row in found:
        cells = (f"{row[f'{name}above']:.1%} / {row[f'{name}below']:.1%}" for name in ("", "mrr_"))
        yield (
            f"| {row['rate']:.1%} | {row['expanders']} | {row['reweighting']} | {' | '.join(cells)} |"
        ).replace("%", " %")
    means = pd.DataFrame(found)[["above", "below", "mrr_above", "mrr_below", "missed"]].mean()
    yield ""
    text = (
        f"On average {means['above']:.1%} / {means['below']:.1%} by customers, {means['mrr_above']:.1%} / "
        f"{means['mrr_below']:.1%} by MRR."
    )
    yield (
        text.replace("%", " %")
        + " The bootstrap that was here before lay wholly below zero in 29 % of such cases."
    )
    yield (
        "With few expanders few shares are possible: one of 30 that leaves is 3.3 %, which lies above zero "
        "where only 0.5 % leave in truth."
    )


def main() -> None:
    """Prints the table of all cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bases", type=int, default=BASES)
    print("\n".join(section(parser.parse_args().bases)))


if __name__ == "__main__":
    main()
