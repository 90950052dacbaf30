"""Product usage by account, month and feature (analytics/feature_usage).

Here: the rows of the months that are computed. Not here: asking the analytics tool (`sources/analytics/`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.signals.tables import FeatureUsage


def compute_feature_usage(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """analytics/feature_usage of some months.

    The tool is asked from the first to the last of them; months in between may be current.
    """
    usage: pd.DataFrame = inputs.value("feature_usage")
    return Computed({FeatureUsage: usage[usage["month"].isin(wanted)]})
