"""The pipeline over a warehouse finds the truth, in each shape, and reads again only what was written since."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from pydantic import SecretStr
from rich.console import Console

from expansion_platform.domain.errors import ExpansionError
from expansion_platform.domain.schemas import TABLES
from expansion_platform.run import refresh
from expansion_platform.settings import Settings
from expansion_platform.simulator import truth
from expansion_platform.simulator.company import AS_OF, Company, simulate
from expansion_platform.simulator.verify import COMPUTED, POLICIES, compare, under
from expansion_platform.simulator.world import running
from expansion_platform.sources.warehouse import mapping
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.ledger import Ledger
from expansion_platform_tests.sources.warehouse.layouts import LAYOUTS, Filled, naive

SEED, CUSTOMERS, MONTHS = 5, 40, 10
MORE = frozenset({"metered", "customer_discount", "pause_collection"})
STRIPE = [model for name, model in TABLES.items() if name.startswith("stripe/")]


@dataclass
class Imported:
    """A company in a warehouse, and the settings that read it."""

    company: Company
    filled: Filled
    settings: Settings
    instance: dg.DagsterInstance

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.data_dir / "lake")

    def refresh(self, only: list[str] | None = None, **changed: Any) -> None:
        refresh(self.settings.model_copy(update=changed), None, None, Console(quiet=True), self.instance, only=only or COMPUTED)

    def versions(self) -> dict[str, int | None]:
        return {model.Config.name or "": self.lake.version(model) for model in STRIPE}


@contextmanager
def imported(shape: str, postgres: str, folder: Path, company: Company) -> Iterator[Imported]:
    filled = Filled(postgres, f"{shape}_{uuid.uuid4().hex[:8]}", shape)
    filled.load(company.account, AS_OF)
    with running(company, seed=SEED, months=MONTHS, data_dir=folder) as world, dg.DagsterInstance.ephemeral() as instance:
        changed = {
            "stripe_api_key": None,
            "expansion_stripe_from": "warehouse",
            "expansion_warehouse_url": SecretStr(postgres),
            "expansion_warehouse_mapping": shape,
            "expansion_warehouse_schema": filled.schema,
        }
        yield Imported(company, filled, world.settings.model_copy(update=changed), instance)


def with_discounts_of_its_own(filled: Filled, company: Company, folder: Path) -> str:
    """A mapping of the user's: Airbyte's, with a table of the discounts Airbyte gives only ids of."""
    filled.write(
        "my_discounts",
        [
            {"di": each["id"], "coupon": each["source"]["coupon"], "since": naive(each["start"]), "till": naive(each["end"])}
            for each in company.account.discounts.values()
        ],
    )
    content = yaml.safe_load((Path(mapping.__file__).parent / "mappings" / "airbyte.yaml").read_text())
    content["tables"]["discounts"] = {"table": "my_discounts", "columns": {"id": "di", "coupon": "coupon", "start": "since", "end": "till"}}
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize("behaviours", [frozenset(), MORE], ids=["plain", "more"])
@pytest.mark.parametrize("shape", LAYOUTS)
def test_the_truth_is_found_from_a_warehouse(
    shape: str, behaviours: frozenset[str], postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shape != "airbyte":  # the only one with events; what they alone tell is dated by bills elsewhere
        monkeypatch.setattr(truth, "EVENTS_KEPT", 0)
    if shape == "fivetran" and behaviours:  # the only one that keeps deleted coupons
        behaviours |= {"deleted_coupon"}
    company = simulate(SEED, CUSTOMERS, MONTHS, behaviours=behaviours)
    with imported(shape, postgres, tmp_path, company) as world:
        name = with_discounts_of_its_own(world.filled, company, tmp_path) if shape == "airbyte" else shape
        world.refresh(expansion_warehouse_mapping=name)
        verdict = compare(under(company, POLICIES["house"]), world.lake, MONTHS)
    assert verdict.item_states > 50
    assert verdict.differences == []
