"""The pipeline against the truth, to the cent, under each policy preset."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.simulator.company.catalog import ONE_PRODUCT, REPRICED
from expansion_platform.simulator.company.company import BEHAVIOURS
from expansion_platform.simulator.verify import verify
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.simulator.ties import assert_ties


def differences(folder: Path, seed: int, customers: int, months: int) -> list[str]:
    verdict = verify(seed, customers, months, folder, Console(quiet=True))
    assert verdict.item_states > customers
    assert verdict.customer_months > customers
    assert verdict.causes > customers / 2
    return verdict.differences


@pytest.mark.parametrize("seed", [1, 2])
def test_small_companies(tmp_path: Path, seed: int) -> None:
    assert differences(tmp_path, seed, customers=60, months=12) == []


@pytest.mark.slow
@pytest.mark.parametrize("meters", [True, False])
def test_usage_by_meters_and_without_them(tmp_path: Path, meters: bool) -> None:
    verdict = verify(
        4, 60, 12, tmp_path, Console(quiet=True), behaviours=frozenset({"metered"}), meters=meters
    )
    assert verdict.differences == []
    states = Lake(tmp_path / "lake").read(billing.ItemStates).query("usage_type == 'metered'")
    assert states["customer"].nunique() > 5
    assert set(states["source"] == "meter") == {meters}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 9))  # `make verify` runs twenty
def test_companies(tmp_path: Path, seed: int) -> None:
    assert differences(tmp_path, seed, customers=200, months=24) == []
    assert_ties(Lake(tmp_path / "lake"), 24)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))  # `make verify` runs twenty under both presets
def test_companies_as_stripe_counts(tmp_path: Path, seed: int) -> None:
    verdict = verify(seed, 40, 12, tmp_path, Console(quiet=True), "stripe_parity")
    assert verdict.differences == []
    assert verdict.customer_months > 200
    assert verdict.sums == 12 * 4
    assert_ties(Lake(tmp_path / "lake"), 12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_companies_whose_stripe_fails_and_changes_while_it_is_read(tmp_path: Path, seed: int) -> None:
    verdict = verify(seed, 60, 12, tmp_path, Console(quiet=True), behaviours=BEHAVIOURS, faults=seed)
    assert verdict.differences == []
    assert verdict.item_states > 60
    assert len(verdict.faults) > 4


@pytest.mark.slow
@pytest.mark.parametrize("sells", [ONE_PRODUCT, REPRICED])
def test_companies_whose_catalog_says_nothing_of_plans(tmp_path: Path, sells: str) -> None:
    """Plans that are prices of one product, and prices replaced twice: told apart by what customers began on
    (D-12). `make verify` runs twenty.
    """
    verdict = verify(1, 100, 16, tmp_path, Console(quiet=True), sells=sells)
    assert verdict.differences == []
    causes = Lake(tmp_path / "lake").read(mrr.Causes)
    moved = causes[
        (causes["from_price"] != causes["to_price"])
        & causes["from_price"].notna()
        & causes["to_price"].notna()
    ]
    plans = moved[["from_price", "to_price"]].apply(lambda prices: prices.str.split("_").str[1])
    replaced, tier = plans["from_price"] == plans["to_price"], moved["cause"] == "tier"
    assert not (replaced & tier).any()
    assert moved.loc[replaced, "cause"].eq("price").any()
    assert moved.loc[tier, "inferred"].eq(sells == ONE_PRODUCT).all()
    assert tier.sum() > 2


def test_the_command_says_what_it_compared(tmp_path: Path) -> None:
    size = ["--seed", "5", "--customers", "10", "--months", "4"]
    command = [sys.executable, "-m", "expansion_platform.simulator", "verify", *size, "--quiet", "--faults"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "seed 5" in ran.stdout
    assert " item states, " in ran.stdout
    assert "; 0 differ; " in ran.stdout
    assert "faults met: " in ran.stdout
