import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform_tests.domain.books import catalog, per_unit

YAML = """
reporting_currency: eur
products:
  prod_basic: {family: main, tier_rank: 1}
  price_sso: {kind: addon, unit: seat}
migrations:
  - [price_old, price_new]
list_prices:
  - {price: p1, product: prod_basic, currency: usd, interval: year, scheme: {unit: "10000"}}
policy:
  week_in_months: 12/52
"""


def test_from_yaml(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(YAML, encoding="utf-8")
    read = Catalog.from_yaml(path)
    assert read.reporting_currency == "eur"
    assert read.is_migration("price_new", "price_old")
    assert read.list_price("prod_basic", "usd", "year", 1).price == "p1"
    assert read.list_price("prod_basic", "usd", "month", 1) is None
    assert read.policy.week == Policy(week_in_months="12/52").week


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("products: {a: {tier: 1}}", r"products\.a\.tier: unknown; did you mean tier_rank\?"),
        ("product: {}", r"product: unknown; did you mean products\?"),
        (
            "policy: {repeating_discounts_count: false}",
            r"policy\.repeating_discounts_count: unknown; did you mean repeating_discount_counts\?",
        ),
        ("list_prices: [{prices: p}]", r"list_prices\.0\.prices: unknown; did you mean price\?"),
        ("policy: {zzz: 1}", r"policy\.zzz: unknown; known are preset, statuses"),
        ("policy: {preset: stripe}", r"policy\.preset: Input should be 'house' or 'stripe_parity'"),
        ("ever_paid: cus_1", "ever_paid: Input should be a valid tuple"),
        ("products:\n  a: {kind: base}\n  b: {}\n  a: {kind: addon}", "a is written twice, in lines 2 and 4"),
        ("products: {a: {kind: extra}}", "'base', 'addon' or 'usage'"),
        ("policy: {statuses: [live]}", "unknown subscription status live"),
        ("policy: {week_in_months: weekly}", "positive fraction"),
        ("policy: {mid_market_acv: 20000000}", "mid_market_acv is above"),
        ("aliases: {a: b, b: a}", "circle"),
        ("fx: {prev: {eur: '1'}}", "fx is data"),
        ("list_prices: [{price: p, product: a, currency: usd, scheme: {unit: 10.5}}]", "float"),
        (
            "list_prices: [{price: p, product: a, currency: usd, interval: fortnight, scheme: {unit: '1'}}]",
            "unknown interval",
        ),
        ("list_prices: [{price: p, product: a, currency: usd, scheme: {type: odd}}]", "unknown price scheme"),
        ("- products", "not a mapping"),
        ("products: {a", "cannot be read"),
    ],
)
def test_a_bad_catalog_names_the_file_and_the_field(tmp_path, content, problem):
    path = tmp_path / "catalog.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=problem) as error:
        Catalog.from_yaml(path)
    assert "catalog.yaml" in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.yaml"):
        Catalog.from_yaml(tmp_path / "absent.yaml")


def test_presets_are_where_the_other_keys_start_from(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text("policy: {preset: stripe_parity, repeating_discount_counts: true}", encoding="utf-8")
    read = Catalog.from_yaml(path).policy
    assert (read.metered_counts, read.repeating_discount_counts, read.once_discount_min_months) == (
        False,
        True,
        12,
    )
    parity = Policy(preset="stripe_parity")
    assert (parity.metered_counts, parity.repeating_discount_counts) == (False, False)
    assert Policy(preset="house").policy_hash == Policy().policy_hash
    assert (
        parity.policy_hash
        == Policy(metered_counts=False, repeating_discount_counts=False).policy_hash
        != Policy().policy_hash
    )


def test_an_id_with_nothing_under_it_is_silence(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(
        "products:\n  prod_1:\n    # family: main\n  prod_2: {}\n  prod_3: {family: "
        "null}\nmigrations:\npolicy:\n",
        encoding="utf-8",
    )
    read = Catalog.from_yaml(path)
    assert read.catalog_hash == Catalog().catalog_hash
    assert read.entry("price_1", "prod_1", "licensed").inferred


def test_who_paid_before_and_who_is_excluded_are_read_and_hashed():
    made = Catalog.from_dict(
        {"ever_paid": ["c1"], "excluded_customers": ["c2"], "aliases": {"c3": "c2", "c2b": "c4"}}
    )
    assert made.ever_paid == ("c1",)
    assert [made.excludes(customer) for customer in ("c1", "c2", "c3", "c4")] == [False, True, True, False]
    assert (
        Catalog.from_dict({"excluded_customers": ["c2b"], "aliases": {"c2b": "c4"}}).excludes("c4") is False
    )
    hashes = {
        Catalog.from_dict(content).catalog_hash
        for content in ({}, {"ever_paid": ["c1"]}, {"excluded_customers": ["c1"]})
    }
    assert len(hashes) == 3


def test_inference_when_silent():
    silent = Catalog()
    licensed, metered = (
        silent.entry("price_1", "prod_1", "licensed"),
        silent.entry("price_2", "prod_1", "metered"),
    )
    assert (licensed.family, licensed.tier_rank, licensed.kind, licensed.unit, licensed.group) == (
        "prod_1",
        None,
        "base",
        "seat",
        "prod_1",
    )
    assert (metered.kind, metered.unit, metered.group) == ("usage", "usage:prod_1", "prod_1")
    assert licensed.inferred
    assert not licensed.placed


def test_price_over_product_over_metadata_field_by_field():
    metadata = {
        "price_1": {"tier_rank": "4", "family": "from_price", "unit": "flat", "colour": "red"},
        "prod_1": {"family": "from_product", "kind": "addon", "meter": "calls"},
    }
    products = {"price_1": {"unit": "seat"}, "prod_1": {"unit": "flat", "tier_rank": 2}}
    entry = Catalog.from_dict({"products": products}, metadata).entry("price_1", "prod_1", "licensed")
    assert (entry.family, entry.tier_rank, entry.kind, entry.unit, entry.group) == (
        "from_price",
        2,
        "addon",
        "seat",
        "prod_1",
    )
    assert not entry.inferred
    assert entry.placed


def test_metadata_that_means_something_else_is_silence():
    entry = Catalog.from_dict({}, {"prod_1": {"kind": "hardware", "tier_rank": "gold", "family": ""}}).entry(
        "price_1", "prod_1", "licensed"
    )
    assert (entry.kind, entry.tier_rank, entry.family, entry.placed) == ("base", None, "prod_1", False)


def test_group_override_and_meter():
    products = {"prod_1": {"group": "all"}, "prod_2": {"meter": "calls"}}
    made = Catalog.from_dict({"products": products})
    assert made.entry("x", "prod_1", "licensed").group == "all"
    assert (made.entry("x", "prod_2", "metered").group, made.entry("x", "prod_2", "metered").unit) == (
        "calls",
        "usage:calls",
    )


def test_a_meter_said_is_the_meter_inferred():
    made = Catalog.from_dict(
        {"products": {"price_1": {"unit": "meter"}, "price_3": {"unit": "meter", "meter": "calls"}}}
    )
    units = [made.entry(price, "prod_1", "metered").unit for price in ("price_1", "price_2", "price_3")]
    assert units == ["usage:prod_1", "usage:prod_1", "usage:calls"]


def test_aliases_are_followed_to_the_end():
    merged = Catalog.from_dict({"aliases": {"c1": "c2", "c2": "c3"}})
    assert [merged.customer(customer) for customer in ("c1", "c2", "c3", "c4")] == ["c3", "c3", "c3", "c4"]


def test_the_smallest_price_id_wins_a_tie():
    prices = [
        {
            "price": name,
            "product": "pro",
            "currency": "usd",
            "interval": "year",
            "interval_count": 1,
            "scheme": per_unit("1"),
        }
        for name in ("p2", "p1", "p3")
    ]
    assert Catalog.from_dict({"list_prices": prices}).list_price("pro", "usd", "year", 1).price == "p1"


def test_hashes_follow_content_not_order():
    one = Catalog.from_dict(
        catalog(migrations=[["a", "b"], ["c", "d"]], policy={"statuses": ["active", "past_due"]})
    )
    same = Catalog.from_dict(
        catalog(migrations=[["d", "c"], ["a", "b"]], policy={"statuses": ["past_due", "active"]})
    )
    assert (one.catalog_hash, one.policy_hash) == (same.catalog_hash, same.policy_hash)
    assert len(one.catalog_hash) == len(one.policy_hash) == 16
    other = Catalog.from_dict(catalog(migrations=[["a", "b"], ["c", "d"]], policy={"metered_counts": False}))
    assert other.policy_hash != one.policy_hash
    assert other.catalog_hash == one.catalog_hash
    assert Catalog.from_dict(catalog()).catalog_hash != one.catalog_hash
    assert (
        Catalog.from_dict({}, {"prod_1": {"family": "main"}}).catalog_hash
        != Catalog.from_dict({}, {"prod_1": {"note": "x"}}).catalog_hash
    )
