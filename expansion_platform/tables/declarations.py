"""All declarations of monthly tables, by floor.

Here: the list. Not here: any of them, tables that are computed whole.
"""

from __future__ import annotations

from expansion_platform.tables import (
    analytics,
    first_reported,
    metrics,
    models,
    mrr,
    outcomes,
    outlook,
    programmes,
    signals,
)

DECLARATIONS = (
    analytics.PRODUCT_USAGE_TABLES,
    *(mrr.MRR, mrr.ORIGINS, mrr.SEAT_EVENTS, first_reported.FIRST_REPORTED),
    *(metrics.METRICS, metrics.COVERAGE, metrics.TRAILING, metrics.CUSTOMER_SLICES, metrics.DIMENSIONS),
    *(metrics.EXPANSION_BY_ORIGIN, metrics.EXPANSION_CAC, metrics.BENCHMARKS),
    *(outcomes.DURABILITY, outcomes.EXPANSION_THEN_CHURN, outcomes.COHORT_EXPANSION),
    *(outlook.ATTAINMENT, outlook.DIAGNOSIS, outlook.STRIPE_PARITY, outlook.RESTATEMENTS),
    *(signals.SIGNALS_BY_CUSTOMER, models.MODELS, signals.CANDIDATES),
    *(models.INDICATORS, models.FEATURE_ADOPTION, models.PRACTICES),
    *(programmes.PROGRAMME_OUTCOMES, programmes.CONVERSATIONS, programmes.FRICTION),
)
