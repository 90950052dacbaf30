"""Where simulated customers are taxed, and the tax Stripe computes on their bills.

Here: each customer's tax rates over time, the taxes of a line, the account's tax rates. Not here: which
prices have tax inside (`simulator/company/catalog.py`), and what is left of an amount without it
(`simulator/truth/reference_pricing.py`).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from expansion_platform.simulator.company.catalog import TAX_INSIDE
from expansion_platform.simulator.stripe_billing import charges

JSON = dict[str, Any]
Percentages = tuple[str, ...]
REGIMES: tuple[tuple[Percentages | None, Percentages | None, float], ...] = (
    (("20",), ("20",), 0.35),
    (("19",), ("21.5",), 0.2),
    (("8.1",), ("8.1",), 0.1),
    (("5", "9.975"), ("5", "9.975"), 0.1),
    (("0",), ("0",), 0.1),
    (None, None, 0.15),
)
"""Percentages before and after a change of the law, and the share of customers. None: nobody computes their
tax in Stripe, whatever is inside.
"""
HIDDEN = 50
"""Minor units of a line, for each tax, in which a tax of 1 % rounds to nothing: that there is none, it does
not say.
"""
TOTALS = {
    rates: str(sum(map(Decimal, rates))) for before, after, _ in REGIMES for rates in (before, after) if rates
}


class Taxation:
    """One customer's taxes."""

    def __init__(self, rng: random.Random, law_changed: int) -> None:
        self._before, self._after, _ = rng.choices(REGIMES, [share for _, _, share in REGIMES])[0]
        self._law_changed = law_changed

    def tax(self, lines: Sequence[JSON], at: int) -> list[tuple[str, int, str]]:
        """Put taxes on the lines of a bill made at `at`.

        (item, start, percentage inside) of those that charge something.
        """
        rates = self._before if at < self._law_changed else self._after
        shown = []
        for line in lines if rates is not None else ():
            base = line["amount"] - sum(entry["amount"] for entry in line["discount_amounts"])
            inside = line["currency"] in TAX_INSIDE
            line["taxes"] = _taxes(base, rates or (), "inclusive" if inside else "exclusive")
            details = line["parent"]["subscription_item_details"]
            hidden = (
                inside
                and base <= HIDDEN * len(line["taxes"])
                and not all(each["amount"] for each in line["taxes"])
            )
            if base > 0 and not hidden and details["proration_details"]["credited_items"] is None:
                shown.append(
                    (
                        details["subscription_item"],
                        line["period"]["start"],
                        TOTALS[rates or ()] if inside else "0",
                    )
                )
        return shown


def _taxes(base: int, rates: Iterable[str], behavior: str) -> list[JSON]:
    whole = sum((Fraction(rate) for rate in rates), Fraction(0)) if behavior == "inclusive" else Fraction(0)
    amounts = {rate: charges.half_even(base * Fraction(rate) / (100 + whole)) for rate in rates}
    taxable = base - sum(amounts.values()) if behavior == "inclusive" else base
    return [
        {
            "amount": amount,
            "tax_behavior": behavior,
            "tax_rate_details": {"tax_rate": _identity(rate, behavior)},
            "taxability_reason": "reverse_charge" if rate == "0" else "standard_rated",
            "taxable_amount": taxable,
            "type": "tax_rate_details",
        }
        for rate, amount in amounts.items()
    ]


def _identity(rate: str, behavior: str) -> str:
    return f"txr_{behavior}_{rate.replace('.', '_')}"


def tax_rates(created: int) -> list[JSON]:
    """The account's tax rates."""
    every = sorted({rate for rates in TOTALS for rate in rates})
    return [
        {
            "id": _identity(rate, behavior),
            "object": "tax_rate",
            "active": True,
            "country": None,
            "created": created,
            "description": None,
            "display_name": "VAT",
            "effective_percentage": None,
            "flat_amount": None,
            "inclusive": behavior == "inclusive",
            "jurisdiction": None,
            "jurisdiction_level": None,
            "livemode": True,
            "metadata": {},
            "percentage": float(rate),
            "rate_type": "percentage",
            "state": None,
            "tax_type": "vat",
        }
        for rate in every
        for behavior in ("exclusive", "inclusive")
    ]
