"""An alert's life against the Slack stand-in: entry, updates in its thread, recovery that closes it, each
exactly once whatever Slack does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from expansion_platform.alerting.messages import Surroundings, alert_message, data_quality
from expansion_platform.alerting.outbox import deliver
from expansion_platform.alerting.slack import SlackBot, SlackWebhook
from expansion_platform.domain.alerts import rules
from expansion_platform.domain.alerts.findings import Finding
from expansion_platform.domain.alerts.lifecycle import Notice, State, step
from expansion_platform.domain.alerts.panel import TOTAL
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.wording import money, percent
from expansion_platform.domain.mrr.vocabulary import FLOWS, ORGANIC
from expansion_platform.simulator.servers.http import DROPPED
from expansion_platform.simulator.servers.slack import SlackServer, block_problems
from expansion_platform.storage.ledger import Alert, Ledger
from expansion_platform_tests.domain.alerts.books import MONTH, steady, together

AROUND = Surroundings(
    currency="usd",
    moved={"total": dict.fromkeys(FLOWS, 100) | {"churn": -700_00}},
    retention={"total": {"nrr": "1.0100000000", "grr": None}},
    links={"Open in Dagster": "http://localhost:3000/assets/metrics/expansion?partition=2026-10"},
    hashes="policy a, catalog b",
    target=Fraction(2, 100),
    reported_at="2026-11-03 06:00 UTC",
)


def rate_drop() -> Finding:
    found = rules.rate_drop(steady(200, 0.1), MONTH, "policy", 0, {})
    assert found is not None
    return found


def notice(finding: Finding, before: State | None = None) -> Notice:
    state, event = step(before, finding)
    assert event is not None
    return Notice(event, finding, state)


def shown(message: dict[str, Any]) -> str:
    texts = []
    for block in message["blocks"]:
        parts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        texts += [
            part["text"] if isinstance(part["text"], str) else part["text"]["text"] for part in parts if part
        ]
    return "\n".join(texts)


def test_the_entry_says_what_fell_how_sure_that_is_and_whose_it_is() -> None:
    found = rate_drop()
    assert found.drop is not None
    told = alert_message(notice(found), AROUND)
    text = shown(told)
    assert told["text"].startswith("Expansion rate fell by ")
    assert told["blocks"][0]["text"]["text"].startswith("Critical: Expansion rate fell by ")
    for part in (
        "p = 0.0010, 200 customers",
        "target 2.00 %",
        "*NRR / GRR*\n101.00 % / no base",
        "churn -700.00 USD",
        "policy a, catalog b.",
    ):
        assert part in text


def test_the_entry_says_all_that_the_semantics_ask_for() -> None:
    """Semantics 5.9, point by point."""
    rates = {
        month: Fraction(2 + place % 2, 100)
        for place, month in enumerate(months.between(months.shift(MONTH, -30), MONTH))
    }
    found = rules.rate_drop(
        steady(200, 0.1), MONTH, "policy", 0, rates | {months.shift(MONTH, -12): Fraction(1, 200)}
    )
    assert found is not None
    drop = found.drop
    assert drop is not None
    now, was, missing = (
        money(parts["seat"], "usd")
        for parts in (drop.parts.types_now, drop.parts.types_before, drop.parts.types)
    )
    text = shown(alert_message(notice(replace(found, figures=found.figures | {"note": "seasonal"})), AROUND))
    for part in (
        # Severity, rule, scope, month.
        f"Critical: Expansion rate fell by {percent(-drop.change, 1)} in {MONTH}",
        f"*Expansion rate*\n{percent(drop.rate)} (was {percent(drop.baseline)}, last three months "
        f"{percent(drop.three_months)}), target 2.00 %",
        f"*Change*\n{percent(drop.rate - drop.baseline)[:-2]} points, {percent(drop.change, 1)}",
        f"*Expansion / opening MRR*\n{money(drop.expansion, 'usd')} / {money(drop.opening, 'usd')}",
        f"*Missing against the baseline*\n{money(drop.shortfall, 'usd')}",
        f"*Chance of this by noise*\np = 0.0010, 200 customers, {drop.expanders} expanded",
        "*NRR / GRR*\n",
        "*Quality, basis*\nok, first reported",
        "*Robust z*\n-",
        "*90 % interval*\n",
        "approximate: too narrow below about 1,000 customers",
        "*By customer: missing",
        f"• seat (now {now}, was {was}): {missing}",
        "*By segment: missing",
        "*By pricing model: missing",
        "price 1.00 USD, discount 1.00 USD, contraction 1.00 USD, churn -700.00 USD",
        f"Figures of {MONTH} as first reported, Stripe read up to 2026-11-03 06:00 UTC. policy a, catalog b.",
        "Seasonal: the same month last year moved alike.",
        "The test distinguishes noise from change; it ignores seasons and common causes.",
        "Open in Dagster",
    ):
        assert part in text, part


def test_a_slice_that_fell_shows_the_same_beside_it() -> None:
    base = together(steady(200, 0.1), steady(60, 0.5, seed=2, model="usage"))
    rates = dict.fromkeys(months.between("2026-01", MONTH), Fraction(2, 100))
    _, found = rules.segment_deterioration(
        base, "pricing_model", MONTH, "policy", 0, {"pricing_model:seat": rates}
    )
    text = shown(alert_message(notice(found), AROUND))
    for part in (
        "Pricing model deteriorated (seat pricing) in",
        "*90 % interval*",
        "*Robust z*",
        "p = 0.0020",
        "*By type: missing",
    ):
        assert part in text
    assert "target" not in text


def test_a_missed_target_says_by_how_much() -> None:
    found = rules.below_target(
        steady(400, 0.1, rate=0.2), MONTH, TOTAL, Fraction(2, 100), Fraction(2, 100), "policy"
    )
    assert found is not None
    rate = found.figures["rate"]
    assert isinstance(rate, Fraction)
    text = shown(alert_message(notice(found), AROUND))
    for part in (
        "target 2.00 %",
        f"{percent(rate / Fraction(2, 100) - 1, 1)}",
        "*Missing to the target*\n",
        "*Customers*\n400, ",
        "ok, first reported",
    ):
        assert part in text


def test_customers_may_be_shown_by_hash() -> None:
    hidden = replace(AROUND, customer=lambda customer: f"customer {customer[-4:]}")
    told, text = (
        shown(alert_message(notice(rate_drop()), AROUND)),
        shown(alert_message(notice(rate_drop()), hidden)),
    )
    assert "• cus_" in told
    assert "cus_" not in text
    assert "• customer 0" in text


def test_the_drivers_shown_sum_to_the_shortfall_shown() -> None:
    found = rate_drop()
    lists = [
        block["text"]["text"]
        for block in alert_message(notice(found), AROUND)["blocks"]
        if "missing against" in str(block.get("text"))
    ]
    assert len(lists) == 4  # by customer, type, segment, pricing model
    for listed in lists:
        lines = [
            int(re.search(r": (-?[\d,.]+) USD", line)[1].replace(",", "").replace(".", ""))
            for line in listed.splitlines()[1:]
        ]  # type: ignore[index]
        assert sum(lines) == found.shortfall


def test_a_small_base_is_said_to_be_one() -> None:
    for members, said in ((199, True), (200, False)):
        found = rate_drop()
        found = replace(found, drop=replace(found.drop, members=members))  # type: ignore[type-var]
        assert ("only large drops" in shown(alert_message(notice(found), AROUND))) == said


def of(rule: str) -> Finding:
    half = Fraction(1, 2)
    figures: dict[str, Fraction | int | str] = {
        "rate": half, "target": half, "low": half, "high": half, "members": 10, "type": "seat", "psi": half,
        "p": half, "durable": half,
        "expansion": 5, "opening": 10, "expanders": 5, "amount": 5,
        "bought": "2026-07", "events": 5, "surges": half, "then": "2026-04", "churned": half,
        "churned_others": half,
        "net_rate": half, "net_before": half, "p_adjusted": half, "p_net": half, "by_net": 0,
    }  # fmt: skip
    figures |= {f"{name}_{when}": half for name in ORGANIC for when in ("now", "before")}
    scope = ("segment", "<!channel>") if rule == "segment_deterioration" else ("total", "all")
    drop = rate_drop().drop if rule in ("rate_drop", "segment_deterioration") else None
    return Finding(
        rule,
        *scope,
        MONTH,
        outcome="fires",
        severity="warning",
        measured=half,
        recovers_at=half + 1,
        drop=drop,
        figures=figures,
    )


RULES = [
    "rate_drop",
    "below_target",
    "mix_shift",
    "segment_deterioration",
    "durability",
    "post_expansion_churn",
]


@pytest.mark.parametrize("rule", RULES)
def test_slack_takes_every_message_of_every_rule(rule: str) -> None:
    entry = notice(of(rule))
    worse = notice(replace(of(rule), month="2026-11", severity="critical"), entry.state)
    update = notice(replace(of(rule), month="2026-12"), worse.state)
    over = replace(of(rule), month="2027-01", measured=Fraction(2))
    recovery = notice(over, replace(update.state, recovers_at="1", clear_months=1))
    assert [one.event for one in (entry, worse, update, recovery)] == ["entry", "worse", "update", "recovery"]
    told = [alert_message(one, AROUND) for one in (entry, worse, update)]
    told.append(alert_message(recovery, AROUND, told[0]))
    for message in (*told, told[-1]["entry"]):
        assert message["text"]
        assert block_problems(message["blocks"]) == []
        assert len(shown(message)) < 10_000  # Slack refuses a message of about 13,200 characters whole
    assert told[-1]["entry"]["text"].startswith("Resolved in 2027-01. ")


def test_whatever_is_long_is_cut_to_slacks_limits() -> None:
    long = replace(AROUND, hashes="<!channel> & " * 600, warnings=["w" * 5000])
    message = alert_message(notice(of("rate_drop")), long)
    assert block_problems(message["blocks"]) == []
    assert "<!channel>" not in shown(message)
    assert block_problems(data_quality(MONTH, ["<x> " * 400] * 20, {})["blocks"]) == []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    """A stand-in for Slack. The SDK repeats a request at once; `test_slack.py` tests how long it waits."""
    monkeypatch.setattr("slack_sdk.http_retry.handler.time.sleep", lambda _: None)
    with SlackServer() as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


def bot(server: SlackServer) -> SlackBot:
    return SlackBot("xoxb-test", "C1", server.api_url, "C2")


def alert(key: str, event: str = "entry", thread: str | None = None, **message: Any) -> Alert:
    return Alert(
        key,
        "rate_drop",
        "total",
        "2026-10",
        "warning",
        {"text": f"{event} {key}", "blocks": [], **message},
        event=event,
        thread=thread,
    )


LIFE = [
    alert("1"),
    replace(alert("2", "update", "1"), month="2026-11"),
    replace(alert("3", "worse", "1"), month="2026-12"),
    replace(
        alert("4", "recovery", "1", entry={"key": "1", "text": "Resolved. entry 1", "blocks": []}),
        month="2027-01",
    ),
]


def drained(ledger: Ledger, channel: SlackBot | SlackWebhook) -> int:
    """Ticks until the outbox is empty."""
    for tick in range(1, 10):
        try:
            deliver(ledger, channel)
        except ExpansionError:
            continue
        return tick
    raise AssertionError("never empty")


def assert_told_once(server: SlackServer) -> None:
    first, *replies = server.messages
    assert [message.text for message in replies] == ["update 2", "worse 3", "recovery 4"]
    assert (first.text, first.thread) == ("Resolved. entry 1", None)
    assert {message.thread for message in replies} == {first.ts}
    assert [message.broadcast for message in replies] == [False, True, False]


def test_a_life_is_one_message_and_its_thread(ledger: Ledger, server: SlackServer) -> None:
    for one in LIFE:
        ledger.alerts.put(one)
        deliver(ledger, bot(server))
    assert_told_once(server)
    assert server.messages[0].updates == 1


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("trouble", ["limited", "down", "refused", "dropped before", "dropped after"])
def test_whatever_slack_does_each_arrives_once(
    ledger: Ledger, server: SlackServer, trouble: str, at: int
) -> None:
    """The at-th request of the whole life fails: four posts, and the change of the first message."""
    channel, sent = bot(server), 0
    answer = server.answer

    def troubled(request: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent - 1 == at and trouble == "refused":
            server.refuse_next("internal_error")
        return answer(request)

    server.answer = troubled  # type: ignore[method-assign]
    for number, one in enumerate(LIFE):
        ledger.alerts.put(one)
        if number == min(at, 3) and trouble != "refused":
            if at == 4:
                deliver_but_the_change(ledger, server, channel, trouble)
            else:
                fail(server, trouble)
        drained(ledger, channel)
    assert_told_once(server)


def fail(server: SlackServer, trouble: str) -> None:
    match trouble:
        case "limited":
            server.fail_next(429, {"Retry-After": "0"}, times=4)
        case "down":
            server.fail_next(500, times=4)
        case "dropped before":
            server.fail_next(DROPPED)
        case "dropped after":
            server.fail_next(DROPPED, after=True)


def deliver_but_the_change(ledger: Ledger, server: SlackServer, channel: SlackBot, trouble: str) -> None:
    """The reply is posted; then, as the first message is to be changed, Slack fails."""
    changed = channel.replace

    def failing(*arguments: Any) -> None:
        channel.replace = changed  # type: ignore[method-assign]
        fail(server, trouble)
        changed(*arguments)

    channel.replace = failing  # type: ignore[method-assign]
    with pytest.raises(ExpansionError):
        deliver(ledger, channel)


def test_a_process_that_dies_after_posting_posts_nothing_twice(
    ledger: Ledger, server: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Died

    for one in LIFE:
        ledger.alerts.put(one)
        with monkeypatch.context() as patched:
            patched.setattr(ledger.alerts, "mark_sent", dies)
            with pytest.raises(Died):
                deliver(ledger, bot(server))
        deliver(ledger, bot(server))
    assert_told_once(server)


@pytest.mark.parametrize("reason", ["missing_scope", "channel_not_found"])
def test_a_channel_that_cannot_be_searched_is_told_twice_rather_than_never(
    ledger: Ledger, server: SlackServer, reason: str
) -> None:
    ledger.alerts.put(alert("1"))
    server.fail_next(DROPPED, after=True)
    with pytest.raises(ExpansionError):
        deliver(ledger, bot(server))
    server.refuse_next(reason)
    deliver(ledger, bot(server))
    assert [message.text for message in server.messages] == ["entry 1", "entry 1"]


def test_a_first_message_that_is_gone_is_let_go(ledger: Ledger, server: SlackServer) -> None:
    ledger.alerts.put(LIFE[0])
    deliver(ledger, bot(server))
    ledger.alerts.put(LIFE[3])
    reply = server._update

    def gone(arguments: dict[str, Any]) -> Any:
        server.messages.pop(0)
        return reply(arguments)

    server._update = gone  # type: ignore[method-assign]
    deliver(ledger, bot(server))
    assert ledger.alerts.read("pending") == []


def test_a_webhook_tells_everything_without_threads(ledger: Ledger, server: SlackServer) -> None:
    for one in LIFE:
        ledger.alerts.put(one)
    assert drained(ledger, SlackWebhook(server.webhook_url)) == 1
    assert [message.text for message in server.messages] == ["entry 1", "update 2", "worse 3", "recovery 4"]


def test_bad_data_is_told_where_data_people_read(ledger: Ledger, server: SlackServer) -> None:
    ledger.alerts.put(
        Alert(
            "q", "data_quality", "total", MONTH, "warning", data_quality(MONTH, ["<causes> do not sum"], {})
        )
    )
    ledger.alerts.put(alert("1"))
    deliver(ledger, bot(server))
    assert {message.text[:10]: message.channel for message in server.messages} == {
        "2026-10 wa": "C2",
        "entry 1": "C1",
    }
