"""Every rule over one month.

Here: which rules are asked of which scopes. Not here: the rules (`rules.py`, `followups.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.alerts import followups, rules
from expansion_platform.domain.alerts.findings import Finding
from expansion_platform.domain.alerts.panel import SLICES, TOTAL, Panel, panel
from expansion_platform.domain.catalog.targets import AlertSettings
from expansion_platform.domain.core import months
from expansion_platform.domain.mrr.vocabulary import SEGMENTS


def window(month: str) -> list[str]:
    """The months the tables are read for, oldest first."""
    return months.between(months.shift(month, 1 - rules.HISTORY), month)


def evaluate(
    month: str,
    *,
    customer_months: pd.DataFrame,
    movements: pd.DataFrame,
    durability: pd.DataFrame,
    expansion_then_churn: pd.DataFrame,
    rates: rules.RatesByScope,
    settings: AlertSettings,
    exponent: int,
    seed: str,
    reported: pd.DataFrame | None = None,
) -> list[Finding]:
    """What every rule says of the newest closed month, those that are well included.

    Rules that cannot be judged say nothing.

    Args:
        month: the newest closed month.
        customer_months: mrr/customer_months of `window(month)`.
        movements: mrr/movements of the same.
        durability: metrics/durability of the month.
        expansion_then_churn: metrics/expansion_then_churn of the month.
        rates: of every month up to this one that has a base, for what is shown beside and decides nothing.
        settings: targets and thresholds.
        exponent: decimal places of the reporting currency.
        seed: policy hash: the same data under the same policy gives the same p-values.
        reported: mrr/first_reported of earlier months, of customers that paid, in place of what they say now;
            None for none. What a month says as it closes is compared with what other months said as they
            closed, since all of them lack what is known late. Rules that follow customers from month to month
            read one state of knowledge instead.
    """
    everyone = as_reported(month, customer_months, movements, reported)
    smallest = settings.smallest(exponent)
    findings = [
        rules.rate_drop(everyone, month, seed, smallest, rates["total"]),
        rules.mix_shift(everyone, month, seed),
    ]
    for scope in (TOTAL, *(("segment", name) for name in SEGMENTS)):
        name = scope[0] if scope == TOTAL else scope[1]
        target, before = settings.target(name, month), settings.target(name, months.shift(month, -1))
        if target is not None:
            of_scope = everyone if scope == TOTAL else everyone.of("segment", name)
            findings.append(rules.below_target(of_scope, month, scope, target, before, seed))
    for dimension in SLICES:
        findings += rules.segment_deterioration(everyone, dimension, month, seed, smallest, rates)
    findings.append(followups.durability(month, durability))
    findings.append(followups.post_expansion_churn(month, expansion_then_churn))
    return [finding for finding in findings if finding is not None]


def as_reported(
    month: str, customer_months: pd.DataFrame, movements: pd.DataFrame, reported: pd.DataFrame | None
) -> Panel:
    """The panel of `window(month)`, its earlier months as first reported where that is given.

    Arguments as of `evaluate`.

    First reported figures have no pricing model: a customer gets the month's model as it is known now,
    none if the customer is no longer known.
    """
    if reported is None or reported.empty:
        return panel(customer_months, movements, window(month))
    models = customer_months[["month", "customer", "pricing_model"]]
    reported = reported.merge(models, how="left", on=["month", "customer"])
    frames = []
    for now in (customer_months, movements):
        columns = [name for name in now.columns if name in reported.columns]
        frames.append(
            pd.concat([now.loc[~now["month"].isin(set(reported["month"])), columns], reported[columns]])
        )
    all_months, all_movements = frames
    return panel(all_months, all_movements, window(month))
