"""Small books for the rules: frames of customers and movements, written as (customer, month) amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from expansion_platform.domain.alerts.panel import Panel, panel
from expansion_platform.domain.core import months
from expansion_platform.domain.mrr.vocabulary import FLOWS, ORGANIC

MONTH = "2026-10"
MONTHS = months.between(months.shift(MONTH, -8), MONTH)


def frames(
    opening: Mapping[tuple[str, str], int],
    flows: Mapping[tuple[str, str], Mapping[str, int]],
    segments: Mapping[str, str] | None = None,
    models: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """mrr/customer_months and mrr/movements; expansion is from seats unless a type is given as
    `expansion_TYPE`.

    Exchange rates alone are no movement.
    """
    held, moved = [], []
    for (customer, month), amount in opening.items():
        of_month = dict(flows.get((customer, month), {}))
        types = {name: of_month.pop(f"expansion_{name}", 0) for name in ORGANIC}
        of_month["expansion"] = of_month.get("expansion", 0) + sum(types.values())
        types["seat"] += of_month["expansion"] - sum(types.values())
        closing = amount + sum(of_month.values())
        sliced = {
            "segment": (segments or {}).get(customer, "smb"),
            "pricing_model": "seat" if models is None else models.get(customer),
        }
        rates = of_month.get("fx", 0)
        held.append(
            {
                "month": month,
                "customer": customer,
                "opening": amount,
                "closing": closing,
                "flow_fx": rates,
                **sliced,
            }
        )
        if any(amount for name, amount in of_month.items() if name != "fx"):
            row = {f"flow_{name}": of_month.get(name, 0) for name in FLOWS} | {
                f"expansion_{name}": amount for name, amount in types.items()
            }
            moved.append(
                {
                    "month": month,
                    "customer": customer,
                    "movement": "churn" if of_month.get("churn") else "continuing",
                    **row,
                }
            )
    columns = [
        "month",
        "customer",
        "movement",
        *(f"flow_{name}" for name in FLOWS),
        *(f"expansion_{name}" for name in ORGANIC),
    ]
    return pd.DataFrame(held), pd.DataFrame(moved, columns=columns).astype(
        dict.fromkeys(columns[3:], "int64")
    )


def steady(
    customers: int,
    newest: float,
    *,
    rate: float = 0.5,
    seed: int = 1,
    segment: str = "smb",
    model: str = "seat",
) -> Panel:
    """Customers that pay 100.00 and expand by 5.00 with chance `rate` a month, with chance `newest` in the
    last.
    """
    rng = np.random.default_rng(seed)
    names = [f"cus_{number:04d}" for number in range(customers)]
    opening = {(name, month): 10_000 for name in names for month in MONTHS}
    flows = {
        key: {"expansion": 500} for key in opening if rng.random() < (newest if key[1] == MONTH else rate)
    }
    return panel(*frames(opening, flows, dict.fromkeys(names, segment), dict.fromkeys(names, model)), MONTHS)


def together(one: Panel, other: Panel) -> Panel:
    """Both in one base, under names of their own."""
    return replace(
        one,
        customers=tuple(f"a{name}" for name in one.customers) + tuple(f"b{name}" for name in other.customers),
        slices={name: np.concatenate([one.slices[name], other.slices[name]]) for name in one.slices},
        **{
            name: np.concatenate([getattr(one, name), getattr(other, name)])
            for name in ("opening", "expansion", "net", "retained", "types")
        },
    )
