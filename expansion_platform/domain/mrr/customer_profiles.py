"""What each customer pays most for at the month ends of a calendar (semantics 4.1: currency and plan).

Here: the item that pays most, found once a stretch of month ends between which nothing of the customer
changes. Not here: slices (`customer_slices.py`). A state in another currency is worth something else at every
month end, and so is a stretch of its own at each.
"""

from __future__ import annotations

import numpy as np

from expansion_platform.domain.mrr.closings import Closings
from expansion_platform.domain.mrr.month_ends import spread
from expansion_platform.domain.mrr.steps import Steps


def profiles(ends: Closings) -> Steps:
    """The terms (code of `timeline.distinct`) of the item that pays most, by customer and needed month end.

    The smallest item id on a tie.
    """
    timeline, stretches = ends.timeline, ends.stretches()
    pays = stretches.mrr > 0
    row, mrr = stretches.row[pays], stretches.mrr[pays]
    width = timeline.size + 1
    first, end = (timeline.customer[row] * width + at[pays] for at in (stretches.begins, stretches.beyond))
    starts = np.unique(np.concatenate([first, end]))
    which, place = spread(np.searchsorted(starts, first), np.searchsorted(starts, end))
    several = np.bincount(place, minlength=len(starts))[place] > 1
    found = np.full(len(starts), -1, dtype=np.int64)
    found[place[~several]] = timeline.terms[row[which[~several]]]
    which, place = which[several], place[several]
    order = np.lexsort([row[which], timeline.item[row[which]], -mrr[which], place])
    shared, at = np.unique(place[order], return_index=True)
    found[shared] = timeline.terms[row[which[order[at]]]]
    return Steps(width, starts, found)
