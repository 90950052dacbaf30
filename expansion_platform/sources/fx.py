"""Month-end exchange rates.

From a file the user gives, else the European Central Bank's reference rates, offline.

Here: one rate per month and currency, each with where it is from, and which are missing: none is ever guessed
(semantics 7, case 21). Not here: converting money (`domain/`), which stops the month that needs a missing
one. A month ends on the last day of its calendar in every time zone, so none is asked for.
"""

from __future__ import annotations

import csv
from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.table import arrow_schema
from expansion_platform.domain.history.tables import FxRates

if TYPE_CHECKING:
    from currency_converter import CurrencyConverter

# A cross rate is a quotient; 12 places keep 8 digits of the smallest quoted unit, a rupiah in dinars.
PLACES = 12
LONGEST_LOOK_BACK_DAYS = 7  # a weekend and Easter are 4 days; beyond a week the data has ended

_Rate = tuple[str, str]  # decimal text, source


def available(
    wanted: list[str], currencies: set[str], reporting: str, file: Path | None = None
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """The rates of `billing/fx_rates` that exist, and the (month, currency) pairs without one.

    One row per month and currency.

    Args:
        wanted: Months, `YYYY-MM`.
        currencies: Currencies to convert, lower case; the reporting currency itself is always among the rows.
        reporting: Currency converted to.
        file: CSV with the header `month,currency,rate`: reporting currency for one unit, month-end, decimal
            text. With a file nothing else is read.

    Raises:
        ConfigurationError: The file cannot be read as rates: file and line are named.
    """
    foreign = sorted(currencies - {reporting})
    find = _from_file(file) if file is not None else _from_ecb(reporting) if foreign else _nowhere
    found: dict[tuple[str, str], _Rate | None] = {(month, reporting): ("1", "identity") for month in wanted}
    found |= {(month, currency): find(month, currency) for month in wanted for currency in foreign}
    missing = sorted(key for key, rate in found.items() if rate is None)
    rows = [
        {"month": month, "currency": currency, "rate": rate[0], "source": rate[1]}
        for (month, currency), rate in sorted(found.items())
        if rate
    ]
    return pd.DataFrame(rows, columns=arrow_schema(FxRates).names, dtype="str"), missing


def _nowhere(month: str, currency: str) -> None:
    return None


def _from_file(file: Path) -> Callable[[str, str], _Rate | None]:
    source = f"file:{file.name}"
    read: dict[tuple[str, str], _Rate] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            lines = csv.DictReader(handle, strict=True)
            if [name.strip().lower() for name in lines.fieldnames or []] != ["month", "currency", "rate"]:
                raise ConfigurationError(f"{file}, line 1: the header must be month,currency,rate")
            lines.fieldnames = ["month", "currency", "rate"]
            for line in lines:
                key, rate = _parsed(line, f"{file}, line {lines.line_num}")
                if key in read:
                    raise ConfigurationError(
                        f"{file}, line {lines.line_num}: a second rate for {key[1]} in {key[0]}"
                    )
                read[key] = (rate, source)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{file}: cannot be read as a CSV of exchange rates ({error})") from error
    return lambda month, currency: read.get((month, currency))


def _parsed(line: dict[str, str | None], where: str) -> tuple[tuple[str, str], str]:
    values = {name: (line.get(name) or "").strip() for name in ("month", "currency", "rate")}
    if None in line or not all(values.values()):
        raise ConfigurationError(f"{where}: three values are needed, month,currency,rate")
    currency = values["currency"].lower()
    if len(currency) != 3 or not currency.isalpha():
        raise ConfigurationError(f"{where}: {values['currency']!r} is not a three-letter currency")
    try:
        months.parse(values["month"])
        rate = canonical.decimal_text(values["rate"])
    except (ValueError, ArithmeticError) as error:
        raise ConfigurationError(
            f"{where}: expected a month such as 2026-03 and a decimal rate such as 1.0825 ({error})"
        ) from error
    if Decimal(rate) <= 0:
        raise ConfigurationError(f"{where}: a rate must be above zero, not {values['rate']}")
    return (values["month"], currency), rate


def _from_ecb(reporting: str) -> Callable[[str, str], _Rate | None]:
    # Parses 27 years of daily rates: a quarter of a second, only without a file.
    from currency_converter import CurrencyConverter

    published = CurrencyConverter(decimal=True)

    def find(month: str, currency: str) -> _Rate | None:
        year, number = months.parse(month)
        last = date(year, number, monthrange(year, number)[1])
        for day in (last - timedelta(days=back) for back in range(LONGEST_LOOK_BACK_DAYS + 1)):
            per_euro, reporting_per_euro = (
                _per_euro(published, currency, day),
                _per_euro(published, reporting, day),
            )
            if per_euro is not None and reporting_per_euro is not None:
                return _rounded(Fraction(reporting_per_euro) / Fraction(per_euro)), f"ecb:{day}"
        return None

    return find


def _per_euro(published: CurrencyConverter, currency: str, day: date) -> Decimal | None:
    """Units of a currency for one euro as published for a day.

    None on a holiday, outside the data, or for a currency the ECB does not quote.
    """
    from currency_converter import RateNotFoundError

    if currency == "eur":
        return Decimal(1)
    if currency.upper() not in published.currencies:
        return None
    try:
        rate: Decimal = published.convert(Decimal(1), "EUR", currency.upper(), date=day)
    except RateNotFoundError:
        return None
    return rate


def _rounded(rate: Fraction) -> str:
    scaled = round(rate * 10**PLACES)  # of a Fraction: exact, half to even
    return canonical.decimal_text(Decimal(f"{scaled}e-{PLACES}"))
