"""Broken or late data is not judged: every reason, one at a time."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.alerts.gate import gate, metered_in_use
from expansion_platform.domain.mrr.vocabulary import FLOWS

MONTH = "2026-10"


def months(before: int = 100, now: int = 100) -> pd.DataFrame:
    """Two customers over two months; only the second of them moves, by 100.00 in the newest."""
    rows = [
        ("2026-09", "a", 500, 500, before),
        ("2026-09", "b", 500, 500, 0),
        (MONTH, "a", 500, 500, now),
        (MONTH, "b", 500, 600, 0),
    ]
    return pd.DataFrame(rows, columns=["month", "customer", "opening", "closing", "items"]).assign(flow_fx=0)


def movements() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "month": MONTH,
                "customer": "b",
                "movement": "continuing",
                "delta": 100,
                **{f"flow_{name}": 0 for name in FLOWS},
                "flow_expansion": 100,
            }
        ]
    )


def rollforward(segment: int = 100) -> pd.DataFrame:
    row = {
        "month": MONTH,
        "opening": 1000,
        **dict.fromkeys(FLOWS, 0),
        "closing": 1100,
        "transfer_in": 0,
        "transfer_out": 0,
    }
    return pd.DataFrame(
        [
            {**row, "dimension": "total", "value": "all", "expansion": 100},
            {**row, "dimension": "segment", "value": "smb", "expansion": segment},
        ]
    )


def restated(amount: int, reason: str) -> pd.DataFrame:
    """The closing MRR of two customers in 2026-08, restated by `amount` up and by 3 down; opening MRR of the
    month judged is 10.00.
    """
    rows = [
        ("2026-08", "closing", amount, reason),
        ("2026-08", "closing", -3, reason),
        ("2026-08", "new", 900, reason),
    ]
    return pd.DataFrame(rows, columns=["month", "metric", "difference", "reason"])


def judged(**changed: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    given: dict[str, Any] = {
        "read_until": pd.Timestamp("2026-11-02", tz="UTC"),
        "closes": pd.Timestamp("2026-11-02", tz="UTC"),
        "customer_months": months(),
        "movements": movements(),
        "causes": pd.DataFrame({"month": [MONTH], "customer": ["b"], "amount": [100]}),
        "rollforward": rollforward(),
        "coverage": pd.DataFrame(
            {"metric": ["inferred_mrr_share"], "numerator": [19], "denominator": [1000]}
        ),
        "restatements": restated(1, "late_event"),
        "in_use": [20, 20, 20, 10],
        "catalogued": True,
    }
    found = gate(MONTH, **{**given, **changed})
    return found.failed, found.warnings


def test_sound_data_passes_and_one_customer_is_a_warning() -> None:
    assert judged() == ((), ("b alone is 100 % of all that moved",))


def test_what_exchange_rates_moved_is_part_of_all_that_moved() -> None:
    """They have no row in mrr/movements; without them b would be all that moved."""
    rates = months().assign(closing=[500, 500, 560, 600], flow_fx=[0, 0, 60, 0])
    assert judged(customer_months=rates)[1] == ("b alone is 62 % of all that moved",)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"read_until": pd.Timestamp("2026-11-01T23:59:59Z")}, "before 2026-10 closed"),
        ({"restatements": restated(2, "late_event")}, "2026-08 was restated by 0.5 %"),
        ({"restatements": restated(2, "fx_revision")}, "2026-08 was restated by 0.5 %"),
        ({"read_until": None}, "no time"),
        (
            {"causes": pd.DataFrame({"month": [MONTH], "customer": ["b"], "amount": [99]})},
            "causes do not sum",
        ),
        ({"movements": movements().assign(flow_expansion=99)}, "opening \\+ flows is not closing"),
        ({"customer_months": months().replace({"opening": {500: 501}})}, "opening"),
        ({"rollforward": rollforward(segment=99)}, "segments do not sum"),
        ({"customer_months": months(now=121)}, "went from 100 to 121"),
        ({"customer_months": months(now=79)}, "went from 100 to 79"),
        (
            {
                "coverage": pd.DataFrame(
                    {"metric": ["inferred_mrr_share"], "numerator": [20], "denominator": [1000]}
                )
            },
            "2 % of MRR",
        ),
        ({"in_use": [20, 20, 20, 9]}, "9 metered items had usage in 2026-10, 20 of the same"),
        ({"in_use": [10, 10, 10, 0]}, "0 metered items"),
    ],
)
def test_each_reason_not_to_judge(changed: dict[str, Any], said: str) -> None:
    (failed, _) = judged(**changed)
    assert len(failed) >= 1
    assert pd.Series(failed).str.contains(said).any()


def test_a_fifth_more_items_and_a_few_items_are_no_reason() -> None:
    assert judged(customer_months=months(now=120))[0] == ()
    assert judged(customer_months=months(before=29, now=60))[0] == ()


def test_a_few_metered_items_are_no_reason() -> None:
    assert judged(in_use=[10, 10, 9, 0])[0] == ()
    assert judged(in_use=[0, 0, 0, 0])[0] == ()


def test_metered_items_that_are_held_and_unused_are_counted_and_those_given_up_are_not() -> None:
    cuts = pd.date_range("2026-07-01", "2026-11-01", freq="MS", tz="UTC")

    def item(name: str, *quantities: str, status: str = "active") -> list[dict[str, Any]]:
        rows = zip(quantities, cuts[:-1], cuts[1:], strict=False)
        return [
            {"item": name, "status": status, "quantity": text, "valid_from": start, "valid_to": end}
            for text, start, end in rows
        ]

    states = pd.DataFrame(
        [
            *item("a", "5", "5", "5", "0"),
            *item("b", "5", "5", "0", "5"),
            *item("gone", "5", "5", "5"),
            *item("unpaid", "5", "5", "5", "5", status="unpaid"),
        ]
    )
    assert metered_in_use(states, MONTH, "UTC", ["active", "past_due"]) == [2, 2, 1, 1]
    assert metered_in_use(states.iloc[:0], MONTH, "UTC", ["active"]) == [0, 0, 0, 0]


def test_without_a_catalog_inference_is_a_warning() -> None:
    failed, warnings = judged(
        catalogued=False,
        coverage=pd.DataFrame({"metric": ["inferred_mrr_share"], "numerator": [1], "denominator": [1]}),
    )
    assert failed == ()
    assert "no catalog" in warnings[0]


def test_late_usage_is_a_warning_and_your_own_decisions_are_nothing() -> None:
    failed, warnings = judged(restatements=restated(2, "late_usage"))
    assert (failed, len(warnings)) == ((), 2)
    assert "late_usage" in warnings[0]
    assert judged(restatements=restated(500, "catalog_change")) == judged()
