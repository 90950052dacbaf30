"""The append-only log of changes.

Which of its changes hold, and what a new reading of Stripe adds to it (`billing/item_changes`).

Here: `holding`; `unlogged`, the news of some customers, and `entered`, those of all. Not here: what the
changes are (`changes.py`), how they are written (`log_rows.py`) and where they are stored.

A change that no fact shows any more is withdrawn, never removed; one whose evidence has changed is logged
again. So the log shows what was known when. Which changes hold does not depend on how often Stripe was read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.rows import among
from expansion_platform.domain.history.log_rows import COLUMNS, LOGGED
from expansion_platform.domain.history.tables import CONFIRMED, TOLD, WITHDRAWN


def holding(log: pd.DataFrame) -> pd.DataFrame:
    """What holds, as `history_changes.changes` gives it.

    Every change that was logged and not withdrawn since, with all its evidence.

    `log` is rows of billing/item_changes, all of those of some customers.
    """
    decided = log["entry"].where(log["op"] != CONFIRMED).groupby(log["change"]).transform("max")
    latest = log[log["entry"] >= decided]
    in_force = latest[latest["op"] == TOLD].drop(columns=LOGGED).sort_values("change", ignore_index=True)
    confirmed = latest[latest["op"] == CONFIRMED]
    if not confirmed.empty:
        more = confirmed.groupby("change")["evidence_json"].agg(list).to_dict()
        in_force["evidence_json"] = [
            _joined([text, *more[change]]) if change in more else text
            for change, text in zip(in_force["change"], in_force["evidence_json"], strict=True)
        ]
    return in_force


def unlogged(found: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """The news of some customers, in no order: of a shard, to be entered with those of the others."""
    places = pc.index_in(_texts(found["change"]), value_set=_texts(known["change"]))
    before, now = _texts(known["evidence_json"]).take(places), _texts(found["evidence_json"])
    new = found[places.is_null().to_numpy(zero_copy_only=False)].assign(op=TOLD)
    others = np.flatnonzero(pc.fill_null(pc.not_equal(before, now), False).to_numpy(zero_copy_only=False))
    said = [_said(before[place].as_py(), now[place].as_py()) for place in others]
    seen = found.iloc[others].assign(
        op=[op for op, _ in said], evidence_json=[evidence for _, evidence in said]
    )
    gone = known[~among(known["change"], found["change"])].assign(op=WITHDRAWN, evidence_json="[]")
    news: pd.DataFrame = pd.concat([gone, seen, new], ignore_index=True)
    return news


def _texts(column: pd.Series) -> pa.Array:
    found = pa.array(column.array, pa.string())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def entered(parts: Sequence[pd.DataFrame], *, known_at: pd.Timestamp, entry: int) -> pd.DataFrame:
    """The news of all shards in the order of the log, the same however customers were divided."""
    rows = pd.concat(parts, ignore_index=True)
    order = pa.table(
        {name: pa.array(rows[name]) for name in ("customer", "subscription", "effective_at", "op", "change")}
    )
    rows = rows.iloc[pc.sort_indices(order, [(name, "ascending") for name in order.column_names]).to_numpy()]
    rows = rows.assign(known_at=known_at, entry=range(entry, entry + len(rows)))
    ordered: pd.DataFrame = rows[[*LOGGED, *COLUMNS]].reset_index(drop=True)
    return ordered


def _said(before: str, now: str) -> tuple[str, str]:
    """What to log of a change whose evidence is other than it was: the op, and the evidence that came in."""
    old, new = json.loads(before), json.loads(now)
    return (
        (CONFIRMED, canonical.dumps([each for each in new if each not in old]))
        if all(each in new for each in old)
        else (TOLD, now)
    )


def _joined(texts: list[str]) -> str:
    return canonical.dumps(sorted({tuple(each) for text in texts for each in json.loads(text)}))
