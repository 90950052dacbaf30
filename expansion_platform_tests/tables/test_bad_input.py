"""A bad row in a source stops what it affects: the error names it, the failed check is recorded, nothing
wrong is written, old figures stay.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.reports import doctor
from expansion_platform.resources import Platform
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform_tests.pipelines import COMPUTED, NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")


def live(account: StripeAccount) -> dict[str, Any]:
    """A running subscription."""
    return next(item for item in account.objects["subscriptions"] if item["status"] == "active")


def refusal(pipeline: Pipeline) -> str:
    with pytest.raises(ExpansionError) as caught:
        pipeline.refresh()
    return str(caught.value)


def names_of_failed_checks(pipeline: Pipeline) -> set[tuple[str, str]]:
    return {(check.asset_key.to_user_string(), check.check_name) for check in pipeline.failed_checks()}


def in_newest_month(seconds: int) -> bool:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m}" >= NEWEST


def negative_since_newest_month(account: StripeAccount) -> dict[str, Any]:
    """An item of a running subscription, renewed in the newest month: every object says -3 seats of
    it since.
    """
    item = next(
        held
        for subscription in account.objects["subscriptions"]
        for held in subscription["items"]["data"]
        if subscription["status"] == "active"
        and f"{datetime.fromtimestamp(held['current_period_start'], UTC):%Y-%m}" == NEWEST
    )
    item["quantity"] = -3
    for line in (line for invoice in account.objects["invoices"] for line in invoice["lines"]["data"]):
        parent = (line["parent"] or {}).get("subscription_item_details") or {}
        if parent.get("subscription_item") == item["id"] and in_newest_month(line["period"]["start"]):
            line |= {"quantity": -3, "quantity_decimal": "-3"}
    for event in account.objects["events"]:
        for held in (event["data"]["object"].get("items") or {}).get("data", ()):
            held["quantity"] = -3 if held["id"] == item["id"] else held["quantity"]
    return item


def test_a_negative_quantity_stops_the_month_it_holds_in(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        before = {model: content_by_month(copied, model) for model in COMPUTED}
        right, account = copied.world.stripe.account, copied.account_to_change()
        item = negative_since_newest_month(account)
        copied.world.stripe.account = account
        told = refusal(copied)
        assert f"{NEWEST}: a negative quantity: " in told
        assert item["id"] in told
        assert told.count(f"{NEWEST[:4]}-") == told.count(NEWEST)
        failed = names_of_failed_checks(copied)
        assert {
            ("billing/quarantine", "readable"),
            ("mrr/customer_months", "schema"),
            ("mrr/movements", "schema"),
            ("mrr/causes", "schema"),
        } <= failed
        assert item["id"] in str(
            [
                check.metadata["objects"].value
                for check in copied.failed_checks()
                if check.asset_key.path[0] == "mrr"
            ]
        )
        assert {model: content_by_month(copied, model) for model in COMPUTED} == before
        (stretch,) = copied.lake.read(billing.Quarantine).to_dict("records")
        assert item["id"] in stretch["objects_json"]
        without_its_customer(copied, stretch["customer"], tmp_path).refresh(NEWEST, NEWEST)
        copied.world.stripe.account = right
        copied.account_to_change()
        copied.refresh()
        assert copied.lake.read(billing.Quarantine).empty
        assert {model: content_by_month(copied, model) for model in COMPUTED} == before


def without_its_customer(pipeline: Pipeline, customer: str, folder: Path) -> Pipeline:
    """The same with a catalog that leaves a customer out."""
    catalog = yaml.safe_load(Path(str(pipeline.settings.expansion_catalog)).read_text())
    path = folder / "catalog.yaml"
    path.write_text(yaml.safe_dump({**catalog, "excluded_customers": [customer]}))
    return pipeline.with_settings(expansion_catalog=path)


def test_what_cannot_be_read_today_leaves_closed_months_as_they_are(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """Words of subscriptions that nobody knows, prices and coupons nobody uses that cannot be read, and hints
    that make no sense.
    """
    with pipeline.copied(tmp_path) as copied:
        before = copied.contents(COMPUTED)
        account = copied.account_to_change()
        subscription, paused = [
            item for item in account.objects["subscriptions"] if item["status"] == "active"
        ][:2]
        subscription["status"] = "frozen"
        paused["pause_collection"] = {"behavior": "hold_for_review", "resumes_at": None}
        add_unused(account)
        account.objects["products"][0]["metadata"]["unit"] = " "
        copied.world.stripe.account = account
        copied.refresh()
        assert names_of_failed_checks(copied) == {("billing/quarantine", "readable")}
        (check,) = copied.failed_checks()
        assert check.severity == dg.AssetCheckSeverity.WARN
        assert f"{subscription['id']}: a subscription with an unknown status" in str(check.description)
        assert (
            f"{paused['id']}: a subscription whose collection is paused in an unknown way (hold_for_review)"
            in str(check.description)
        )
        assert figures(copied) == figures(pipeline)
        assert {
            name for name, stored in copied.contents(COMPUTED).items() if stored != before[name]
        } <= HASHED
        told = {each.subject: each for each in doctor.examine(Platform(copied.settings))}
        assert (
            f'{account.objects["products"][0]["id"]}: unit is " ", and should be a name'
            in told["catalog hints"].text
        )
        assert (
            "price_unused_without (unit_amount_decimal is no number"
            in told["stripe/prices: 1 cannot be read"].text
        )
        assert all(
            told[name].ok and told[name].look for name in ("catalog hints", "stripe/prices: 1 cannot be read")
        )


HASHED = {model.Config.name for model in COMPUTED if "catalog_hash" in model.to_schema().columns}
"""Tables whose rows say which catalog they were made with: another hint is another catalog."""


def figures(pipeline: Pipeline) -> list[dict[str, Any]]:
    rows = pipeline.lake.read(mrr.CustomerMonths)
    return rows.drop(columns=["policy_hash", "catalog_hash"]).to_dict("records")


def add_unused(account: StripeAccount) -> None:
    """Prices without an amount or a known usage type, and a coupon that takes nothing off, none of them in
    use.
    """
    price = {
        **account.objects["prices"][0],
        "billing_scheme": "per_unit",
        "tiers": None,
        "tiers_mode": None,
        "unit_amount": None,
    }
    account.objects["prices"] += [
        {**price, "id": "price_unused_without", "unit_amount_decimal": "twelve"},
        {**price, "id": "price_unused_none", "unit_amount_decimal": None},
        {
            **price,
            "id": "price_unused_prepaid",
            "unit_amount_decimal": "12",
            "recurring": {**price["recurring"], "usage_type": "prepaid"},
        },
    ]
    account.objects["prices"].sort(key=lambda item: item["created"])
    account.objects["coupons"].append(
        {**account.objects["coupons"][0], "id": "UNUSED", "percent_off": None, "amount_off": None}
    )
    account.objects["coupons"].sort(key=lambda item: item["created"])


def test_an_object_whose_customer_nobody_knows_stops_the_pull(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        before = copied.contents()
        account = copied.account_to_change()
        subscription = live(account)
        subscription["customer"] = {"object": "customer"}
        copied.world.stripe.account = account
        assert f"subscription without a readable customer: {subscription['id']}" in refusal(copied)
        assert copied.contents() == before


def test_a_currency_without_any_rate_stops_the_months_it_is_held_in(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    with pipeline.copied(tmp_path) as copied:
        account = copied.account_to_change()
        subscription, since = newcomer(copied, account)
        in_unknown_currency(account, subscription["customer"])
        copied.world.stripe.account = account
        before = copied.contents(COMPUTED)
        older = {model: content_by_month(copied, model) for model in COMPUTED}
        told = refusal(copied)
        assert subscription["items"]["data"][0]["id"] in told
        assert f"{since} to {NEWEST}: " in told
        assert "zzz" in told
        failed = names_of_failed_checks(copied)
        assert ("billing/fx_rates", "complete") in failed
        assert {
            ("mrr/customer_months", "schema"),
            ("mrr/movements", "schema"),
            ("mrr/causes", "schema"),
        } <= failed
        assert {model: content_by_month(copied, model) for model in COMPUTED} == older
        assert copied.contents(COMPUTED) == before


def newcomer(pipeline: Pipeline, account: StripeAccount) -> tuple[dict[str, Any], str]:
    """A running subscription that began after the first months, of a customer with no other and no recent
    event, and its first month.
    """
    states = pipeline.lake.read(billing.ItemStates)
    told = {item["data"]["object"].get("customer") for item in account.objects["events"]}
    for customer, rows in states.groupby("customer"):
        since = f"{rows['valid_from'].min():%Y-%m}"
        if (
            "2026-02" <= since <= "2026-08"
            and customer not in told
            and rows["subscription"].nunique() == 1
            and (rows["currency"] == "usd").all()
        ):
            return next(
                item for item in account.objects["subscriptions"] if item["customer"] == customer
            ), since
    raise AssertionError("no such customer: choose another seed")


def in_unknown_currency(account: StripeAccount, customer: str) -> None:
    """Rewrites everything of a customer into the currency zzz, at prices of that currency."""
    for resource in ("subscriptions", "invoices", "invoiceitems", "credit_notes"):
        for index, item in enumerate(account.objects[resource]):
            if item["customer"] == customer:
                account.objects[resource][index] = json.loads(
                    json.dumps(item).replace('"usd"', '"zzz"').replace("price_", "price_zzz_")
                )
    account.objects["prices"] += [
        copy.deepcopy(item) | {"id": item["id"].replace("price_", "price_zzz_"), "currency": "zzz"}
        for item in account.objects["prices"]
    ]
    account.objects["prices"].sort(key=lambda item: item["created"])


def content_by_month(pipeline: Pipeline, model: type) -> dict[str, str]:
    return {month: pipeline.lake.content_hash(model, [month]) for month in pipeline.lake.months(model)}


def without_rates_of(pipeline: Pipeline, month: str, folder: Path) -> Pipeline:
    """Nothing computed yet, and a file of rates that lacks a month."""
    path = folder / "rates.csv"
    lines = Path(str(pipeline.settings.expansion_fx_rates)).read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(month)))
    for model in COMPUTED:
        pipeline.lake.delete_months(model, pipeline.lake.months(model))
    return pipeline.with_settings(expansion_fx_rates=path)


def test_a_missing_rate_of_the_newest_month_stops_that_month_only(pipeline: Pipeline, tmp_path: Path) -> None:
    complete = content_by_month(pipeline, mrr.CustomerMonths)
    with pipeline.copied(tmp_path, history=False) as copied:
        broken = without_rates_of(copied, NEWEST, tmp_path)
        told = refusal(broken)
        states = broken.lake.read(billing.ItemStates)
        assert f"mrr: {NEWEST}: " in told
        assert any(item in told for item in states.loc[states["currency"] != "usd", "item"])
        assert {
            ("billing/fx_rates", "complete"),
            ("mrr/customer_months", "schema"),
        } <= names_of_failed_checks(broken)
        assert content_by_month(broken, mrr.CustomerMonths) == {
            month: content for month, content in complete.items() if month != NEWEST
        }
        computed = {event.partition for event in materializations(broken, "mrr/customer_months")}
        assert computed == complete.keys() - {NEWEST}


def materializations(pipeline: Pipeline, name: str) -> list[dg.AssetMaterialization]:
    records = pipeline.instance.fetch_materializations(dg.AssetKey(name.split("/")), limit=100).records
    return [record.asset_materialization for record in records if record.asset_materialization is not None]


def test_a_missing_rate_of_an_older_month_spares_the_months_before_it(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """It is the closing rate of its own month and the opening rate of the next; later months are right or not
    there.
    """
    complete = content_by_month(pipeline, mrr.CustomerMonths)
    with pipeline.copied(tmp_path) as copied:
        broken = without_rates_of(copied, "2026-03", tmp_path)
        told = refusal(broken)
        assert f"2026-03 to {NEWEST}: " in told
        found = content_by_month(broken, mrr.CustomerMonths)
        assert found.keys().isdisjoint({"2026-03", "2026-04"})
        assert found.keys() >= {month for month in complete if month < "2026-03"}
        assert found == {month: complete[month] for month in found}
