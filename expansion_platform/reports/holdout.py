"""Arms of a programme before anybody speaks to a customer (`expansion holdout`).

Here: whom to draw among, rows added to the file of assignments, and what such a programme could find. Not
here: the draw (`domain/signals/programmes/holdout.py`), what became of the arms
(`domain/signals/programmes/outcomes.py`), printing (`cli/programmes.py`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.tables import CONTROL, TREATMENT, Assignments, Programmes
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.table import columns
from expansion_platform.domain.core.wording import counted, money, percent
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.programmes.assignments import HORIZON
from expansion_platform.domain.signals.programmes.detectable import detectable_amount, detectable_share
from expansion_platform.domain.signals.programmes.holdout import holdout
from expansion_platform.domain.stripe.tables import Customers
from expansion_platform.resources import Platform
from expansion_platform.sources.user_tables import IN_WAREHOUSE, read_given

DEFAULT_FILE = "assignments.csv"
NAMED = 20
"""Customers left out that are named."""


@dataclass(frozen=True)
class Drawn:
    """A programme's arms.

    Args:
        rows: the user's rows of every customer asked for, those that were assigned before among them.
        added: those of them that are new.
        left_out: why -> customers that are in no arm.
    """

    rows: pd.DataFrame
    added: pd.DataFrame
    left_out: dict[str, list[str]]

    def size(self, arm: str) -> int:
        """Customers in an arm."""
        return int((self.rows["arm"] == arm).sum())


def control_share(text: str) -> Decimal:
    """The control group's share as people write it, such as 0.1.

    Raises:
        ExpansionError: it is no number above 0 and below 1.
    """
    try:
        share = Decimal(text)
    except ArithmeticError as error:
        raise ExpansionError(f"--share {text} is no number such as 0.1") from error
    if not share.is_finite() or not 0 < share < 1:
        raise ExpansionError(f"--share {text}: the control group's share is above 0 and below 1, such as 0.1")
    return share


def file_of(platform: Platform, out: Path | None) -> Path:
    """Where assignments go: a file asked for, else that of EXPANSION_ASSIGNMENTS, else assignments.csv."""
    given = platform.settings.expansion_assignments
    if out is not None:
        return out
    return Path(DEFAULT_FILE if given is None or given.startswith(IN_WAREHOUSE) else given).expanduser()


def customers_of_file(path: Path) -> list[str]:
    """Customers in a file: the column `customer` of a CSV, or one id a line.

    Raises:
        ExpansionError: it cannot be read, or has several columns and none of that name.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ExpansionError(f"{path} cannot be read: {error}") from error
    rows = [[value.strip() for value in row] for row in rows if any(value.strip() for value in row)]
    if rows and "customer" in rows[0]:
        at = rows[0].index("customer")
        return [row[at] for row in rows[1:] if len(row) > at and row[at]]
    if any(len(row) > 1 for row in rows):
        raise ExpansionError(f"{path} has several columns and none is called customer")
    return [row[0] for row in rows]


def candidates_of(platform: Platform, month: str | None) -> tuple[list[str], list[str]]:
    """Candidates of a month, the newest without one, and those of them to leave alone for now.

    Raises:
        ExpansionError: the month has no candidates.
    """
    computed = platform.months(signals.Candidates)
    if not computed:
        raise ExpansionError("no candidates have been computed yet: run `expansion refresh`, or --customers")
    month = month or computed[-1]
    if month not in computed:
        raise ExpansionError(
            f"{month} has no candidates; there are candidates of {computed[0]} to {computed[-1]}"
        )
    rows = platform.lake.read(signals.Candidates, [month])
    alone = rows["do_not_push"].astype(bool)
    return rows.loc[~alone, "customer"].tolist(), rows.loc[alone, "customer"].tolist()


def draw(platform: Platform, programme: str, customers: Sequence[str], share: Decimal, file: Path) -> Drawn:
    """Arms of some customers. Who is in the programme's arms in the file already stays there.

    Raises:
        ExpansionError: the programme has no name that can be, nobody is left, or an arm is empty.
        ConfigurationError: the file is no file of assignments.
    """
    if not programme.strip() or "@" in programme:
        raise ExpansionError("a programme's name is a short text without @")
    programme, catalog = programme.strip(), platform.catalog()
    known = set(platform.lake.read(Customers)["id"])
    there = [each for each in customers if each in known or catalog.customer(each) in known]
    left_out = {
        "not in Stripe": sorted(set(customers) - set(there)),
        "excluded by the catalog": sorted({each for each in there if catalog.excludes(each)}),
    }
    on = platform.as_of.astimezone(ZoneInfo(platform.timezone)).date()
    rows = holdout(programme, there, Fraction(share), on, catalog)
    before = _assigned(file, programme, catalog)
    kept = before[before["customer"].isin(rows["customer"])]
    new = rows[~rows["customer"].isin(before["customer"])].reset_index(drop=True)
    every = pd.concat([each for each in (kept, new) if len(each)] or [new], ignore_index=True)
    drawn = Drawn(every, new, {why: names for why, names in left_out.items() if names})
    if every.empty:
        raise ExpansionError(f"no customers to draw among{_why(drawn.left_out)}")
    if min(drawn.size(TREATMENT), drawn.size(CONTROL)) == 0:
        empty = CONTROL if drawn.size(CONTROL) == 0 else TREATMENT
        raise ExpansionError(
            f"{counted(len(every), 'customer')} and nobody in {empty}: nothing could ever be shown. Choose "
            "more customers, or another --share"
        )
    return drawn


def _why(left_out: dict[str, list[str]]) -> str:
    found = "; ".join(f"{len(names)} {why}: {', '.join(names[:NAMED])}" for why, names in left_out.items())
    return f": {found}" if found else ""


def _assigned(file: Path, programme: str, catalog: Catalog) -> pd.DataFrame:
    """The programme's rows of a file, customers after aliases; none where there is no file."""
    rows = read_given(str(file) if file.exists() else None, Assignments)
    rows = rows[rows["programme"] == programme].sort_values(["assigned_at", "customer", "arm"])
    named = rows["customer"].map(catalog.customer).astype("str")
    return rows.assign(customer=named).drop_duplicates("customer")


def write(file: Path, added: pd.DataFrame) -> None:
    """Adds rows to a file of assignments; what is in it stays as it is.

    Raises:
        ExpansionError: it cannot be written.
    """
    try:
        text = file.read_text(encoding="utf-8-sig") if file.exists() else ""
        header = next(csv.reader(io.StringIO(text, newline="")), None)
        names = [name.strip() for name in header] if header else list(columns(Assignments))
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, names, restval="", lineterminator="\n")
        if not header:
            writer.writeheader()
        writer.writerows(dict(zip(added.columns, row, strict=True)) for row in added.to_numpy().tolist())
        joint = "\n" if text and not text.endswith("\n") else ""
        part = file.with_name(f"{file.name}.part")
        part.write_text(f"{text}{joint}{lines.getvalue()}", encoding="utf-8", newline="")
        part.replace(file)
    except OSError as error:
        raise ExpansionError(f"{file} cannot be written: {error}") from error


def says(platform: Platform, drawn: Drawn) -> Iterator[str]:
    """The arms, whom they leave out, and the smallest effect that such a programme finds."""
    treated, control = drawn.size(TREATMENT), drawn.size(CONTROL)
    yield f"treatment {treated:,}, control {control:,} ({len(drawn.added):,} new)"
    for why, names in drawn.left_out.items():
        more = "" if len(names) <= NAMED else f" and {len(names) - NAMED} more"
        yield f"left out, {why}: {', '.join(names[:NAMED])}{more}"
    yield from _detectable(platform, set(drawn.rows["customer"]), treated, control)


def _detectable(platform: Platform, customers: set[str], treated: int, control: int) -> Iterator[str]:
    calendar = [month for month in platform.months(mrr.Movements) if month <= platform.newest_closed_month]
    calendar = calendar[-HORIZON:]
    if len(calendar) < HORIZON:
        yield "The smallest effect that it finds is not known: fewer than 3 months have been computed."
        return
    moved = platform.lake.read(mrr.Movements, calendar)
    moved = moved[moved["customer"].isin(customers) & (moved["flow_expansion"] > 0)]
    amounts = moved.groupby("customer")["flow_expansion"].sum().reindex(sorted(customers)).fillna(0)
    base, spread = float((amounts > 0).mean()), float(amounts.std(ddof=1))
    yield (
        f"In {calendar[0]} to {calendar[-1]} {_percent(base)} of them expanded, by "
        f"{_money(float(amounts.mean()), platform)} a customer on average. Of effects on that, four in five "
        "are found from:"
    )
    rise = detectable_share(base, treated, control)
    yield (
        "  share    none: even if every customer expanded it would hardly show"
        if rise is None
        else f"  share    {_percent(base)} to {_percent(base + rise)}"
    )
    apart = detectable_amount(spread, treated, control)
    yield (
        "  amount   not known: nobody expanded"
        if apart is None
        else f"  amount   {_money(apart, platform)} a customer"
    )


def _percent(share: float) -> str:
    return percent(Fraction(share), 1)


def _money(amount: float, platform: Platform) -> str:
    return money(round(amount), platform.settings.expansion_currency)


def next_steps(
    platform: Platform, programme: str, share: Decimal, file: Path, assigned: Iterable[str]
) -> Iterator[str]:
    """What to do now, in the order to do it.

    Args:
        platform: as configured.
        programme: its name.
        share: of the control group.
        file: of assignments.
        assigned: days on which customers were assigned.
    """
    last = max(assigned)
    first = last[:7] if last[8:10] == "01" else months.shift(last[:7], 1)
    given = platform.settings.expansion_assignments
    steps = [
        "Speak with the customers of treatment only, and leave those of control alone until the end of "
        f"{months.shift(first, HORIZON - 1)}. Whom you do not reach stays in treatment: assignment counts."
    ]
    if given is not None and given.startswith(IN_WAREHOUSE):
        steps.append(f"Load {file} into {given} (EXPANSION_ASSIGNMENTS).")
    elif given is None or Path(given).expanduser().resolve() != file.resolve():
        steps.append(f"Set EXPANSION_ASSIGNMENTS={file}")
    if programme not in set(platform.given(Programmes)["programme"]):
        steps.append(
            "Say what was planned, before it begins, in the file of EXPANSION_PROGRAMMES:\n"
            "     programme,planned_share,primary_outcome,cost,margin,months_retained\n"
            f"     {programme},{(1 - share).normalize():f},share,,,"
        )
    steps.append("expansion refresh; then: select * from signals.programmes")
    yield from (f"{number}. {step}" for number, step in enumerate(steps, start=1))
