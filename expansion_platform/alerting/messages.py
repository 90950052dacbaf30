"""The words and blocks of an alert over its life: entry, progress, worse, recovery (semantics 5.9).

Here: pure functions from a notice to {text, blocks}. Not here: posting (`slack.py`), the finding itself
(`domain/alerts/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from expansion_platform.alerting.chart import chart_data
from expansion_platform.alerting.limits import HEADER_LIMIT, SECTION_LIMIT, escape
from expansion_platform.domain.alerts.decomposition import GROWTH, OTHER
from expansion_platform.domain.alerts.findings import Drop, Finding
from expansion_platform.domain.alerts.lifecycle import Notice, measured
from expansion_platform.domain.core.wording import money, percent
from expansion_platform.domain.metrics.tables.values import LOW_EXPANDERS, LOW_MEMBERS
from expansion_platform.domain.mrr.vocabulary import ORGANIC

FIELD_LIMIT = 2000
SMALL_BASE = 200
CHARTED = {"rate_drop", "below_target", "segment_deterioration"}
"""Rules whose entry has a picture: they are about a rate over months."""
ALSO_MOVED = ["price", "discount", "contraction", "churn", "new", "reactivation"]
NAMES = {
    "rate_drop": "Expansion rate fell",
    "below_target": "Expansion below target",
    "mix_shift": "Expansion mix shifted",
    "segment_deterioration": "Segment deteriorated",
    "durability": "Seats bought were given back",
    "post_expansion_churn": "Expanders leave more often",
}


@dataclass(frozen=True)
class Surroundings:
    """What a message says beside its finding.

    By scope (`total`, `segment:smb`, `pricing_model:seat`), so that a message shows the figures of its own
    scope: `moved`, the month's roll-forward flows in minor units; `retention`, the ratio text of `nrr` and
    `grr`; `rates`, the expansion rates by month, for the chart of an entry. A scope that has none is shown
    without. `links` holds label -> URL; `reported_at` when Stripe had been read as the month closed;
    `warnings` are about all data; `customer` says how a customer is named.
    """

    currency: str
    moved: Mapping[str, Mapping[str, int]]
    retention: Mapping[str, Mapping[str, str | None]]
    links: Mapping[str, str]
    hashes: str
    target: Fraction | None
    reported_at: str
    rates: Mapping[str, Mapping[str, Fraction]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    customer: Callable[[str], str] = str


def alert_message(
    notice: Notice, around: Surroundings, entry: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The message of a notice.

    Args:
        notice: event, finding and the state it led to.
        around: the other facts that the message states.
        entry: the message of the entry, for a recovery: it is marked as over.

    Returns:
        {text, blocks}; of an entry about a rate also `chart`, what its picture shows; of a recovery `entry`,
        what the entry's message becomes.
    """
    finding = notice.finding
    if notice.event == "recovery":
        return _recovery(notice, around, entry)
    statement = sentence(finding, around.currency)
    if notice.event == "update":
        limit = Fraction(notice.state.recovers_at or 0)
        text = f"{finding.month}, since {notice.state.since}: {statement} {_until(finding, limit)}"
        return {"text": text, "blocks": [_section(text), *_fields(finding, around)]}
    headline = title(finding)
    text = statement if notice.event == "entry" else f"Worse, now {finding.severity}: {statement}"
    blocks = [
        {
            "type": "header",
            "text": {
                "type": "plain_text",
                "text": f"{finding.severity.capitalize()}: {headline}"[:HEADER_LIMIT],
            },
        },
        _section(text),
        *_fields(finding, around),
        *_drivers(finding, around),
        *_moved(finding, around),
        {"type": "context", "elements": [_markdown(_context(finding, around))]},
    ]
    if around.links:
        buttons = [
            {"type": "button", "text": {"type": "plain_text", "text": name}, "url": url}
            for name, url in around.links.items()
        ]
        blocks.append({"type": "actions", "elements": buttons})
    message: dict[str, Any] = {"text": text, "blocks": blocks}
    if notice.event == "entry" and finding.rule in CHARTED:
        chart = chart_data(
            finding,
            around.rates.get(finding.scope, {}),
            around.target if finding.dimension == "total" else None,
        )
        message |= {} if chart is None else {"chart": chart}
    return message


def data_quality(month: str, problems: Sequence[str], links: Mapping[str, str]) -> dict[str, Any]:
    """The one message about a month whose data cannot be judged (semantics 5.8)."""
    text = f"{month} was not judged: its data does not hold. No alert about expansion is sent until it does."
    listed = "\n".join(f"• {escape(problem)}" for problem in problems)
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": f"Data quality: {month} was not judged"}},
        _section(text),
        _section(listed),
    ]
    if links:
        buttons = [
            {"type": "button", "text": {"type": "plain_text", "text": name}, "url": url}
            for name, url in links.items()
        ]
        blocks.append({"type": "actions", "elements": buttons})
    return {"text": text, "blocks": blocks}


def data_holds(month: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The message that a month could be judged after all, with what the message that it could not becomes."""
    text = f"The data of {month} holds now: the month was judged."
    resolved = {
        "text": f"Resolved. {entry['text']}",
        "blocks": [_section(f"*Resolved.* {text}"), *entry.get("blocks", [])],
    }
    return {"text": text, "blocks": [_section(text)], "entry": resolved}


def title(finding: Finding) -> str:
    """Rule, scope and month in a few words."""
    where = "" if finding.dimension == "total" else f" ({_scope(finding)})"
    fallen = f" by {percent(-finding.drop.change, 1)}" if finding.rule == "rate_drop" and finding.drop else ""
    name = "Pricing model deteriorated" if finding.dimension == "pricing_model" else NAMES[finding.rule]
    return f"{name}{fallen}{where} in {finding.month}"


def _scope(finding: Finding) -> str:
    return f"{finding.value} pricing" if finding.dimension == "pricing_model" else finding.value


def sentence(finding: Finding, currency: str) -> str:
    """What was found, with its numbers."""
    figures: Mapping[str, Any] = finding.figures
    match finding.rule:
        case "rate_drop":
            return (
                f"{title(finding)}: {_against(finding)} That is {money(finding.shortfall, currency)} of "
                "expansion MRR missing."
            )
        case "segment_deterioration":
            net = f"organic net rate {percent(figures['net_rate'])} (was {percent(figures['net_before'])})"
            missing = (
                f"{money(finding.shortfall, currency)} of "
                f"{'organic net growth' if figures['by_net'] else 'expansion MRR'}"
            )
            return f"{title(finding)}: {_against(finding)} Its {net}. Missing: {missing}."
        case "below_target":
            interval = f"at most {percent(figures['high'])} with 95 % confidence"
            rate = f"{percent(figures['rate'])} of {_opening(finding)}"
            return f"{title(finding)}: {rate}, {interval}, against a target of {percent(figures['target'])}."
        case "mix_shift":
            name = figures["type"]
            shares = f"{percent(figures[f'{name}_before'], 0)} to {percent(figures[f'{name}_now'], 0)}"
            return (
                f"{title(finding)}: {name} went from {shares} of expansion, three months against the six "
                "before."
            )
        case "durability":
            bought = f"{money(figures['amount'], currency)} of seats bought in {figures['bought']}"
            kept = f"{percent(figures['durable'], 0)} of the {bought} is still kept"
            return (
                f"{title(finding)}: {kept} ({figures['events']} purchases); surges were "
                f"{percent(figures['surges'], 0)} of that month's expansion."
            )
    rates = (
        f"{percent(figures['churned'], 1)} against {percent(figures['churned_others'], 1)} of comparable "
        "customers"
    )
    return (
        f"{title(finding)}: of those that expanded in {figures['then']}, {rates} left within six months. "
        "Observational: no cause is shown."
    )


def _against(finding: Finding) -> str:
    drop = _drop(finding)
    before = f"{percent(drop.baseline)} on average over the {len(drop.baseline_months)} months before."
    return f"{percent(drop.rate)} of {_opening(finding)} against {before}"


def _opening(finding: Finding) -> str:
    return "opening MRR" if finding.dimension == "total" else "its opening MRR"


def _recovery(notice: Notice, around: Surroundings, entry: Mapping[str, Any] | None) -> dict[str, Any]:
    finding, limit, what = notice.finding, Fraction(notice.state.recovers_at or 0), _measure(notice)
    text = (
        f"Recovered in {finding.month}, after {notice.state.since}: {what}, {_bound(finding)} "
        f"{_shown(finding, limit)}."
    )
    message: dict[str, Any] = {"text": text, "blocks": [_section(text), *_fields(finding, around)]}
    if entry is not None:
        mark = f"Resolved in {finding.month}."
        message["entry"] = {
            "text": f"{mark} {entry['text']}",
            "blocks": [_section(f"*{mark}* {what}"), *entry.get("blocks", [])],
        }
    return message


def _until(finding: Finding, limit: Fraction) -> str:
    return f"It is over {_bound(finding)} {_shown(finding, limit)}."


def _bound(finding: Finding) -> str:
    return "at or above" if finding.falling else "at or below"


def _measure(notice: Notice) -> str:
    finding = notice.finding
    rate = (
        "the organic net rate is"
        if finding.rule == "segment_deterioration" and notice.state.baseline is None
        else "the rate is"
    )
    what = {
        "below_target": "the interval of the rate reaches",
        "mix_shift": "divergence from the months before is",
        "durability": "seats still kept are",
        "post_expansion_churn": "the lower end of the difference is",
    }.get(finding.rule, rate)
    return f"{what} {_shown(finding, measured(finding, notice.state))}"


def _shown(finding: Finding, amount: Fraction) -> str:
    return f"{round(amount * 1000) / 1000:.3f} bits" if finding.rule == "mix_shift" else percent(amount)


def _fields(finding: Finding, around: Surroundings) -> list[dict[str, Any]]:
    figures: Mapping[str, Any] = finding.figures
    shown: list[tuple[str, str]] = []
    if finding.drop is not None:
        drop = finding.drop
        p = figures.get("p_adjusted", drop.p)
        target = (
            ""
            if around.target is None or finding.dimension != "total"
            else f", target {percent(around.target)}"
        )
        shown = [
            (
                "Expansion rate",
                f"{percent(drop.rate)} (was {percent(drop.baseline)}, last three months "
                f"{percent(drop.three_months)}){target}",
            ),
            ("Change", f"{_points(drop.rate - drop.baseline)}, {percent(drop.change, 1)}"),
            (
                "Expansion / opening MRR",
                f"{money(drop.expansion, around.currency)} / {money(drop.opening, around.currency)}",
            ),
            ("Missing against the baseline", money(drop.shortfall, around.currency)),
            ("Chance of this by noise", f"p = {_p(p)}, {drop.members} customers, {drop.expanders} expanded"),
        ]
        if "net_rate" in figures:
            net = (
                f"{percent(figures['net_rate'])} (was {percent(figures['net_before'])}), p = "
                f"{_p(figures['p_net'])}"
            )
            shown.append(("Organic net rate", net))
        if "low" in figures:
            interval = (
                f"{percent(figures['low'])} to {percent(figures['high'])}, approximate: too narrow below "
                "about 1,000 customers"
            )
            shown.append(("90 % interval", interval))
        if "robust_z" in figures:
            shown.append(("Robust z", f"{figures['robust_z']} against the last 12 months"))
    elif finding.rule == "below_target":
        shown = [
            (
                "Expansion rate",
                f"{percent(figures['rate'])}, at most {percent(figures['high'])} with 95 % confidence, "
                f"target {percent(figures['target'])}",
            ),
            (
                "Change to the target",
                f"{_points(figures['rate'] - figures['target'])}, "
                f"{percent(figures['rate'] / figures['target'] - 1, 1)}",
            ),
            (
                "Expansion / opening MRR",
                f"{money(figures['expansion'], around.currency)} / "
                f"{money(figures['opening'], around.currency)}",
            ),
            ("Missing to the target", money(finding.shortfall, around.currency)),
            ("Customers", f"{figures['members']}, {figures['expanders']} expanded"),
        ]
    elif finding.rule == "mix_shift":
        shown = [
            (name, f"{percent(figures[f'{name}_now'], 1)} (was {percent(figures[f'{name}_before'], 1)})")
            for name in ORGANIC
        ]
        shown.append(
            (
                "Divergence",
                f"{_shown(finding, finding.measured)}, PSI {float(figures['psi']):.2f}, p = "
                f"{_p(figures['p'])}",
            )
        )
    if finding.scope in around.retention:
        shown.append(
            (
                "NRR / GRR",
                " / ".join(_ratio(around.retention[finding.scope][name]) for name in ("nrr", "grr")),
            )
        )
    shown.append(("Quality, basis", f"{_quality(finding)}first reported"))
    return [
        {
            "type": "section",
            "fields": [_markdown(f"*{name}*\n{value}", FIELD_LIMIT) for name, value in shown[:10]],
        }
    ]


def _drivers(finding: Finding, around: Surroundings) -> list[dict[str, Any]]:
    """Whose expansion is missing; each list sums to the shortfall."""
    if finding.drop is None:
        return []
    parts, currency = finding.drop.parts, around.currency
    customers = {
        name if name in (OTHER, GROWTH) else around.customer(name): amount
        for name, amount in parts.customers.items()
    }
    beside = {
        name: f"{name} (now {money(now, currency)}, was {money(parts.types_before[name], currency)})"
        for name, now in parts.types_now.items()
        if now or parts.types_before[name]
    }
    lists = [
        ("By customer", customers),
        ("By type", {beside.get(name, name): amount for name, amount in parts.types.items()}),
    ]
    if finding.dimension == "total":
        lists += [
            ("By segment", parts.slices["segment"]),
            ("By pricing model", parts.slices["pricing_model"]),
        ]
    sections = []
    for name, amounts in lists:
        named = sorted(
            (item for item in amounts.items() if item[0] not in (OTHER, GROWTH) and item[1]),
            key=lambda item: -item[1],
        )
        rest = [
            (label, amounts[key])
            for key, label in ((OTHER, "everybody else"), (GROWTH, "opening MRR changed"))
            if amounts.get(key)
        ]
        lines = [f"• {escape(label)}: {money(amount, currency)}" for label, amount in (*named, *rest)]
        heading = (
            f"*{name}: missing against the baseline's monthly mean, {money(parts.shortfall, currency)} in "
            "all*"
        )
        sections.append(_section("\n".join([heading, *lines])))
    return sections


def _moved(finding: Finding, around: Surroundings) -> list[dict[str, Any]]:
    """The scope's other flows of the month."""
    if finding.scope not in around.moved:
        return []
    flows, where = (
        around.moved[finding.scope],
        "" if finding.dimension == "total" else f" in {escape(_scope(finding))}",
    )
    amounts = ", ".join(f"{name} {money(flows[name], around.currency)}" for name in ALSO_MOVED)
    return [_section(f"*What else moved{where}*\n{amounts}")]


def _context(finding: Finding, around: Surroundings) -> str:
    members = finding.drop.members if finding.drop is not None else finding.figures.get("members")
    sentences = [
        f"Figures of {finding.month} as first reported, Stripe read up to {around.reported_at}. "
        f"{escape(around.hashes)}."
    ]
    if isinstance(members, int) and members < SMALL_BASE:
        sentences.append(f"Below {SMALL_BASE} customers only large drops can be distinguished from noise.")
    if finding.figures.get("note") == "seasonal":
        sentences.append("Seasonal: the same month last year moved alike.")
    sentences += [f"Note on the data of all customers: {escape(warning)}." for warning in around.warnings]
    sentences.append("The test distinguishes noise from change; it ignores seasons and common causes.")
    return " ".join(sentences)


def _drop(finding: Finding) -> Drop:
    if finding.drop is None:
        raise ValueError(f"{finding.rule} has no rate")
    return finding.drop


def _points(difference: Fraction) -> str:
    return f"{percent(difference)[:-2]} points"


def _quality(finding: Finding) -> str:
    """As the published figures have it (semantics 4); nothing where a rule counts no customers."""
    members, expanders = (
        (finding.drop.members, finding.drop.expanders)
        if finding.drop
        else (finding.figures.get("members"), finding.figures.get("expanders"))
    )
    if not isinstance(members, int) or not isinstance(expanders, int):
        return ""
    return "low_n, " if members < LOW_MEMBERS or expanders < LOW_EXPANDERS else "ok, "


def _p(p: Fraction) -> str:
    return f"{float(p):.4f}"


def _ratio(text: str | None) -> str:
    return "no base" if text is None or text != text else percent(Fraction(text))


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(text)}


def _markdown(text: str, limit: int = SECTION_LIMIT) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text if len(text) <= limit else text[: limit - 1] + "…"}
