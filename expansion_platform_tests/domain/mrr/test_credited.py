"""Which of the CRM's records can be behind a change: touches, and opportunities won, as known now."""

from __future__ import annotations

from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.tables import CrmActivity
from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.core.table import columns
from expansion_platform.domain.mrr.origins import credited, near_activity

FOUR = ["customer", "date", "kind", "id"]


def activity(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {"customer": "cus_1", "date": "2026-03-05", "kind": "opportunity"}
    frame = pd.DataFrame([base | row for row in rows], columns=list(columns(CrmActivity)))
    return frame.astype("str")


def ids(*rows: dict[str, Any]) -> list[str]:
    return list(credited(activity(*rows), "UTC")["id"])


def test_only_opportunities_won_count_and_every_touch() -> None:
    rows = [{"id": stage or "none", "stage": stage} for stage in ("open", "won", "lost", None)]
    assert ids(*rows, {"id": "t", "kind": "touch"}) == ["won", "none", "t"]


def test_of_several_versions_the_newest_counts() -> None:
    won = {"id": "a", "stage": "won", "known_at": "2026-03-05"}
    lost = {"id": "a", "stage": "lost", "known_at": "2026-04-05T10:00:00Z"}
    assert ids(lost, won) == []
    assert ids(won | {"known_at": "2026-04-06"}, lost) == ["a"]
    assert ids({"id": "a", "stage": "won"}, lost) == ["a"]  # what says nothing is today's
    assert ids(won, lost | {"kind": "touch"}) == ["a", "a"]  # another thing of the same id


def test_a_file_of_four_columns_is_read_as_it_was() -> None:
    rows = activity({"id": "b"}, {"id": "a", "kind": "touch"})
    pd.testing.assert_frame_equal(credited(rows, "UTC"), rows[FOUR])


def test_what_a_month_depends_on_does_not_change_with_what_is_not_credited() -> None:
    """Nor is anything computed again since the table has more columns."""
    won = {"id": "a", "stage": "won", "amount": "10"}
    (before,) = near_activity(["2026-03"], activity(won), "UTC").values()
    assert before == content_hash([["cus_1", "2026-03-05", "opportunity", "a"]])
    others = activity(won | {"amount": "20", "owner": "7"}, {"id": "b", "stage": "open"})
    assert near_activity(["2026-03"], others, "UTC") == {"2026-03": before}
    lost = activity(won | {"stage": "lost"})
    assert near_activity(["2026-03"], lost, "UTC") != {"2026-03": before}
