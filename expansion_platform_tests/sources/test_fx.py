"""Exchange rates: the ECB's at month ends, a file's, and never one that was not published."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.history.tables import FxRates
from expansion_platform.sources.fx import available


def rates(*arguments):
    """The rates found, none missing."""
    found, missing = available(*arguments)
    assert missing == []
    return found


def as_dict(frame):
    return {(row.month, row.currency): (row.rate, row.source) for row in FxRates.validate(frame).itertuples()}


def write(folder: Path, text: str) -> Path:
    file = folder / "rates.csv"
    file.write_text(text)
    return file


def test_ecb_rate_is_the_last_business_day_of_the_month():
    # Good Friday 29 March to Easter Sunday 31 March.
    found = as_dict(rates(["2024-03"], {"usd", "eur"}, "usd"))
    assert found == {("2024-03", "usd"): ("1", "identity"), ("2024-03", "eur"): ("1.0811", "ecb:2024-03-28")}


def test_cross_rate_is_the_exact_quotient_rounded_to_twelve_places():
    found = as_dict(rates(["2024-03"], {"gbp", "jpy"}, "usd"))
    per_euro = {"usd": Fraction("1.0811"), "gbp": Fraction("0.85510"), "jpy": Fraction("163.45")}
    for currency in ("gbp", "jpy"):
        assert Fraction(found["2024-03", currency][0]) == Fraction(
            round(per_euro["usd"] / per_euro[currency] * 10**12), 10**12
        )


def test_euro_as_reporting_currency_inverts_the_published_rate():
    assert as_dict(rates(["2024-03"], {"usd"}, "eur"))["2024-03", "usd"] == (
        "0.924983812783",
        "ecb:2024-03-28",
    )


def test_missing_rates_are_named_never_invented():
    # The lev ended with 2025, the peso was never quoted.
    found, missing = available(["2025-12", "2026-01"], {"bgn", "clp", "gbp"}, "usd")
    assert missing == [("2025-12", "clp"), ("2026-01", "bgn"), ("2026-01", "clp")]
    assert sorted(as_dict(found)) == [
        ("2025-12", "bgn"),
        ("2025-12", "gbp"),
        ("2025-12", "usd"),
        ("2026-01", "gbp"),
        ("2026-01", "usd"),
    ]


def test_rate_older_than_a_week_is_missing():
    assert as_dict(rates(["2025-12"], {"bgn"}, "eur"))["2025-12", "bgn"][1] == "ecb:2025-12-31"
    assert available(["2200-01"], {"gbp"}, "usd")[1] == [("2200-01", "gbp")]


def test_file_replaces_the_ecb(tmp_path):
    file = write(tmp_path, "month,currency,rate\n2026-01,EUR,1.0800\n2026-02,eur,1.09\n")
    assert as_dict(rates(["2026-01"], {"eur", "usd"}, "usd", file)) == {
        ("2026-01", "eur"): ("1.08", "file:rates.csv"),
        ("2026-01", "usd"): ("1", "identity"),
    }
    assert available(["2026-01"], {"eur", "gbp"}, "usd", file)[1] == [("2026-01", "gbp")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("2026-01,eur,0", "above zero"),
        ("2026-01,eur,-1.2", "above zero"),
        ("2026-01,eur,1,2", "three values"),
        ("2026-01,eur,", "three values"),
        ("2026-01,eur,abc", "decimal rate"),
        ("2026-01,eur,NaN", "decimal rate"),
        ("2026-13,eur,1.2", "not a month"),
        ("2026-01,euro,1.2", "three-letter"),
        ("2025-12,eur,1.2", "a second rate for eur in 2025-12"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, problem):
    file = write(tmp_path, f"month,currency,rate\n2025-12,eur,1.1\n{line}\n")
    with pytest.raises(ConfigurationError, match=problem) as caught:
        rates(["2025-12"], {"eur"}, "usd", file)
    assert "rates.csv, line 3" in str(caught.value)


def test_a_wrong_header_and_an_absent_file_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"rates\.csv, line 1: the header"):
        rates(["2026-01"], {"eur"}, "usd", write(tmp_path, "currency,month,rate\n"))
    with pytest.raises(ConfigurationError, match=r"absent\.csv: cannot be read"):
        rates(["2026-01"], {"eur"}, "usd", tmp_path / "absent.csv")
