"""What the account sells and what is paid for it, as input for a catalog.

Here: reading it from the lake. Not here: the file made of it (`file.py`), checking a file against it
(`check.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.ladders import Undecided, undecided
from expansion_platform.domain.catalog.plans import Plans, beginnings
from expansion_platform.domain.catalog.suggestions import Offer, offers
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError, ExpansionError
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics.coverage import mrr_by_product
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.first_paid import included
from expansion_platform.domain.mrr.states import closing_states
from expansion_platform.domain.pricing.terms import Price, prices
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.resources import Platform


@dataclass(frozen=True)
class Account:
    """Products and prices, and the item states at the newest closing instant with their MRR.

    None of these before anything was computed.

    `plans` are the prices that count as plans then by inference, `undecided` the products of which nobody can
    say whether their prices are plans.
    """

    offers: list[Offer]
    prices: dict[str, Price]
    active: frozenset[str]
    products: frozenset[str]
    customers: frozenset[str]
    month: str
    subscribed_items: pd.DataFrame
    migrations: pd.DataFrame
    plans: Plans
    undecided: list[Undecided]

    @property
    def mrr(self) -> dict[str, int]:
        """MRR by product, minor units of the reporting currency."""
        return mrr_by_product(self.subscribed_items)

    def name(self, product: str) -> str:
        """A product's name on one line, its id where it has none."""
        return next((" ".join(offer.name.split()) for offer in self.offers if offer.id == product), product)

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
    if platform.read_until is None and listed.empty:
        raise ExpansionError(
            "nothing has been pulled yet: `expansion refresh` pulls the account, and needs no catalog"
        )
    every, _ = prices(listed)
    active = frozenset(listed.loc[listed["active"], "id"])
    computed = platform.months(mrr.CustomerMonths)
    month = computed[-1] if computed else platform.newest_closed_month
    migrations = lake.read(mrr.PriceMigrations)
    states = included(lake.read(billing.ItemStates), catalog)
    plans = beginnings(states, catalog).plans(months.closing(month, platform.timezone))
    repricings = set(migrations[["old_price", "new_price"]].itertuples(index=False, name=None))
    return Account(
        offers=offers(products, every, active, catalog),
        prices=every,
        active=active,
        products=frozenset(products["id"]),
        customers=frozenset(lake.read(stripe.Customers)["id"])
        | frozenset(lake.read(billing.ItemStates)["customer"]),
        month=month,
        subscribed_items=_subscribed_items(platform, states, catalog, month),
        migrations=migrations[migrations["status"] == "to_confirm"].sort_values(
            ["month", "old_price", "new_price"]
        ),
        plans=plans,
        undecided=undecided(_moves(platform, computed[-12:]), every, catalog, plans, repricings),
    )


def _moves(platform: Platform, wanted: list[str]) -> pd.DataFrame:
    """Who moved from one price to another within some months, where that was counted as `price`.

    Customer, from_price, to_price.
    """
    both = (
        pc.field("from_price").is_valid()
        & pc.field("to_price").is_valid()
        & (pc.field("from_price") != pc.field("to_price"))
    )
    priced = pc.field("cause") == "price"
    within = pc.field("month").isin(pa.array(wanted, pa.string()))
    moves = platform.lake.dataset(mrr.Causes).to_table(
        columns=["customer", "from_price", "to_price"], filter=within & both & priced
    )
    found: pd.DataFrame = moves.to_pandas()
    return found


def _subscribed_items(platform: Platform, states: pd.DataFrame, catalog: Catalog, month: str) -> pd.DataFrame:
    """Valued item states at a month's closing instant.

    Worth nothing, so shares are not shown, while a rate is missing.
    """
    of_month = platform.lake.read(billing.FxRates).query("month == @month")
    try:
        return closing_states(
            states,
            month,
            platform.timezone,
            dict(zip(of_month["currency"], of_month["rate"], strict=True)),
            catalog,
        )
    except DataQualityError:
        return states.iloc[:0].assign(mrr_minor=0)
