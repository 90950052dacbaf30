"""One month of a large book: priced and classified as the pipeline does it, row by row in plain Python, and
the floor under both.

Here: the stages and their table. Not here: the book (`book.py`). The plain version is the simulator's
independent reference; its rows for the sampled customers are compared with the pipeline's.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.history.tables import FxRates, ItemStates
from expansion_platform.domain.mrr.first_paid import first_paid_months
from expansion_platform.domain.mrr.movements import classify
from expansion_platform.domain.mrr.states import covers
from expansion_platform.domain.mrr.valuation import STATE, TERMS, _reader
from expansion_platform.domain.mrr.vocabulary import FLOWS
from expansion_platform.simulator.truth.reference import classify_month
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.benchmarks import book
from expansion_platform_tests.benchmarks.measure import Meter, in_fresh_process, show

MONTH = "2026-05"
REPEATED = [name for name in [*TERMS, "status", "source", "confidence"] if name != "interval_count"]
"""Columns the pipeline reads as categoricals (`tables/reads.py`, whose import would add Dagster to the memory
measured).
"""
SAMPLE = 20_000
"""Customers of the plain version; its time is scaled to all."""


def run(customers: int, folder: Path) -> None:
    """Makes the book, measures each stage in a fresh process, prints the table."""
    # A child's peak memory begins at its parent's size, so this process stays small.
    in_fresh_process("month", "make", folder, customers)
    floor, coded, whole, plain = (
        in_fresh_process("month", stage, folder, customers)
        for stage in ("floor", "classified", "whole", "plain")
    )
    share = customers / plain["sample"]
    scaled = {"wall": plain["wall"] * share, "cpu": plain["cpu"] * share}
    rows = [
        ("floor: read the columns once, sum their codes", floor),
        ("read item states, cut at both instants", coded["read"]),
        ("classify: price both ends, movements, causes", coded["classified"]),
        (f"plain Python, {plain['sample']:,} customers scaled to all", scaled),
        ("whole step: read, first payments, classify, flags", whole),
    ]
    faster = scaled["cpu"] / coded["classified"]["cpu"]
    notes = [
        f"{coded['items']:,} items, {coded['moved']:,} customers moved, {coded['causes']:,} causes; "
        f"input frames {coded['frames']:.2f} GB.",
        f"Classified {faster:.0f} times faster than row by row (CPU); "
        f"{coded['classified']['cpu'] / floor['cpu']:.1f} times the floor.",
        f"Flows of the {plain['sample']:,} sampled customers: {plain['differ']} differ from the plain "
        "version's.",
    ]
    show(f"One month of {customers:,} customers", rows, notes)


def _make(lake: Lake, folder: Path, customers: int) -> dict[str, Any]:
    """Writes the book to a lake."""
    states = book.item_states(customers, [MONTH])
    lake.replace(
        ItemStates, states.astype({name: "str" for name, kind in states.dtypes.items() if kind == "category"})
    )
    lake.replace(FxRates, book.rates(months.between("2018-12", MONTH)))
    return {"items": len(states)}


def stage(name: str, folder: Path, customers: int) -> dict[str, Any]:
    """One stage, in this process."""
    lake = Lake(folder)
    return {"make": _make, "floor": _floor, "classified": _classified, "whole": _whole, "plain": _plain}[
        name
    ](lake, folder, customers)


def _floor(lake: Lake, folder: Path, customers: int) -> dict[str, Any]:
    """Every column of the states that decides a number, out of the files and through the processor once."""
    meter = Meter()
    names = [name for name in STATE if name not in ("subscription", "collection_paused")]
    table = lake.dataset(ItemStates, dictionaries=[name for name in REPEATED if name in STATE]).to_table(
        columns=[*names, "valid_from", "valid_to"]
    )
    total = 0
    for column in table.columns:
        for chunk in column.chunks:
            buffers = (chunk.indices if hasattr(chunk, "indices") else chunk).buffers()
            total += sum(
                int(np.frombuffer(buffer, dtype=np.uint8).sum(dtype=np.int64))
                for buffer in buffers
                if buffer is not None
            )
    return meter.lap(total=total)


def _classified(lake: Lake, folder: Path, customers: int) -> dict[str, Any]:
    meter = Meter()
    states = lake.read_coded(ItemStates, REPEATED, without=["evidence_json"])
    opening, closing = (
        states[covers(states, months.opening(MONTH))],
        states[covers(states, months.closing(MONTH))],
    )
    read = meter.lap()
    frames = sum(int(frame.memory_usage(deep=True).sum()) for frame in (opening, closing)) / 1e9
    rates = _rates(lake)
    ever_paid = first_paid_months(
        opening, catalog=book.platform_catalog(), rates=rates, last=months.shift(MONTH, -1)
    ).before(MONTH)
    _reader.cache_clear()  # nothing is remembered of the terms, as in a book's first month
    meter.lap()
    before, after = rates[months.shift(MONTH, -1)], rates[MONTH]
    found = classify(
        opening,
        closing,
        catalog=book.platform_catalog(),
        rates_open=before,
        rates_close=after,
        ever_paid=ever_paid,
    )
    classified = meter.lap()
    found.movements.to_parquet(folder / "movements.parquet")
    pd.DataFrame({"customer": sorted(ever_paid)}).to_parquet(folder / "paid.parquet")
    sizes = {"items": len(closing), "moved": len(found.movements), "causes": len(found.causes)}
    return {"read": read, "classified": classified, "frames": frames, **sizes}


def _whole(lake: Lake, folder: Path, customers: int) -> dict[str, Any]:
    """What the step does before it validates and commits."""
    from expansion_platform.engine.reading import Reading
    from expansion_platform.tables.mrr import MRR

    platform: Any = SimpleNamespace(lake=lake, timezone="UTC", catalog=book.platform_catalog)
    meter = Meter()
    MRR.rule([MONTH], Reading(platform, [MONTH]).inputs_of(MRR, [MONTH]))
    return meter.lap()


def _plain(lake: Lake, folder: Path, customers: int) -> dict[str, Any]:
    from expansion_platform.simulator.verify import _book

    size = min(SAMPLE, customers)
    states = lake.read(ItemStates)
    states = states[states["customer"] < f"cus_{size:08d}"]
    opening, closing = (_book(states, instant) for instant in (months.opening(MONTH), months.closing(MONTH)))
    paid = pd.read_parquet(folder / "paid.parquet")["customer"].tolist()
    rates = _rates(lake)
    catalog = {
        **book.catalog(),
        "fx": {"prev": rates[months.shift(MONTH, -1)], "curr": rates[MONTH]},
        "ever_paid": paid,
    }
    meter = Meter()
    truth = classify_month(opening, closing, catalog)["customers"]
    passed = meter.lap(sample=size)
    found = pd.read_parquet(folder / "movements.parquet").set_index("customer")
    names = [f"flow_{name}" for name in FLOWS]
    flows = dict(zip(found.index, found[names].itertuples(index=False, name=None), strict=True))
    still = (0,) * len(names)
    differ = sum(
        tuple(row["flows"].values()) != flows.get(customer, still) for customer, row in truth.items()
    )
    return {**passed, "differ": differ}


def _rates(lake: Lake) -> dict[str, dict[str, str]]:
    return {
        month: dict(zip(rows["currency"], rows["rate"], strict=True))
        for month, rows in lake.read(FxRates).groupby("month")
    }
