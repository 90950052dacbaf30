"""Rows of the `stripe/*` tables that say of themselves what cannot be read.

Each speaks of a stretch of one or more subscriptions; that is found here, too.

Here: the stretches of a subscription that nobody knows, because a field of the row that would say is
unreadable. Not here: items, prices and coupons, whose values travel through the timelines like any other
(`quarantine.py`), and what the fields have to be (`sources/stripe/shapes.py`).

The row, and the stretch:

* a subscription, its customer: its whole life
* an invoice, or one of its lines: from the first of its periods until the next bill, or until its periods end
  if that is later; where a period cannot be read, from the bill before
* a pending invoice item: from its period on
* a schedule: from its beginning until it stopped
* an event: until the next event, or until the subscription was read
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import pandas as pd

from expansion_platform.domain.core.rows import among, rows

INVOICE_STATUSES = ("draft", "open", "paid", "uncollectible", "void")
UNTIL_READ = -1
"""The end of a stretch that lasts until its subscription was read, which then says itself what it is."""


class Unreadable(NamedTuple):
    """A stretch of a subscription that `object` would show, and what is wrong with the object.

    `end` None: no later object is known that shows more.
    """

    start: int
    end: int | None
    problem: str
    object: str


class Owner(NamedTuple):
    """Whose a stretch is: one subscription's, or where that cannot be read, all of a customer's."""

    subscription: str | None
    customer: str | None


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of which everything can be read."""
    return frame[frame["unreadable"].isna()]


def readable_bills(invoices: pd.DataFrame) -> pd.DataFrame:
    """The invoices of which everything can be read, their status too."""
    return readable(invoices[invoices["status"].isin(INVOICE_STATUSES)])


def of_own_items(frame: pd.DataFrame, owners: Mapping[str, str]) -> pd.DataFrame:
    """Bills' lines or invoice items, those unreadable that name an item of another subscription.

    An item never moves to another one.

    Args:
        frame: `subscription_item`, `subscription`, `unreadable` and any others.
        owners: Subscription by item.
    """
    owner = frame["subscription_item"].map(owners)
    wrong = owner.notna() & frame["subscription"].notna() & (owner != frame["subscription"])
    if not wrong.any():
        return frame
    problem = "its item is of subscription " + owner[wrong].astype("object")
    return frame.assign(unreadable=frame["unreadable"].where(~wrong | frame["unreadable"].notna(), problem))


def owners_of(items: pd.DataFrame, lines: pd.DataFrame) -> dict[str, str]:
    """Subscription by item: that which lists it, else that of its first line.

    Only lines of an item that several name have to be put in order.
    """
    pair = ["subscription_item", "subscription"]
    named = lines[pair].dropna().drop_duplicates()
    several = named.loc[named["subscription_item"].duplicated(), "subscription_item"]
    first = (
        lines[among(lines["subscription_item"], several)]
        .sort_values(["created", "id"])[pair]
        .dropna()
        .drop_duplicates("subscription_item")
    )
    by_item = (
        frame.itertuples(index=False, name=None) for frame in (named, first, items[["id", "subscription"]])
    )
    return dict(chain.from_iterable(by_item))


class Unread:
    """All rows that cannot be read, by the subscription or the customer they are of.

    There are hardly ever any.

    Args:
        frames: stripe/* by name: customers, invoices, invoice_lines, invoice_items, subscription_schedules,
            events (those that history is computed from).
    """

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        self._customers = {row["id"]: row["unreadable"] for row in rows(_unread(frames["customers"]))}
        self._found: dict[Owner, list[Unreadable]] = defaultdict(list)
        for owner, one in (
            *_bills(frames["invoices"], frames["invoice_lines"]),
            *_pending(frames["invoice_items"]),
            *_schedules(frames["subscription_schedules"]),
            *_events(frames["events"]),
        ):
            self._found[owner].append(one)

    def of(
        self,
        subscription: str,
        customer: str,
        unreadable: str | None,
        began: int,
        ended: int | None,
        read_at: int,
    ) -> list[Unreadable]:
        """The parts of a subscription's time whose state is unknown.

        Args:
            subscription: Its id.
            customer: Its customer's.
            unreadable: What of its own row cannot be read.
            began: The first instant for which there is any evidence of it.
            ended: When it ended.
            read_at: When it was read: what it is then it says itself.
        """
        whole = (
            [(f"a subscription that cannot be read ({unreadable})", subscription)]
            if unreadable is not None
            else []
        )
        whole += (
            [(f"a customer that cannot be read ({self._customers[customer]})", customer)]
            if customer in self._customers
            else []
        )
        found = [Unreadable(began, ended, problem, name) for problem, name in whole]
        for owner in (Owner(subscription, None), Owner(None, customer)):
            for one in self._found.get(owner, ()):
                until_read = read_at if read_at > one.start else None
                found.append(one._replace(end=until_read) if one.end == UNTIL_READ else one)
        return found


def covering(found: Iterable[Unreadable], at: int) -> Iterator[tuple[str, frozenset[str]]]:
    """(problem, objects) of the stretches an instant lies in."""
    for one in found:
        if one.start <= at and (one.end is None or at < one.end):
            yield one.problem, frozenset({one.object})


def _unread(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["unreadable"].notna()]


def _owner(row: Mapping[str, Any]) -> Owner | None:
    """None for what bills no subscription, as far as can be read."""
    if row["subscription"] is not None:
        return Owner(row["subscription"], None)
    lost = any(name in str(row["unreadable"]) for name in ("subscription", "parent"))
    return Owner(None, row["customer"]) if lost else None


def _bills(invoices: pd.DataFrame, lines: pd.DataFrame) -> Iterator[tuple[Owner, Unreadable]]:
    """The stretch of every bill that cannot be read as a whole; one with an unknown status is one."""
    broken = {row["invoice"]: row["unreadable"] for row in rows(_unread(lines))}
    unread = invoices["unreadable"].notna() | ~invoices["status"].isin(INVOICE_STATUSES)
    wrong = invoices[unread | among(invoices["id"], list(broken))]
    if wrong.empty:
        return
    own: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in rows(lines[among(lines["invoice"], wrong["id"])]):
        own[line["invoice"]].append(line)
    others: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for bill in rows(
        readable_bills(invoices[~among(invoices["id"], wrong["id"]) & invoices["subscription"].notna()])
    ):
        others[bill["subscription"]].append((bill["created"], bill["finalized_at"] or bill["created"]))
    for row in rows(wrong):
        text = row["unreadable"] or (
            f"status is {row['status']!r}"
            if row["status"] not in INVOICE_STATUSES
            else f"a line: {broken[row['id']]}"
        )
        whose = row["subscription"] or next(
            (line["subscription"] for line in own[row["id"]] if line["subscription"] is not None), None
        )
        owner = _owner({**row, "subscription": whose, "unreadable": text})
        known = [line for line in own[row["id"]] if 0 < line["period_start"] <= line["period_end"]]
        before = max((at for at, _ in others[whose or ""] if at < row["created"]), default=row["created"])
        following = min((at for created, at in others[whose or ""] if created > row["created"]), default=None)
        # Usage is billed after its period: where no line says which that is, it may be all the time since the
        # bill before.
        start = min(
            [
                row["created"] if known and len(known) == len(own[row["id"]]) else before,
                *(line["period_start"] for line in known),
            ]
        )
        end = None if following is None else max([following, *(line["period_end"] for line in known)])
        if owner is not None:
            yield owner, Unreadable(start, end, f"an invoice that cannot be read ({text})", row["id"])


def _pending(items: pd.DataFrame) -> Iterator[tuple[Owner, Unreadable]]:
    for row in rows(_unread(items)):
        start = min(row["created"], row["period_start"]) if row["period_start"] > 0 else row["created"]
        if (owner := _owner(row)) is not None:
            yield (
                owner,
                Unreadable(
                    start, None, f"an invoice item that cannot be read ({row['unreadable']})", row["id"]
                ),
            )


def _schedules(schedules: pd.DataFrame) -> Iterator[tuple[Owner, Unreadable]]:
    for row in rows(_unread(schedules)):
        if (owner := _owner(row)) is not None:
            yield (
                owner,
                Unreadable(
                    row["created"],
                    row["stopped_at"],
                    f"a schedule that cannot be read ({row['unreadable']})",
                    row["id"],
                ),
            )


def _events(events: pd.DataFrame) -> Iterator[tuple[Owner, Unreadable]]:
    wrong = _unread(events)
    if wrong.empty:
        return
    later: dict[str, list[int]] = defaultdict(list)
    for row in rows(readable(events)):
        later[row["object_id"]].append(row["created"])
    for row in rows(wrong):
        of_one = row["type"].startswith("customer.subscription.")
        end = (
            min((at for at in later[row["object_id"]] if at > row["created"]), default=UNTIL_READ)
            if of_one
            else UNTIL_READ
        )
        owner = Owner(row["object_id"], None) if of_one else Owner(None, row["customer"])
        yield (
            owner,
            Unreadable(row["created"], end, f"an event that cannot be read ({row['unreadable']})", row["id"]),
        )
