"""Floor `mrr`: seats that were added, and how many of them are still there.

Here: wiring of `domain/durability.py`. Not here: the rules, and what lasts of an expansion (`durability.py`). A month looks three months back: when
one of them changed, it is computed again.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table, states_over
from expansion_platform.domain import durability as rules
from expansion_platform.domain import reconciliation_metrics
from expansion_platform.domain.schemas import lasting, mrr
from expansion_platform.resources import Platform

KINDS = {"pandas", "pandera", "deltalake"}
OF_CAUSES = "What added seats are worth is what the causes of their month say."
COLUMNS = {
    mrr.Movements: ["month", "customer", "segment", "movement", "flags_json"],
    mrr.Causes: ["month", "customer", "group", "cause", "amount", "from_item", "to_item", "from_quantity", "to_quantity"],
}


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by the month in which it is known."""

    @monthly_table(partitions, lasting.SeatEvents, deps=[*COLUMNS], kinds=KINDS, rule=OF_CAUSES)
    def seat_events_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """What each month says of the seats added in the three months before, and in its own."""
        catalog, lake = platform.catalog(), platform.lake
        states = [platform.states(model) for model in COLUMNS]

        def inputs(month: str) -> str:
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, *states_over(rules.looked_at(month), *states))

        def of_causes(frames: Frames) -> None:
            events = frames[lasting.SeatEvents]
            told = sorted({name for month in events["month"].unique() for name in rules.looked_at(month)})
            reconciliation_metrics.seat_events_tie(events, lake.read(mrr.Causes, told, pc.field("cause") == "seat"))

        yield from build_months(
            context,
            platform,
            models=[lasting.SeatEvents],
            inputs=inputs,
            prepare=lambda due: _prepare(platform, due),
            reconciled=[Reconciled(lasting.SeatEvents, OF_CAUSES, of_causes)],
            looks_back_to=lambda month: rules.looked_at(month)[0],
        )

    return seat_events_table


def _prepare(platform: Platform, due: list[str]) -> Callable[[str], Frames]:
    catalog = platform.catalog()
    hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}
    wanted = pc.field("month").isin(sorted({name for month in due for name in rules.looked_at(month)}))
    movements, causes = (platform.lake.dataset(model).to_table(columns=names, filter=wanted).to_pandas() for model, names in COLUMNS.items())
    events = rules.seat_events(due, movements, causes).assign(**hashes)
    return lambda month: {lasting.SeatEvents: events[events["month"] == month]}
