"""A model of a month, what a test says of it, and whether it is released (semantics 6.3).

Here: training, calibrating and testing on slices of time, the measures beside four baselines, the gate. Not
here: fitting and measures themselves, the tables (`compute.py`).

Released only where it had at least 50 positives to learn from and 20 to be judged by, ranks better than the
rule score, and says more than the base rate, both with their 90 % intervals above 0: of 80 models where
nothing predicts, 4 were above 0 in both, and none with the intervals. Otherwise the rule score is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.core.wording import counted
from expansion_platform.domain.signals.model import measures
from expansion_platform.domain.signals.model.calibration import Sigmoid, sigmoid
from expansion_platform.domain.signals.model.fitting import SEED, Fitted, chosen, fit
from expansion_platform.domain.signals.model.panel import USAGE, Panel
from expansion_platform.domain.signals.model.splits import Split, split_at

Floats = npt.NDArray[np.float64]
LEAST_TRAINING, LEAST_CALIBRATION, LEAST_TEST = 50, 10, 20
GATE_LEVEL, USAGE_LEVEL = 0.90, 0.95
ADDS, ADDS_NOT = "usage adds to billing", "usage does not add to billing"
TRAIN, CALIBRATE, TEST = "train", "calibrate", "test"
RULE, RECENT, LIMIT, BASE = "rule score", "expanded lately", "utilisation alone", "base rate"


class Measure(NamedTuple):
    """A number of the card, with its 95 % limits where it has some.

    `baseline` says whose it is: empty for the model's own.
    """

    split: str
    metric: str
    value: float
    low: float = np.nan
    high: float = np.nan
    baseline: str = ""
    n: int = 0


@dataclass(frozen=True)
class Trained:
    """A model with the probabilities that it gives.

    Args:
        fitted: the model.
        sigmoid: from its log odds to probabilities.
        split: the slices it was made on.
        penalty: of its ridge.
    """

    fitted: Fitted
    sigmoid: Sigmoid
    split: Split
    penalty: float

    def probability(self, figures: Floats) -> Floats:
        """By row."""
        return self.sigmoid.probability(self.fitted.log_odds(figures))


@dataclass(frozen=True)
class Assessment:
    """What is known of the model of a month.

    Args:
        released: whether its probabilities are published.
        because: why, or why not, in a sentence.
        measures: the numbers of its card.
        trained: None where there was too little to train on.
        usage: whether figures of usage add to those of billing, in words; empty where it was not asked.
        replaced: whether it is the newest; else the one trained a month earlier ranks the test better.
        newest: the model trained last, whether used or not.
    """

    released: bool
    because: str
    measures: list[Measure] = field(default_factory=list)
    trained: Trained | None = None
    usage: str = ""
    replaced: bool = True
    newest: Trained | None = None


def assess(panel: Panel, newest: int, capacity: int, before: Trained | None = None) -> Assessment:
    """The model of a closed month.

    Args:
        panel: customers at closes up to the month, of which later outcomes are UNKNOWN.
        newest: place of the month in the panel's calendar.
        capacity: customers a month that the team can speak to.
        before: what was trained for the month before, where it is at hand; it is the same when made again.
    """
    split = split_at(newest)
    train = panel.between(*split.trained)
    calibrate, test = panel.between(*split.calibrated), panel.between(*split.tested)
    counts = [
        Measure(name, metric, float(number), n=len(rows))
        for name, rows in ((TRAIN, train), (CALIBRATE, calibrate), (TEST, test))
        for metric, number in (("rows", len(rows)), ("positives", rows.positives))
    ]
    short = _short(train, calibrate, test)
    if short:
        return Assessment(False, short, counts)
    challenger = _trained(panel, split)
    trained, replaced = _better(challenger, before, panel, newest, test)
    judged = measures.sample(test.outcome, test.customer, SEED)
    found = list(_measured(trained, test, judged, capacity))
    released, because = _gate(trained, test, judged)
    usage, adds = _without_usage(panel, trained, test, judged)
    return Assessment(released, because, [*counts, *found, *adds], trained, usage, replaced, challenger)


def _short(train: Panel, calibrate: Panel, test: Panel) -> str:
    """Why there is too little to train or judge a model; empty where there is not."""
    for rows, least, what in (
        (train, LEAST_TRAINING, "to learn from"),
        (calibrate, LEAST_CALIBRATION, "to calibrate by"),
        (test, LEAST_TEST, "to judge a model by"),
    ):
        if rows.positives < least or rows.positives == len(rows):
            return f"{counted(rows.positives, 'case')} {what}, {least} are needed"
    return ""


def _trained(panel: Panel, split: Split, like: Trained | None = None) -> Trained:
    """A model of a split, of the kind that its folds choose or of that of another."""
    train, calibrate = panel.between(*split.trained), panel.between(*split.calibrated)
    kind, penalty = chosen(train, split) if like is None else (like.fitted.kind, like.penalty)
    fitted = fit(kind, train, penalty)
    line = sigmoid(calibrate.outcome.astype(float), fitted.log_odds(calibrate.figures))
    return Trained(fitted, line, split, penalty)


def _better(
    challenger: Trained, before: Trained | None, panel: Panel, newest: int, test: Panel
) -> tuple[Trained, bool]:
    """The challenger, unless the model trained a month earlier ranks the newest test slice better.

    That one is identified by the month through which it was trained, and made again from the rows that it was
    made from, so that nothing has to be kept of it.
    """
    split = split_at(newest, back=1)
    train, calibrate = panel.between(*split.trained), panel.between(*split.calibrated)
    if train.positives < LEAST_TRAINING or calibrate.positives < LEAST_CALIBRATION:
        return challenger, True
    if before is not None and before.fitted.names == panel.names:
        incumbent = replace(before, split=split)
    else:
        incumbent = _trained(panel, split)
    judged = measures.sample(test.outcome, test.customer, SEED, draws=0)
    new, old = (
        float(measures.pr_auc(judged, each.probability(test.figures))[0]) for each in (challenger, incumbent)
    )
    return (challenger, True) if new >= old else (incumbent, False)


def _measured(trained: Trained, test: Panel, judged: measures.Sample, capacity: int) -> Iterator[Measure]:
    """Every measure of the test slice, the model's own and the baselines'."""
    said, rows = trained.probability(test.figures), len(test)
    top = max(int(np.ceil(measures.DECILE * rows)), 1)
    rate = measures.base_rate(judged)
    yield Measure(TEST, "base_rate", *measures.interval(rate), n=rows)
    scores: Mapping[str, Floats] = {
        "": said,
        RULE: test.rule,
        RECENT: test.recent,
        LIMIT: np.where(np.isnan(test.limit), -1.0, test.limit),
    }
    of_rule = measures.pr_auc(judged, test.rule)
    for name, score in scores.items():
        precision, area = measures.precision_at(judged, score, top), measures.pr_auc(judged, score)
        yield Measure(TEST, "pr_auc", *measures.interval(area), name, rows)
        yield Measure(TEST, "roc_auc", *measures.interval(measures.roc_auc(judged, score)), name, rows)
        yield Measure(TEST, "precision_top_decile", *measures.interval(precision), name, top)
        yield Measure(TEST, "lift_top_decile", *measures.interval(precision / rate), name, top)
        at = min(capacity * len(np.unique(test.month)), rows)
        yield Measure(
            TEST,
            "precision_at_capacity",
            *measures.interval(measures.precision_at(judged, score, at)),
            name,
            at,
        )
        if name == "":
            yield Measure(TEST, "pr_auc_gain", *measures.interval(area - of_rule, GATE_LEVEL), RULE, rows)
    yield Measure(TEST, "pr_auc", *measures.interval(rate), BASE, rows)
    yield Measure(TEST, "brier", *measures.interval(measures.brier(judged, said)), n=rows)
    skill = measures.interval(measures.brier_skill(judged, said), GATE_LEVEL)
    yield Measure(TEST, "brier_skill", *skill, BASE, rows)
    slope, intercept = measures.calibration_line(judged, said)
    yield Measure(TEST, "calibration_slope", *measures.interval(slope), n=rows)
    yield Measure(TEST, "calibration_intercept", *measures.interval(intercept), n=rows)
    for place, (mean, share, size) in enumerate(measures.bins(judged.outcome, said), start=1):
        yield Measure(TEST, f"bin_{place:02d}_said", mean, n=size)
        yield Measure(TEST, f"bin_{place:02d}_happened", share, n=size)


def _without_usage(
    panel: Panel, trained: Trained, test: Panel, judged: measures.Sample
) -> tuple[str, list[Measure]]:
    """The same model without figures of product usage, and whether they add to the others."""
    usage = [name for name in panel.names if name in USAGE]
    known = ~np.isnan(test.figures[:, [panel.names.index(name) for name in usage]]).all(axis=1)
    if not usage or not known.any():
        return "", []
    billing = _trained(panel.without(USAGE), trained.split, trained)
    less = billing.probability(test.without(USAGE).figures)
    area = measures.pr_auc(judged, less)
    gain = measures.interval(measures.pr_auc(judged, trained.probability(test.figures)) - area, USAGE_LEVEL)
    # A model that says less than the base rate ranks by chance, whichever figures it has.
    skill = float(measures.brier_skill(judged, trained.probability(test.figures))[0])
    verdict = ADDS if gain[1] > 0 and skill > 0 else ADDS_NOT
    return verdict, [
        Measure(TEST, "pr_auc", *measures.interval(area), "without usage", len(test)),
        Measure(TEST, "pr_auc_gain", *gain, "without usage", len(test)),
    ]


def _gate(trained: Trained, test: Panel, judged: measures.Sample) -> tuple[bool, str]:
    """Whether the model is released, and why."""
    said = trained.probability(test.figures)
    gain, low, _ = measures.interval(
        measures.pr_auc(judged, said) - measures.pr_auc(judged, test.rule), GATE_LEVEL
    )
    skill, least, _ = measures.interval(measures.brier_skill(judged, said), GATE_LEVEL)
    if not low > 0:
        return False, (
            f"it is not shown to rank better than the rule score: mean precision differs by {gain:+.3f}, at "
            f"least {low:+.3f} with 95 % confidence"
        )
    if not least > 0:
        return False, (
            f"its probabilities are not shown to say more than the base rate: Brier skill {skill:+.3f}, at "
            f"least {least:+.3f} with 95 % confidence"
        )
    return True, f"it ranks better than the rule score: mean precision {gain:+.3f}, at least {low:+.3f}"
