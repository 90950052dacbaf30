"""Each number of each message is its scope's, compared with the published tables: whatever the rule, the
scope and the event.

A text with a digit that no template below describes fails: whoever adds a line to a message says here where
its numbers are published. Thresholds are set so that every rule fires in every scope; the company is the
shared one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

import pandas as pd
import pytest

from expansion_platform.alerting.messages import Surroundings, alert_message
from expansion_platform.domain.alerts import followups, rules
from expansion_platform.domain.alerts.findings import Finding
from expansion_platform.domain.alerts.lifecycle import Event, Notice, State
from expansion_platform.domain.catalog.targets import AlertSettings, Target
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import round_half_even
from expansion_platform.domain.core.wording import money, percent
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import FLOWS, ORGANIC, PRICING_MODELS, SEGMENTS
from expansion_platform.reports.pace import pace_message
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Lake
from expansion_platform.tables import alerts
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")

EVENTS: list[Event] = ["entry", "worse", "update", "recovery"]
TARGETS = {"total": "2.5", "enterprise": "3.5", "mid_market": "4.5", "smb": "5.5"}
BEFORE = months.between(months.shift(NEWEST, -6), months.shift(NEWEST, -1))
SENTENCES = [
    "Expansion rate fell by {fall}{where} in {month}: {rate} of opening MRR against {baseline} on "
    "average over the {months} months before. That is {missing} of expansion MRR missing.",
    "Expansion rate fell by {fall}{where} in {month}: {rate} of its opening MRR against {baseline} on "
    "average over the {months} months before. That is {missing} of expansion MRR missing.",
    *(
        f"{slice_} deteriorated{{where}} in {{month}}: {{rate}} of its opening MRR against {{baseline}} "
        "on average over the {months} months before. Its organic net rate {net_rate} (was "
        f"{{net_before}}). Missing: {missing}."
        for slice_ in ("Segment", "Pricing model")
        for missing in ("{missing} of expansion MRR", "{net_missing} of organic net growth")
    ),
    "Expansion below target in {month}: {rate} of opening MRR, at most {high} with 95 % confidence, "
    "against a target of {target}.",
    "Expansion below target{where} in {month}: {rate} of its opening MRR, at most {high} with 95 % "
    "confidence, against a target of {target}.",
    "Expansion mix shifted in {month}: {type} went from {mix_before} to {mix_now} of expansion, three "
    "months against the six before.",
    "Seats bought were given back in {month}: {durable} of the {seats_amount} of seats bought in "
    "{bought} is still kept ({events} purchases); surges were {surges} of that month's expansion.",
    "Expanders leave more often in {month}: of those that expanded in {then}, {churned} against "
    "{churned_others} of comparable customers left within six months. Observational: no cause is shown.",
]
TITLES = [
    "Expansion rate fell by {fall}{where} in {month}",
    *(
        f"{title}{{where}} in {{month}}"
        for title in ("Segment deteriorated", "Pricing model deteriorated", "Expansion below target")
    ),
    *(
        f"{title} in {{month}}"
        for title in ("Expansion mix shifted", "Seats bought were given back", "Expanders leave more often")
    ),
]
MEASURES = [
    "the rate is {rate}",
    "the organic net rate is {net_rate}",
    "the interval of the rate reaches {high}",
    "divergence from the months before is {divergence}",
    "seats still kept are {durable_2}",
    "the lower end of the difference is {churn_low}",
]
BOUNDS = ["at or above {limit}", "at or below {limit}"]
TEMPLATES = [
    *SENTENCES,
    *(f"Worse, now {{severity}}: {text}" for text in SENTENCES),
    *(f"{{month}}, since {{since}}: {text} It is over {bound}." for text in SENTENCES for bound in BOUNDS),
    *(
        f"Recovered in {{month}}, after {{since}}: {measure}, {bound}."
        for measure in MEASURES
        for bound in BOUNDS
    ),
    *(f"Resolved in {{month}}. {text}" for text in SENTENCES),
    *(f"*Resolved in {{month}}.* {measure}" for measure in MEASURES),
    *(f"{{Severity}}: {title}" for title in TITLES),
    "*Expansion rate*\n{rate} (was {baseline}, last three months {three_months})",
    "*Expansion rate*\n{rate} (was {baseline}, last three months {three_months}), target {target}",
    "*Expansion rate*\n{rate}, at most {high} with 95 % confidence, target {target}",
    "*Change*\n{points}, {change}",
    "*Change to the target*\n{target_points}, {target_change}",
    "*Expansion / opening MRR*\n{expansion} / {opening}",
    "*Missing against the baseline*\n{missing}",
    "*Missing to the target*\n{target_missing}",
    "*Chance of this by noise*\n{p}, {members} customers, {expanders} expanded",
    "*Customers*\n{members}, {expanders} expanded",
    "*90 % interval*\n{interval}, approximate: too narrow below about 1,000 customers",
    "*Robust z*\n{robust_z} against the last 12 months",
    "*Organic net rate*\n{net_rate} (was {net_before}), {p_net}",
    "*Divergence*\n{divergence}, PSI {psi}, {p_mix}",
    *(f"*{name}*\n{{{name}_now}} (was {{{name}_before}})" for name in ORGANIC),
    "*NRR / GRR*\n{nrr} / {grr}",
    "*What else moved*\n{moved}",
    "*What else moved in {scope}*\n{moved}",
    "Figures of {month} as first reported, Stripe read up to {reported_at}. {hashes}. {remarks}",
]
"""Every text of a message that holds a digit. Names stand for figures, digits for themselves."""
LISTS = "*By {what}: missing against the baseline's monthly mean, {missing} in all*"
SMALL = "Below 200 customers only large drops can be distinguished from noise. "
REMARKS = (
    "Note on the data of all customers: WARNED 7. The test distinguishes noise from change; it "
    "ignores seasons and common causes."
)


class Published:
    """The tables, by scope; nothing of the detection's own."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.flows = pd.concat(
            [
                lake.read(metrics.Rollforward),
                lake.read(metrics.RollforwardByDimension).query("dimension == 'pricing_model'"),
            ]
        )
        by_slice = [
            lake.read(metrics.ExpansionBySegment),
            lake.read(metrics.ExpansionByDimension).query("dimension == 'pricing_model'"),
        ]
        self.ratios = pd.concat([lake.read(metrics.Expansion), lake.read(metrics.Retention), *by_slice])
        held = lake.read(mrr.CustomerMonths)[["month", "customer", "segment", "pricing_model"]]
        self.moved = lake.read(mrr.Movements).drop(columns="segment").merge(held, on=["month", "customer"])
        self.types = lake.read(metrics.ExpansionByType).query("metric == 'expansion_rate'")

    def sums(self, scope: tuple[str, str], month: str) -> dict[str, int]:
        rows = self.flows[
            (self.flows["month"] == month)
            & (self.flows["dimension"] == scope[0])
            & (self.flows["value"] == scope[1])
        ]
        return {name: int(rows[name].sum()) for name in ("opening", *FLOWS)}

    def ratio(self, scope: tuple[str, str], metric: str) -> dict[str, Any]:
        rows = self.ratios[(self.ratios["month"] == NEWEST) & (self.ratios["metric"] == metric)]
        (row,) = rows[(rows["dimension"] == scope[0]) & (rows["value"] == scope[1])].to_dict("records")
        return {str(name): value for name, value in row.items()}

    def movements(self, scope: tuple[str, str]) -> pd.DataFrame:
        return self.moved if scope[0] == "total" else self.moved[self.moved[scope[0]] == scope[1]]

    @cached_property
    def durability(self) -> Mapping[str, Any]:
        rows = self.lake.read(metrics.Durability, [NEWEST]).query("dimension == 'total'")
        return {row["metric"]: row for row in rows.to_dict("records")}

    @cached_property
    def churned(self) -> Mapping[Any, Any]:
        rows = self.lake.read(metrics.ExpansionThenChurn, [NEWEST]).query(
            "dimension == 'total' and within_months == 6"
        )
        return rows.to_dict("records")[0]


class Scope:
    """What a message about one scope may say, computed from the published tables alone; texts by name."""

    def __init__(self, published: Published, dimension: str, value: str) -> None:
        self.published, self.key = published, (dimension, value)
        self.now = published.sums(self.key, NEWEST)
        sums = {month: published.sums(self.key, month) for month in BEFORE}
        self.before = {month: found for month, found in sums.items() if found["opening"]}

    def mean(self, *flows: str) -> Fraction:
        return sum(
            (Fraction(sum(of[name] for name in flows), of["opening"]) for of in self.before.values()),
            Fraction(0),
        ) / len(self.before)

    @property
    def exact(self) -> dict[str, Fraction]:
        """Rates and amounts."""
        opening, expansion = self.now["opening"], self.now["expansion"]
        net = ("expansion", "contraction", "churn")
        last = [Fraction(of["expansion"], of["opening"]) for of in list(self.before.values())[-3:]]
        rates = {
            "rate": Fraction(expansion, opening),
            "baseline": self.mean("expansion"),
            "three_months": sum(last, Fraction(0)) / len(last),
        }
        return rates | {
            "net_rate": Fraction(sum(self.now[name] for name in net), opening),
            "net_before": self.mean(*net),
        }

    def texts(self, target: Fraction | None) -> dict[str, str]:
        exact, opening = self.exact, self.now["opening"]
        change = exact["rate"] / exact["baseline"] - 1 if exact["baseline"] else Fraction(0)
        row = self.published.ratio(self.key, "expansion_rate")
        shown = {name: percent(rate) for name, rate in exact.items()} | {
            "month": NEWEST,
            "months": str(len(self.before)),
            "scope": f"{self.key[1]} pricing" if self.key[0] == "pricing_model" else self.key[1],
            "fall": percent(-change, 1),
            "points": f"{percent(exact['rate'] - exact['baseline'])[:-2]} points",
            "change": percent(change, 1),
            "expansion": money(self.now["expansion"], "usd"),
            "opening": money(opening, "usd"),
            "missing": money(self.missing, "usd"),
            "net_missing": money(round_half_even((exact["net_before"] - exact["net_rate"]) * opening), "usd"),
            "members": str(row["n_customers"]),
            "expanders": str(row["n_expanders"]),
            "moved": ", ".join(
                f"{name} {money(self.now[name], 'usd')}"
                for name in ("price", "discount", "contraction", "churn", "new", "reactivation")
            ),
        }
        shown["where"] = "" if self.key[0] == "total" else f" ({shown['scope']})"
        for name in ("nrr", "grr"):
            ratio = self.published.ratio(self.key, name)
            shown[name] = percent(Fraction(int(ratio["numerator"]), int(ratio["denominator"])))
        if target is not None:
            shown |= {
                "target": percent(target),
                "target_points": f"{percent(exact['rate'] - target)[:-2]} points",
                "target_change": percent(exact["rate"] / target - 1, 1),
                "target_missing": money(round_half_even((target - exact["rate"]) * opening), "usd"),
            }
        return shown

    @property
    def missing(self) -> int:
        return round_half_even((self.exact["baseline"] - self.exact["rate"]) * self.now["opening"])

    def by(
        self, column: pd.Series[Any], rows: pd.DataFrame, amounts: str = "flow_expansion"
    ) -> dict[str, tuple[int, Fraction]]:
        """Expansion of the month, and the mean of the baseline's, by what a column says."""
        now, before = (
            rows[rows["month"].isin(some)].groupby(column)[amounts].sum()
            for some in ([NEWEST], list(self.before))
        )
        return {
            name: (int(now.get(name, 0)), Fraction(int(before.get(name, 0)), len(self.before)))
            for name in column.dropna().unique()
        }

    def contributions(self, what: str) -> dict[str, tuple[int, Fraction]]:
        rows = self.published.movements(self.key)
        match what:
            case "customer":
                return self.by(rows["customer"], rows)
            case "type":
                return {
                    name: self.by(pd.Series(name, index=rows.index), rows, f"expansion_{name}")[name]
                    for name in ORGANIC
                }
        dimension, values = {
            "segment": ("segment", SEGMENTS),
            "pricing model": ("pricing_model", PRICING_MODELS),
        }[what]
        found = self.by(rows[dimension], rows)
        return {name: found.get(name, (0, Fraction(0))) for name in values}


def statistics_of(finding: Finding) -> dict[str, str]:
    """Results of the scope's own tests, which no table holds."""
    figures: Mapping[str, Any] = finding.figures
    shown = {}
    if finding.drop is not None:
        shown["p"] = f"p = {float(figures.get('p_adjusted', finding.drop.p)):.4f}"
        shown["interval"] = f"{percent(figures['low'])} to {percent(figures['high'])}"
        shown |= {"robust_z": str(figures["robust_z"])} if "robust_z" in figures else {}
        shown |= {"p_net": f"p = {float(figures['p_net']):.4f}"} if "p_net" in figures else {}
    elif finding.rule == "below_target":
        shown["high"] = percent(figures["high"])
    elif finding.rule == "mix_shift":
        shown = {
            "divergence": f"{float(figures['divergence']):.3f} bits",
            "psi": f"{float(figures['psi']):.2f}",
        }
        shown["p_mix"] = f"p = {float(figures['p']):.4f}"
    return shown


def followed(published: Published, finding: Finding) -> dict[str, str]:
    """Figures of rules that look at earlier months, from the tables that publish them."""
    if finding.rule == "mix_shift":
        recent = months.between(months.shift(NEWEST, -2), NEWEST)
        earlier = months.between(months.shift(NEWEST, -8), months.shift(NEWEST, -3))
        pooled = [
            published.types[published.types["month"].isin(some)].groupby("value")["numerator"].sum()
            for some in (recent, earlier)
        ]
        now, before = (
            {name: Fraction(int(sums[name]), int(sums.sum())) for name in ORGANIC} for sums in pooled
        )
        most = max(ORGANIC, key=lambda name: abs(now[name] - before[name]))
        shares = {
            f"{name}_{when}": percent(of[name], 1)
            for name in ORGANIC
            for when, of in (("now", now), ("before", before))
        }
        return shares | {
            "type": most,
            "mix_now": percent(now[most], 0),
            "mix_before": percent(before[most], 0),
        }
    if finding.rule == "durability":
        kept, events, surges = (
            published.durability[name]
            for name in ("seat_durability_3m", "seat_events_durable", "seat_surge_share_3m")
        )
        durable = Fraction(int(kept["numerator"]), int(kept["denominator"]))
        share = Fraction(int(surges["numerator"]), int(surges["denominator"]))
        return {
            "bought": kept["expanded_month"], "seats_amount": money(int(kept["denominator"]), "usd"),
            "durable": percent(durable, 0),
            "durable_2": percent(durable), "events": str(int(events["denominator"])),
            "surges": percent(share, 0),
        }  # fmt: skip
    if finding.rule == "post_expansion_churn":
        row = published.churned
        churned = {"churned": row["rate"], "churned_others": row["rate_others"]}
        return {"then": row["expanded_month"], "churn_low": percent(Fraction(row["low"]))} | {
            name: percent(Fraction(text), 1) for name, text in churned.items()
        }
    return {}


def texts_of(message: Mapping[str, Any]) -> Iterator[str]:
    """Every text of a message that people read, its fallback included."""
    yield message["text"]
    for block in message["blocks"]:
        parts = [
            block.get("text"),
            *block.get("fields", []),
            *(block.get("elements", []) if block["type"] == "context" else []),
        ]
        yield from (part["text"] for part in parts if part)


def filled(templates: Iterable[str], expected: Mapping[str, str]) -> set[str]:
    """The templates with the scope's figures in them, without those that name a figure it has not."""
    return {
        template.format_map(expected)
        for template in templates
        if set(re.findall(r"{(\w+)}", template)) <= expected.keys()
    }


def assert_attributed(message: Mapping[str, Any], scope: Scope, expected: Mapping[str, str]) -> None:
    known = filled(TEMPLATES, expected)
    for text in texts_of(message):
        if "missing against the baseline's monthly mean" in text:
            assert_contributions(text, scope, expected)
        elif re.search(r"\d", text):
            assert text in known, f"no table has, for this scope, the numbers of: {text}"


def assert_contributions(text: str, scope: Scope, expected: Mapping[str, str]) -> None:
    """Each line of a list of drivers is the mean of the baseline less the month, to a cent; they sum to what
    is missing.
    """
    heading, *lines = text.splitlines()
    (what,) = [
        what
        for what in ("customer", "type", "segment", "pricing model")
        if heading == LISTS.format(what=what, missing=expected["missing"])
    ]
    parts = scope.contributions(what)
    growth = scope.exact["baseline"] * scope.now["opening"] - Fraction(
        sum(of["expansion"] for of in scope.before.values()), len(scope.before)
    )
    total, left = 0, growth + sum((mean - now for now, mean in parts.values()), Fraction(0))
    for line in lines:
        label, _, shown = line.removeprefix("• ").rpartition(": ")
        amount = minor(shown)
        total += amount
        if label == "everybody else":
            continue
        name = label.split(" (now ")[0]
        exact = growth if name == "opening MRR changed" else parts[name][1] - parts[name][0]
        left -= exact
        assert abs(amount - exact) <= 1, line
        if name != label:
            now, mean = parts[name]
            assert label == f"{name} (now {money(now, 'usd')}, was {money(round_half_even(mean), 'usd')})"
    assert money(total, "usd") == expected["missing"]
    rest = [minor(line.rpartition(": ")[2]) for line in lines if line.startswith("• everybody else")]
    assert abs(sum(rest) - left) <= len(lines)


def minor(text: str) -> int:
    return int(Decimal(text.removesuffix(" USD").replace(",", "")).scaleb(2))


@pytest.fixture(scope="module", params=["by rate", "by net rate"])
def judged(
    request: pytest.FixtureRequest, pipeline: Pipeline
) -> Iterator[tuple[bool, list[Finding], Surroundings]]:
    """Findings of every rule in every scope, and what their messages show beside them; whether segments fire
    by their rate.
    """
    by_rate = request.param == "by rate"
    with pytest.MonkeyPatch.context() as patched, Platform(pipeline.settings) as platform:
        thresholds = {"ALPHA": Fraction(2), "NEARLY_ALL": 2, "SLICE_MEMBERS": 1, "MIX_EXPANDERS": 1}
        for name, value in (thresholds | {"NET_FALL": Fraction(9 if by_rate else -9)}).items():
            patched.setattr(rules, name, value)
        patched.setattr(rules, "large", lambda *_: by_rate)
        patched.setattr(followups, "SEAT_EVENTS", 1)
        facts = alerts.facts_of(platform, NEWEST)
        targets = [Target(scope=scope, monthly_percent=Decimal(value)) for scope, value in TARGETS.items()]  # type: ignore[arg-type]
        settings = AlertSettings(targets=tuple(targets))
        yield (
            by_rate,
            facts.findings(settings, 2, "seed"),
            alerts.surroundings(platform, facts, settings.target("total", NEWEST), ("WARNED 7",), {}),
        )


def notices(finding: Finding) -> Iterator[Notice]:
    """The events of its life, all of this month: whatever the state, the figures shown are the month's."""
    baseline = None if finding.drop is None or finding.figures.get("by_net") else str(finding.drop.baseline)
    since = months.shift(NEWEST, -2)
    state = State(
        finding.fingerprint,
        finding.rule,
        finding.scope,
        "firing",
        NEWEST,
        "warning",
        since,
        str(finding.recovers_at),
        baseline,
    )
    for event in EVENTS:
        yield Notice(event, finding, state)


def test_each_number_of_each_message_is_published_for_its_scope(
    judged: tuple[bool, list[Finding], Surroundings], pipeline: Pipeline
) -> None:
    by_rate, findings, around = judged
    published = Published(pipeline.lake)
    said = set()
    for finding in findings:
        # The statistics are asked for where a rule fired; a rule that is clear in this company is shown as it
        # would be.
        finding = replace(finding, outcome="fires")
        if finding.drop is not None and "low" not in finding.figures:
            continue
        scope = Scope(published, finding.dimension, finding.value)
        target = TARGETS.get("total" if finding.dimension == "total" else finding.value)
        expected = (
            scope.texts(None if target is None else Fraction(Decimal(target)) / 100)
            | statistics_of(finding)
            | followed(published, finding)
        )
        limit = (
            f"{float(finding.recovers_at):.3f} bits"
            if finding.rule == "mix_shift"
            else percent(finding.recovers_at)
        )
        expected |= {
            "severity": finding.severity,
            "Severity": finding.severity.capitalize(),
            "since": months.shift(NEWEST, -2),
            "limit": limit,
        }
        counted = finding.drop is not None or finding.rule == "below_target"
        small = SMALL if counted and int(expected["members"]) < 200 else ""
        expected |= {"reported_at": around.reported_at, "hashes": around.hashes, "remarks": small + REMARKS}
        entry: dict[str, Any] = {}
        for notice in notices(finding):
            message = alert_message(notice, around, entry if notice.event == "recovery" else None)
            entry = entry or message
            for one in (message, *([message["entry"]] if "entry" in message else [])):
                assert_attributed(one, scope, expected)
            if chart := message.get("chart"):
                assert_charted(chart, published, scope, finding)
            said.add((finding.rule, finding.scope, notice.event))
    scopes = {
        ("rate_drop", "total"),
        ("below_target", "total"),
        ("mix_shift", "total"),
        ("durability", "total"),
        ("post_expansion_churn", "total"),
    }
    scopes |= {
        (rule, f"segment:{name}") for name in SEGMENTS for rule in ("segment_deterioration", "below_target")
    }
    assert {(rule, scope) for rule, scope, _ in said} >= scopes
    assert any(scope.startswith("pricing_model:") for _, scope, _ in said) or not by_rate


def test_a_figure_of_another_scope_is_noticed(
    judged: tuple[bool, list[Finding], Surroundings], pipeline: Pipeline
) -> None:
    """The total's NRR and GRR in a segment's message."""
    _, findings, around = judged
    finding = next(
        each for each in findings if each.scope == "segment:smb" and each.rule == "segment_deterioration"
    )
    scope = Scope(Published(pipeline.lake), "segment", "smb")
    mixed = replace(around, retention={**around.retention, "segment:smb": around.retention["total"]})
    entry = next(notices(finding))
    expected = scope.texts(None) | statistics_of(finding) | {"Severity": finding.severity.capitalize()}
    expected |= {"reported_at": around.reported_at, "hashes": around.hashes, "remarks": SMALL + REMARKS}
    assert_attributed(alert_message(entry, around), scope, expected)
    with pytest.raises(AssertionError, match=r"NRR / GRR"):
        assert_attributed(alert_message(entry, mixed), scope, expected)


def assert_charted(chart: Mapping[str, Any], published: Published, scope: Scope, finding: Finding) -> None:
    for month, rate in chart["rates"].items():
        sums = published.sums(scope.key, month)
        assert Fraction(rate) == Fraction(sums["expansion"], sums["opening"])
    assert chart["scope"] == ("all customers" if finding.dimension == "total" else finding.value)
    if chart["baseline"] is not None:
        assert Fraction(chart["baseline"]) == scope.exact["baseline"]
    if chart["target"] is not None:
        assert (
            Fraction(chart["target"])
            == Fraction(
                Decimal(TARGETS[finding.dimension if finding.dimension == "total" else finding.value])
            )
            / 100
        )


def test_a_total_and_a_segment_with_the_same_figures_would_prove_nothing(pipeline: Pipeline) -> None:
    """Each figure that a message shows of a segment differs from the total's, so the comparison above tells
    them apart.
    """
    published = Published(pipeline.lake)
    total = Scope(published, "total", "all").texts(None)
    for segment in SEGMENTS:
        theirs = Scope(published, "segment", segment).texts(None)
        assert {
            name for name in ("rate", "nrr", "moved", "opening", "missing") if theirs[name] == total[name]
        } == set()


PACE = [
    "Expansion behind pace{where} in {month}, provisional: Expansion{of} so far: {expansion}; by this "
    "day {compared} months before had made {median} of theirs in the median, {lower} to {upper} in the "
    "middle half. At the pace of the slowest tenth, a target of {target} asks for {due} by now: behind.",
    "Info: Expansion behind pace{where} in {month}, provisional",
    "*Expansion so far*\n{expansion}",
    "*Due by now*\n{due}",
    "*Target of the month*\n{target} of {opening}",
    "*Share reached by this day*\n{median} in the median of {compared} months",
    "MRR{of} {opening} at the month's opening, {closing} now: {moved}. Provisional: read up to "
    "{read_until}, usage counts as last month's. No rule has fired; the month is judged when it closes "
    "on 2026-12-06. One month in ten that meets its target is as slow.",
]


def test_each_number_of_a_pace_notice_is_of_its_row(pipeline: Pipeline) -> None:
    rows = pipeline.lake.arrow(metrics.Pace).to_pylist()
    assert {row["dimension"] for row in rows} == {"total", "segment"}
    for number, found in enumerate(rows):
        shares = {
            "share_median": f"0.{number + 2}",
            "share_lower": "0.11",
            "share_upper": "0.93",
            "months_compared": 6,
        }
        row = found | shares | {"behind": True, "target": f"0.0{number + 2}", "due": 1_234_500 + number}
        expected = {
            "where": "" if row["dimension"] == "total" else f" ({row['value']})",
            "of": "" if row["dimension"] == "total" else f" of {row['value']}",
            "month": row["month"], "compared": "6", "median": percent(Fraction(row["share_median"]), 0),
            "lower": "11 %", "upper": "93 %",
            "target": percent(Fraction(row["target"])),
            "read_until": f"{pd.Timestamp(row['read_until']):%Y-%m-%d %H:%M} UTC",
            "moved": ", ".join(f"{name} {money(row[name], 'usd')}" for name in FLOWS if row[name])
            or "nothing moved",
            **{name: money(row[name], "usd") for name in ("expansion", "due", "opening", "closing")},
        }  # fmt: skip
        for text in texts_of(pace_message(row, "usd", pd.Timestamp("2026-12-06", tz="UTC"), {})):
            assert text in filled(PACE, expected)
