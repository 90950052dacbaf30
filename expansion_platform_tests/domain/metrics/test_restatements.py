"""First reported against restated, worked out by hand on one month of a few customers: March 2026, in
cents.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pandas as pd
import pytest

from expansion_platform.domain.alerts.evaluation import as_reported
from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import added
from expansion_platform.domain.metrics import restatements as rules
from expansion_platform.domain.metrics.reconciliation_totals import restatements_tie
from expansion_platform.domain.metrics.tables.restatements import RESTATED_FIGURES
from expansion_platform.domain.mrr import contributions
from expansion_platform.domain.mrr.tables import FirstReported
from expansion_platform.domain.mrr.vocabulary import FLOWS, ORGANIC
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform.domain.tables import TABLES
from expansion_platform.reports.restated import restated
from expansion_platform_tests.domain.frames import dated, states

MONTH = "2026-03"
ENDS = rules.Ends(
    pd.Timestamp("2026-03-01", tz="UTC"),
    pd.Timestamp("2026-04-01", tz="UTC"),
    {"eur": "1.10"},
    {"eur": "1.20"},
)
VERSIONS = {"policy_hash": "p1", "catalog_hash": "c1", "rules_hash": "r1", "timezone": "UTC"}


def item(
    customer: str, quantity: str = "1", start: str = "2026-01-01", end: str | None = None, **changed: Any
) -> pd.DataFrame:
    """A state of a customer's one item at 10.00 a unit."""
    row = {
        "customer": customer, "subscription": f"sub_{customer}", "item": f"si_{customer}", "status": "active",
        "currency": "usd",
        "product": "prod", "price": "price", "scheme": {"unit": "1000"}, "quantity": quantity,
    }  # fmt: skip
    return dated(states([{**row, **changed}]), start, end)


class Tables(NamedTuple):
    """What figures are read from."""

    customers: pd.DataFrame
    movements: pd.DataFrame
    slices: pd.DataFrame
    origins: pd.DataFrame

    @property
    def figures(self) -> pd.DataFrame:
        return contributions.figures(*self, policy=Policy())


def book(*rows: tuple[Any, ...], kind: str = "seat", origin: str = "unknown", plan: str = "prod") -> Tables:
    """The tables of a month from (customer, opening, closing, flow that explains the difference, first paid
    month); ARR is MRR twelve times.
    """
    months = [
        {
            "month": MONTH, "customer": name, "segment": "smb", "first_paid_month": paid, "opening": opening,
            "closing": closing,
            "closing_arr": 12 * closing, "flow_fx": closing - opening if flow == "fx" else 0,
        }
        for name, opening, closing, flow, paid in rows
    ]  # fmt: skip
    moves, origins = [], []
    for name, opening, closing, flow, _ in rows:
        if opening != closing and flow != "fx":
            flows = {f"flow_{each}": closing - opening if each == flow else 0 for each in FLOWS}
            up, down = flows["flow_expansion"], -flows["flow_contraction"]
            types = {f"expansion_{each}": up * (each == kind) for each in ORGANIC} | {
                f"contraction_{each}": down * (each == kind) for each in ORGANIC
            }
            gross = {
                "expansion_gross": up,
                "contraction_gross": down,
                "expansion_unadjusted": max(0, closing - opening) if opening and closing else 0,
            }
            moves.append(
                {
                    "month": MONTH,
                    "customer": name,
                    "dormant": False,
                    "dormant_reason": None,
                    **flows,
                    **types,
                    **gross,
                }
            )
            origins.append({"month": MONTH, "customer": name, "origin": origin, "expansion": up})
    columns = [
        *(
            "month",
            "customer",
            "dormant",
            "dormant_reason",
            *contributions.FLOW_COLUMNS,
            *contributions.TYPE_COLUMNS,
            *contributions.CONTRACTION_COLUMNS,
        ),
        *contributions.GROSS_COLUMNS,
    ]
    held = pd.DataFrame(
        months,
        columns=[
            "month",
            "customer",
            "segment",
            "first_paid_month",
            "opening",
            "closing",
            "closing_arr",
            "flow_fx",
        ],
    )
    slices = held[["month", "customer"]].assign(
        **dict.fromkeys(("slices_json", "next_slices_json"), json.dumps({"plan": plan}))
    )
    return Tables(
        held,
        pd.DataFrame(moves, columns=columns),
        slices,
        pd.DataFrame(origins, columns=["month", "customer", "origin", "expansion"]),
    )


BOOK = book(
    ("a", 1000, 1000, None, "2026-01"),
    ("b", 2000, 3000, "expansion", "2026-01"),
    ("c", 0, 500, "new", "2026-03"),
)
HELD = pd.concat(
    [
        item("a"),
        item("b", "2", end="2026-03-10"),
        item("b", "3", start="2026-03-10"),
        item("c", start="2026-03-05"),
        item("free", "0"),
    ]
)


def reported(given: Tables = BOOK, held: pd.DataFrame = HELD) -> pd.DataFrame:
    rows = rules.first_reported(given.figures, rules.hashed_states(held, Catalog()), ENDS, "usd")
    return rows.assign(month=MONTH, reported_at=pd.Timestamp("2026-04-06", tz="UTC"), **VERSIONS)


def compared(
    now: Tables,
    held: pd.DataFrame,
    *,
    every: bool = False,
    then: pd.DataFrame | None = None,
    new: tuple[str, ...] = (),
    ends: rules.Ends = ENDS,
    catalog: Catalog | None = None,
    **versions: str,
) -> dict[tuple[str, str], tuple[Any, ...]]:
    """(customer, metric) -> (first reported, restated, difference, reason, others); unless `every`, of the
    roll-forward's figures only.
    """
    rows = rules.restatements(
        reported() if then is None else then,
        now.figures,
        hashed=rules.hashed_states(held, catalog or Catalog()),
        new_subscriptions=new,
        ends=ends,
        catalog=catalog or Catalog(),
        versions={**VERSIONS, **versions},
    )
    return {
        (row.customer, row.metric): (
            row.first_reported,
            row.restated,
            row.difference,
            row.reason,
            *json.loads(row.also_json),
        )
        for row in rows.itertuples()
        if every or row.metric in ("opening", *FLOWS, "closing")
    }


def test_everybody_who_held_anything_is_kept_with_what_it_held() -> None:
    kept = reported().set_index("customer")
    assert kept[["opening", "flow_expansion", "flow_new", "closing"]].to_dict("index") == {
        "a": {"opening": 1000, "flow_expansion": 0, "flow_new": 0, "closing": 1000},
        "b": {"opening": 2000, "flow_expansion": 1000, "flow_new": 0, "closing": 3000},
        "c": {"opening": 0, "flow_expansion": 0, "flow_new": 500, "closing": 500},
        "free": {"opening": 0, "flow_expansion": 0, "flow_new": 0, "closing": 0},
    }
    assert kept["segment"].isna().to_dict() == {"a": False, "b": False, "c": False, "free": True}
    assert kept["states_hash"].nunique() == 4
    assert set(kept["usage_hash"]) == {"0" * 16}


def test_nothing_differs_when_nothing_moved_whatever_the_versions() -> None:
    assert compared(BOOK, HELD, catalog_hash="c2", policy_hash="p2", rules_hash="r2") == {}


def test_a_late_fact_is_told_figure_by_figure() -> None:
    """Customer a took a second unit on 20 March, and nobody knew: expansion 0 -> 10.00, closing 10.00 ->
    20.00.
    """
    now = book(("a", 1000, 2000, "expansion", "2026-01"), *rows_of("b", "c"))
    held = pd.concat(
        [item("a", end="2026-03-20"), item("a", "2", start="2026-03-20"), HELD[HELD["customer"] != "a"]]
    )
    assert compared(now, held) == {
        ("a", "expansion"): (0, 1000, 1000, "late_event"),
        ("a", "closing"): (1000, 2000, 1000, "late_event"),
    }


def rows_of(*names: str) -> list[tuple[Any, ...]]:
    known = {
        "a": ("a", 1000, 1000, None, "2026-01"),
        "b": ("b", 2000, 3000, "expansion", "2026-01"),
        "c": ("c", 0, 500, "new", "2026-03"),
    }
    return [known[name] for name in names]


def test_a_subscription_made_after_the_close_is_backdated() -> None:
    now = book(*rows_of("a", "b", "c"), ("d", 0, 1000, "new", "2026-03"))
    held = pd.concat([HELD, item("d", start="2026-03-15")])
    assert compared(now, held, new=("sub_d",)) == {
        ("d", "new"): (0, 1000, 1000, "backdated"),
        ("d", "closing"): (0, 1000, 1000, "backdated"),
    }
    assert compared(now, held)["d", "closing"] == (0, 1000, 1000, "late_event")


def test_usage_that_came_with_a_later_bill_is_late_usage() -> None:
    metered = {"usage_type": "metered"}
    then = reported(BOOK, pd.concat([HELD[HELD["customer"] != "a"], item("a", **metered)]))
    now = book(("a", 1000, 7000, "expansion", "2026-01"), *rows_of("b", "c"))
    held = pd.concat([HELD[HELD["customer"] != "a"], item("a", "7", **metered)])
    assert compared(now, held, then=then)["a", "closing"] == (1000, 7000, 6000, "late_usage")
    assert compared(now, held.assign(status="past_due"), then=then)["a", "closing"] == (
        1000,
        7000,
        6000,
        "late_event",
        "late_usage",
    )


def test_a_merge_moves_figures_from_one_customer_to_the_other() -> None:
    """a and b are one: b says 30.00 at opening and 40.00 at closing, a nothing."""
    now = book(("b", 3000, 4000, "expansion", "2026-01"), *rows_of("c"))
    assert compared(now, HELD, catalog=Catalog.from_dict({"aliases": {"a": "b"}}), catalog_hash="c2") == {
        ("a", "opening"): (1000, 0, -1000, "merge", "catalog_change"),
        ("a", "closing"): (1000, 0, -1000, "merge", "catalog_change"),
        ("b", "opening"): (2000, 3000, 1000, "merge", "catalog_change"),
        ("b", "closing"): (3000, 4000, 1000, "merge", "catalog_change"),
    }


def test_another_exchange_rate_is_a_revision_of_who_holds_that_currency() -> None:
    euro = pd.concat([HELD[HELD["customer"] != "a"], item("a", currency="eur")])
    then = reported(book(("a", 1100, 1200, "fx", "2026-01"), *rows_of("b", "c")), euro)
    assert then.set_index("customer").at["a", "rates_json"] == '{"eur":["1.10","1.20"]}'
    now = book(("a", 1100, 1250, "fx", "2026-01"), *rows_of("b", "c"))
    revised = rules.Ends(ENDS.opening, ENDS.closing, {"eur": "1.10"}, {"eur": "1.25"})
    assert compared(now, euro, then=then, ends=revised) == {
        ("a", "fx"): (100, 150, 50, "fx_revision"),
        ("a", "closing"): (1200, 1250, 50, "fx_revision"),
    }


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"catalog_hash": "c2"}, ("catalog_change",)),
        ({"policy_hash": "p2"}, ("policy_change",)),
        ({"timezone": "Asia/Tokyo"}, ("policy_change",)),
        ({"rules_hash": "r2"}, ("code_change",)),
        (
            {"catalog_hash": "c2", "policy_hash": "p2", "rules_hash": "r2"},
            ("catalog_change", "code_change", "policy_change"),
        ),
    ],
)
def test_where_no_fact_changed_the_versions_say_why(
    changed: dict[str, str], reasons: tuple[str, ...]
) -> None:
    now = book(*rows_of("a", "b"), ("c", 0, 400, "new", "2026-03"))
    assert compared(now, HELD, **changed)["c", "closing"] == (500, 400, -100, *reasons)


def test_a_month_earlier_than_was_known_makes_a_new_customer_one_that_returned() -> None:
    now = book(*rows_of("a", "b"), ("c", 0, 500, "reactivation", "2026-01"))
    assert compared(now, HELD) == {
        ("c", "new"): (500, 0, -500, "late_event"),
        ("c", "reactivation"): (0, 500, 500, "late_event"),
    }


def test_what_differs_always_has_a_reason() -> None:
    """A table that was not computed again before the month closed: the fact was there, but not in its
    figures.
    """
    assert compared(book(*rows_of("a", "b"), ("c", 0, 400, "new", "2026-03")), HELD)["c", "new"] == (
        500,
        400,
        -100,
        "late_event",
    )


def test_a_move_between_types_that_leaves_the_flow_equal_has_its_rows() -> None:
    """The catalog now calls what b bought an add-on: expansion is 10.00 as before."""
    now = book(*rows_of("a", "b", "c"), kind="addon")
    assert compared(now, HELD, every=True, catalog_hash="c2") == {
        ("b", "expansion_seat"): (1000, 0, -1000, "catalog_change"),
        ("b", "expansion_addon"): (0, 1000, 1000, "catalog_change"),
    }


def test_another_origin_has_its_rows() -> None:
    now = book(*rows_of("a", "b", "c"), origin="sales")
    assert compared(now, HELD, every=True) == {
        ("b", "expansion_from_unknown"): (1000, 0, -1000, "late_event"),
        ("b", "expansion_from_sales"): (0, 1000, 1000, "late_event"),
    }


def test_a_customer_that_moves_to_another_slice_has_a_row_in_both() -> None:
    """c is of another plan, and by lower thresholds of another segment at the next opening; nothing of the
    total changes.
    """
    now = book(*rows_of("a", "b", "c"))
    now.slices.loc[now.slices["customer"] == "c", ["slices_json", "next_slices_json"]] = [
        '{"plan":"pro"}',
        '{"plan":"prod"}',
    ]
    now.customers.loc[now.customers["customer"] == "c", "segment"] = "enterprise"
    found = compared(now, HELD, every=True)
    assert {key: amounts[:2] for key, amounts in found.items()} == {
        ("c", "plan:prod:new"): (500, 0),
        ("c", "plan:prod:closing"): (500, 0),
        ("c", "plan:pro:new"): (0, 500),
        ("c", "plan:pro:closing"): (0, 500),
        ("c", "plan:pro:transfer_out"): (0, 500),
        ("c", "plan:prod:transfer_in"): (0, 500),
        ("c", "segment:smb:new"): (500, 0),
        ("c", "segment:smb:closing"): (500, 0),
        ("c", "segment:smb:arr"): (6000, 0),
        ("c", "segment:enterprise:new"): (0, 500),
        ("c", "segment:enterprise:closing"): (0, 500),
        ("c", "segment:enterprise:arr"): (0, 6000),
        ("c", "segment:enterprise:transfer_out"): (0, 500),
        ("c", "segment:smb:transfer_in"): (0, 500),
    }


def test_a_churn_that_turns_out_dormant_has_a_row() -> None:
    """Logo churn leaves it out, so that figure changes while churned MRR does not."""
    gone = book(("a", 1000, 0, "churn", "2026-01"))
    now = gone._replace(movements=gone.movements.assign(dormant=True, dormant_reason="zero_usage"))
    assert compared(now, HELD, then=reported(gone), every=True) == {
        ("a", f"{scope}{name}"): (0, -1000, -1000, "late_event")
        for scope in ("", "segment:smb:", "plan:prod:")
        for name in ("dormant_churn", "dormant_churn_zero_usage")
    }


def test_what_an_older_version_did_not_keep_is_unknown_and_not_zero() -> None:
    """Its rows have no contraction by type, no gross amounts, no origins, no slices: none of these is
    compared, all others are.
    """
    old = reported().assign(**dict.fromkeys(added(FirstReported)))
    assert contributions.kept(old) == {
        "opening",
        "closing",
        "segment",
        *contributions.FLOW_COLUMNS,
        *contributions.TYPE_COLUMNS,
    }
    assert compared(BOOK, HELD, then=old, every=True) == {}
    now = book(*rows_of("a", "b", "c"), kind="addon", origin="sales", plan="pro")
    found = compared(now, HELD, then=old, every=True)
    assert {metric for _, metric in found} == {"expansion_seat", "expansion_addon"}
    rows = pd.DataFrame(
        [{"month": MONTH, "metric": metric, "difference": row[2]} for (_, metric), row in found.items()]
    )
    amounts = {
        "opening": 3000,
        "new": 500,
        "expansion": 1000,
        "closing": 4500,
        "expansion_addon": 1000,
        "arr": 7,
        "contraction_seat": 7,
        "plan:pro:new": 7,
    }
    amounts |= {
        f"segment:smb:{name}": amounts[name] for name in ("opening", "new", "expansion", "closing")
    } | {"segment:smb:transfer_in": 7}
    published = pd.DataFrame(
        [{"month": MONTH, "metric": name, "amount": amount} for name, amount in amounts.items()]
    )
    restatements_tie(rows, old, published)  # 7: not compared
    with pytest.raises(DataQualityError, match="expansion_addon"):
        restatements_tie(
            rows,
            old,
            published.assign(amount=published["amount"] + (published["metric"] == "expansion_addon")),
        )


@pytest.mark.parametrize("kept", [True, False])
def test_a_month_in_which_nobody_pays_is_compared_like_any_other(kept: bool) -> None:
    """Closed empty and still so, or with a customer known since; and by an older version."""
    nobody = reported(book(), item("free", "0"))
    nobody = nobody if kept else nobody.assign(**dict.fromkeys(added(FirstReported)))
    assert compared(book(), item("free", "0"), then=nobody, every=True) == {}
    assert compared(book(), HELD.head(0), then=nobody.head(0), every=True) == {}
    assert compared(book(*rows_of("c")), HELD, then=nobody)["c", "new"] == (0, 500, 500, "late_event")
    restatements_tie(
        pd.DataFrame(columns=["month", "metric", "difference"]),
        nobody,
        pd.DataFrame(columns=["month", "metric", "amount"]),
    )


def test_every_figure_that_is_compared_may_be_stored() -> None:
    assert set(RESTATED_FIGURES) == {*contributions.AMOUNTS, *contributions.TRANSFERS}
    assert set(added(FirstReported)) <= {*contributions.FIGURES, *contributions.TEXTS}


def test_what_moved_is_printed_slices_only_where_somebody_moved() -> None:
    then = reported()
    now = book(("a", 1000, 2000, "expansion", "2026-01"), *rows_of("b", "c"), kind="addon")
    now.slices.loc[now.slices["customer"] == "c", ["slices_json", "next_slices_json"]] = '{"plan":"pro"}'
    found = compared(now, HELD, every=True, catalog_hash="c2")
    rows = pd.DataFrame(
        [
            {
                "month": MONTH,
                "customer": customer,
                "metric": metric,
                "restated": row[1],
                "difference": row[2],
                "reason": row[3],
            }
            for (customer, metric), row in found.items()
        ]
    )
    lines = list(restated(rows.head(0), rows, then, "usd"))
    assert lines[1:] == [
        "2026-03: MRR 45.00 USD first reported 2026-04-06, 55.00 USD now (+10.00 USD)",
        "  +10.00 USD expansion: the catalog was changed (a +10.00 USD)",
        "  +10.00 USD closing: the catalog was changed (a +10.00 USD)",
        "  -10.00 USD expansion_seat: the catalog was changed (b -10.00 USD)",
        "  +20.00 USD expansion_addon: the catalog was changed (a +10.00 USD, b +10.00 USD)",
        "  +10.00 USD expansion_gross: the catalog was changed (a +10.00 USD)",
        "  +10.00 USD expansion_unadjusted: the catalog was changed (a +10.00 USD)",
        "  +120.00 USD arr: the catalog was changed (a +120.00 USD)",
        "  +10.00 USD expansion_from_unknown: the catalog was changed (a +10.00 USD)",
        "  +5.00 USD plan:pro:closing: the catalog was changed (c +5.00 USD)",
        "  -5.00 USD plan:prod:closing: the catalog was changed (c -5.00 USD)",
    ]
    old = then.assign(**dict.fromkeys(added(FirstReported)))
    assert list(restated(rows.head(0), rows, old, "usd"))[-1].startswith(
        "  not compared: contraction by type"
    )


def test_the_tie_breaks_on_one_cent() -> None:
    now = book(("a", 1000, 2000, "expansion", "2026-01"), *rows_of("b", "c"))
    rows = rules.restatements(
        reported(), now.figures, hashed=rules.hashed_states(HELD, Catalog()), new_subscriptions=(), ends=ENDS,
        catalog=Catalog(), versions=VERSIONS
    ).assign(month=MONTH)  # fmt: skip
    # By hand: opening 10 + 20, new 5, expansion 10 + 10 from seats, closing 20 + 30 + 5; all of one segment
    # and one plan.
    amounts = {
        "opening": 3000,
        "new": 500,
        "expansion": 2000,
        "closing": 5500,
        "expansion_gross": 2000,
        "expansion_unadjusted": 2000,
    }
    sliced = {
        f"{scope}:{name}": amount
        for scope in ("segment:smb", "plan:prod")
        for name, amount in amounts.items()
    }
    sliced |= {
        "expansion_seat": 2000,
        "expansion_from_unknown": 2000,
        "arr": 66_000,
        "segment:smb:arr": 66_000,
    }
    published = pd.DataFrame(
        [{"month": MONTH, "metric": name, "amount": amount} for name, amount in (amounts | sliced).items()]
    )
    restatements_tie(rows, reported(), published)
    for name in published["metric"]:
        with pytest.raises(DataQualityError, match=f"{MONTH}/{name}"):
            restatements_tie(
                rows, reported(), published.assign(amount=published["amount"] + (published["metric"] == name))
            )
    with pytest.raises(DataQualityError, match="2026-03/closing"):
        restatements_tie(rows[rows["metric"] != "closing"], reported(), published)


def test_a_month_is_compared_with_what_earlier_months_said_as_they_closed() -> None:
    customers, movements, *_ = book(("a", 1000, 2000, "expansion", "2026-01"), *rows_of("b", "c"))
    customers["pricing_model"] = ["seat", "usage", "flat"]
    later = [frame.assign(month="2026-04") for frame in (customers, movements)]
    given = [
        pd.concat([now, then], ignore_index=True)
        for now, then in zip((customers, movements), later, strict=True)
    ]
    assert as_reported("2026-04", *given, None).sums()[MONTH].expansion == 2000
    first = reported()
    looked_at = as_reported("2026-04", *given, first[first["closing"] > 0])
    assert looked_at.sums()[MONTH].expansion == 1000
    assert looked_at.sums()["2026-04"].expansion == 2000
    assert looked_at.customers == ("a", "b", "c")
    assert looked_at.of("pricing_model", "usage").sums()[MONTH].members == 1
    # Known no more, and of no pricing model: in the total all the same.
    given[0] = given[0].query("customer != 'b'")
    without = as_reported("2026-04", *given, first[first["closing"] > 0])
    assert without.sums()[MONTH].members == looked_at.sums()[MONTH].members
    assert without.of("pricing_model", "usage").sums() == {}


def test_every_figure_with_a_quality_can_be_provisional() -> None:
    graded = {
        name: column.checks
        for name, model in TABLES.items()
        if (column := model.to_schema().columns.get("quality"))
    }
    assert len(graded) >= 10
    allowed = {
        name: check.statistics["allowed_values"]
        for name, checks in graded.items()
        for check in checks
        if check.name == "isin"
    }
    assert [name for name, values in allowed.items() if "provisional" not in values] == []
