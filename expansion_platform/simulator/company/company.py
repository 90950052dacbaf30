"""A simulated SaaS company: what it sold, what Stripe would hold of it, and the truth only tests may read.

Here: the company as one value, made by `simulate`. Not here: the servers it is read through, and any measure
computed from it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from operator import itemgetter
from typing import Any

import pandas as pd

from expansion_platform.domain.core import months as calendar
from expansion_platform.simulator.company.agenda import Agenda
from expansion_platform.simulator.company.arrangements import NAMES, Arrangements
from expansion_platform.simulator.company.behaviour import DAY, Extra, Life
from expansion_platform.simulator.company.catalog import (
    API,
    CURRENCIES,
    PLANS_AS_PRODUCTS,
    PRICED_BEFORE,
    PRODUCTS,
    REPRICED,
    TAX_BEHAVIOUR,
    WORKSPACE,
    Catalog,
    build,
)
from expansion_platform.simulator.company.hardship import ENDINGS, Hardship
from expansion_platform.simulator.company.hidden import Hidden
from expansion_platform.simulator.company.initiators import BEHAVIOUR, Initiation, Initiators
from expansion_platform.simulator.company.signalled import Signalled, in_hindsight, lived
from expansion_platform.simulator.company.signals import Signals
from expansion_platform.simulator.company.updates import NAMES as UPDATES
from expansion_platform.simulator.company.updates import Updates
from expansion_platform.simulator.servers.stripe_meters import meter
from expansion_platform.simulator.stripe_billing import catalog_objects, objects, taxation
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform.simulator.stripe_billing.billing import Billing
from expansion_platform.simulator.stripe_billing.events import Recorder
from expansion_platform.simulator.stripe_billing.metering import METER, Metering
from expansion_platform.simulator.stripe_billing.taxation import Taxation
from expansion_platform.simulator.truth import items as truth
from expansion_platform.simulator.truth.items import EVENTS_KEPT, Truth

LAST_MONTH = "2026-10"
"""The newest closed month of the default clock; the first month is counted back from it."""
AS_OF = datetime(2026, 11, 3, 6, tzinfo=UTC)
BEHAVIOURS = frozenset(
    {
        *(
            *NAMES,
            *ENDINGS,
            *UPDATES,
            BEHAVIOUR,
            "incomplete",
            "first_payment",
            "pause_after_trial",
            "pause_collection",
        ),
        *(
            "customer_discount",
            "deleted_coupon",
            "deleted_limited_coupon",
            "deleted_customer",
            "deleted_price",
            "metered",
            "multi_currency",
            TAX_BEHAVIOUR,
        ),
    }
)
"""What a company can do beyond a plain one's life."""
BASE_SHARE = 0.45
"""Customers who sign up in the first month; the others come evenly over the months after it."""
MIGRATION_AFTER = 0.58
"""Share of the months after which Pro's monthly price is replaced."""
REPRICED_AFTER = (0.33, 0.66)
"""Shares of the months after which a company that repriced twice did so."""
CREATED_BEFORE = 600
"""Seconds from a customer's creation to its first subscription."""
UNMAPPED = 0.03
"""Customers whose product account nobody has mapped."""
FX_START = {"eur": "1.0850", "gbp": "1.2720", "jpy": "0.00668"}


@dataclass(frozen=True)
class Company:
    """Everything known of the company at one instant.

    `catalog` is in the form of semantics 8.1, without fx, ever_paid and policy.
    """

    account: StripeAccount
    truth: Truth
    catalog: dict[str, Any]
    fx_rates: pd.DataFrame
    account_months: pd.DataFrame
    account_map: pd.DataFrame
    initiations: list[Initiation]
    crm_activity: pd.DataFrame
    signals: Signalled | None = None


def simulate(
    seed: int,
    customers: int,
    months: int,
    as_of: datetime | None = None,
    behaviours: frozenset[str] = frozenset(),
    sells: str = PLANS_AS_PRODUCTS,
    signals: Signals | None = None,
) -> Company:
    """The company's `months` months up to 2026-10, a pure function of its arguments.

    Its life goes on to `as_of` (default 2026-11-03 06:00 UTC).

    `behaviours` are further ones than a plain company's, named in `BEHAVIOURS`; `sells` is how its plans are
    sold, a name of `CATALOGS`. With `signals`, customers expand and leave by what they use and meet
    (`signals.py`). The world up to an instant does not depend on `as_of`: reading at T1 and again at T2
    shows one consistent account.
    """
    as_of = as_of or AS_OF
    now = int(as_of.timestamp())
    first = calendar.shift(LAST_MONTH, 1 - months)
    opening = int(calendar.opening(first).timestamp())
    now_closed = int(calendar.closing(LAST_MONTH).timestamp())
    shares = REPRICED_AFTER if sells == REPRICED else (MIGRATION_AFTER,)
    repriced_at = tuple(
        int(calendar.opening(calendar.shift(first, int(months * share))).timestamp()) + 9 * DAY
        for share in shares
    )
    catalog = build(opening - PRICED_BEFORE, repriced_at, behaviours, sells)
    account = StripeAccount(id=f"acct_Simulated{seed}")
    account.objects["events"] += _catalog_events(
        catalog, Recorder(objects.Ids(f"{seed}:account"), now - EVENTS_KEPT), now
    )
    lives: list[tuple[int, Life]] = []
    asking: list[Initiators] = []
    drivers: list[Hidden] = []
    closings = _closings(first, as_of)
    for number in range(1, customers + 1):
        rng = random.Random(f"{seed}:{number}")
        signs_up = opening + int(_signup(rng, months) * DAY)
        hidden = _hidden(f"{seed}:{number}", catalog, signals, closings, _account_name(number))
        life = Life(
            rng,
            catalog,
            partial(_extras, f"{seed}:{number}", behaviours - {BEHAVIOUR}, catalog, hidden),
            driven=hidden is not None,
        )
        created = signs_up - CREATED_BEFORE
        if created > now:
            continue
        ids = objects.Ids(f"{seed}:{number}")
        metadata = {"account_id": _account_name(number)} if rng.random() < 0.5 else {}
        customer = objects.customer(ids.new("cus_"), number, created, metadata)
        recorder = Recorder(ids, now - EVENTS_KEPT)
        billing = Billing(customer, ids, recorder, life.agenda.put)
        if TAX_BEHAVIOUR in behaviours:
            billing.invoicing.tax = Taxation(
                random.Random(f"{seed}:{number}:tax"), opening + (now_closed - opening) // 2
            ).tax
        if BEHAVIOUR in behaviours:
            initiators = Initiators(
                random.Random(f"{seed}:{number}:initiators"),
                objects.Ids(f"{seed}:{number}:initiators"),
                recorder,
            )
            billing.asked = initiators.asked
            asking.append(initiators)
        if hidden is not None:
            drivers.append(hidden)
        life.begin(billing, signs_up)
        life.agenda.run(now)
        lives.append((number, life))
        account.objects["events"] += recorder.events
    _fill(account, catalog, [life for _, life in lives], now)
    logs = [subscription.log for _, life in lives for subscription in life.billing.subscriptions]
    forgotten = catalog.deleted_prices - _shown_whole(account)
    facts = truth.read([replace(log, forgotten=forgotten) for log in logs], now)
    newest = calendar.newest_closed(as_of)
    accounts = {life.billing.customer["id"]: _account_name(number) for number, life in lives}
    mapped = {
        customer: name
        for customer, name in accounts.items()
        if random.Random(f"{seed}:{name}").random() >= UNMAPPED
    }
    return Company(
        account=account,
        truth=facts,
        catalog=catalog.semantics(now),
        fx_rates=_fx_rates(seed, calendar.between(calendar.shift(first, -1), newest)),
        account_months=_account_months(facts.states, accounts, calendar.between(first, newest)),
        initiations=[initiation for each in asking for initiation in each.log],
        crm_activity=pd.DataFrame(
            [row for each in asking for row in each.crm],
            columns=["customer", "date", "kind", "id"],
            dtype="str",
        ),
        account_map=pd.DataFrame({"account": list(mapped.values()), "customer": list(mapped)}, dtype="str"),
        signals=None if signals is None else lived(seed, signals, drivers, as_of, newest),
    )


def with_usage(company: Company, seed: int, as_of: datetime | None = None) -> Company:
    """A company that lived without signals, with what its customers might have used, in hindsight.

    Its Stripe account and truth are the same; so is each amount and its origin.
    """
    return replace(
        company,
        signals=in_hindsight(
            seed,
            company.account_months,
            company.truth.states,
            company.truth.expected_states,
            company.crm_activity,
            as_of or AS_OF,
        ),
    )


def _closings(first: str, as_of: datetime) -> list[tuple[int, str, str]]:
    """When months close, which, and the one that begins: of all up to `as_of`, and one more."""
    found = calendar.between(first, calendar.shift(f"{as_of:%Y-%m}", 1))
    return [(int(calendar.closing(month).timestamp()), month, calendar.shift(month, 1)) for month in found]


def _hidden(
    seed: str,
    catalog: Catalog,
    signals: Signals | None,
    closings: list[tuple[int, str, str]],
    account: str,
) -> Hidden | None:
    if signals is None:
        return None
    return Hidden(random.Random(f"{seed}:signals"), catalog, signals, closings, account)


def _extras(
    seed: str, behaviours: frozenset[str], catalog: Catalog, hidden: Hidden | None, agenda: Agenda
) -> list[Extra]:
    """What a customer does and suffers beyond a plain life; each decides by a generator of its own."""
    driving: list[Extra] = []
    if hidden is not None:
        hidden.schedule = agenda.put
        driving = [hidden]
    if not behaviours:
        return driving
    return [
        *driving,
        Hardship(
            random.Random(f"{seed}:hardship"), behaviours, catalog, agenda.put, Metering(f"{seed}:meter")
        ),
        Arrangements(random.Random(f"{seed}:arrangements"), behaviours, catalog, agenda.put),
        Updates(random.Random(f"{seed}:updates"), behaviours, catalog, agenda.put),
    ]


def _signup(rng: random.Random, months: int) -> float:
    """Days after the first month's opening."""
    return rng.uniform(0, 30) if rng.random() < BASE_SHARE else rng.uniform(30, (months + 1) * 30.4)


def _shown_whole(account: StripeAccount) -> set[str]:
    """The prices that a subscription, or an event of one, still embeds."""
    events = [
        event["data"]["object"]
        for event in account.objects["events"]
        if event["data"]["object"]["object"] == "subscription"
    ]
    return {
        item["price"]["id"]
        for subscription in [*account.objects["subscriptions"], *events]
        for item in subscription["items"]["data"]
    }


def _account_name(number: int) -> str:
    return f"org_{number:05d}"


def _catalog_events(catalog: Catalog, recorder: Recorder, now: int) -> list[dict[str, Any]]:
    """The days on which prices were replaced in the account's catalogue.

    New ones are created, and the old ones taken off sale.
    """
    for at in [at for at in catalog.repriced_at if at <= now]:
        for price in {price.id: price for price in catalog.prices.values()}.values():
            if price.created == at:
                recorder.emit("price.created", at, partial(catalog_objects.price, price, at), requested=True)
            elif price.retired_at == at:
                recorder.emit(
                    "price.updated",
                    at,
                    partial(catalog_objects.price, price, at),
                    {"active": True},
                    requested=True,
                )
    return recorder.events


def _fill(account: StripeAccount, catalog: Catalog, lives: list[Life], now: int) -> None:
    objects_by_resource = account.objects
    objects_by_resource["products"] = [
        catalog_objects.product(product, catalog.created) for product in catalog.products
    ]
    prices = {
        price.id: price
        for price in catalog.prices.values()
        if price.created <= now and price.id not in catalog.deleted_prices
    }
    objects_by_resource["prices"] = [
        catalog_objects.price(price, now, whole=True) for price in prices.values()
    ]
    coupons = {
        coupon.id: catalog_objects.coupon(coupon, catalog.created) for coupon in catalog.coupons.values()
    }
    objects_by_resource["coupons"] = [
        coupon for name, coupon in coupons.items() if not name.startswith("RETIRED")
    ]
    objects_by_resource["tax_rates"] = (
        taxation.tax_rates(catalog.created) if any(price.taxed for price in catalog.prices.values()) else []
    )
    account.meters = [meter(METER, "API calls", catalog.created)] if API in catalog.products else []
    for life in lives:
        books = life.billing
        objects_by_resource["customers"] += [] if books.deleted else [books.customer]
        objects_by_resource["subscriptions"] += [
            objects.subscription(each, now) for each in books.subscriptions
        ]
        ends = {each.id: each.ended_at for each in books.subscriptions}
        objects_by_resource["subscription_schedules"] += [
            each.rendered(ends[each.subscription], now) for each in books.schedules
        ]
        objects_by_resource["invoices"] += books.invoices
        objects_by_resource["invoiceitems"] += books.invoice_items
        objects_by_resource["credit_notes"] += books.credit_notes
        account.discounts.update(
            (each.id, objects.discount(each, books.customer["id"])) for each in books.redemption.every
        )
        for log, metering in (
            (each.log, each.log.metering) for each in books.subscriptions if each.log.metering is not None
        ):
            if books.deleted:  # what it used is gone with it
                log.metering = None
                continue
            until = now + 1 if log.ended_at is None else log.ended_at
            account.reported[METER, books.customer["id"]] = list(metering.events(log.start, until))
    redeemed_ones = {entry["source"]["coupon"] for entry in account.discounts.values()}
    account.deleted_coupons = {
        name: coupon
        for name, coupon in coupons.items()
        if name.startswith("RETIRED") and name in redeemed_ones
    }
    redeemed = {entry["id"]: entry for entry in objects_by_resource["coupons"]} | account.deleted_coupons
    for entry in account.discounts.values():
        redeemed[entry["source"]["coupon"]]["times_redeemed"] += 1
    for resource, entries in objects_by_resource.items():
        entries.sort(key=itemgetter("date" if resource == "invoiceitems" else "created"))


def _fx_rates(seed: int, wanted: list[str]) -> pd.DataFrame:
    """Month-end rates in US dollars: a random walk a currency, steps of up to 2 %, six significant digits."""
    rows = []
    for currency in CURRENCIES:
        if currency == "usd":
            continue
        rng, rate = random.Random(f"{seed}:fx:{currency}"), Decimal(FX_START[currency])
        for month in wanted:
            rate = rate * (10_000 + rng.randint(-200, 200)) / 10_000
            rate = Decimal(f"{rate:.6g}")
            rows.append((month, currency, format(rate, "f")))
    return pd.DataFrame(rows, columns=["month", "currency", "rate"], dtype="str").sort_values(
        ["month", "currency"], ignore_index=True
    )


def _account_months(states: pd.DataFrame, accounts: dict[str, str], wanted: list[str]) -> pd.DataFrame:
    """Seats at each month's closing instant of every account that has any."""
    seat_products = [product.id for product in (*PRODUCTS, WORKSPACE) if product.unit == "seat"]
    seats = states[states["product"].isin(seat_products)]
    rows = []
    for month in wanted:
        closing = calendar.closing(month)
        current = seats[
            (seats["valid_from"] < closing) & (seats["valid_to"].isna() | (seats["valid_to"] >= closing))
        ]
        counts = current["quantity"].astype("int64").groupby(current["customer"]).sum()
        rows += [(accounts[str(customer)], customer, month, count) for customer, count in counts.items()]
    frame = pd.DataFrame(rows, columns=["account", "customer", "month", "seats"])
    return frame.sort_values(["account", "month"], ignore_index=True)
