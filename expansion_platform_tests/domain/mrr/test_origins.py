"""Who began each expansion, and a small month of it worked out by hand.

March 2026, UTC, US cents. Each customer has one subscription (sub_NAME) and item (si_NAME) unless it says
otherwise:

| customer | amount | headline | what is known | origin |
|---|---|---|---|---|
| ana | seat 1,000 | 1,000 | the event of the change says `sales` | sales |
| ben | tier 2,000 | 2,000 | opportunity won on 8 April, 14 days after the change | sales |
| cat | seat 500 | 500 | portal session 40 minutes before; a touch, too | self_serve |
| dan | cross_sell 700 | 700 | a checkout began its second subscription | self_serve |
| eve | usage 300, addon 400 | 600: 257 + 343 | 100 conceded; usage; the add-on's event was Stripe's own |
product, product |
| fay | seat 800 | 800 | touch 30 days before | touched |
| gus | seat 600 | 600 | touch 31 days before, opportunity 15 days after | unknown |
| hal | seat 90 | 90 | a phase of a schedule began | product |
| ivy | seat 100 + 201 | 150: 50 + 100 | two groups: the bill of the one says `csm` | csm, unknown |
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.metrics import reconciliation_totals
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.expansion_by_origin import expansion_by_origin
from expansion_platform.domain.mrr import origin_rules, reconciliation
from expansion_platform.domain.mrr import origins as rules
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import ORGANIC

MONTH = "2026-03"
HASHES = {"policy_hash": "p", "catalog_hash": "c"}
CATALOG = Catalog.from_dict({"aliases": {"cat_old": "cat"}})
AMOUNTS = [
    ("ana", "base", "seat", 1_000),
    ("ben", "base", "tier", 2_000),
    ("cat", "base", "seat", 500),
    ("dan", "crm", "cross_sell", 700),
    ("eve", "api", "usage", 300),
    ("eve", "sso", "addon", 400),
    ("fay", "base", "seat", 800),
    ("gus", "base", "seat", 600),
    ("hal", "base", "seat", 90),
    ("ivy", "base", "seat", 100),
    ("ivy", "crm", "seat", 201),
]
HEADLINE = {
    "ana": {"seat": 1_000},
    "ben": {"tier": 2_000},
    "cat": {"seat": 500},
    "dan": {"cross_sell": 700},
    "eve": {"usage": 257, "addon": 343},
    "fay": {"seat": 800},
    "gus": {"seat": 600},
    "hal": {"seat": 90},
    "ivy": {"seat": 150},
}
E = 6_440
CRM = [
    ("ben", "2026-04-08", "opportunity", "o1"),
    ("cat", "2026-03-11", "touch", "t1"),
    ("fay", "2026-02-10", "touch", "t2"),
    ("gus", "2026-02-09", "touch", "t3"),
    ("gus", "2026-03-27", "opportunity", "o2"),
]


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


def state(
    item: str, since: str, until: str | None = None, quantity: str = "1", **changed: Any
) -> dict[str, Any]:
    customer = item.split("_")[1]
    return {
        "customer": customer,
        "subscription": f"sub_{customer}",
        "item": item,
        "valid_from": at(since),
        "valid_to": until and at(until),
        "price": "price_a",
        "quantity": quantity,
        "status": "active",
        "collection_paused": None,
        "usage_type": "licensed",
        "source": "proration",
        **changed,
    }


def grown(item: str, when: str, **changed: Any) -> list[dict[str, Any]]:
    return [state(item, "2025-01-01", when), state(item, when, quantity="2", **changed)]


def history(*rows: dict[str, Any]) -> pd.DataFrame:
    instants = dict.fromkeys(("valid_from", "valid_to"), "datetime64[us, UTC]")
    return (
        pd.DataFrame(rows)
        .astype(instants)
        .sort_values(["customer", "subscription", "item", "valid_from"], ignore_index=True)
    )


def event(
    name: str, when: str, subscription: str, *, kind: str = "customer.subscription.updated", **told: Any
) -> dict[str, Any]:
    known = {
        "customer": subscription.rpartition("_")[2],
        "request_id": "req_1",
        "state": {},
        "previous": {"items": []},
    } | told
    texts = {f"{column}_json": dumps(known.pop(column)) for column in ("state", "previous")}
    return {"id": name, "created": at(when), "type": kind, "object_id": subscription, **known, **texts}


def facts(
    events: list[dict[str, Any]] = (),
    bills: list[tuple[str, str, str, str]] = (),
    now: dict[str, str] | None = None,
    *,
    requests: bool = True,
) -> rules.Facts:
    now = {name: dumps({"initiated_by": said}) for name, said in (now or {}).items()}
    held = {
        kind: [(name, text) for name, text in now.items() if name.startswith(kind)] for kind in ("sub", "si")
    }
    said = [
        (name, at(when), subscription, dumps({"initiated_by": by})) for name, when, subscription, by in bills
    ]
    columns = ["id", "created", "type", "object_id", "customer", "request_id", "state_json", "previous_json"]
    events = [*events, *([event("evt_0", "2020-01-01", "sub_other")] if requests else [])]
    instant, texts = {"created": "datetime64[us, UTC]"}, {"subscription": "str", "metadata_json": "str"}
    return rules.Facts(
        pd.DataFrame(events, columns=columns).astype(dict.fromkeys(columns, "str") | instant),
        pd.DataFrame(said, columns=["id", "created", "subscription", "metadata_json"]).astype(
            texts | instant
        ),
        pd.DataFrame(held["sub"], columns=["id", "metadata_json"], dtype="str"),
        pd.DataFrame(held["si"], columns=["id", "metadata_json"], dtype="str"),
    )


def witnessed(found: pd.DataFrame, known: rules.Facts, catalog: Catalog) -> pd.DataFrame:
    return rules.witnessed(found, known, catalog, named=bool(known.events["request_id"].notna().any()))


def causes(amounts: list[tuple[str, str, str, int]] = AMOUNTS) -> pd.DataFrame:
    items = [f"si_{customer}{'' if group == 'base' else f'_{group}'}" for customer, group, _, _ in amounts]
    frame = pd.DataFrame(amounts, columns=["customer", "group", "cause", "amount"])
    return frame.assign(month=MONTH, from_item="", to_item=pd.Series(items, dtype="str"))


def movements(
    headline: dict[str, dict[str, int]] = HEADLINE, gross: dict[str, int] | None = None
) -> pd.DataFrame:
    gross = gross or {
        customer: sum(amount for name, _, _, amount in AMOUNTS if name == customer) for customer in headline
    }
    rows = [
        {
            "month": MONTH,
            "customer": customer,
            "expansion_gross": gross[customer],
            **{f"expansion_{kind}": parts.get(kind, 0) for kind in ORGANIC},
        }
        for customer, parts in headline.items()
    ]
    return pd.DataFrame(
        rows, columns=["month", "customer", "expansion_gross", *(f"expansion_{kind}" for kind in ORGANIC)]
    )


def activity(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer", "date", "kind", "id"], dtype="str")


def golden() -> pd.DataFrame:
    states = history(
        *(row for name in ("ana", "cat", "fay", "gus") for row in grown(f"si_{name}", "2026-03-12 10:00")),
        *grown("si_ben", "2026-03-25 23:59"),
        state("si_dan", "2025-01-01"),
        state("si_dan_crm", "2026-03-05", subscription="sub_dan2"),
        *(
            state("si_eve_api", f"2026-0{n}-01", f"2026-0{n + 1}-01", str(n), usage_type="metered")
            for n in (1, 2, 3)
        ),
        state("si_eve_sso", "2026-03-20"),
        *grown("si_hal", "2026-03-15", source="schedule"),
        *(row | {"subscription": "sub_ivy"} for row in grown("si_ivy", "2026-03-10")),
        *(row | {"subscription": "sub_ivy2"} for row in grown("si_ivy_crm", "2026-03-10")),
    )
    known = facts(
        [
            event("evt_ana", "2026-03-12 10:00", "sub_ana", state={"initiated_by": "Sales"}),
            event("evt_cat", "2026-03-12 10:00", "sub_cat"),
            event(
                "evt_portal",
                "2026-03-12 09:20",
                "bps_1",
                kind="billing_portal.session.created",
                customer="cat_old",
            ),
            event(
                "evt_cs",
                "2026-03-05",
                "cs_1",
                kind="checkout.session.completed",
                customer="dan",
                state={"subscription": "sub_dan2"},
            ),
            event("evt_eve", "2026-03-20", "sub_eve", request_id=None),
        ],
        bills=[("in_ivy", "2026-04-01", "sub_ivy", "csm")],
    )
    told = witnessed(rules.changes(states), known, CATALOG)
    return origin_rules.origins([MONTH], causes(), movements(), told, activity(*CRM), "UTC")


def published(headline: int = E, month: str = MONTH) -> pd.DataFrame:
    return pd.DataFrame(
        [{"month": month, "numerator": headline, "denominator": 100_000, "n_customers": 40, "n_expanders": 9}]
    )


def test_the_month_by_hand() -> None:
    rows = mrr.Origins.validate(golden().assign(**HASHES))
    told = rows.set_index(["customer", "group"])[["origin", "rule", "amount", "expansion", "evidence_json"]]
    assert told.T.to_dict("list") == {
        ("ana", "base"): ["sales", "initiated_by", 1_000, 1_000, '["evt_ana"]'],
        ("ben", "base"): ["sales", "opportunity", 2_000, 2_000, '["o1"]'],
        ("cat", "base"): ["self_serve", "portal", 500, 500, '["evt_portal"]'],
        ("dan", "crm"): ["self_serve", "checkout", 700, 700, '["evt_cs"]'],
        ("eve", "api"): ["product", "usage", 300, 257, "[]"],
        ("eve", "sso"): ["product", "automatic", 400, 343, '["evt_eve"]'],
        ("fay", "base"): ["touched", "touch", 800, 800, '["t2"]'],
        ("gus", "base"): ["unknown", "none", 600, 600, "[]"],
        ("hal", "base"): ["product", "schedule", 90, 90, '["sub_hal"]'],
        ("ivy", "base"): ["csm", "initiated_by", 100, 50, '["in_ivy"]'],
        ("ivy", "crm"): ["unknown", "none", 201, 100, "[]"],
    }
    assert rows.set_index("group")["changed_at"].isna().to_dict()["api"]


def test_origins_and_motions_sum_to_the_headline() -> None:
    rows = metrics.ExpansionByOrigin.validate(expansion_by_origin(golden(), published()).assign(**HASHES))
    mix = rows[rows["metric"] == "expansion_mix"].set_index(["dimension", "value"])["numerator"]
    assert mix["origin"].to_dict() == {
        "sales": 3_000,
        "csm": 50,
        "self_serve": 1_200,
        "product": 690,
        "api": 0,
        "touched": 800,
        "unknown": 700,
    }
    assert mix["motion"].to_dict() == {
        "product_led": 1_890,
        "sales_driven": 3_050,
        "api": 0,
        "touched": 800,
        "unknown": 700,
    }
    assert not rows["incomplete"].any()  # 700 of 6,440 is 10.9 %
    reconciliation_totals.origin_shares_sum(rows, published().assign(metric="expansion_rate"))


@pytest.mark.parametrize(("headline", "incomplete"), [(3_500, False), (3_499, True), (0, True)])
def test_more_than_a_fifth_unknown_is_incomplete(headline: int, incomplete: bool) -> None:
    assert expansion_by_origin(golden(), published(headline))["incomplete"].eq(incomplete).all()


def test_a_month_without_expansion_is_a_split_of_nothing() -> None:
    told = witnessed(rules.changes(history(state("si_a", "2025-01-01"))), facts(), CATALOG)
    none = origin_rules.origins([MONTH], causes([]), movements({}), told, activity(), "UTC")
    mrr.Origins.validate(none.assign(**HASHES))
    rows = expansion_by_origin(none, published(0))
    assert rows.loc[rows["metric"] == "expansion_mix", "quality"].eq("no_base").all()
    assert not rows["incomplete"].any()


def test_several_months_are_what_each_is_alone() -> None:
    """A month without expansion between two that have some, of which one has an unknown too many."""
    book = [(golden(), E), (golden().head(0), 0), (golden(), 3_499)]
    names = ["2026-03", "2026-04", "2026-05"]
    alone = [
        expansion_by_origin(rows.assign(month=name), published(headline, name))
        for (rows, headline), name in zip(book, names, strict=True)
    ]
    together = expansion_by_origin(
        pd.concat([rows.assign(month=name) for (rows, _), name in zip(book, names, strict=True)]),
        pd.concat([published(headline, name) for (_, headline), name in zip(book, names, strict=True)]),
    )
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True))


def test_a_cent_more_or_a_row_less_is_seen() -> None:
    rows = golden()
    reconciliation.origins_tie(rows, movements())
    for corrupted in (
        rows.assign(amount=rows["amount"].where(rows["customer"] != "ben", 2_001)),
        rows.assign(expansion=rows["expansion"].where(rows["customer"] != "ben", 1_999)),
        rows.assign(cause=rows["cause"].where(rows["customer"] != "ben", "seat")),
        rows[rows["customer"] != "ben"],
    ):
        with pytest.raises(DataQualityError, match="origins do not sum to expansion: ben/2026-03"):
            reconciliation.origins_tie(corrupted, movements())
    split = expansion_by_origin(rows, published())
    split.loc[split["value"] == "touched", "numerator"] += 1
    with pytest.raises(DataQualityError, match="2026-03 motion, 2026-03 origin"):
        reconciliation_totals.origin_shares_sum(split, published().assign(metric="expansion_rate"))


def one(
    states: list[dict[str, Any]],
    known: rules.Facts,
    *crm: tuple[str, str, str, str],
    timezone: str = "UTC",
    cause: str = "seat",
) -> list[str]:
    """Origin, rule and evidence of customer a's expansion."""
    told = witnessed(rules.changes(history(*states)), known, CATALOG)
    moved = movements({"a": {cause: 10}}, {"a": 10})
    row = origin_rules.origins(
        [MONTH], causes([("a", "base", cause, 10)]), moved, told, activity(*crm), timezone
    ).iloc[0]
    return [row["origin"], row["rule"], row["evidence_json"]]


def test_a_range_is_each_of_its_months() -> None:
    """A change is behind the amounts of its own month, and an item may grow in several."""
    states = [
        state("si_a", "2025-01-01", "2026-03-12"),
        state("si_a", "2026-03-12", "2026-04-02", quantity="2"),
        state("si_a", "2026-04-02", "2026-04-20", quantity="3"),
        state("si_a", "2026-04-20", quantity="4"),
    ]
    known = facts(
        [
            event("evt_1", "2026-03-12", "sub_a", state={"initiated_by": "csm"}),
            event("evt_2", "2026-04-02", "sub_a", request_id=None),
        ]
    )
    told = witnessed(rules.changes(history(*states)), known, CATALOG)
    crm = activity(
        ("a", "2026-05-02", "opportunity", "o2"),
        ("a", "2026-04-20", "opportunity", "o1"),
        ("a", "2026-03-01", "touch", "t1"),
    )
    names = ["2026-02", "2026-03", "2026-04", "2026-05"]
    grew = [causes([("a", "base", "seat", 10)]).assign(month=month) for month in names]
    moved = [movements({"a": {"seat": 10}}, {"a": 10}).assign(month=month) for month in names]
    every = origin_rules.origins(names, pd.concat(grew), pd.concat(moved), told, crm, "UTC")
    alone = [
        origin_rules.origins([month], *each, told, crm, "UTC")
        for month, *each in zip(names, grew, moved, strict=True)
    ]
    pd.testing.assert_frame_equal(every, pd.concat(alone, ignore_index=True))
    assert every[["rule", "evidence_json"]].to_numpy().tolist() == [
        ["none", "[]"],
        ["initiated_by", '["evt_1"]'],
        ["opportunity", '["o1","o2"]'],
        ["opportunity", '["o1","o2"]'],
    ]


CHANGE = "2026-03-12 10:00"
NOBODY = ["unknown", "none", "[]"]


@pytest.mark.parametrize(
    ("day", "found"),
    [
        ("2026-02-09", False),
        ("2026-02-10", True),
        ("2026-03-12", True),
        ("2026-03-26", True),
        ("2026-03-27", False),
    ],
)
def test_an_opportunity_counts_from_30_days_before_to_14_after(day: str, found: bool) -> None:
    assert one(grown("si_a", CHANGE), facts(), ("a", day, "opportunity", "o")) == (
        ["sales", "opportunity", '["o"]'] if found else NOBODY
    )


@pytest.mark.parametrize(
    ("day", "found"),
    [("2026-02-09", False), ("2026-02-10", True), ("2026-03-12", True), ("2026-03-13", False)],
)
def test_a_touch_counts_in_the_30_days_before(day: str, found: bool) -> None:
    assert one(grown("si_a", CHANGE), facts(), ("a", day, "touch", "t")) == (
        ["touched", "touch", '["t"]'] if found else NOBODY
    )


def test_days_are_those_of_the_reporting_time_zone() -> None:
    late = grown("si_a", "2026-03-12 03:00")  # still the 11th in New York
    assert one(late, facts(), ("a", "2026-02-09", "touch", "t"), timezone="America/New_York")[0] == "touched"
    assert one(late, facts(), ("a", "2026-02-09", "touch", "t")) == NOBODY


def test_usage_grows_all_month() -> None:
    """An opportunity counts beside any of its days; a touch credits nobody for what the product did."""
    months = [
        state("si_a", f"2026-0{n}-01", f"2026-0{n + 1}-01", str(n), usage_type="metered") for n in (2, 3)
    ]
    assert one(months, facts(), ("a", "2026-04-14", "opportunity", "o"), cause="usage") == [
        "sales",
        "opportunity",
        '["o"]',
    ]
    assert one(months, facts(), ("a", "2026-03-10", "touch", "t"), cause="usage") == [
        "product",
        "usage",
        "[]",
    ]


def test_the_first_rule_that_says_goes_before_the_others() -> None:
    """Everything points somewhere; taken away one by one, the next in order speaks."""
    events = {
        "initiated_by": event("evt_1", CHANGE, "sub_a", state={"initiated_by": "csm"}, request_id=None),
        "portal": event(
            "evt_2", "2026-03-12 09:00", "bps", kind="billing_portal.session.created", customer="a"
        ),
        "checkout": event(
            "evt_3",
            CHANGE,
            "cs",
            kind="checkout.session.completed",
            customer="a",
            state={"subscription": "sub_a"},
        ),
        "automatic": event("evt_4", CHANGE, "sub_a", request_id=None),
    }
    records = {
        "opportunity": ("a", "2026-03-12", "opportunity", "o"),
        "touch": ("a", "2026-03-12", "touch", "t"),
    }
    order = ["initiated_by", "opportunity", "portal", "checkout", "automatic", "touch", "none"]
    for position, expected in enumerate(order):
        left = order[position:]
        known = facts([told for name, told in events.items() if name in left])
        assert (
            one([state("si_a", CHANGE)], known, *(row for name, row in records.items() if name in left))[1]
            == expected
        )


def test_what_nobody_knows_to_read_says_nothing() -> None:
    known = facts([event("evt_1", CHANGE, "sub_a", state={"initiated_by": "the boss"})])
    assert one(grown("si_a", CHANGE), known) == NOBODY
    assert (
        one(
            grown("si_a", CHANGE),
            facts([event("evt_1", CHANGE, "sub_a", state={"initiated_by": " Self-Serve "})]),
        )[0]
        == "self_serve"
    )


def test_a_session_of_the_portal_that_is_over_says_nothing() -> None:
    for when, found in (
        ("2026-03-12 09:00", "self_serve"),
        ("2026-03-12 08:59", "unknown"),
        ("2026-03-12 10:01", "unknown"),
    ):
        opened = event("evt_1", when, "bps", kind="billing_portal.session.created", customer="a")
        assert one(grown("si_a", CHANGE), facts([opened]))[0] == found


def test_a_checkout_says_who_began_a_subscription_and_nothing_of_later_changes() -> None:
    finished = event(
        "evt_1",
        "2025-01-01",
        "cs",
        kind="checkout.session.completed",
        customer="a",
        state={"subscription": "sub_a"},
    )
    assert one(grown("si_a", CHANGE), facts([finished])) == NOBODY


def test_a_renewal_in_the_same_second_did_not_make_the_change() -> None:
    """A change without proration is dated by the renewal that bills it; that event is Stripe's own, and lists
    no changed item.
    """
    assert (
        one(grown("si_a", CHANGE), facts([event("evt_1", CHANGE, "sub_a", request_id=None, previous={})]))
        == NOBODY
    )
    begun = event(
        "evt_1", CHANGE, "sub_a", request_id=None, previous={}, kind="customer.subscription.created"
    )
    assert one([state("si_a", CHANGE)], facts([begun]))[1] == "automatic"


def test_a_bill_tells_of_the_last_change_before_it() -> None:
    """Two changes before one bill: its metadata may be the second's, so of the first nothing is known."""
    states = [
        state("si_a", "2025-01-01", CHANGE),
        state("si_a", CHANGE, "2026-03-20", quantity="2"),
        state("si_a", "2026-03-20", quantity="3"),
    ]
    told = witnessed(
        rules.changes(history(*states)), facts(bills=[("in_1", "2026-04-01", "sub_a", "csm")]), CATALOG
    )
    assert told["initiated_by"].fillna("-").tolist() == ["-", "-", "csm"]
    told = witnessed(
        rules.changes(history(*states)), facts(bills=[("in_1", "2026-03-19", "sub_a", "sales")]), CATALOG
    )
    assert told["initiated_by"].fillna("-").tolist() == ["-", "sales", "-"]


def test_a_sibling_that_ends_is_a_change_too() -> None:
    sibling = state("si_a_2", "2025-01-01", "2026-03-20")
    known = facts(bills=[("in_1", "2026-04-01", "sub_a", "csm")])
    assert one([*grown("si_a", CHANGE), sibling], known) == NOBODY
    assert one(grown("si_a", CHANGE), known) == ["csm", "initiated_by", '["in_1"]']


def test_what_stripe_says_now_tells_of_the_last_change() -> None:
    states = grown("si_a", CHANGE)
    assert one(states, facts(now={"sub_a": "sales"})) == ["sales", "initiated_by", '["sub_a"]']
    assert one(states, facts(now={"sub_a": "sales", "si_a": "api"})) == ["api", "initiated_by", '["si_a"]']
    since = [
        *states[:1],
        state("si_a", CHANGE, "2026-05-01", quantity="2"),
        state("si_a", "2026-05-01", quantity="3"),
    ]
    assert one(since, facts(now={"sub_a": "sales", "si_a": "api"})) == NOBODY


def test_events_without_any_request_are_not_taken_for_stripes_own() -> None:
    """A warehouse's loader may leave requests out; the product must not be credited with everything."""
    changed = event("evt_1", CHANGE, "sub_a", request_id=None)
    assert one(grown("si_a", CHANGE), facts([changed], requests=False)) == NOBODY
    assert one(grown("si_a", CHANGE), facts([changed]))[1] == "automatic"


def test_a_discount_is_no_change_and_a_trial_that_ends_is_one() -> None:
    discounted = [state("si_a", "2025-01-01", CHANGE), state("si_a", CHANGE)]
    assert len(rules.changes(history(*discounted))) == 1
    tried = [state("si_a", "2026-02-26", CHANGE, status="trialing"), state("si_a", CHANGE)]
    assert (
        one(
            tried, facts([event("evt_1", CHANGE, "sub_a", request_id=None, previous={"status": "trialing"})])
        )[1]
        == "automatic"
    )
