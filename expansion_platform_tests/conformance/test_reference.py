"""The plain reference against the published examples (semantics 3.6), and the rules of the text that no example touches."""

from __future__ import annotations

import pytest

from expansion_platform.simulator.reference import CAUSES, FLOWS, ORGANIC, classify_month
from expansion_platform_tests.conformance.examples import EXAMPLES


def filled(keys: tuple[str, ...], figures: dict[str, int]) -> dict[str, int]:
    return dict.fromkeys(keys, 0) | figures


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_example(name: str) -> None:
    prev, curr, book_catalog, figures = EXAMPLES[name]
    row = classify_month(prev, curr, book_catalog)["customers"]["c"]
    types = filled(ORGANIC, figures.get("types", {}))
    opening, closing, label = figures.get("opening", 0), figures.get("closing", 0), figures["label"]
    assert (row["opening"], row["closing"], row["delta"]) == (opening, closing, closing - opening)
    assert row["label"] == label
    assert row["movement"] == (label if label in ("new", "reactivation", "churn") else "continuing")
    assert row["flows"] == filled(FLOWS, {"expansion": sum(types.values()), **figures.get("flows", {})})
    assert row["causes"] == filled(CAUSES, figures.get("causes", {}))
    assert row["expansion_by_type"] == types
    assert row["contraction_by_type"] == filled(ORGANIC, figures.get("lost", {}))
    assert (row["expansion_gross"], row["contraction_gross"]) == figures.get("gross", (0, 0))
    assert row["expansion_unadjusted"] == figures.get("unadjusted", 0)
    assert row["dormant"] == figures.get("dormant", 0)
