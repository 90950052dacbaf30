"""Reads that several declarations have in common.

Item states, exchange rates, and by month what depends on them.

Here: which columns are read as categoricals, and digests. Not here: declarations, the rules of the digests
(`domain/mrr/month_fingerprints.py`).
"""

from __future__ import annotations

from dataclasses import replace

from expansion_platform.domain.core.table import columns
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import month_fingerprints
from expansion_platform.engine.declaration import Digest, Read
from expansion_platform.engine.uses import CATALOG, TIMEZONE

# Texts of item states with few distinct values: read as categoricals, 1M customers take 0.2 GB and nothing
# compares texts.
REPEATED = (
    *("status", "currency", "product", "price", "usage_type"),
    *("interval", "scheme_json", "quantity", "discounts_json"),
    *("source", "confidence"),
)


def item_states(columns: tuple[str, ...], *, ordered: bool = True) -> Read:
    """Some columns of item states, those that repeat as categoricals."""
    coded = tuple(name for name in REPEATED if name in columns)
    return Read(billing.ItemStates, columns, coded=coded, ordered=ordered)


WITHOUT_EVIDENCE = tuple(name for name in columns(billing.ItemStates) if name != "evidence_json")
_STATES = item_states(WITHOUT_EVIDENCE)
_RATES = Read(billing.FxRates)

STATES = replace(
    _STATES,
    digest=Digest(
        "billing/item_states by month",
        month_fingerprints.states_digest,
        (_STATES, _RATES),
        (CATALOG, TIMEZONE),
        together=month_fingerprints.states_digests,
    ),
)
"""Item states; a month depends on those in force when it begins, and on what begins, ends and was paid
before.
"""
RATES = replace(
    _RATES, digest=Digest("billing/fx_rates up to each month", month_fingerprints.rates_digest, (_RATES,))
)
"""Exchange rates up to the month."""
END_RATES = replace(
    _RATES,
    digest=Digest(
        "billing/fx_rates at the ends of each month", month_fingerprints.end_rates_digest, (_RATES,)
    ),
)
"""Exchange rates at both ends of the month."""
