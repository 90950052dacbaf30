"""Floor `alerts`: what people should be told, written to the ledger's outbox.

Here: evaluating the newest closed month and putting an alert into the outbox once. Not here: the rule (`domain/detection.py`), the words
(`delivery/messages.py`), the posting (`automation.py`).
"""

import hashlib
from typing import Any

import dagster as dg

from expansion_platform.assets.metadata import OWNERS
from expansion_platform.assets.metrics import slice_sums
from expansion_platform.delivery import messages
from expansion_platform.domain import detection
from expansion_platform.domain.schemas import metrics
from expansion_platform.resources import Platform
from expansion_platform.storage.ledger import Alert

RULE = "expansion_drop"


@dg.asset(
    key=["alerts", RULE],
    deps=[dg.AssetKey(["metrics", name]) for name in ("expansion", "expansion_by_type", "expansion_by_segment", "retention")],
    group_name="alerts",
    owners=OWNERS,
    kinds={"slack"},
)
def expansion_drop(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult:
    """One alert per month whose expansion rate fell by a quarter or more against the mean of the six months before.

    Only the newest closed month is judged, so a backfill of old months alerts nobody. The alert goes to the ledger's outbox once; the sensor
    `deliver_alerts` posts it to Slack.
    """
    month = platform.newest_closed_month
    rates = platform.lake.read(metrics.Expansion)
    drop = detection.expansion_drop(rates[rates["metric"] == "expansion_rate"], month)
    metadata: dict[str, Any] = {"month": month, "alerts_pending": len(platform.ledger.alerts("pending"))}
    if drop is None:
        context.log.info(f"{month}: the expansion rate did not fall by a quarter")
        return dg.MaterializeResult(metadata={**metadata, "fired": False})
    alert = _alert(platform, drop)
    added = platform.ledger.put_alert(alert)
    context.log.info(f"{month}: {alert.message['text']} ({'new alert' if added else 'already in the outbox'})")
    return dg.MaterializeResult(
        metadata={
            **metadata,
            "fired": True,
            "new": added,
            "rate_percent": float(round(drop.rate * 100, 3)),
            "baseline_percent": float(round(drop.baseline * 100, 3)),
            "message": alert.message["text"],
            "alerts_pending": len(platform.ledger.alerts("pending")),
        }
    )


def _alert(platform: Platform, drop: detection.Drop) -> Alert:
    catalog = platform.catalog()
    retention = platform.lake.read(metrics.Retention, [drop.month])
    totals = retention[retention["dimension"] == "total"].set_index("metric")["ratio"]
    message = messages.expansion_drop(
        drop,
        currency=platform.settings.expansion_currency,
        sums=slice_sums(platform, [drop.month]),
        baseline_sums=slice_sums(platform, list(drop.baseline_months)),
        retention={"nrr": totals.get("nrr"), "grr": totals.get("grr")},
        links={"Open in Dagster": f"{platform.settings.dagster_webserver_url}/assets/metrics/expansion?partition={drop.month}"},
        hashes=f"policy {catalog.policy_hash}, catalog {catalog.catalog_hash}",
    )
    key = hashlib.sha256(f"{RULE}|total|{drop.month}".encode()).hexdigest()
    return Alert(key, RULE, "total", drop.month, "warning", message)
