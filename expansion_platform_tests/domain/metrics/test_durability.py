"""What lasts of an expansion, worked out by hand. US cents, March 2026, judged in June:

| customer | expansion | causes of April to June | left | kept | seats | kept of them |
|---|---|---|---|---|---|---|
| ada | 100 | seats -30, plan +10, price +500 | | 80 | 10 to 20, 17 in April | 7 of 10: 70 |
| bob | 200 (seat surge) | seats -250 | | 0 | 5 to 25, none in May | 0 of 20: 0 |
| cy | 50 | seats +40 | | 50 | 1 to 6, 10 in April | 5 of 5: 50 |
| dee | 70 | | churned in May, back in June | 0 | 2 to 9 | 0 of 7: 0 |
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.metrics import durability, reconciliation
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.rows import slices
from expansion_platform.domain.mrr import reconciliation as mrr_reconciliation
from expansion_platform.domain.mrr import seat_events
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import ORGANIC

GREW, JUDGED = "2026-03", "2026-06"
EXPANDED = {"ada": ("enterprise", 100), "bob": ("smb", 200), "cy": ("smb", 50), "dee": ("smb", 70)}
HASHES = {"policy_hash": "p", "catalog_hash": "c"}
CAUSES = [
    (GREW, "ada", "seat", 100, "10", "20"),  # the expansion itself is not taken twice
    (GREW, "bob", "seat", 200, "5", "25"),
    (GREW, "cy", "seat", 50, "1", "6"),
    (GREW, "dee", "seat", 70, "2", "9"),
    ("2026-04", "ada", "seat", -30, "20", "17"),
    ("2026-06", "ada", "tier", 10, "17", "17"),
    ("2026-06", "ada", "price", 500, "17", "17"),
    ("2026-05", "bob", "seat", -250, "25", None),
    ("2026-04", "cy", "seat", 40, "6", "10"),
    ("2026-07", "cy", "seat", -90, "10", "1"),  # after the three months
]
EVERYONE = {  # metric -> month that expanded, numerator, denominator, ratio
    "durability_3m": (GREW, 130, 420, "0.3095238095"),
    "durable_expansion_rate": (GREW, 130, 4_000, "0.0325000000"),
    "core_expansion_rate_3m": (GREW, 220, 4_000, "0.0550000000"),  # bob's surge did not last
    "seat_surge_share_3m": (GREW, 200, 420, "0.4761904762"),
    "core_expansion_rate": (JUDGED, 0, 0, None),
    "seat_surge_share": (JUDGED, 0, 0, None),
    "seat_durability_3m": (GREW, 120, 420, "0.2857142857"),
    "seat_events_durable": (GREW, 1, 4, "0.2500000000"),  # cy
    "seat_events_partial": (GREW, 1, 4, "0.2500000000"),  # ada
    "seat_events_reverted": (GREW, 2, 4, "0.5000000000"),
    "seat_amount_durable": (GREW, 50, 420, "0.1190476190"),
    "seat_amount_partial": (GREW, 100, 420, "0.2380952381"),
    "seat_amount_reverted": (GREW, 270, 420, "0.6428571429"),
    "seat_events_pending": (JUDGED, 1, None, None),  # cy's four of April
    "seat_amount_pending": (JUDGED, 40, None, None),
}


def causes() -> pd.DataFrame:
    columns = ["month", "customer", "cause", "amount", "from_quantity", "to_quantity"]
    return pd.DataFrame(CAUSES, columns=columns).assign(group="main", from_item="si", to_item="si")


def movement(
    month: str, customer: str, kind: str = "continuing", expansion: int = 0, flags: str = "[]"
) -> dict[str, Any]:
    segment = EXPANDED[customer][0]
    return {
        "month": month,
        "customer": customer,
        "segment": segment,
        "movement": kind,
        "flow_expansion": expansion,
        "flags_json": flags,
    }


def moved() -> pd.DataFrame:
    rows = [
        movement(GREW, name, expansion=up, flags='["seat_surge"]' if name == "bob" else "[]")
        for name, (_, up) in EXPANDED.items()
    ]
    rows += [
        movement("2026-04", "cy", expansion=40),
        movement("2026-05", "dee", "churn"),
        movement("2026-06", "dee", "reactivation"),
    ]
    return pd.DataFrame(rows)


def seats(months: tuple[str, ...] = (JUDGED,)) -> pd.DataFrame:
    return mrr.SeatEvents.validate(seat_events.seat_events(months, moved(), causes()).assign(**HASHES))


def rows(months: tuple[str, ...] = (JUDGED,)) -> pd.DataFrame:
    events = seats(months)
    opened = [
        {"month": GREW, "customer": name, "segment": segment, "opening": 1_000}
        for name, (segment, _) in EXPANDED.items()
    ]
    read = {
        "customer_months": pd.DataFrame(opened),
        "movements": moved(),
        "causes": causes(),
        "organic": pd.DataFrame({"cause": ORGANIC}),
        "events": events,
        "durable": durability.durable_share(),
    }
    sums = query(
        "metrics/durability_sums", {"spans": durability.spans(list(months)), "slices": slices(), **read}
    )
    of_events = query("metrics/seat_sums", {"events": events, "slices": slices()})
    return metrics.Durability.validate(durability.durability(sums, of_events).assign(**HASHES))


def told(frame: pd.DataFrame, value: str = "all") -> dict[str, tuple[Any, ...]]:
    """Metric -> the month that expanded, numerator, denominator, ratio."""
    chosen = frame[frame["value"] == value]
    return {
        row.metric: (
            row.expanded_month,
            row.numerator,
            *(None if pd.isna(cell) else cell for cell in (row.denominator, row.ratio)),
        )
        for row in chosen.itertuples()
    }


def test_what_is_left_after_three_months() -> None:
    frame = rows()
    assert told(frame) == EVERYONE
    assert told(frame, "smb")["durability_3m"] == (GREW, 50, 320, "0.1562500000")
    assert told(frame, "smb")["seat_durability_3m"] == (GREW, 50, 320, "0.1562500000")
    assert (
        told(frame, "mid_market")["durability_3m"]
        == told(frame, "mid_market")["seat_durability_3m"]
        == (GREW, 0, 0, None)
    )
    assert set(frame.loc[frame["value"] == "mid_market", "quality"]) == {"no_base", "low_n"}
    assert frame.set_index(["metric", "value"])["n_expanders"].to_dict()["seat_events_pending", "all"] == 1
    reconciliation.slices_sum(frame)
    reconciliation.durability_ties(frame, seats())


def test_a_month_of_nobody() -> None:
    assert {metric: values[1:] for metric, values in told(rows(("2030-01",))).items()} == {
        metric: (0, None, None) if metric.endswith("_pending") else (0, 0, None) for metric in EVERYONE
    }


def test_each_purchase_of_seats() -> None:
    columns = ["expanded_month", "customer", "seats_added", "seats_kept", "amount", "kept", "status", "surge"]
    assert seats()[columns].to_numpy().tolist() == [
        [GREW, "ada", "10", "7", 100, 70, "partial", False],
        [GREW, "bob", "20", "0", 200, 0, "reverted", True],
        [GREW, "cy", "5", "5", 50, 50, "durable", False],
        [GREW, "dee", "7", "0", 70, 0, "reverted", False],
        ["2026-04", "cy", "4", "4", 40, 40, "pending", False],
    ]
    assert seats(("2026-05",)).set_index("customer")["seats_kept"].to_dict() == {
        "ada": "7",
        "bob": "0",
        "cy": "4",
        "dee": "0",
    }


def test_at_once_a_surge_is_left_out_and_nothing_is_judged() -> None:
    frame = rows((GREW,))
    seen = told(frame)
    assert seen["core_expansion_rate"] == (GREW, 220, 4_000, "0.0550000000")
    assert seen["seat_surge_share"] == (GREW, 200, 420, "0.4761904762")
    assert (seen["seat_events_pending"], seen["seat_amount_pending"]) == (
        (GREW, 4, None, None),
        (GREW, 420, None, None),
    )
    assert seen["durability_3m"] == seen["seat_durability_3m"] == ("2025-12", 0, 0, None)
    assert set(frame.loc[frame["expanded_month"] != GREW, "quality"]) == {"no_base"}


@pytest.mark.parametrize(("held", "core"), [("21", 420), ("22", 420), ("20", 220)])
def test_a_surge_of_which_four_fifths_are_kept_is_core(
    held: str, core: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bob holds 16 of the 20 he added to his 5, or one more or less."""
    changed = [
        ("2026-05", "bob", "seat", -40, "25", held) if row[1] == "bob" and row[3] < 0 else row
        for row in CAUSES
    ]
    monkeypatch.setattr("expansion_platform_tests.domain.metrics.test_durability.CAUSES", changed)
    assert told(rows())["core_expansion_rate_3m"][1] == core


@given(st.lists(st.integers(0, 40), min_size=5, max_size=5))
def test_what_is_kept_is_the_share_of_the_seats_added(levels: list[int]) -> None:
    """Seats at five month ends running: kept is where the last lies between the first and the second."""
    before, held, *_, last = levels
    names = months.between(GREW, JUDGED)
    steps = [
        (month, "ada", "main", "seat", 10 * (to - of), "si", "si", str(of), str(to))
        for month, of, to in zip(names, levels, levels[1:], strict=False)
        if of != to
    ]
    columns = [
        "month",
        "customer",
        "group",
        "cause",
        "amount",
        "from_item",
        "to_item",
        "from_quantity",
        "to_quantity",
    ]
    events = seat_events.seat_events(
        [JUDGED],
        pd.DataFrame([movement(month, "ada") for month in names]),
        pd.DataFrame(steps, columns=columns),
    )
    of_march = events[events["expanded_month"] == GREW]
    assert len(of_march) == (held > before)
    if held > before:
        share = min(Fraction(1), max(Fraction(0), Fraction(last - before, held - before)))
        assert Fraction(of_march["kept"].item(), of_march["amount"].item()) == share
        assert of_march["status"].item() == (
            "durable" if share >= Fraction(4, 5) else "reverted" if share <= Fraction(1, 5) else "partial"
        )


QUANTITIES = st.sampled_from(["0", "1", "3", "7", "2.5", "0.125", "3000000000", None])
CHANGE = st.tuples(
    st.integers(0, 4),
    st.sampled_from(["ada", "bob"]),
    st.sampled_from(["main", "other"]),
    st.integers(-9, 99),
    st.tuples(QUANTITIES, QUANTITIES),
)


@given(
    st.lists(CHANGE, min_size=1, max_size=12, unique_by=lambda row: row[:3]),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["ada", "bob"]))),
)
def test_every_event_is_what_it_is_by_itself(changes: list[Any], left: list[tuple[int, str]]) -> None:
    """Whole seats, parts of seats and more seats than fit, in exact fractions one by one."""
    names = months.between(GREW, "2026-07")
    columns = [
        "month",
        "customer",
        "group",
        "cause",
        "amount",
        "from_item",
        "to_item",
        "from_quantity",
        "to_quantity",
    ]
    rows = [
        (names[at], who, group, "seat", amount, "si", "si", *seats)
        for at, who, group, amount, seats in changes
    ]
    moves = [
        movement(month, who, "churn" if (at, who) in left else "continuing")
        for at, month in enumerate(names)
        for who in ("ada", "bob")
    ]
    found = seat_events.seat_events(names, pd.DataFrame(moves), pd.DataFrame(rows, columns=columns))
    gained = {
        (at, who, group): Fraction(to or 0) - Fraction(of or 0) for at, who, group, _, (of, to) in changes
    }
    expected = []
    for at, who, group, amount, _ in changes:
        added = gained[at, who, group]
        for last in range(at, min(at + 3, len(names) - 1) + 1) if added > 0 and amount > 0 else ():
            owned = sum(
                (gained.get((month, who, group), Fraction(0)) for month in range(at, last + 1)), Fraction(0)
            )
            gone = any((month, who) in left for month in range(at + 1, last + 1))
            kept = Fraction(0) if gone else min(added, max(Fraction(0), owned))
            judged = (
                "durable"
                if kept / added >= Fraction(4, 5)
                else "reverted"
                if kept / added <= Fraction(1, 5)
                else "partial"
            )
            expected.append(
                (
                    names[last],
                    names[at],
                    who,
                    group,
                    added,
                    kept,
                    round(amount * kept / added),
                    judged if last == at + 3 else "pending",
                )
            )
    shown = zip(
        *(found[name] for name in ("month", "expanded_month", "customer", "group")),
        *(found[name].map(Fraction) for name in ("seats_added", "seats_kept")),
        *(found[name] for name in ("kept", "status")),
        strict=True,
    )
    assert list(shown) == sorted(expected)


def test_the_checks_see_one_cent_and_one_event() -> None:
    frame, events = rows(), seats()
    mrr_reconciliation.seat_events_tie(events, causes().query("cause == 'seat'"))
    with pytest.raises(DataQualityError, match="bob/2026-06"):
        mrr_reconciliation.seat_events_tie(
            events.assign(amount=events["amount"] + (events["customer"] == "bob")),
            causes().query("cause == 'seat'"),
        )
    with pytest.raises(DataQualityError) as caught:
        reconciliation.durability_ties(frame, events[events["customer"] != "bob"])
    assert set(caught.value.objects) == {
        f"2026-06 {metric}"
        for metric in ("seat_durability_3m", "seat_events_reverted", "seat_amount_reverted")
    }


def test_several_months_at_once_are_those_months() -> None:
    both = rows((GREW, JUDGED))
    for month in (GREW, JUDGED):
        alone = rows((month,)).reset_index(drop=True)
        keys = ["metric", "dimension", "value"]
        of_month = both[both["month"] == month].sort_values(keys).reset_index(drop=True)
        pd.testing.assert_frame_equal(of_month, alone.sort_values(keys).reset_index(drop=True))
