"""What each month depends on in the item states, remembered as long as they stay the same.

Here: reading what `domain/touched.py` needs, and its result kept in the ledger. Not here: the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expansion_platform.assets.build import fingerprint
from expansion_platform.domain import months
from expansion_platform.domain.canonical import content_hash
from expansion_platform.domain.mrr import first_paid_months, included, rates_by_month
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas import billing
from expansion_platform.domain.touched import fingerprints
from expansion_platform.resources import Platform

REMEMBERED = "billing/item_states by month"
# Texts of item states with few distinct values: read as categoricals, 1M customers take 0.2 GB and nothing compares texts.
REPEATED = [
    *("status", "currency", "product", "price", "usage_type", "interval", "scheme_json", "quantity", "discounts_json"),
    *("source", "confidence"),
]


def states_by_month(platform: Platform, catalog: Catalog, wanted: Sequence[str]) -> Mapping[str, str]:
    """A fingerprint for each month of the item states it depends on; read and hashed only when a commit touched them or the rates."""
    lake, ledger = platform.lake, platform.ledger
    parts = (catalog.policy_hash, catalog.catalog_hash, platform.timezone, lake.state(billing.ItemStates), lake.state(billing.FxRates))
    basis = fingerprint(*parts)
    known = ledger.builds.digests(REMEMBERED, basis)
    if not set(wanted) <= known.keys():
        calendar = months.between(min(wanted), max(wanted))
        states = included(lake.read_coded(billing.ItemStates, REPEATED, without=["evidence_json"]), catalog)
        rates = rates_by_month(lake.read(billing.FxRates))
        paid = first_paid_months(states, catalog=catalog, rates=rates, last=calendar[-1], timezone=platform.timezone)
        found = fingerprints(states, paid, calendar, catalog, platform.timezone)
        known |= {month: content_hash([told]) for month, told in found.items()}
        ledger.builds.record_digests(REMEMBERED, basis, {month: known[month] for month in calendar})
    return known
