"""Whether a catalog file fits the account it is for (`expansion catalog check`).

Here: comparing a catalog with the products, prices and customers pulled. Not here: whether the file is a
catalog at all (`domain/catalog/catalog.py`), printing (`cli/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from expansion_platform.domain.catalog.catalog import Catalog, Entry, ListPrice
from expansion_platform.domain.catalog.hints import ignored
from expansion_platform.domain.catalog.suggestions import Offer, comparable
from expansion_platform.domain.core.wording import percent
from expansion_platform.domain.metrics.coverage import inferred
from expansion_platform.domain.pricing.schemes import parse_scheme
from expansion_platform.reports.catalog.account import Account
from expansion_platform.reports.catalog.plans import sold_side_by_side, undecided_products

SHOWN = 10


@dataclass(frozen=True)
class Finding:
    """One thing compared. `wrong` is a mistake in the file, `look` is for a person to judge."""

    level: Literal["ok", "look", "wrong"]
    subject: str
    text: str


def examine(catalog: Catalog, account: Account) -> Iterator[Finding]:
    """Every finding, in the order of the file."""
    yield from _ids(catalog, account)
    yield from _list_prices(catalog, account)
    yield from _silent(catalog, account)
    yield from _ranks(catalog, account)
    yield from _plans(catalog, account)
    yield from _hints(catalog)
    yield from _to_confirm(catalog, account)


def _ids(catalog: Catalog, account: Account) -> Iterator[Finding]:
    sold = account.products | account.prices.keys()
    yield _known("products", catalog.products, sold.__contains__, "no product or price of the account")
    migrated = {price for pair in catalog.migrations for price in pair}
    yield _known("migrations", migrated, account.prices.__contains__, "no recurring price of the account")
    yield _known(
        "aliases",
        set(catalog.aliases.values()),
        account.customers.__contains__,
        "merged into a customer the account does not have",
    )
    mentioned = {*catalog.aliases, *catalog.ever_paid, *catalog.excluded_customers}
    # Not a mistake: people who left before Stripe are just who `ever_paid` is for.
    yield _known("customers", mentioned, account.customers.__contains__, "not in the account", "look")


def _known(
    subject: str,
    ids: Iterable[str],
    known: Callable[[str], bool],
    problem: str,
    level: Literal["look", "wrong"] = "wrong",
) -> Finding:
    mentioned = sorted(ids)
    unknown = [identity for identity in mentioned if not known(identity)]
    return (
        Finding(level, subject, f"{problem}: {_some(unknown)}")
        if unknown
        else Finding("ok", subject, f"{len(mentioned)} ids, all known")
    )


def _list_prices(catalog: Catalog, account: Account) -> Iterator[Finding]:
    wrong = [text for listed in catalog.list_prices if (text := _contradiction(listed, account)) is not None]
    if wrong:
        yield Finding("wrong", "list_prices", _some(wrong, "; "))
    else:
        yield Finding("ok", "list_prices", f"{len(catalog.list_prices)} prices, as in Stripe")


def _contradiction(listed: ListPrice, account: Account) -> str | None:
    price = account.prices.get(listed.price)
    if price is None:
        return f"{listed.price} is no recurring price of the account"
    price = price.charged_in(listed.currency)
    said = {
        name: (getattr(listed, name), getattr(price, name))
        for name in ("product", "currency", "interval", "interval_count")
    }
    wrong = [f"{name} {here}, in Stripe {there}" for name, (here, there) in said.items() if here != there]
    if parse_scheme(listed.scheme_json) != parse_scheme(price.scheme_json):
        wrong.append("another scheme than in Stripe")
    return f"{listed.price}: {', '.join(wrong)}" if wrong else None


def _silent(catalog: Catalog, account: Account) -> Iterator[Finding]:
    """Products the file says nothing of, by the MRR that so rests on inference."""
    silent = (
        account.subscribed_items[inferred(account.subscribed_items, catalog)]
        .groupby("product")["mrr_minor"]
        .sum()
        .sort_values(ascending=False)
    )
    names = {offer.id: offer.name for offer in account.offers}
    products = [
        f"{names.get(str(product), product)} ({product}, {_percent(account, int(amount))})"
        for product, amount in silent.items()
        if amount
    ]
    if products:
        yield Finding(
            "look",
            "coverage",
            f"no entry, so inferred: {_some(products)}; together {_percent(account, int(silent.sum()))} of "
            f"MRR in {account.month}",
        )
    elif account.mrr:
        yield Finding("ok", "coverage", f"every product with MRR in {account.month} has an entry")
    else:
        yield Finding("look", "coverage", f"no MRR known for {account.month}: run `expansion refresh` first")


def _ranks(catalog: Catalog, account: Account) -> Iterator[Finding]:
    """Families whose ranks contradict each other, Stripe's metadata, or the price list."""
    families: dict[str, list[tuple[Offer, Entry]]] = {}
    for offer in account.offers:
        entry = catalog.entry("", offer.id, offer.prices[0].usage_type)
        if entry.kind == "base":
            families.setdefault(entry.family, []).append((offer, entry))
    problems = [
        problem
        for family, members in sorted(families.items())
        if len(members) > 1
        for problem in _family(family, members, catalog)
    ]
    for problem in problems:
        yield Finding("look", "tier_rank", problem)
    if not problems:
        yield Finding("ok", "tier_rank", "ranks agree with one another and with prices")


def _family(family: str, members: list[tuple[Offer, Entry]], catalog: Catalog) -> Iterator[str]:
    unranked = [offer.id for offer, entry in members if entry.tier_rank is None]
    if unranked:
        yield f"{family}: no rank for {_some(unranked)}, so every move to or from it is a change of plan"
    by_rank: dict[int, list[Offer]] = {}
    for offer, entry in members:
        if entry.tier_rank is not None:
            by_rank.setdefault(entry.tier_rank, []).append(offer)
        hinted = offer.hint.get("tier_rank")
        if hinted is not None and entry.tier_rank != hinted:
            yield f"{family}: {offer.id} has rank {entry.tier_rank} here and {hinted} in Stripe's metadata"
    for rank, offers in sorted(by_rank.items()):
        if len(offers) > 1:
            same = _some(sorted(offer.id for offer in offers))
            yield (
                f"{family}: {same} share rank {rank}, so a move between them is repricing, not a change of "
                "plan"
            )
    ladder = [offer for rank in sorted(by_rank) for offer in by_rank[rank]]
    listed = comparable(ladder, catalog.reporting_currency)
    if listed is not None:
        amounts: dict[str, Fraction] = listed[1]
        for rank, above in zip(sorted(by_rank), sorted(by_rank)[1:], strict=False):
            for low in by_rank[rank]:
                for high in by_rank[above]:
                    if amounts[low.id] > amounts[high.id]:
                        yield f"{family}: {high.id} (rank {above}) is cheaper than {low.id} (rank {rank})"


def _plans(catalog: Catalog, account: Account) -> Iterator[Finding]:
    """Products whose prices count as plans by inference, and those left undecided.

    Of the latter nobody can say whether their prices are plans.
    """
    texts = [text for text in (sold_side_by_side(account),) if text is not None]
    texts += undecided_products(account, catalog, catalog.reporting_currency)
    for text in texts:
        yield Finding("look", "plans", text)
    if not texts:
        yield Finding("ok", "plans", "no product has prices whose ranks are inferred or undecided")


def _hints(catalog: Catalog) -> Iterator[Finding]:
    """Metadata in Stripe that should say something of a product, and does not."""
    if unread := ignored(catalog.metadata):
        hints = _some([str(hint) for hint in unread], "; ")
        yield Finding(
            "look",
            "metadata",
            f"hints in Stripe that are ignored: {hints}. Correct them in Stripe, or say it in this file",
        )


def _to_confirm(catalog: Catalog, account: Account) -> Iterator[Finding]:
    pairs = account.migrations[["old_price", "new_price"]].drop_duplicates()
    migrations = [
        f"{old} to {new}"
        for old, new in pairs.itertuples(index=False, name=None)
        if not catalog.is_migration(old, new)
    ]
    if migrations:
        yield Finding("look", "migrations", f"detected, yours to confirm: {_some(migrations)}")


def _percent(account: Account, amount: int) -> str:
    share = account.share(amount)
    return "no MRR" if share is None else percent(share)


def _some(texts: list[str], between: str = ", ") -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return between.join(texts[:SHOWN]) + more
