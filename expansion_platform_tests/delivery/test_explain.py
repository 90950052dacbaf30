"""A customer's month in plain words: the figures are the tables', the evidence is Stripe's."""

from __future__ import annotations

import json

import pytest

from expansion_platform.delivery.explain import explained
from expansion_platform.delivery.messages import money
from expansion_platform.domain.errors import ExpansionError
from expansion_platform.domain.schemas import billing, mrr
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
        for cause in causes[(causes["month"] == row.month) & (causes["customer"] == row.customer)].itertuples():
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


def test_a_quiet_month_says_so(pipeline: Pipeline) -> None:
    months, moved = pipeline.lake.read(mrr.CustomerMonths, [NEWEST]), pipeline.lake.read(mrr.Movements, [NEWEST])
    quiet = next(customer for customer in months["customer"] if customer not in set(moved["customer"]))
    assert "Nothing moved." in text(pipeline, quiet, NEWEST)


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
        list(explained(Platform(Settings(_env_file=None, expansion_data_dir=str(tmp_path))), customer, NEWEST))
