"""A customer's month in plain words: the figures are the tables', the evidence is Stripe's."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.table import empty
from expansion_platform.domain.core.wording import money
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.tables.origins import RULES
from expansion_platform.domain.mrr.vocabulary import DORMANT_REASONS, REASONS, RETURNS
from expansion_platform.reports import explain
from expansion_platform.reports.explain import customer_month, explained
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")


def text(pipeline: Pipeline, customer: str, month: str) -> str:
    return "\n".join(explained(Platform(pipeline.settings), customer, month))


def test_every_movement_of_every_month_can_be_told(pipeline: Pipeline) -> None:
    """Every figure of the movement and of each cause is in the text."""
    moved = pipeline.lake.read(mrr.Movements)
    causes = pipeline.lake.read(mrr.Causes)
    for row in moved.groupby("label").head(3).itertuples():
        told = text(pipeline, row.customer, row.month)
        assert money(row.opening, "usd") in told
        assert money(row.closing, "usd") in told
        for cause in causes[
            (causes["month"] == row.month) & (causes["customer"] == row.customer)
        ].itertuples():
            assert money(cause.amount, "usd") in told
            assert cause.group in told


def test_the_evidence_is_named(pipeline: Pipeline) -> None:
    row = pipeline.lake.read(mrr.Movements, [NEWEST]).sort_values("flow_expansion").iloc[-1]
    told = text(pipeline, row["customer"], NEWEST)
    states = pipeline.lake.read(billing.ItemStates)
    held = states[(states["customer"] == row["customer"]) & states["valid_to"].isna()]
    assert len(held)
    for state in held.itertuples():
        assert state.item in told
        assert json.loads(state.evidence_json)[0] in told


def test_who_began_an_expansion_is_told_with_what_says_so(pipeline: Pipeline) -> None:
    rows = pipeline.lake.read(mrr.Origins)
    assert set(RULES) == set(explain.ORIGINS)
    for row in rows.groupby("rule").head(2).itertuples():
        told = text(pipeline, row.customer, row.month)
        assert (
            f"Who began {money(row.amount, 'usd')} of {row.cause} in {row.group}: {row.origin}; "
            f"{explain.ORIGINS[row.rule]}" in told
        )
        assert all(name in told for name in json.loads(row.evidence_json)[:6])


def test_a_quiet_month_says_so(pipeline: Pipeline) -> None:
    months, moved = (
        pipeline.lake.read(mrr.CustomerMonths, [NEWEST]),
        pipeline.lake.read(mrr.Movements, [NEWEST]),
    )
    months = months[months["flow_fx"] == 0]
    quiet = next(customer for customer in months["customer"] if customer not in set(moved["customer"]))
    assert "Nothing moved." in text(pipeline, quiet, NEWEST)


def test_a_month_of_exchange_rates_alone_is_explained_item_by_item(pipeline: Pipeline) -> None:
    """It has no row in mrr/movements and mrr/causes; what each item's rate did is worked out again."""
    months, moved = (pipeline.lake.read(model) for model in (mrr.CustomerMonths, mrr.Movements))
    rows = months[months["flow_fx"] != 0].merge(
        moved[["month", "customer", "label"]], on=["month", "customer"], how="left"
    )
    alone = rows[rows["label"].isna()]
    assert len(alone) > 10
    for row in alone.head(5).itertuples():
        lines = list(explained(Platform(pipeline.settings), row.customer, row.month))
        amount = explain._signed(row.flow_fx, "usd")
        assert lines[1:3] == [
            "That is exchange rates only, which is never expansion.",
            f"Flows: fx {amount}; they sum to {amount}.",
        ]
        causes = [line for line in lines if "exchange rates (never expansion): from" in line]
        assert 0 < len(causes) <= row.items
        assert lines.count(
            "      the items at closing, valued at the closing month's rate instead of the opening one's"
        ) == len(causes)


def test_a_month_before_the_customer_came(pipeline: Pipeline) -> None:
    states = pipeline.lake.read(billing.ItemStates)
    first = states.groupby("customer")["valid_from"].min()
    late = first.idxmax()
    assert "paid nothing" in text(pipeline, late, "2025-11")


def test_what_cannot_be_explained_says_why(pipeline: Pipeline, tmp_path) -> None:
    customer = pipeline.lake.read(mrr.CustomerMonths, [NEWEST])["customer"].iloc[0]
    with pytest.raises(ExpansionError, match="there are 2025-11 to 2026-10"):
        text(pipeline, customer, "2027-01")
    with pytest.raises(ExpansionError, match="no customer cus_nobody"):
        text(pipeline, "cus_nobody", NEWEST)
    with pytest.raises(ExpansionError, match="nothing has been computed yet"):
        list(
            explained(Platform(Settings(_env_file=None, expansion_data_dir=str(tmp_path))), customer, NEWEST)
        )


MONTH = {"customer": "c1", "month": "2026-03", "segment": "smb", "items": 1}


def words(movement: dict[str, Any], *causes: dict[str, Any]) -> str:
    """The text of a movement given by its columns that are not empty."""
    zeros = dict.fromkeys(empty(mrr.Movements).select_dtypes("int64").columns, 0)
    row = (
        zeros
        | {
            "movement": "continuing",
            "dormant": False,
            "dormant_reason": None,
            "reason": None,
            "flags_json": "[]",
        }
        | movement
    )
    told = customer_month(
        "c1",
        "2026-03",
        months=pd.DataFrame([MONTH | {"opening": row["opening"], "closing": row["closing"]}]),
        movements=pd.DataFrame([row]),
        causes=pd.DataFrame(causes),
        origins=empty(mrr.Origins),
        states=empty(billing.ItemStates),
        currency="usd",
    )
    return "\n".join(told)


def test_why_a_rise_is_not_expansion() -> None:
    """E8: of 44.00 more, 22.00 are seats and 22.00 a price rise."""
    text = words(
        {
            "label": "expansion",
            "opening": 10000,
            "closing": 14400,
            "flow_expansion": 2200,
            "expansion_gross": 2200,
            "flow_price": 2200,
        }
    )
    assert "Not expansion: +22.00 USD is the vendor's repricing." in text
    assert "gained" not in text


def test_what_a_gain_is_set_against() -> None:
    """E11: 45.00 of seats bought with 25.00 of discount. E16: 99.00 of cross-sell beside 30.00 of
    seats lost.
    """
    bought = words(
        {
            "label": "expansion",
            "opening": 10000,
            "closing": 12000,
            "flow_expansion": 2000,
            "expansion_gross": 4500,
        }
    )
    assert "Of 45.00 USD gained, 25.00 USD was bought with concessions" in bought
    assert "losses" not in bought
    beside = {"flow_expansion": 6900, "expansion_gross": 9900, "contraction_gross": 3000}
    beside_text = words({"label": "expansion", "opening": 10000, "closing": 16900, **beside})
    assert "Of 99.00 USD gained, 30.00 USD is set against its own losses of 30.00 USD." in beside_text
    assert "concessions" not in beside_text


def test_discounts_stand_on_each_side_and_flags_are_told() -> None:
    off = '[{"coupon":"LOYAL","duration":"forever","type":"percent","value":"20"}]'
    cause = {
        "cause": "discount",
        "group": "main",
        "amount": -2000,
        "match_pass": "item",
        "corners_json": '{"":10000,"D":8000}',
        "flags_json": '["possible_price_migration"]',
        "from_discounts_json": "[]",
        "to_discounts_json": off,
        **{
            f"{end}_{name}": value
            for end in ("from", "to")
            for name, value in (("item", "i1"), ("price", "p"), ("quantity", "10"))
        },
        "from_mrr": 10000,
        "to_mrr": 8000,
    }
    text = words(
        {
            "label": "repriced",
            "opening": 10000,
            "closing": 8000,
            "flow_discount": -2000,
            "flags_json": '["seat_surge"]',
        },
        cause,
    )
    assert "from 10 x p = 100.00 USD to 10 x p, 20 % off forever (LOYAL) = 80.00 USD" in text
    assert "see mrr.price_migrations" in text
    assert "may not recur" in text


@pytest.mark.parametrize("reason", [*REASONS, *RETURNS])
def test_every_reason_has_words(reason: str) -> None:
    label, flow, ends = ("churn", -5, (5, 0)) if reason in REASONS else ("reactivation", 5, (0, 5))
    row = {"movement": label, "label": label, f"flow_{label}": flow, "opening": ends[0], "closing": ends[1]}
    assert explain.REASONS[reason] in words(row | {"reason": reason})


@pytest.mark.parametrize("reason", DORMANT_REASONS)
def test_every_dormant_reason_has_words(reason: str) -> None:
    row = {
        "movement": "churn",
        "label": "churn",
        "flow_churn": -5,
        "opening": 5,
        "dormant": True,
        "dormant_reason": reason,
    }
    assert f"{explain.REASONS[reason]} (dormant)" in words(row)


def test_every_flag_has_words() -> None:
    columns = [mrr.Movements.to_schema().columns["flags_json"], mrr.Causes.to_schema().columns["flags_json"]]
    assert set(explain.FLAGS) == {
        flag for column in columns for flag in re.findall("`(.+?)`", column.description)
    }
