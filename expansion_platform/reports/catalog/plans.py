"""Plans that are prices of one product, as a person reads them.

The report says which count as plans, which are undecided, and the catalog lines that settle it.

Here: sentences and YAML for `expansion catalog init` and `check`, and `expansion doctor`. Not here: the
inference (`domain/catalog/plans.py`) and the ranks guessed (`domain/catalog/ladders.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.ladders import Rung, Undecided, ladder
from expansion_platform.domain.catalog.plans import FEWEST_BEGINNINGS, SIDE_BY_SIDE
from expansion_platform.domain.core.wording import money, percent
from expansion_platform.reports.catalog.account import Account
from expansion_platform.reports.catalog.yaml_text import scalar

WHY_UNDECIDED = (
    f"customers did not begin on both side by side (at least {FEWEST_BEGINNINGS} on each within a year, "
    f"over {SIDE_BY_SIDE.days} days)"
)

ONE_SOLD = (
    "Only one price is still sold in each list, so they look like new prices of one plan. If they are, "
    "write the pairs into the catalog:"
)


def sold_side_by_side(account: Account) -> str | None:
    """Which products have prices that count as plans by inference, and the MRR of these prices.

    None where there is none.
    """
    items = account.subscribed_items[account.subscribed_items["price"].isin(account.plans.prices)]
    products = sorted(
        {account.prices[price].product for price in account.plans.prices if price in account.prices}
    )
    if not products:
        return None
    named = ", ".join(f"{account.name(product)} ({product})" for product in products)
    share = account.share(int(items["mrr_minor"].sum()))
    on_plans = "" if share is None else f"; {percent(share)} of the MRR of {account.month} is on them"
    return (
        f"prices sold side by side count as plans: {len(account.plans.prices)} prices of {named}{on_plans}. "
        "`expansion catalog init` writes their ranks; with ranks in the catalog it no longer depends "
        "on who began when"
    )


def undecided_products(account: Account, catalog: Catalog, currency: str) -> Iterator[str]:
    """One text for each undecided product.

    What happened, what it means, and the catalog lines that settle it.
    """
    for one in sorted(account.undecided, key=lambda one: (-account.mrr.get(one.product, 0), one.product)):
        mrr = account.mrr.get(one.product, 0)
        share = account.share(mrr)
        of_all = "" if share is None else f", {percent(share)} of all, in {account.month}"
        moved = (
            f"{one.customers} customer{'' if one.customers == 1 else 's'} moved between prices of it within "
            "12 months"
        )
        ranks = list(_rank_lines(one, account, catalog))
        yield "\n".join(
            [
                f"{account.name(one.product)} ({one.product}, MRR {money(mrr, currency)}{of_all}): {moved}. "
                f"Are these plans, or one plan at a new price? Nobody said, and {WHY_UNDECIDED}. "
                "So the moves count as `price`: never expansion, never contraction.",
                *(
                    [
                        "If they are plans, write their ranks into the catalog:",
                        "  products:",
                        *(f"    {line}" for line in ranks),
                    ]
                    if ranks
                    else []
                ),
                "If one price replaced the other, write the pair into the catalog:" if ranks else ONE_SOLD,
                "  migrations:",
                *(f"    - [{scalar(old)}, {scalar(new)}]" for old, new in one.pairs),
            ]
        )


def of_product(product: str, account: Account, catalog: Catalog) -> list[Rung]:
    """The ladder of a product's prices in use or on sale, where they are plans by inference or undecided.

    None where no rank can be guessed.
    """
    known = {
        price for one in account.undecided if one.product == product for price in one.prices
    } | account.plans.prices
    in_use = set(account.subscribed_items["price"])
    prices = [price for price in account.prices.values() if price.product == product]
    if not any(price.id in known for price in prices):
        return []
    rungs = ladder(
        [price for price in prices if price.id in account.active or price.id in in_use | known],
        account.active,
        catalog,
    )
    return rungs if any(rung.rank is not None for rung in rungs) else []


def amount_of(rung: Rung) -> str:
    """What a price charges for one unit a month, as text."""
    return f"{money(round(rung.amount), rung.price.currency)} a month for one unit"


def unranked_because(rung: Rung) -> str:
    """Why a price has no guessed rank, and what to do."""
    if not rung.sold:
        return "no longer sold: give it the rank of the plan it was a price of"
    return "its list has fewer plans than another: give it the rank of the same plan there"


def _rank_lines(one: Undecided, account: Account, catalog: Catalog) -> Iterator[str]:
    for rung in of_product(one.product, account, catalog):
        if rung.rank is None:
            yield (
                f"# {scalar(rung.price.id)}: {{tier_rank: ?}}  # {amount_of(rung)}; {unranked_because(rung)}"
            )
        else:
            yield f"{scalar(rung.price.id)}: {{tier_rank: {rung.rank}}}  # {amount_of(rung)}"
