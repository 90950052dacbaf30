"""The one origin of each positive organic amount.

The first rule of semantics 4.3 that says something, over whole ranges of months.

Here: which changes and CRM records are behind an amount, the rules in their order, the split of the headline.
Not here: what Stripe's data says of a change (`origins.py`), the amounts (`attribution.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.tables import OPPORTUNITY, TOUCH
from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.core.money import Bools, Ints, largest_remainder
from expansion_platform.domain.mrr.month_ends import month_of, spread
from expansion_platform.domain.mrr.vocabulary import INITIATORS, ORGANIC

BEFORE, AFTER = timedelta(days=30), timedelta(days=14)
BY = ["month", "customer", "group", "cause"]
COLUMNS = [*BY, "origin", "rule", "amount", "changed_at", "evidence_json", "expansion"]
_DAYS, _YEAR_1 = 2**23, 800_000
"""More than the days of any calendar; days from before the year 1 to 1970."""

_Match = tuple[str, "str | pd.Series[str]", "pd.Series[str]"]
"""A rule, the origin it gives, and its evidence as JSON by position of the amounts that it says
something of.
"""


def origins(
    wanted: Sequence[str],
    causes: pd.DataFrame,
    movements: pd.DataFrame,
    witnessed: pd.DataFrame,
    activity: pd.DataFrame,
    timezone: str,
) -> pd.DataFrame:
    """mrr/origins of some months without hashes.

    Args:
        wanted: the months.
        causes: mrr/causes of them.
        movements: mrr/movements of them.
        witnessed: `origins.witnessed` changes; those within an amount's month count.
        activity: the CRM's records (`catalog/tables.py`, CrmActivity), customers after aliases.
        timezone: reporting time zone, in which a change has a day.

    Returns:
        A row per month, customer, match group and cause whose organic amounts sum to more than nothing.
        `expansion` is the customer's headline of the cause (movements.expansion_*), shared out pro rata to
        them.
    """
    organic = causes[causes["cause"].isin(ORGANIC)]
    rows = organic.groupby(BY, as_index=False)["amount"].sum()
    rows = rows[rows["amount"] > 0].reset_index(drop=True)
    if rows.empty:
        return pd.DataFrame(columns=COLUMNS).astype(
            {"amount": "int64", "expansion": "int64", "changed_at": "datetime64[us, UTC]"}
        )
    behind = _behind(rows, organic, _in_months(witnessed, wanted, timezone))
    found = {
        name: np.full(len(rows), text, dtype=object)
        for name, text in {"origin": "unknown", "rule": "none", "evidence_json": "[]"}.items()
    }
    for rule, origin, evidence in _matches(rows, behind, activity, timezone):
        new = found["rule"][evidence.index] == "none"
        at = evidence.index[new]
        found["rule"][at], found["evidence_json"][at] = rule, evidence[new]
        found["origin"][at] = origin if isinstance(origin, str) else origin[new]
    changed_at = behind.drop_duplicates("row").set_index("row")["at"].reindex(rows.index)
    texts = {name: pd.Series(found[name], dtype="str") for name in found}
    done: pd.DataFrame = rows.assign(changed_at=changed_at, expansion=_shared(rows, movements), **texts)
    return done[COLUMNS]


def _in_months(witnessed: pd.DataFrame, wanted: Sequence[str], timezone: str) -> pd.DataFrame:
    """The changes within some months, with `month` and with `day`, its number in the time zone."""
    calendar = months.between(min(wanted), max(wanted))
    instants = [
        months.opening(calendar[0], timezone),
        *(months.closing(month, timezone) for month in calendar),
    ]
    at = month_of(pd.DatetimeIndex(instants).as_unit("us"), witnessed["at"])
    within = (at > 0) & (at <= len(calendar))
    found = witnessed[within].assign(month=pd.Index(calendar, dtype="str").take(at[within] - 1).array)
    return found.assign(day=_day_of(pd.DatetimeIndex(found["at"]), timezone))


def _behind(rows: pd.DataFrame, organic: pd.DataFrame, witnessed: pd.DataFrame) -> pd.DataFrame:
    """The changes behind each amount (`row`, its position in `rows`), the last first."""
    grown = organic[(organic["amount"] > 0) & (organic["to_item"] != "")]
    grown = grown[[*BY, "to_item"]].merge(rows[BY].assign(row=rows.index), on=BY)
    found = grown[["row", "month", "to_item"]].merge(
        witnessed, left_on=["month", "to_item"], right_on=["month", "item"]
    )
    return found.sort_values(["row", "at", "item"], ascending=[True, False, True], ignore_index=True)


def _matches(
    rows: pd.DataFrame, behind: pd.DataFrame, activity: pd.DataFrame, timezone: str
) -> Iterator[_Match]:
    """The rules in their order; of several changes the last that has an answer gives it."""
    known = behind[behind["initiated_by"].isin(INITIATORS)].drop_duplicates("row").set_index("row")
    yield "initiated_by", known["initiated_by"], _lists(known["initiated_id"])
    records = _Records(rows, behind, activity, timezone)
    yield "opportunity", "sales", records.near(OPPORTUNITY, BEFORE, AFTER)
    yield "portal", "self_serve", _first(behind, behind["portal_id"].notna(), "portal_id")
    yield "checkout", "self_serve", _first(behind, behind["checkout_id"].notna(), "checkout_id")
    yield "usage", "product", pd.Series("[]", index=rows.index[rows["cause"] == "usage"], dtype="str")
    yield "schedule", "product", _first(behind, behind["source"] == "schedule", "subscription")
    yield "automatic", "product", _first(behind, behind["automatic_id"].notna(), "automatic_id")
    yield "touch", "touched", records.near(TOUCH, BEFORE, timedelta(0))


def _first(behind: pd.DataFrame, there: pd.Series[bool], column: str) -> pd.Series[str]:
    return _lists(behind[there].drop_duplicates("row").set_index("row")[column])


def _lists(ids: pd.Series[str]) -> pd.Series[str]:
    """Each id as a JSON list of one."""
    return pd.Series([canonical.dumps([identity]) for identity in ids.tolist()], index=ids.index, dtype="str")


class _Records:
    """The CRM's records of customers, and the days on which amounts grew.

    Those of their changes, or all of the month where nothing says when.
    """

    def __init__(
        self, rows: pd.DataFrame, behind: pd.DataFrame, activity: pd.DataFrame, timezone: str
    ) -> None:
        customer, self._customers = pd.factorize(rows["customer"])
        at, names = pd.factorize(rows["month"])
        dated = behind[["row", "day"]].drop_duplicates()
        dated = dated[(rows["cause"] != "usage").to_numpy(dtype=bool)[dated["row"]]]
        others = np.setdiff1d(rows.index, dated["row"])
        instants = [
            pd.DatetimeIndex([of(month, timezone) for month in names])
            for of in (months.opening, months.closing)
        ]
        first, last = (
            _day_of(instants[0], timezone)[at],
            _day_of(instants[1] - pd.Timedelta(microseconds=1), timezone)[at],
        )
        self._row = np.concatenate([dated["row"].to_numpy(), others])
        self._first, self._last = (
            np.concatenate([dated["day"].to_numpy(), day[others]]) for day in (first, last)
        )
        self._customer = customer[self._row]
        self._activity = activity

    def near(self, kind: str, before: timedelta, after: timedelta) -> pd.Series[str]:
        """Ids of the records of a kind so near to one of the days of an amount, as JSON by its position."""
        records = self._activity[self._activity["kind"] == kind]
        customer = self._customers.get_indexer(pd.Index(records["customer"]))
        records, customer = records[customer >= 0], customer[customer >= 0]
        place = _placed(customer, np.array(records["date"].tolist(), dtype="datetime64[D]").astype(np.int64))
        order = np.argsort(place, kind="stable")
        bounds = (
            _placed(self._customer, self._first - before.days),
            _placed(self._customer, self._last + after.days + 1),
        )
        span, at = spread(*(np.searchsorted(place[order], bound) for bound in bounds))
        found = pd.DataFrame({"row": self._row[span], "id": records["id"].to_numpy(dtype=object)[order[at]]})
        texts = {row: canonical.dumps(sorted(set(ids))) for row, ids in found.groupby("row")["id"]}
        return pd.Series(texts.values(), index=pd.Index(texts.keys(), dtype="int64"), dtype="str")


def _placed(customer: Ints, day: Ints) -> Ints:
    """Customers and days as one number, in the order of both."""
    return customer * _DAYS + day + _YEAR_1


def _day_of(instants: pd.DatetimeIndex, timezone: str) -> Ints:
    """The number of the day, in the time zone, of each instant."""
    local = instants.tz_convert(ZoneInfo(timezone)).tz_localize(None)
    return np.asarray(local.to_numpy().astype("datetime64[D]").astype(np.int64))


def _shared(rows: pd.DataFrame, movements: pd.DataFrame) -> Ints:
    """By amount: its part of the customer's headline of that cause.

    By largest remainder where several share it.
    """
    of = ["month", "customer"]
    at = pd.MultiIndex.from_frame(movements[of]).get_indexer(pd.MultiIndex.from_frame(rows[of]))
    if (lacking := at < 0).any():
        raise KeyError(f"no movement of {', '.join(rows.loc[lacking, 'customer'].unique()[:10])}")
    headline = movements[[f"expansion_{cause}" for cause in ORGANIC]].to_numpy(dtype=np.int64)
    parts = headline[at, pd.Index(ORGANIC).get_indexer(pd.Index(rows["cause"]))]
    several: Bools = rows.duplicated([*of, "cause"], keep=False).to_numpy(dtype=bool) & (parts != 0)
    for _, shares in rows.loc[several, [*of, "cause", "amount"]].groupby([*of, "cause"], sort=False)[
        "amount"
    ]:
        parts[shares.index] = largest_remainder(int(parts[shares.index[0]]), shares.tolist())
    return np.asarray(parts, dtype=np.int64)
