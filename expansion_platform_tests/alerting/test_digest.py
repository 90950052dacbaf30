"""What the monthly digest says to each owner, and whom it never names."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from expansion_platform.alerting import digest
from expansion_platform.alerting.limits import SECTION_LIMIT
from expansion_platform.domain.core.table import columns
from expansion_platform.domain.signals.tables import Candidates

TEXTS = ["owner", "segment", "probability", "suggested_type", "last_touch", "do_not_push_because", "arm"]


def row(rank: int, owner: str | None = "Ana", **said: Any) -> dict[str, Any]:
    return {
        "month": "2026-10",
        "rank": rank,
        "customer": f"cus_{rank}",
        "owner": owner,
        "segment": "smb",
        "mrr": 120000,
        "basis": "rule score",
        "score": 75,
        "probability": None,
        "median_expansion": None,
        "expected_value": None,
        "reasons_json": json.dumps(["uses 92 % of its limit", "customer for 14 months"]),
        "suggested_type": "seat",
        "last_touch": "2026-10-04",
        "do_not_push": False,
        "do_not_push_because": None,
        "arm": None,
        "policy_hash": "p",
        "catalog_hash": "c",
        **said,
    }


def candidates(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    assert sorted(frame.columns) == sorted(columns(Candidates))
    return Candidates.validate(
        frame.astype(
            dict.fromkeys(TEXTS, "str") | dict.fromkeys(["median_expansion", "expected_value"], "Int64")
        )
    )


def text_of(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False)


def test_who_should_be_left_alone_and_the_control_arm_are_not_named() -> None:
    rows = candidates(
        row(1, do_not_push=True, do_not_push_because="payment past due"),
        row(2, arm="control"),
        row(3, arm="treatment"),
        row(4),
        row(5),
    )
    assert list(digest.to_name(rows, capacity=2)["customer"]) == ["cus_3", "cus_4"]
    assert list(digest.to_name(rows.iloc[::-1], capacity=9)["customer"]) == ["cus_3", "cus_4", "cus_5"]


def test_who_is_not_ready_is_not_named_unless_a_probability_ranks_them() -> None:
    rows = candidates(row(1, score=40), row(2, score=39), row(3, score=0, probability="0.200000"))
    assert list(digest.to_name(rows, capacity=9)["customer"]) == ["cus_1", "cus_3"]


def test_the_message_of_the_month_counts_customers_owners_and_whom_to_leave_alone() -> None:
    rows = candidates(row(1), row(2, "Bo"), row(3), row(4, do_not_push=True, do_not_push_because="x"))
    message = digest.head("2026-10", digest.to_name(rows, 9), rows, ["A note."], {"Open": "https://ui"})
    assert message["text"] == (
        "Whom to speak to about more, as known when 2026-10 closed: 3 customers of 2 owners. "
        "1 customer should be left alone for now and are not named."
    )
    assert "A note." in text_of(message) and "https://ui" in text_of(message)
    assert "cus_4" not in text_of(message)


def test_a_line_says_the_figures_the_reasons_and_the_last_touch() -> None:
    message = digest.of_owner("Ana", "2026-10", candidates(row(1)), "usd")
    assert message["text"] == "Ana, 2026-10: 1 customer to speak to about more"
    assert message["blocks"][1]["text"]["text"] == (
        "1. *cus_1*: MRR 1,200.00 USD, readiness 75 of 100, perhaps more seats.\n"
        "Why: uses 92 % of its limit; customer for 14 months. Last touch 2026-10-04."
    )


def test_a_probability_and_what_it_is_worth_are_said_where_they_are_known() -> None:
    rows = candidates(row(1, basis="probability", probability="0.234000", expected_value=4680))
    line = digest.of_owner(None, "2026-10", rows, "usd")["blocks"][1]["text"]["text"]
    assert "23 % likely within three months, worth 46.80 USD on average" in line
    assert digest.of_owner(None, "2026-10", rows, "usd")["text"].startswith("Nobody's customers, 2026-10")


def test_what_others_wrote_pages_nobody_and_fits() -> None:
    reasons = json.dumps(["<!channel> " + "x" * 5000])
    rows = candidates(row(1, "<!here>", reasons_json=reasons))
    message = digest.of_owner("<!here>", "2026-10", rows, "usd", shown=lambda _: "<@U1>")
    shown = json.dumps(message["blocks"])
    assert "<!" not in shown and "<@" not in shown
    assert all(len(block["text"]["text"]) <= SECTION_LIMIT for block in message["blocks"])


@pytest.mark.parametrize(("number", "lines"), [(digest.PER_OWNER, 10), (digest.PER_OWNER + 3, 11)])
def test_no_more_than_a_screen_is_named(number: int, lines: int) -> None:
    rows = candidates(*(row(rank) for rank in range(1, number + 1)))
    message = digest.of_owner("Ana", "2026-10", rows, "usd")
    assert len(message["blocks"]) - 1 == lines
    assert ("and 3 more" in text_of(message)) is (number > digest.PER_OWNER)
