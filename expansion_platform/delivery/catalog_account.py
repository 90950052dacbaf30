"""What the account sells and what is paid for it, as far as a catalog is concerned.

Here: reading it from the lake. Not here: the file made of it (`catalog_file.py`), checking a file against it (`catalog_check.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from expansion_platform.domain.coverage import closing_states, mrr_by_product
from expansion_platform.domain.errors import DataQualityError, ExpansionError
from expansion_platform.domain.history_terms import Price, prices
from expansion_platform.domain.mrr import included
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas import billing, mrr, stripe
from expansion_platform.domain.suggestions import Offer, offers
from expansion_platform.resources import Platform


@dataclass(frozen=True)
class Account:
    """Products and prices; the item states at the newest closing instant with their MRR (none before anything was computed)."""

    offers: list[Offer]
    prices: dict[str, Price]
    active: frozenset[str]
    products: frozenset[str]
    customers: frozenset[str]
    month: str
    held: pd.DataFrame
    migrations: pd.DataFrame

    @property
    def mrr(self) -> dict[str, int]:
        """MRR by product, minor units of the reporting currency."""
        return mrr_by_product(self.held)

    def share(self, amount: int) -> Fraction | None:
        """Part of all MRR; None when there is none."""
        total = sum(self.mrr.values())
        return Fraction(amount, total) if total else None


def read_account(platform: Platform, catalog: Catalog) -> Account:
    """The account as pulled, valued under a catalog's policy.

    Raises:
        ExpansionError: nothing has been pulled yet.
    """
    lake = platform.lake
    products, listed = lake.read(stripe.Products), lake.read(stripe.Prices)
    if listed.empty:
        raise ExpansionError("no prices in the lake yet: `expansion refresh` pulls the account, and needs no catalog")
    every, _ = prices(listed)
    active = frozenset(listed.loc[listed["active"], "id"])
    computed = lake.months(mrr.CustomerMonths)
    month = computed[-1] if computed else platform.newest_closed_month
    migrations = lake.read(mrr.PriceMigrations)
    return Account(
        offers=offers(products, every, active, catalog),
        prices=every,
        active=active,
        products=frozenset(products["id"]),
        customers=frozenset(lake.read(stripe.Customers)["id"]) | frozenset(lake.read(billing.ItemStates)["customer"]),
        month=month,
        held=_held(platform, catalog, month),
        migrations=migrations[migrations["status"] == "to_confirm"].sort_values(["month", "old_price", "new_price"]),
    )


def _held(platform: Platform, catalog: Catalog, month: str) -> pd.DataFrame:
    """Valued item states at a month's closing instant; worth nothing, so shares are not shown, while a rate is missing."""
    states = included(platform.lake.read(billing.ItemStates), catalog)
    of_month = platform.lake.read(billing.FxRates).query("month == @month")
    try:
        return closing_states(states, month, platform.timezone, dict(zip(of_month["currency"], of_month["rate"], strict=True)), catalog)
    except DataQualityError:
        return states.iloc[:0].assign(mrr_minor=0)
