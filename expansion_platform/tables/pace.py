"""The open month: its table on the floor `metrics`, and the notice when it falls behind.

Here: wiring of `domain/metrics/pace.py`, and putting the notice into the outbox once. Not here: formulas,
words (`reports/pace.py`). The open month is no partition: the table holds it alone, as of where Stripe was
read, and is replaced with each refresh.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.domain.alerts.findings import fingerprint as alert_key
from expansion_platform.domain.catalog.inputs import Frames
from expansion_platform.domain.catalog.plans import beginnings
from expansion_platform.domain.catalog.targets import AlertSettings
from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import empty
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import pace as rules
from expansion_platform.domain.metrics import reconciliation_totals
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr.first_paid import (
    first_paid_months,
    included,
    rates_by_month,
    refuse_unreadable,
)
from expansion_platform.engine import checks
from expansion_platform.engine.declaration import PANDAS
from expansion_platform.engine.describe import OWNERS, asset_spec
from expansion_platform.engine.fingerprints import hashed
from expansion_platform.engine.rule_hash import rule_hash
from expansion_platform.engine.whole import Reconciled, build_tables
from expansion_platform.reports.pace import pace_message
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import ABSENT
from expansion_platform.storage.ledger import Alert
from expansion_platform.tables.reads import REPEATED

READ = [billing.ItemStates, billing.Quarantine, billing.FxRates]
SEGMENTS_SUM = "Segments sum to the total in opening, every flow and closing."
SCOPES = ["total", "enterprise", "mid_market", "smb"]


@dg.multi_asset(
    specs=[
        asset_spec(
            metrics.Pace,
            deps=[*READ, metrics.Rollforward],
            kinds=PANDAS,
        )
    ],
    check_specs=[checks.schema_spec(metrics.Pace), checks.reconciled_spec(metrics.Pace, SEGMENTS_SUM)],
    name="pace",
)
def pace_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
    """The month that has not ended, up to where Stripe was read.

    No rows before the month before it has been computed.
    """
    catalog, lake = platform.catalog(), platform.lake
    settings = AlertSettings.from_yaml(platform.settings.expansion_alerts)
    until = platform.read_until
    month = None if until is None else months.of(until.to_pydatetime(), platform.timezone)
    targets = {scope: None if month is None else settings.target(scope, month) for scope in SCOPES}
    window = [] if month is None else rules.compared(month)

    def compute() -> Frames:
        try:
            rows = (
                pd.DataFrame()
                if month is None or until is None
                else _open_month(platform, month, until, targets)
            )
        except DataQualityError as error:
            # It would stop the month at its end; until then it may be mended, and the figures of closed
            # months are whole.
            context.log.warning(f"{month} cannot be computed yet: {error}")
            rows = pd.DataFrame()
        hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}
        return {metrics.Pace: empty(metrics.Pace) if rows.empty else rows.assign(**hashes)}

    states = platform.states(metrics.Rollforward)
    known = [
        str(until),
        *(lake.state(model) for model in READ),
        *(states.get(name, ABSENT) for name in window),
    ]
    known.append(canonical.content_hash({scope: str(target) for scope, target in targets.items()}))
    yield from build_tables(
        context,
        platform,
        models=[metrics.Pace],
        inputs=hashed(
            rule_hash(rules.pace), catalog.policy_hash, catalog.catalog_hash, platform.timezone, *known
        ),
        compute=compute,
        reconciled=[
            Reconciled(metrics.Pace, SEGMENTS_SUM, lambda frames: _segments_sum(frames[metrics.Pace]))
        ],
    )


@dg.asset(
    key=["alerts", "pace"],
    deps=[dg.AssetKey(["metrics", "pace"]), dg.AssetKey(["alerts", "expansion"])],
    group_name="alerts",
    owners=OWNERS,
    kinds={"slack"},
)
def pace_notice(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[Any]:
    """One notice a month and scope when the open month falls behind its pace (semantics 5.7).

    The pace is what its target asks for; no rule fires and no state changes.

    It waits until the month before has been judged, so that what it compares with has closed and its data
    passed the gate.
    """
    behind = [row for row in platform.lake.arrow(metrics.Pace).to_pylist() if row["behind"]]
    judged = platform.ledger.alerts.judgements()
    added = 0
    for row in [row for row in behind if months.shift(row["month"], -1) in judged]:
        month, scope = (
            row["month"],
            "total" if row["dimension"] == "total" else f"{row['dimension']}:{row['value']}",
        )
        links = {"Open in Dagster": f"{platform.settings.dagster_webserver_url}/assets/metrics/pace"}
        message = pace_message(row, platform.settings.expansion_currency, platform.closes(month), links)
        new = platform.ledger.alerts.put(
            Alert(alert_key("pace", scope, month), "pace", scope, month, "info", message)
        )
        added += new
        context.log.info(f"{message['text']} ({'notified now' if new else 'notified before'})")
    return dg.MaterializeResult(metadata={"behind": len(behind), "new": added})


def _open_month(platform: Platform, month: str, until: pd.Timestamp, targets: dict[str, Any]) -> pd.DataFrame:
    """Rows of metrics/pace without hashes; none where the month before has not been computed."""
    catalog, lake, timezone = platform.catalog(), platform.lake, platform.timezone
    window = rules.compared(month)
    rollforward = lake.read(metrics.Rollforward, window)
    computed = [name for name in window if name in set(rollforward["month"])]
    if window[-1] not in computed:
        return pd.DataFrame()
    states = included(lake.read_coded(billing.ItemStates, REPEATED, without=["evidence_json"]), catalog)
    quarantine = included(lake.read(billing.Quarantine), catalog)
    rates = rates_by_month(lake.read(billing.FxRates))
    begun = beginnings(states, catalog)
    paid = first_paid_months(states, catalog=catalog, rates=rates, last=window[-1], timezone=timezone)

    def to_date(name: str, at: pd.Timestamp) -> pd.DataFrame:
        refuse_unreadable(quarantine, months.opening(name, timezone), at)
        before = paid.before(name).append(pd.Index(catalog.ever_paid, dtype="str"))
        opening_rates = rates.get(months.shift(name, -1), {})
        plans = begun.plans(at)
        return rules.month_to_date(
            states,
            name,
            at,
            catalog=catalog,
            rates=opening_rates,
            ever_paid=before,
            plans=plans,
            timezone=timezone,
        )

    then = {}
    for name in computed:
        try:
            then[name] = to_date(name, rules.same_point(name, month, until, timezone))
        except DataQualityError:
            continue  # unreadable at that point: a month that has no pace
    return rules.pace(
        month,
        at=until,
        so_far=to_date(month, until),
        then=then,
        rollforward=rollforward,
        targets=targets,
        timezone=timezone,
    )


def _segments_sum(rows: pd.DataFrame) -> None:
    reconciliation_totals.segments_sum(rows.assign(transfer_in=0, transfer_out=0))
