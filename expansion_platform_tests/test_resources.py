"""What the platform builds when it is first used, and when it builds it anew."""

from pathlib import Path

import pandas as pd
import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.table import columns
from expansion_platform.domain.stripe.tables import Products
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings


def platform(folder: Path, catalog: Path | None = None) -> Platform:
    return Platform(
        Settings(
            _env_file=None,
            expansion_data_dir=str(folder),
            expansion_catalog=None if catalog is None else str(catalog),
        )
    )


def products(metadata: str) -> pd.DataFrame:
    row = {
        "id": "prod_1",
        "created": pd.Timestamp("2026-01-01", tz="UTC"),
        "livemode": True,
        "observed_at": pd.Timestamp("2026-01-01", tz="UTC"),
        "name": "Team",
        "active": True,
        "metadata_json": metadata,
    }
    return Products.validate(pd.DataFrame([row]).reindex(columns=list(columns(Products))))


def test_the_catalog_is_read_again_when_its_file_or_a_hint_changes(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text("products: {prod_1: {tier_rank: 1}}")
    read = platform(tmp_path / "data", file)
    first = read.catalog()
    assert read.catalog() is first
    file.write_text("products: {prod_1: {tier_rank: 2}}")
    second = read.catalog()
    assert second.catalog_hash != first.catalog_hash
    read.lake.upsert(Products, products('{"family":"plans"}'))
    third = read.catalog()
    assert third.catalog_hash != second.catalog_hash
    assert third.metadata == {"prod_1": {"family": "plans"}}
    read.lake.upsert(Products, products("{}"))
    assert read.catalog().catalog_hash == second.catalog_hash
    file.unlink()
    with pytest.raises(ConfigurationError, match=r"catalog\.yaml cannot be read"):
        read.catalog()


def test_without_a_file_the_catalog_is_empty(tmp_path: Path) -> None:
    found = platform(tmp_path).catalog()
    assert not found.products
    assert found.reporting_currency == "usd"
