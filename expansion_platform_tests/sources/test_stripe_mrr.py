"""The dashboard's CSV is read in either form, and refused with what it has when it is neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.sources.stripe_mrr import exported

LONG = """Customer ID,Customer email,Month,MRR (USD)
cus_1,a@example.com,2026-03-31,"1,234.50"
cus_1,a@example.com,2026-04-30,$10
cus_2,,2026-03-31,0.005
"""
WIDE = "customer_id,name,2026-03,Apr 2026\ncus_1,A,1234.50,10.00\ncus_2,B,,\n"


@pytest.mark.parametrize("text", [LONG, WIDE])
def test_a_row_a_month_and_a_column_a_month_read_alike(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mrr.csv"
    path.write_text(text)
    found = exported(path, 2)
    assert found[found["mrr"] != 0].to_numpy().tolist() == [
        ["2026-03", "cus_1", 123450],
        ["2026-04", "cus_1", 1000],
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("plan,price\nbasic,10\n", "needs a column of customers .* it has plan, price"),
        ("customer,month,mrr\ncus_1,soon,10\n", "line 2: no month and amount in cus_1, soon, 10"),
        ("customer,month,mrr\ncus_1,2026-03,ten\n", "line 2: no month and amount"),
        ("", "it has none"),
    ],
)
def test_a_file_that_is_no_such_report_is_refused(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "mrr.csv"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=named):
        exported(path, 2)
