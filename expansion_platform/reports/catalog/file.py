"""The first catalog of an account, written for a person to read and uncomment (`expansion catalog init`).

Here: the YAML text, in which everything guessed is a comment. Not here: the guesses
(`domain/catalog/suggestions.py`), reading a catalog (`domain/catalog/catalog.py`). As it is written the file
says nothing, so it changes no number.
"""

from __future__ import annotations

from collections.abc import Iterator

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.ladders import Rung
from expansion_platform.domain.catalog.suggestions import Guess, Offer, guesses
from expansion_platform.domain.core.wording import percent
from expansion_platform.domain.pricing.policy import PRESETS, Policy
from expansion_platform.domain.pricing.terms import Price
from expansion_platform.reports.catalog.account import Account
from expansion_platform.reports.catalog.plans import amount_of, of_product, unranked_because
from expansion_platform.reports.catalog.yaml_text import flow, scalar

HEAD = """\
# Catalog: what your products are to one another, and how items count. Made by `expansion catalog init` from
# the account as pulled.
#
# Everything guessed is a comment: as it stands this file changes no number. Read each guess, remove the
# `# ` before the lines that are right, correct those that are not, then `expansion catalog check` and
# `expansion refresh`. Every row of the tables carries the hash of this file's content.
#
# What a field of a product changes:
#   family     products of one family are plans of one another: cancelling one and buying another is an
#              upgrade or downgrade (cause `tier`), not a product dropped and another added (`cross_sell`)
#   tier_rank  higher is a higher plan; between equal ranks a new price is repricing (`price`, never
#              expansion) and not `tier`. Where nothing says it, prices of one product are plans if
#              customers begin on them side by side (at least 3 on each within a year, over 90 days)
#   kind       base: a plan or product. addon: bought and dropped as cause `addon`. usage: metered, as cause
#              `usage`
#   unit       what a quantity counts. seat: more of it is cause `seat`. flat: of an add-on, more of it is
#              `addon`. Between products of different units a change of quantity counts as part of the
#              change of plan
#   meter      the meter of usage prices: those that share one are compared with one another
#   group      compares items together that the rules above would keep apart; rarely needed
# A price id may stand here like a product id; its fields win over its product's.
"""
LIST_PRICES = """
# The price list. It only matters where a customer changes plan and billing interval at once: with the price
# of either plan at the other's interval known, the change is split into `tier` and `interval`; without it
# all of it is `tier`. The smallest price id wins where several fit. A list price is its product's: products
# that have several plans as prices are left out.
list_prices:
"""
MIGRATIONS = """
# Your own repricings: moves between two prices that you made, not the customer. A move listed here is cause
# `price`, never expansion or contraction.
migrations:
"""
CUSTOMERS = """
# Merged customers: the old id's history is added to the new id's, so that a merge is no churn and no new
# customer.
aliases:
  # cus_old: cus_new

# Customers that paid before the history Stripe holds: their return is `reactivation`, not `new`.
ever_paid:
  # - cus_1

# Internal and demo customers, left out of every month.
excluded_customers:
  # - cus_1
"""
POLICY = f"""
# How items count. `stripe_parity` counts as Stripe's dashboard does (no usage, only lasting coupons reduce
# MRR), to reconcile with it and for nothing else.
# Single keys win over the preset ({", ".join(PRESETS)}); changing any recomputes everything.
policy:
  preset: house
"""


def first_catalog(account: Account, catalog: Catalog, currency: str) -> str:
    """The whole file.

    Amounts and shares are those of the account's newest month in the reporting currency, `catalog` what is
    known without it.
    """
    guessed = guesses(account.offers, account.subscribed_items, currency)
    lines = [HEAD + "products:"]
    for offer in sorted(account.offers, key=lambda offer: (-account.mrr.get(offer.id, 0), offer.id)):
        rungs = of_product(offer.id, account, catalog)
        # Ranks of its prices make a rank of the product meaningless: it would make them equal.
        lines += _product(
            offer,
            [guess for guess in guessed[offer.id] if not (rungs and guess.field == "tier_rank")],
            account,
        )
        lines += _plans(rungs, account)
    lines.append(LIST_PRICES.rstrip("\n"))
    lines += [f"  # - {_price(price)}" for price in _listed(account, catalog)]
    lines.append(MIGRATIONS.rstrip("\n"))
    lines += _migrations(account)
    lines.append(CUSTOMERS.rstrip("\n"))
    lines.append(POLICY.rstrip("\n"))
    lines += [
        f"  # {name}: {flow(_plain(Policy(), name))}  # {field.description}"
        for name, field in Policy.model_fields.items()
        if name != "preset"
    ]
    return "\n".join(lines) + "\n"


def _product(offer: Offer, guessed: list[Guess], account: Account) -> Iterator[str]:
    share = account.share(account.mrr.get(offer.id, 0))
    revenue = "no MRR computed yet" if share is None else f"{percent(share)} of MRR in {account.month}"
    prices = {price.id for price in offer.prices}
    count = f"{len(prices)} price{'' if len(prices) == 1 else 's'}"
    yield ""
    yield f"  # {' '.join(offer.name.split())}: {revenue}, {count}"
    yield f"  {scalar(offer.id)}:"
    for guess in guessed:
        value = guess.value if guess.field == "tier_rank" else scalar(guess.value)
        yield f"    # {guess.field}: {value}  # {' '.join(guess.reason.split())}"


def _plans(rungs: list[Rung], account: Account) -> Iterator[str]:
    """A product's prices with ranks, where they are plans of one another or may be."""
    for rung in rungs:
        label = " ".join(f"{scalar(rung.price.id)}: {amount_of(rung)}".split())
        if rung.rank is None:
            yield f"  # {label}; {unranked_because(rung)}"
            continue
        plan = rung.price.id in account.plans.prices
        known = (
            "sold side by side with others of its product, so a plan already"
            if plan
            else "not known to be a plan"
        )
        yield f"  {scalar(rung.price.id)}:"
        yield f"    # tier_rank: {rung.rank}  # {amount_of(rung)}; {known}"


def _listed(account: Account, catalog: Catalog) -> list[Price]:
    """Prices that can be bought, licensed.

    A metered one has no interval to split a change by, and of a product with plans none is the product's.
    """
    single = [offer for offer in account.offers if not of_product(offer.id, account, catalog)]
    offered = [
        price
        for offer in single
        for price in offer.prices
        if price.id in account.active and price.usage_type == "licensed"
    ]
    return sorted(
        offered,
        key=lambda price: (price.product, price.currency, price.interval, price.interval_count, price.id),
    )


def _price(price: Price) -> str:
    texts = ", ".join(
        f"{name}: {scalar(getattr(price, name))}" for name in ("product", "currency", "interval")
    )
    return (
        f"{{price: {scalar(price.id)}, {texts}, interval_count: {price.interval_count}, scheme: "
        f"{flow(price.scheme)}}}"
    )


def _migrations(account: Account) -> Iterator[str]:
    if account.migrations.empty:
        yield "  # none was detected; write them as: - [price_old, price_new]"
    for row in account.migrations.drop_duplicates(["old_price", "new_price"], keep="last").to_dict("records"):
        moved = (
            f"{row['customers_moved']} of {row['customers_on_old']} customers moved in {row['month']} at "
            "unchanged quantity"
        )
        yield f"  # - [{scalar(row['old_price'])}, {scalar(row['new_price'])}]  # {moved}"


def _plain(policy: Policy, name: str) -> object:
    value = getattr(policy, name)
    return list(value) if isinstance(value, tuple) else value
