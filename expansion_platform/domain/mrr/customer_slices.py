"""What a customer is, beside its size.

Pricing model, plan, currency, country, cohort, tenure, and what the user says of it (semantics 4.1).

Here: the one value a customer has in each dimension for a month, fixed at opening (at closing for new and
returned customers), and at the next opening; the rule of mrr/customer_slices. Not here: segments and pricing
models (`movements.py`), what customers pay most for (`customer_profiles.py`), what is said of them
(`customer_attributes.py`), sums by value and their rates (`metrics/dimensions.py`).

Customer-months hold codes of combinations of values, of which there are few: texts are made once a
combination.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.core.encoding import number
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.closings import value_closings
from expansion_platform.domain.mrr.customer_attributes import Attribute, attributes, stripes_attributes
from expansion_platform.domain.mrr.customer_profiles import profiles
from expansion_platform.domain.mrr.first_paid import included, rates_by_month
from expansion_platform.domain.mrr.month_ends import Timeline
from expansion_platform.domain.mrr.steps import Steps
from expansion_platform.domain.stripe import tables as stripe

UNKNOWN = "unknown"
TENURES = {"first_90_days": 90, "rest_of_year_1": 365, "year_2": 730}
"""Bucket -> most whole days since first paid; longer is LONGEST_TENURE."""
LONGEST_TENURE = "year_3_plus"
_TENURE_NAMES = np.array([*TENURES, LONGEST_TENURE, UNKNOWN], dtype=object)

SEEN = [
    "month",
    "customer",
    "opening",
    "pricing_model",
    "closing_pricing_model",
    "first_paid_month",
    "first_paid_at",
]
"""Columns of mrr/customer_months that say in which slices a customer is."""

_Dimension = tuple[str, Iterable[Any], Ints, Ints]
"""Its name, names of values (null where nothing says), and their codes for each customer-month and for its
next opening; -1 is null, too.
"""


@dataclass(frozen=True)
class Slices:
    """The values of customer-months in every dimension, by combination of values."""

    values: Mapping[str, npt.NDArray[np.object_]]
    """By dimension: the value of each combination, `unknown` where nothing says. No two combinations are the
    same.
    """
    now: Ints
    """Combination of each customer-month."""
    then: Ints
    """The same at the next opening."""

    def texts(self) -> list[str]:
        """Each combination as canonical JSON."""
        names = list(self.values)
        return [
            canonical.dumps(dict(zip(names, row, strict=True)))
            for row in zip(*self.values.values(), strict=True)
        ]


@dataclass(frozen=True)
class Known:
    """What customers are made of, by code of the customer and of the month."""

    calendar: Sequence[str]
    """Months without a gap: from the one before the first customer-month to the last one."""
    timeline: Timeline
    """Item states over the calendar."""
    profiles: Steps
    """`customer_profiles.profiles` of it."""
    attributes: Mapping[str, Attribute]
    """`customer_attributes.attributes` over the calendar and the month after it, of `timeline.customers`."""


def slices_of(
    customer_months: pd.DataFrame, known: Known, timezone: str, ever_paid: Collection[str]
) -> Slices:
    """Each customer's value in every dimension, for a month and at the next opening.

    Args:
        customer_months: mrr/customer_months (month, customer, opening, pricing_model, closing_pricing_model,
            first_paid_month, first_paid_at); texts may be categoricals.
        known: what is known of their customers.
        timezone: reporting time zone.
        ever_paid: as of `tenures`.
    """
    combined = _Combined(len(customer_months))
    for dimension in _dimensions(customer_months, known, timezone, ever_paid):
        combined.add(*dimension)
    return combined.slices()


def customer_slices(customer_months: pd.DataFrame, slices: Slices) -> pd.DataFrame:
    """mrr/customer_slices without hashes.

    Every customer's values as JSON, of the month and at the next opening.
    """
    texts = pd.Index(slices.texts(), dtype="str")
    columns = {"slices_json": slices.now, "next_slices_json": slices.then}
    coded = {name: pd.Categorical.from_codes(code, categories=texts) for name, code in columns.items()}
    return customer_months[["month", "customer"]].reset_index(drop=True).assign(**coded)


def compute_customer_slices(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """mrr/customer_slices of some months."""
    catalog, timezone = inputs.catalog, inputs.timezone
    stripes = stripes_attributes(inputs.frame(stripe.Customers), inputs.value("attribute_keys"), catalog)
    states, rates = (
        included(inputs.frame(billing.ItemStates), catalog),
        rates_by_month(inputs.frame(billing.FxRates)),
    )
    ends = value_closings(
        {end for month in wanted for end in (months.shift(month, -1), month)},
        states,
        rates,
        catalog,
        timezone,
    )
    failures = {
        month: ends.failures[end]
        for month in wanted
        for end in (month, months.shift(month, -1))
        if end in ends.failures
    }
    good = [month for month in wanted if month not in failures]
    if not good:
        return Computed({}, failures)
    calendar, timeline = ends.timeline.calendar, ends.timeline
    said = attributes(
        inputs.value("attributes"),
        stripes,
        timeline.customers,
        [*calendar, months.shift(calendar[-1], 1)],
        catalog,
    )
    rows = inputs.frame(mrr.CustomerMonths, good)
    slices = slices_of(rows, Known(calendar, timeline, profiles(ends), said), timezone, catalog.paid_before)
    return Computed({mrr.CustomerSlices: customer_slices(rows, slices)}, failures)


def _dimensions(
    rows: pd.DataFrame, known: Known, timezone: str, ever_paid: Collection[str]
) -> Iterator[_Dimension]:
    timeline = known.timeline
    month, customer = (
        _positions(rows["month"], pd.Index(known.calendar)),
        _positions(rows["customer"], timeline.customers),
    )
    member = (rows["opening"] > 0).to_numpy(dtype=bool)
    opened, closed = (
        known.profiles.at(customer, np.where(member, month - 1, month)),
        known.profiles.at(customer, month),
    )
    for name, column in {"currency": "currency", "plan": "product"}.items():
        yield name, timeline.distinct[column].tolist(), opened, closed
    models, names = number(
        [rows[[name]].set_axis(["model"], axis=1) for name in ("pricing_model", "closing_pricing_model")],
        "model",
    )
    yield "pricing_model", names, models[: len(rows)], models[len(rows) :]
    cohort, names = number([rows], "first_paid_month")
    yield "cohort", names, cohort, cohort
    imported = _positions(rows["customer"], pd.Index(list(ever_paid), dtype="str")) >= 0
    openings, closings = (
        pd.DatetimeIndex([at(name, timezone) for name in known.calendar]).as_unit("us")
        for at in (months.opening, months.closing)
    )
    tenure, next_tenure = (
        _tenure(rows["first_paid_at"], pd.Series(at, index=rows.index), imported)
        for at in (closings.take(month).where(~member, openings.take(month)), closings.take(month))
    )
    yield "tenure", list(_TENURE_NAMES), tenure, next_tenure
    for name, attribute in known.attributes.items():
        yield name, attribute.names, attribute.at(customer, month), attribute.at(customer, month + 1)


def tenures(
    first_paid_at: pd.Series[pd.Timestamp], at: pd.Series[pd.Timestamp] | pd.Timestamp, imported: Bools
) -> pd.Series[str]:
    """The tenure bucket of customers at an instant (semantics 4.1).

    By whole days since the beginning of the first state with MRR.

    Args:
        first_paid_at: of each customer, as in mrr/customer_months.
        at: the instant, or one for each.
        imported: customers of whom the catalog says that they paid before the history that Stripe gives
            (`ever_paid`). They have paid for longer than we know, so that they are `unknown` until what we
            know is already the longest bucket.
    """
    return pd.Series(
        _TENURE_NAMES[_tenure(first_paid_at, at, imported)], index=first_paid_at.index, dtype="str"
    )


def _tenure(
    first_paid_at: pd.Series[pd.Timestamp], at: pd.Series[pd.Timestamp] | pd.Timestamp, imported: Bools
) -> Ints:
    bucket = np.searchsorted(list(TENURES.values()), (at - first_paid_at).dt.days)
    return np.where(imported & (bucket != len(TENURES)), len(TENURES) + 1, bucket)


def _positions(texts: pd.Series[str], known: pd.Index[str]) -> Ints:
    """The position of each text among the known ones, -1 where it is none of them."""
    code, values = number([texts.to_frame("text")], "text")
    return np.asarray(known.get_indexer(values), dtype=np.int64)[code]


class _Combined:
    """Combinations of the values of customer-months, one dimension after the other."""

    def __init__(self, size: int) -> None:
        self._size, self._code = size, np.zeros(2 * size, dtype=np.int64)
        self._values: dict[str, npt.NDArray[np.object_]] = {}

    def add(self, dimension: str, names: Iterable[Any], now: Ints, then: Ints) -> None:
        """Adds a dimension. Names may be the same, or null; all of them are one value with their like."""
        texts = pd.Series([*names, None], dtype="str").fillna(UNKNOWN)
        merged, distinct = pd.factorize(texts)
        # -1 is the last: nothing says.
        code = self._code * len(distinct) + merged[np.concatenate([now, then])]
        self._code, found = pd.factorize(code)
        self._values = {name: value[found // len(distinct)] for name, value in self._values.items()}
        self._values[dimension] = distinct.to_numpy(dtype=object)[found % len(distinct)]

    def slices(self) -> Slices:
        """What has been added."""
        return Slices(self._values, self._code[: self._size], self._code[self._size :])
