"""Floor `alerts`: what people are notified of, written to the ledger's outbox.

Here: judging the newest closed month and putting its notices into the outbox once. Not here: the rules
(`domain/alerts/`), the gate before them (`domain/alerts/gate.py`), the words (`alerting/messages.py`), the
posting (`automation/`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import reduce
from operator import and_
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.dataset as ds

from expansion_platform.alerting.group_alerts import group_alerts
from expansion_platform.alerting.messages import Surroundings, alert_message, data_holds, data_quality
from expansion_platform.domain.alerts import evaluation, gate
from expansion_platform.domain.alerts.findings import Finding, fingerprint, scope
from expansion_platform.domain.alerts.lifecycle import Notice, advance
from expansion_platform.domain.alerts.panel import SLICES
from expansion_platform.domain.catalog.targets import AlertSettings
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import table_name
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr import vocabulary
from expansion_platform.domain.mrr.contributions import FLOW_COLUMNS, TYPE_COLUMNS
from expansion_platform.domain.mrr.first_paid import included
from expansion_platform.engine.describe import OWNERS
from expansion_platform.engine.uses import versions
from expansion_platform.resources import Platform
from expansion_platform.storage.ledger import Alert, Judgement

READ = [
    *(billing.ItemStates, mrr.CustomerMonths, mrr.Movements, mrr.Causes, mrr.FirstReported),
    *(metrics.Expansion, metrics.ExpansionBySegment, metrics.ExpansionByDimension, metrics.Retention),
    *(metrics.Rollforward, metrics.RollforwardByDimension),
    *(metrics.Coverage, metrics.Restatements, metrics.Durability, metrics.ExpansionThenChurn),
]
REPORTED = ["month", "customer", "segment", "opening", "closing", *FLOW_COLUMNS, *TYPE_COLUMNS]
TOTAL_DROP = fingerprint("rate_drop", "total", "all")


@dg.asset(
    key=["alerts", "expansion"],
    deps=[dg.AssetKey(table_name(model).split("/")) for model in READ],
    group_name="alerts",
    owners=OWNERS,
    kinds={"slack"},
)
def expansion_alerts(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[Any]:
    """One judgement of the newest closed month by every rule (semantics 5).

    Its notices go into the ledger's outbox.

    A month that has ended waits until it closes, for the days late facts take to arrive. A backfill of old
    months and a restated month notify nobody. Data with a quality problem is not judged: one data-quality
    message goes out instead; the next run judges the month and takes the message back. The sensor
    `deliver_alerts` posts.
    """
    month = months.newest_closed(
        platform.as_of - timedelta(days=platform.settings.expansion_close_lag_days), platform.timezone
    )
    if month not in platform.months(mrr.CustomerMonths):
        context.log.info(f"{month} has not been computed: nothing to judge")
        return dg.MaterializeResult(metadata={"month": month, "judged": False})
    if month in platform.ledger.alerts.judgements():
        context.log.info(f"{month}: nothing to report (judged before)")
        return dg.MaterializeResult(metadata={"month": month, "judged": False})
    links = _links(platform, month, context.run.run_id)
    facts = facts_of(platform, month)
    passed = facts.checked(platform)
    if passed.failed:
        added: int = platform.ledger.alerts.put(_data_alert(month, passed.failed, links))
        context.log.warning(f"{month} was not judged: {'; '.join(passed.failed)}")
        return dg.MaterializeResult(
            metadata={"month": month, "judged": False, "problems": list(passed.failed), "new": added}
        )
    settings = AlertSettings.from_yaml(platform.settings.expansion_alerts)
    findings = facts.findings(settings, platform.reporting_exponent, platform.catalog().policy_hash)
    judged, notices = advance(findings, platform.ledger.alerts.states())
    begun = _alerts(platform, facts, notices, settings.target("total", month), passed.warnings, links)
    alerts = [*_data_recovery(platform, month), *group_alerts(begun)]
    added = platform.ledger.alerts.record(judged, alerts, Judgement(month, platform.catalog().policy_hash))
    for alert in alerts:
        context.log.info(f"{month}: {alert.message['text']} ({alert.event})")
    if not alerts:
        context.log.info(f"{month}: nothing to report ({len(findings)} findings)")
    return dg.MaterializeResult(
        metadata={
            "month": month,
            "judged": bool(judged),
            "fired": sum(finding.outcome == "fires" for finding in findings),
            "new": added,
            "alerts_pending": len(platform.ledger.alerts.read("pending")),
            "findings": dg.MetadataValue.md(_table(findings)),
        }
    )


@dataclass(frozen=True)
class Facts:
    """The tables as the rules and messages need them."""

    month: str
    customer_months: pd.DataFrame
    movements: pd.DataFrame
    causes: pd.DataFrame
    durability: pd.DataFrame
    expansion_then_churn: pd.DataFrame
    rates: dict[str, dict[str, Fraction]]
    rollforward: pd.DataFrame
    moved: dict[str, dict[str, int]]
    retention: dict[str, dict[str, str | None]]
    coverage: pd.DataFrame
    reported: pd.DataFrame
    restatements: pd.DataFrame
    in_use: list[int]

    def findings(self, settings: AlertSettings, exponent: int, seed: str) -> list[Finding]:
        """What every rule says of the month; `seed` is that of the resamples."""
        return evaluation.evaluate(
            self.month,
            customer_months=self.customer_months,
            movements=self.movements,
            durability=self.durability,
            expansion_then_churn=self.expansion_then_churn,
            rates=self.rates,
            settings=settings,
            exponent=exponent,
            seed=seed,
            reported=self.reported,
        )

    def checked(self, platform: Platform) -> gate.Gate:
        """The data gate of the month."""
        before = [months.shift(self.month, -1), self.month]
        return gate.gate(
            self.month,
            read_until=platform.read_until,
            closes=platform.closes(self.month),
            customer_months=self.customer_months[self.customer_months["month"].isin(before)],
            movements=self.movements[self.movements["month"] == self.month],
            causes=self.causes,
            rollforward=self.rollforward,
            coverage=self.coverage,
            restatements=self.restatements,
            in_use=self.in_use,
            catalogued=bool(platform.catalog().products),
            shown=shown(platform),
        )


def facts_of(platform: Platform, month: str) -> Facts:
    """Reads the tables for judging a month.

    Rates of earlier months are those first reported where these are comparable.
    """
    lake, window = platform.lake, evaluation.window(month)
    published = lake.read(metrics.Expansion).query(
        "metric == 'expansion_rate' and denominator > 0 and month <= @month"
    )
    rates = _by_month(published)
    first = lake.dataset(mrr.FirstReported).filter(
        (ds.field("month") < month) & _comparable(platform) & (ds.field("opening") + ds.field("closing") > 0)
    )
    sums = (
        first.to_table(columns=["month", "flow_expansion", "opening"])
        .group_by("month")
        .aggregate([("flow_expansion", "sum"), ("opening", "sum")])
    )
    rates |= {
        row["month"]: Fraction(row["flow_expansion_sum"], row["opening_sum"])
        for row in sums.to_pylist()
        if row["opening_sum"]
    }
    of_slices = (
        (ds.field("metric") == "expansion_rate")
        & ds.field("dimension").isin(list(SLICES))
        & (ds.field("month") <= month)
    )
    by_slice = pd.concat(
        [
            lake.read(model, where=of_slices)
            for model in (metrics.ExpansionBySegment, metrics.ExpansionByDimension)
        ]
    )
    by_slice = by_slice.query("denominator > 0")
    rollforward = lake.read(metrics.Rollforward, [month])
    flows = pd.concat(
        [rollforward, lake.read(metrics.RollforwardByDimension, [month]).query("dimension in @SLICES")]
    )
    retained = pd.concat(
        [
            lake.read(metrics.Retention, [month]),
            lake.read(metrics.ExpansionByDimension, [month]).query("dimension in @SLICES"),
        ]
    )
    retained = retained.query("metric in ['nrr', 'grr']")
    return Facts(
        month=month,
        customer_months=lake.read(mrr.CustomerMonths, window),
        movements=lake.read(mrr.Movements, window),
        causes=lake.read(mrr.Causes, [month]),
        durability=lake.read(metrics.Durability, [month]),
        expansion_then_churn=lake.read(metrics.ExpansionThenChurn, [month]),
        rates={"total": rates}
        | {
            scope(str(dimension), str(name)): _by_month(rows)
            for (dimension, name), rows in by_slice.groupby(["dimension", "value"])
        },
        rollforward=rollforward,
        moved={
            scope(row["dimension"], row["value"]): {name: int(row[name]) for name in vocabulary.FLOWS}
            for row in flows.to_dict("records")
        },
        retention={
            scope(str(dimension), str(name)): dict(zip(rows["metric"], rows["ratio"], strict=True))
            for (dimension, name), rows in retained.groupby(["dimension", "value"])
        },
        coverage=lake.read(metrics.Coverage, [month]),
        reported=first.to_table(columns=REPORTED, filter=ds.field("month").isin(window)).to_pandas(),
        restatements=lake.read(metrics.Restatements, gate.restatement_window(month)),
        in_use=gate.metered_in_use(
            _metered(platform), month, platform.timezone, platform.catalog().policy.statuses
        ),
    )


def _by_month(rows: pd.DataFrame) -> dict[str, Fraction]:
    sums = zip(rows["month"], rows["numerator"], rows["denominator"], strict=True)
    return {month: Fraction(int(numerator), int(denominator)) for month, numerator, denominator in sums}


def _metered(platform: Platform) -> pd.DataFrame:
    """What metered items used, month by month."""
    columns = ["customer", "item", "status", "quantity", "valid_from", "valid_to"]
    rows = (
        platform.lake.dataset(billing.ItemStates)
        .to_table(columns=columns, filter=ds.field("usage_type") == "metered")
        .to_pandas()
    )
    return included(rows, platform.catalog())


def _comparable(platform: Platform) -> ds.Expression:
    """First reported by the policy, catalog, rules and time zone of now.

    Anything else would be compared with another kind of figure.
    """
    now = versions(platform)
    return reduce(and_, (ds.field(name) == version for name, version in now.items()))


def _alerts(
    platform: Platform,
    facts: Facts,
    notices: list[Notice],
    target: Fraction | None,
    warnings: tuple[str, ...],
    links: dict[str, str],
) -> list[Alert]:
    """The outbox's rows.

    What begins while the total's drop is being reported is a reply to it, so that a month is one message in
    the channel.
    """
    ledger, around = platform.ledger, surroundings(platform, facts, target, warnings, links)
    drop = next(
        (
            notice
            for notice in notices
            if notice.finding.fingerprint == TOTAL_DROP and notice.event != "recovery"
        ),
        None,
    )
    drop_entry = None if drop is None else drop.state.entry
    alerts = []
    for notice in notices:
        finding, entry_key = notice.finding, notice.state.entry or notice.key
        entry = None if notice.event == "entry" else ledger.alerts.get(entry_key)
        begins_under = None if drop_entry == entry_key else drop_entry
        thread = begins_under if entry is None else entry.thread or entry.key
        message = alert_message(notice, around, None if entry is None else entry.message)
        if "entry" in message:
            message["entry"]["key"] = entry_key
        alerts.append(
            Alert(
                notice.key,
                finding.rule,
                finding.scope,
                finding.month,
                notice.state.severity,
                message,
                event=notice.event,
                thread=thread,
            )
        )
    return alerts


def surroundings(
    platform: Platform,
    facts: Facts,
    target: Fraction | None,
    warnings: tuple[str, ...],
    links: dict[str, str],
) -> Surroundings:
    """What every message of the month says beside its finding, by scope."""
    catalog = platform.catalog()
    return Surroundings(
        currency=platform.settings.expansion_currency,
        moved=facts.moved,
        retention=facts.retention,
        links=links,
        hashes=f"policy {catalog.policy_hash}, catalog {catalog.catalog_hash}",
        target=target,
        rates=facts.rates,
        warnings=warnings,
        reported_at=f"{platform.read_until:%Y-%m-%d %H:%M} UTC",
        customer=shown(platform),
    )


def _data_alert(month: str, problems: tuple[str, ...], links: dict[str, str]) -> Alert:
    message = data_quality(month, problems, links)
    return Alert(fingerprint("data_quality", month), "data_quality", "total", month, "warning", message)


def _data_recovery(platform: Platform, month: str) -> list[Alert]:
    """The end of the month's data-quality message, when there was one."""
    entry = platform.ledger.alerts.get(fingerprint("data_quality", month))
    if entry is None:
        return []
    message = data_holds(month, entry.message)
    message["entry"]["key"] = entry.key
    key = fingerprint(entry.key, "recovery")
    return [
        Alert(key, "data_quality", "total", month, "warning", message, event="recovery", thread=entry.key)
    ]


def _links(platform: Platform, month: str, run_id: str) -> dict[str, str]:
    base, dashboard = platform.settings.dagster_webserver_url, platform.settings.expansion_dashboard_url
    links = {
        "Open in Dagster": f"{base}/assets/metrics/expansion?partition={month}",
        "Open the run": f"{base}/runs/{run_id}",
    }
    return links | ({"Open the dashboard": dashboard} if dashboard else {})


def shown(platform: Platform) -> Callable[[str], str]:
    """How alerts name a customer."""
    return (
        str
        if platform.settings.expansion_alert_customers == "id"
        else lambda customer: f"customer {fingerprint(customer)[:12]}"
    )


def _table(findings: list[Finding]) -> str:
    lines = ["| rule | scope | outcome | severity | measured | over at |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {one.rule} | {one.scope} | {one.outcome} | {one.severity if one.outcome == 'fires' else ''} "
        f"| {float(one.measured):.4f} | {float(one.recovers_at):.4f} |"
        for one in findings
    ]
    return "\n".join(lines)
