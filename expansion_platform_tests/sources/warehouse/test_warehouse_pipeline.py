"""The pipeline over a warehouse finds the truth, in each shape, and reads again only what was written
since.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from pydantic import SecretStr
from rich.console import Console

from expansion_platform.automation.jobs import refresh_job
from expansion_platform.automation.run import refresh
from expansion_platform.automation.sensors import stripe_changes_sensor
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.domain.tables import TABLES
from expansion_platform.reports.doctor import examine
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.simulator.company.company import AS_OF, Company, simulate
from expansion_platform.simulator.truth import items as truth
from expansion_platform.simulator.verify import COMPUTED, POLICIES, compare, under
from expansion_platform.simulator.world import running
from expansion_platform.sources.warehouse import mapping
from expansion_platform.storage.lake import Lake
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
        refresh(
            self.settings.model_copy(update=changed),
            None,
            None,
            Console(quiet=True),
            self.instance,
            only=only or COMPUTED,
        )

    def told(self) -> str:
        """What the newest import says it read."""
        found = self.instance.get_latest_materialization_event(dg.AssetKey(["stripe", "invoices"]))
        assert found is not None and found.asset_materialization is not None
        return str(found.asset_materialization.metadata["pull"].value)

    def versions(self) -> dict[str, int | None]:
        return {model.Config.name or "": self.lake.version(model) for model in STRIPE}


@contextmanager
def imported(shape: str, postgres: str, folder: Path, company: Company) -> Iterator[Imported]:
    filled = Filled(postgres, f"{shape}_{uuid.uuid4().hex[:8]}", shape)
    filled.load(company.account, AS_OF)
    with (
        running(company, seed=SEED, months=MONTHS, data_dir=folder) as world,
        dg.DagsterInstance.ephemeral() as instance,
    ):
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
            {
                "di": each["id"],
                "coupon": each["source"]["coupon"],
                "since": naive(each["start"]),
                "till": naive(each["end"]),
            }
            for each in company.account.discounts.values()
        ],
    )
    content = yaml.safe_load((Path(mapping.__file__).parent / "mappings" / "airbyte.yaml").read_text())
    content["tables"]["discounts"] = {
        "table": "my_discounts",
        "columns": {"id": "di", "coupon": "coupon", "start": "since", "end": "till"},
    }
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize("shape", LAYOUTS)
def test_the_truth_is_found_from_a_warehouse(
    shape: str, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shape != "airbyte":  # the only one with events; what they alone tell is dated by bills elsewhere
        monkeypatch.setattr(truth, "EVENTS_KEPT", 0)
    # Only Fivetran is known to keep deleted coupons, only Airbyte's tables have the tiers of a price in
    # several currencies.
    kept = {"fivetran": {"deleted_coupon"}, "airbyte": {"multi_currency"}}.get(shape, set())
    company = simulate(SEED, CUSTOMERS, MONTHS, behaviours=MORE | kept)
    with imported(shape, postgres, tmp_path, company) as world:
        name = with_discounts_of_its_own(world.filled, company, tmp_path) if shape == "airbyte" else shape
        world.refresh(expansion_warehouse_mapping=name)
        verdict = compare(under(company, POLICIES["house"]), world.lake, MONTHS)
    assert verdict.item_states > 50
    assert verdict.differences == []


IMPORTED = [model.Config.name or "" for model in STRIPE]


@pytest.mark.parametrize("shape", LAYOUTS)
def test_a_later_import_reads_what_was_written_since_and_gives_the_same_tables(
    shape: str, postgres: str, tmp_path: Path
) -> None:
    earlier = AS_OF - timedelta(days=5)
    before, after = simulate(SEED, 25, MONTHS, as_of=earlier), simulate(SEED, 25, MONTHS)
    with imported(shape, postgres, tmp_path / "piecewise", before) as world:
        world.filled.load(before.account, earlier)
        world.refresh(IMPORTED, expansion_as_of=earlier.isoformat())
        world.filled.load(after.account, AS_OF)
        world.refresh(IMPORTED)
        piecewise = {model: _content(world, model) for model in STRIPE}
        told = world.told()
        again = world.versions()
        world.refresh(IMPORTED)
        assert world.versions() == again
        world.refresh(IMPORTED, expansion_data_dir=str(tmp_path / "at once"))
        for model in set(STRIPE) - {stripe.Events}:  # of those a copy keeps what Stripe forgets after 30 days
            assert piecewise[model] == _content(world, model, tmp_path / "at once"), model.Config.name
    assert told.startswith("what was written since")


def _content(world: Imported, model: Any, folder: Path | None = None) -> list[tuple[Any, ...]]:
    """A table without when its rows were seen."""
    lake = world.lake if folder is None else Lake(folder / "lake")
    rows = lake.read(model).drop(columns=["observed_at"]).astype("object")
    return sorted(map(tuple, rows.where(rows.notna(), None).values.tolist()), key=str)


def test_what_no_list_names_a_coupon_for_stops_its_months(postgres: str, tmp_path: Path) -> None:
    company = simulate(SEED, CUSTOMERS, MONTHS)
    named = r"a coupon that is missing or cannot be read: .*unknown coupon of di_"
    with (
        imported("airbyte", postgres, tmp_path, company) as world,
        pytest.raises(ExpansionError, match=named),
    ):
        world.refresh()


def test_a_warehouse_and_the_api_are_not_mixed(postgres: str, tmp_path: Path) -> None:
    company = simulate(SEED, 20, 3)
    refused = (
        r"come from warehouse 127.0.0.1/postgres/.* \(fivetran\), not from 127.0.0.1: the two are never mixed"
    )
    with imported("fivetran", postgres, tmp_path, company) as world:
        world.refresh(IMPORTED)
        with pytest.raises(ExpansionError, match=refused):
            world.refresh(
                IMPORTED, expansion_stripe_from="api", stripe_api_key=SecretStr("rk_live_simulated")
            )


def test_a_missing_column_and_a_missing_table_are_named(postgres: str, tmp_path: Path) -> None:
    company = simulate(SEED, 20, 3)
    with imported("fivetran", postgres, tmp_path, company) as world:
        schema = world.filled.schema
        world.filled.alter("invoice", "rename column period_start to begins")
        named = (
            rf"table {schema}.invoice has no column period_start.* \(mapping fivetran, "
            r"tables.invoices.columns.period_start\)"
        )
        with pytest.raises(ExpansionError, match=named):
            world.refresh(IMPORTED)
        world.filled.alter("invoice", "rename to invoices")
        named = (
            rf"there is no table {schema}.invoice; did you mean invoices\? \(mapping fivetran, "
            r"tables.invoices.table\)"
        )
        with pytest.raises(ExpansionError, match=named):
            world.refresh(IMPORTED)


def test_a_row_without_what_it_needs_stops_the_import_and_is_named(postgres: str, tmp_path: Path) -> None:
    company = simulate(SEED, 20, 3)
    with imported("stripe_data_pipeline", postgres, tmp_path, company) as world:
        wrong = company.account.objects["invoices"][0]["id"]
        with world.filled.engine.begin() as connection:
            connection.execute(
                sa.text(f"update {world.filled.schema}.invoices set customer_id = null where id = :id"),
                {"id": wrong},
            )
        with pytest.raises(ExpansionError, match=f"invoice without a readable customer: {wrong}"):
            world.refresh(IMPORTED)


def test_the_doctor_and_the_watch_look_at_the_warehouse(postgres: str, tmp_path: Path) -> None:
    company = simulate(SEED, 20, 3)
    with imported("fivetran", postgres, tmp_path, company) as world:
        with Platform(world.settings) as platform:
            assert all(
                finding.ok
                for finding in examine(platform)
                if finding.subject.startswith(("warehouse", "Stripe"))
            )
            assert "nothing has been pulled" in str(watched(platform).skip_message)
        # Two days after the loader stopped.
        world.refresh(IMPORTED, expansion_as_of=(AS_OF + timedelta(days=2)).isoformat())
        with Platform(world.settings) as platform:
            assert "no row was written" in str(watched(platform).skip_message)
            assert platform.read_until == AS_OF
            world.filled.load(simulate(SEED + 1, 20, 3).account, AS_OF + timedelta(hours=6))
            request = watched(platform)
            assert isinstance(request, dg.RunRequest)
            assert request.run_key == (AS_OF + timedelta(hours=6)).isoformat()
        world.filled.alter("invoice", "rename column subtotal to sub_total")
        unreachable = SecretStr("postgresql+psycopg://tests@127.0.0.1:1/postgres")
        with (
            Platform(world.settings) as platform,
            Platform(world.settings.model_copy(update={"expansion_warehouse_url": unreachable})) as nowhere,
        ):
            [told] = [finding.text for finding in examine(platform) if not finding.ok]
            assert (
                "table " in told
                and "has no column subtotal; did you mean sub_total? (mapping fivetran, "
                "tables.invoices.columns.subtotal)"
                in told
            )
            assert any(
                "the warehouse 127.0.0.1/postgres" in finding.text
                for finding in examine(nowhere)
                if not finding.ok
            )


def watched(platform: Platform) -> Any:
    return stripe_changes_sensor(refresh_job(), lambda: "2026-08")(platform=platform)
