"""Which features an account uses, how much MRR they concern, and how sure each is."""

from __future__ import annotations

from typing import Any

import pandas as pd

from expansion_platform.domain.core.table import empty
from expansion_platform.domain.history.account_features import Account, Feature, features
from expansion_platform.domain.history.tables import Quarantine
from expansion_platform_tests.domain import history_rows
from expansion_platform_tests.domain.history_rows import day
from expansion_platform_tests.domain.whole_history import rebuild

GIVEN = {"id": "di", "coupon": "off", "start": None, "end": None}


def account(
    rows: history_rows.Account,
    mrr: int | None = 1000,
    currency: str = "usd",
    quarantine: pd.DataFrame | None = None,
    **item: Any,
) -> Account:
    staged = rows.staged()
    held = {
        "subscription": "sub",
        "item": "si",
        "price": "basic",
        "currency": currency,
        "usage_type": "licensed",
        "mrr_minor": mrr,
        "scheme_json": None,
        **item,
    }
    return Account(
        items=pd.DataFrame([held]),
        prices=staged.prices,
        coupons=staged.coupons,
        subscriptions=staged.subscriptions,
        invoices=staged.invoices,
        meter_usage=staged.meter_usage if staged.meter_usage is not None else pd.DataFrame({"meter": []}),
        quarantine=empty(Quarantine) if quarantine is None else quarantine,
    )


def found(told: Account) -> dict[str, Feature]:
    return {feature.name: feature for feature in features(told)}


def plain(**fields: Any) -> history_rows.Account:
    rows = history_rows.Account()
    rows.subscription(**fields)
    return rows


def test_a_plain_account_uses_none() -> None:
    rows = plain()
    rows.invoice("in_1", 0)
    assert found(account(rows)) == {}
    assert (
        found(Account(*(getattr(account(rows), name).iloc[:0] for name in Account.__dataclass_fields__)))
        == {}
    )


def test_a_price_in_the_currency_of_its_subscription() -> None:
    feature = found(account(plain(currency="eur"), currency="eur"))["prices in several currencies"]
    assert (feature.subscriptions, feature.mrr, feature.sure) == (1, 1000, "exact")


def test_a_coupon_counts_where_another_of_its_amounts_is_taken() -> None:
    for currency, used in (("eur", True), ("usd", False)):
        rows = plain(currency=currency, discounts=(GIVEN,))
        rows.coupon("off", amount=500, currency="usd", currency_options_json='{"eur":450}')
        assert ("coupons in several currencies" in found(account(rows))) == used


def test_bills_that_were_not_paid() -> None:
    hour = 1 / 24
    cases: dict[str | None, dict[str, Any]] = {
        "updates whose bill was never paid": {
            "billing_reason": "subscription_update",
            "status": "void",
            "voided_at": day(1 + 23 * hour),
        },
        "renewals voided or given up by hand": {
            "billing_reason": "subscription_cycle",
            "status": "void",
            "voided_at": day(1 + hour),
        },
        "bills marked uncollectible later": {
            "billing_reason": "subscription_cycle",
            "status": "uncollectible",
            "uncollectible_at": day(20),
        },
        None: {"billing_reason": "subscription_cycle", "status": "void", "voided_at": day(1)},
    }
    for name, fields in cases.items():
        rows = plain()
        rows.invoice("in_1", 1)
        rows.rows["invoices"][-1] |= {"finalized_at": day(1), **fields}
        assert list(found(account(rows))) == ([] if name is None else [name])


def test_usage_is_approximate_where_its_meter_was_not_read() -> None:
    for metered in (True, False):
        rows = plain()
        rows.price("use", usage_type="metered", meter="mtr")
        rows.used(0, "1", meter="mtr" if metered else "other")
        assert (
            "usage without its meter" in found(account(rows, price="use", usage_type="metered"))
        ) != metered


def test_what_cannot_be_read_now_is_named_without_mrr() -> None:
    rows = plain(status="frozen")
    rows.item("si", "basic", "5")
    feature = found(account(rows, quarantine=rebuild(rows.staged()).quarantine))[
        "subscriptions that cannot be read now"
    ]
    assert (feature.subscriptions, feature.mrr) == (1, None)
    assert "a subscription with an unknown status" in feature.meaning


def test_before_anything_was_computed_there_is_no_mrr() -> None:
    assert (
        found(account(plain(currency="eur"), mrr=None, currency="eur"))["prices in several currencies"].mrr
        is None
    )


def test_what_is_deleted_in_stripe_is_what_something_still_embeds() -> None:
    for embedded in (True, False):
        rows = plain(discounts=(GIVEN,))
        rows.coupon("off", percent="50", embedded=embedded)
        rows.price("old", embedded=embedded)
        used = found(account(rows, price="old"))
        assert ("coupons deleted in Stripe" in used, "prices deleted in Stripe" in used) == (
            embedded,
            embedded,
        )


def test_tax_inside_is_exact_where_its_rate_is_known() -> None:
    rows = plain()
    rows.price("gross", tax_behavior="inclusive")
    known, unknown = "prices with tax inside", "prices with tax inside at an unknown rate"
    for scheme, names in (
        (None, [known]),
        ('{"tax":"20","unit":"1"}', [known]),
        ('{"tax":null,"unit":"1"}', [unknown]),
        ('{"unit":"1"}', []),
    ):
        assert list(found(account(rows, price="gross", scheme_json=scheme))) == names
    assert (
        found(account(rows, price="gross", scheme_json='{"tax":null,"unit":"1"}'))[unknown].sure
        == "approximate"
    )
