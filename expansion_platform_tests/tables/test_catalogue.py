"""What the UI shows of the assets: meaning, owners, kinds, columns, and metadata small enough to be shown
inline.
"""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from fractions import Fraction
from itertools import product

import dagster as dg
import pandas as pd
import pytest

from expansion_platform.definitions import build_defs
from expansion_platform.domain.core.table import columns
from expansion_platform.domain.core.wording import percent
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr.tables import CustomerMonths
from expansion_platform.domain.mrr.vocabulary import FLOWS
from expansion_platform.domain.tables import TABLES
from expansion_platform.engine import checks
from expansion_platform.engine.describe import (
    INLINE_MARKDOWN,
    OWNERS,
    bridge_picture,
    calibration_picture,
    preview,
)
from expansion_platform_tests.pipelines import Pipeline

ALERTS = ["alerts/expansion", "alerts/pace", "alerts/digest"]


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in build_defs().resolve_all_asset_specs()}


def test_every_table_and_the_alerts_are_assets(specs: dict[str, dg.AssetSpec]) -> None:
    assert specs.keys() == {*TABLES, *ALERTS}


@pytest.mark.parametrize("name", [*TABLES, *ALERTS])
def test_an_asset_says_what_it_is(specs: dict[str, dg.AssetSpec], name: str) -> None:
    spec = specs[name]
    assert spec.description
    assert spec.description.startswith("One ")  # the grain comes first
    assert list(spec.owners) == OWNERS
    assert spec.kinds
    assert spec.group_name == name.split("/")[0]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_shows_its_columns(specs: dict[str, dg.AssetSpec], name: str) -> None:
    schema = specs[name].metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == list(columns(TABLES[name]))
    assert all(column.description for column in schema.columns)


def test_every_table_declares_the_check_of_its_model() -> None:
    keys = {
        (key.asset_key.to_user_string(), key.name)
        for key in build_defs().resolve_asset_graph().asset_check_keys
    }
    assert keys >= {(name, "schema") for name in TABLES}
    assert keys >= {
        (name, "reconciled")
        for name in ("billing/item_states", "mrr/customer_months", "mrr/causes", "metrics/rollforward")
    }


def test_previews_stay_under_the_inline_limit_and_safe_to_show() -> None:
    wide = pd.DataFrame({f"column_{number}": ["a|b" * 40] * 50 for number in range(30)})
    text = preview(wide.assign(secret_json="{}", month="2026-01"))
    assert len(text) < INLINE_MARKDOWN
    assert "secret_json" not in text
    assert all(line.count("|") == 9 for line in text.splitlines())
    assert preview(wide.head(0)) == "no rows"


@pytest.mark.parametrize(
    "row",
    [
        {"opening": 0, "closing": 0},
        {"opening": 100, "new": 20, "churn": -120, "closing": 0},
        {"opening": 0, "new": 9_000_000_000, "closing": 9_000_000_000},
        {
            "opening": 10**15,
            "expansion": 3,
            "contraction": -3,
            "price": 1,
            "fx": -(10**9),
            "closing": 10**15 - 10**9 + 1,
        },
    ],
)
def test_the_bridge_is_an_inline_picture_whatever_the_amounts(row: dict[str, int]) -> None:
    text = bridge_picture({**dict.fromkeys(("opening", *FLOWS, "closing"), 0), **row})
    assert len(text) < INLINE_MARKDOWN
    svg = base64.b64decode(text.removeprefix("![MRR bridge](data:image/svg+xml;base64,").removesuffix(")"))
    assert len(ET.fromstring(svg).findall("{http://www.w3.org/2000/svg}text")) == 11  # noqa: S314 - our own picture


def test_the_longest_bridge_is_inline() -> None:
    sizes = [1, -1, 10**6, -(10**6)]
    for opening, up, down in product([1, 10**9], sizes, sizes):
        flows = {
            "new": 10**7,
            "reactivation": 10**5,
            "expansion": abs(up),
            "contraction": -abs(down),
            "price": up,
            "discount": down,
            "churn": -1,
        }
        row = {**dict.fromkeys(FLOWS, 0), **flows, "opening": opening}
        assert len(bridge_picture({**row, "closing": opening + sum(flows.values())})) < INLINE_MARKDOWN


@pytest.mark.xdist_group("pipeline")
def test_metadata_of_a_run(pipeline: Pipeline) -> None:
    seen = set()
    for name, model in TABLES.items():
        key = dg.AssetKey(name.split("/"))
        event = pipeline.instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        for label, value in metadata.items():
            if isinstance(value, dg.MarkdownMetadataValue):
                seen.add(label)
                assert len(value.value) < INLINE_MARKDOWN, f"{name} {label}"
        month = event.asset_materialization.partition
        assert metadata["dagster/row_count"].value == pipeline.lake.rows(
            model, None if month is None else [month]
        )
        assert "preview" in metadata
        assert "dagster/uri" in metadata
    assert seen == {"preview", "bridge", "diagnosis", "by_age", "speak_to_first"}


@pytest.mark.xdist_group("pipeline")
def test_headline_figures_are_numbers_that_plot(pipeline: Pipeline) -> None:
    metadata = {}
    for name in ("mrr/customer_months", "metrics/expansion"):
        event = pipeline.instance.get_latest_materialization_event(dg.AssetKey(name.split("/")))
        assert event is not None
        assert event.asset_materialization is not None
        metadata |= event.asset_materialization.metadata
        month = event.asset_materialization.partition
    assert month is not None
    closing = int(pipeline.lake.read(CustomerMonths, [month])["closing"].sum())
    assert metadata["mrr"].value == closing / 100
    assert isinstance(metadata["expansion_rate_percent"].value, float)


@pytest.mark.xdist_group("pipeline")
def test_cohorts_stand_beside_each_other_at_the_same_age(pipeline: Pipeline) -> None:
    told = (
        pipeline.instance.get_latest_materialization_event(checks.asset_key(metrics.CohortExpansion))
        .asset_materialization.metadata["by_age"]
        .value
    )
    rows = pipeline.lake.read(metrics.CohortExpansion)
    heading, _, *lines = told.splitlines()
    assert heading == "|cohort|customers|3 months|6 months|12 months|24 months|"
    begun = rows[rows["months_since"] >= 3]["cohort"].unique()
    assert [line.split("|")[1] for line in lines] == sorted(begun)
    oldest = rows[rows["cohort"] == min(begun)].set_index("months_since")["cumulative_rate"]
    assert lines[0].split("|")[3:5] == [percent(Fraction(oldest[age]), 0) for age in (3, 6)]


def test_calibration_that_holds_lies_on_the_line() -> None:
    text = calibration_picture([(0.1 * tenth, 0.1 * tenth) for tenth in range(1, 11)])
    assert len(text) < INLINE_MARKDOWN
    svg = base64.b64decode(text.partition("base64,")[2].rstrip(")")).decode()
    points = [tuple(map(int, pair)) for pair in re.findall(r"cx='(\d+)' cy='(\d+)'", svg)]
    assert len(points) == 10 and all(x + y == 100 for x, y in points)
    none = calibration_picture([(0.2, 0.0), (0.2, 0.0)])
    assert re.findall(
        r"cx='(\d+)' cy='(\d+)'", base64.b64decode(none.partition("base64,")[2][:-1]).decode()
    ) == [
        ("100", "100"),
        ("100", "100"),
    ]
