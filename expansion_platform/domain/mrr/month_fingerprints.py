"""Which months a changed fact touches.

A fingerprint of everything in the item states that a month's MRR, movements, flags and coverage depend on.

Here: the fingerprints. Not here: what is built from them (`tables/mrr.py`), policy, catalog and rates, which
are fingerprinted apart.

A month depends on what is in force when it begins, on what begins and ends within it, on who paid before,
and, for customers in whom something changes, on what they had before (`seat_surge`, `brief_lapse`). So a late
fact about March touches March and the months after it in which that customer still has what changed or
changes again, and no others. It also depends on which prices are plans by inference (`catalog/plans.py`): a
late fact about a beginning touches the months in which that changes, and no others. Cost: one pass over the
states, whatever the number of months.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr.first_paid import (
    FirstPaid,
    deletions,
    first_paid_months,
    included,
    rates_by_month,
    touching,
)
from expansion_platform.domain.mrr.past import Past, past_of_all, past_of_some
from expansion_platform.domain.mrr.states import owners
from expansion_platform.domain.mrr.valuation import STATE
from expansion_platform.domain.stripe import tables as stripe

Hashes = npt.NDArray[np.uint64]
_BEGINS, _ENDS, _PAYS = 1, 2, 3


@dataclass(frozen=True)
class StateSums:
    """What months depend on of the states of some customers, in a form that adds up.

    `standing` and `changed` are sums of 64-bit hashes: of what was in force when a month began (one more
    entry than months), and of the past of those in whom something changed, from before the first month on.
    """

    standing: Hashes
    changed: Hashes
    past: Past


def state_texts(parts: Sequence[StateSums], calendar: Sequence[str], timezone: str = "UTC") -> dict[str, str]:
    """A text for each month that changes when something it depends on does.

    The parts are those of different customers.
    """
    if not calendar:
        return {}
    standing, changed = (
        np.add.reduce([getattr(part, name) for part in parts]) for name in ("standing", "changed")
    )
    past = past_of_all([part.past for part in parts])
    plans = {month: past.begun.plans(months.closing(month, timezone)).text for month in calendar}
    begins = "" if past.first is None else months.of(past.first, timezone)
    return {
        month: f"{standing[number]:016x} {changed[number + 1]:016x} {plans[month]} "
        f"{'begins' if month == begins else ''}".rstrip()
        for number, month in enumerate(calendar)
    }


def state_sums(
    states: pd.DataFrame,
    first_paid: FirstPaid,
    calendar: Sequence[str],
    catalog: Catalog,
    timezone: str = "UTC",
) -> StateSums:
    """What months depend on of some customers' states.

    Args:
        states: billing/item_states of the customers that count; text columns may be categoricals.
        first_paid: From these states, up to the last of the months or later.
        calendar: Months, ascending and without a gap; at least one.
        catalog: Gives aliases.
        timezone: Reporting time zone.

    Rows are hashed to 64 bits and added up, so their order does not matter; what is in force when a month
    begins is everything that has begun less everything that has ended.
    """
    # Of where a state is known from, only a schedule makes a difference: it is flagged.
    terms = _hashed(states[[*STATE, "confidence"]].assign(scheduled=states["source"] == "schedule"))
    owner = owners(states["customer"].astype("object"), catalog)
    ended = states["valid_to"].notna().to_numpy()
    paid = first_paid.months
    payers, pays = paid.index.to_series().astype("object"), _hashed(_first_paid(first_paid))
    events = pd.concat(
        [
            _events(owner, states["valid_from"], terms, _BEGINS),
            _events(owner[ended], states.loc[ended, "valid_to"], terms[ended], _ENDS),
            _events(
                payers,
                pd.Series([months.closing(month, timezone) for month in paid], dtype="datetime64[us, UTC]")
                - _INSTANT,
                pays,
                _PAYS,
            ),
        ],
        ignore_index=True,
    )
    openings = pd.DatetimeIndex([months.opening(month, timezone) for month in calendar]).as_unit("us")
    # Number of the month an event falls in: 0 before the first, len(calendar) in the last or after it.
    events["month"] = openings.searchsorted(events["at"], side="right")
    events = events[events["at"] < months.closing(calendar[-1], timezone)]
    standing = _sums(events["month"], events["standing"].to_numpy(), len(calendar) + 1).cumsum()
    events = events.sort_values(["owner", "month"], kind="stable")
    past = events.groupby("owner", sort=False)["event"].cumsum()  # uint64, wraps around
    last = ~events.duplicated(["owner", "month"], keep="last")
    changed = _sums(events.loc[last, "month"], past[last].to_numpy(), len(calendar) + 1)
    return StateSums(standing, changed, past_of_some(states, catalog))


_INSTANT = pd.Timedelta(microseconds=1)


def _events(owner: pd.Series[str], at: pd.Series[pd.Timestamp], terms: Hashes, kind: int) -> pd.DataFrame:
    happened = pd.DataFrame({"terms": terms, "at": at.to_numpy(), "kind": kind})
    return pd.DataFrame(
        {
            "owner": owner.to_numpy(),
            "at": pd.DatetimeIndex(at).as_unit("us"),
            "standing": np.uint64(0) - terms if kind == _ENDS else terms,
            "event": _hashed(happened),
        }
    )


def _first_paid(first_paid: FirstPaid) -> pd.DataFrame:
    """What mrr/customer_months says of who paid first when: customer, month, at."""
    paid = first_paid.months
    return pd.DataFrame(
        {
            "customer": paid.index,
            "month": paid.to_numpy(),
            "at": first_paid.instants.reindex(paid.index).to_numpy(),
        }
    )


def _hashed(rows: pd.DataFrame) -> Hashes:
    return np.asarray(pd.util.hash_pandas_object(rows, index=False), dtype=np.uint64)


def _sums(group: pd.Series[int], values: Hashes, size: int) -> Hashes:
    """Sum of 64-bit values by group number, wrapping around."""
    result = np.zeros(size, dtype=np.uint64)
    np.add.at(result, group.to_numpy(), values)
    return result


def states_digest(wanted: Sequence[str], inputs: Inputs) -> StateSums:
    """What each month depends on of the item states of some customers."""
    catalog, timezone = inputs.catalog, inputs.timezone
    states, rates = (
        included(inputs.frame(billing.ItemStates), catalog),
        rates_by_month(inputs.frame(billing.FxRates)),
    )
    calendar = months.between(min(wanted), max(wanted))
    paid = first_paid_months(states, catalog=catalog, rates=rates, last=calendar[-1], timezone=timezone)
    return state_sums(states, paid, calendar, catalog, timezone)


def states_digests(wanted: Sequence[str], parts: Sequence[StateSums], inputs: Inputs) -> dict[str, str]:
    """What each month depends on of the item states: a text by month."""
    return state_texts(parts, months.between(min(wanted), max(wanted)), inputs.timezone)


def rates_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """The exchange rates up to each month: what a customer pays is compared with what it paid before."""
    rates = inputs.frame(billing.FxRates)
    return {
        month: content_hash(
            rates.loc[rates["month"] <= month, ["month", "currency", "rate"]].to_numpy().tolist()
        )
        for month in wanted
    }


def end_rates_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """The exchange rates at both ends of each month."""
    rates = inputs.frame(billing.FxRates)

    def at_ends(month: str) -> str:
        ends = rates.loc[rates["month"].isin([months.shift(month, -1), month]), ["month", "currency", "rate"]]
        return content_hash(ends.to_numpy().tolist())

    return {month: at_ends(month) for month in wanted}


def quarantine_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """The stretches that cannot be read, at both ends of each month."""
    quarantine = included(inputs.frame(billing.Quarantine), inputs.catalog)

    def at_ends(month: str) -> str:
        ends = [months.opening(month, inputs.timezone), months.closing(month, inputs.timezone)]
        return content_hash(
            [list(map(str, row)) for row in touching(quarantine, ends).itertuples(index=False)]
        )

    return {month: at_ends(month) for month in wanted}


def deletions_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """The customers deleted in Stripe within each month."""
    deleted = deletions(inputs.frame(stripe.Events))

    def within(month: str) -> str:
        start, end = months.opening(month, inputs.timezone), months.closing(month, inputs.timezone)
        return content_hash(
            deleted[(deleted["created"] >= start) & (deleted["created"] < end)]
            .astype(str)
            .to_numpy()
            .tolist()
        )

    return {month: within(month) for month in wanted}


def backdated_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """The subscriptions made after each month reported that have states before its end.

    What restatements call `new_subscription`.
    """
    subscriptions, states = inputs.frame(stripe.Subscriptions), inputs.frame(billing.ItemStates)
    begins = states.groupby(states["subscription"].astype("str"))["valid_from"].min()
    began = begins.reindex(subscriptions["id"]).set_axis(subscriptions.index)
    closes = inputs.value("closes")

    def made_later(month: str) -> str:
        if month not in closes:
            return ""
        late = (subscriptions["created"] > pd.Timestamp(closes[month].at)) & (
            began < months.closing(month, inputs.timezone)
        )
        return content_hash(sorted(subscriptions.loc[late, "id"]))

    return {month: made_later(month) for month in wanted}
