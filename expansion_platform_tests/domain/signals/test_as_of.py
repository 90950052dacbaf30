"""What is learnt after a close changes nothing of what the close knew (semantics 6.2, 6.6).

Here: the leaks that a naive join falls for, one by one, and properties over random companies. Each leak is
shown twice: the close does not see it, and a close after it does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.candidates import compute_candidates
from expansion_platform.domain.signals.definition import Events, SignalDefinition
from expansion_platform.domain.signals.tables.facts import FACT_TABLES, OwnerPeriods, fact_key
from expansion_platform_tests.domain.signals.company import (
    GIVEN,
    MARCH,
    SIGNALS,
    Company,
    Row,
    Rows,
    answer,
    calendar,
    company,
    fact,
    feature,
    months_read,
    moved,
    own,
    paid,
    read,
    state,
    ticket,
    touch,
    used,
)
from expansion_platform_tests.domain.signals.rule_inputs import inputs, valid

FEBRUARY, APRIL, MAY = "2026-02", "2026-04", "2026-05"
CLOSES = {each: months.closes(each, "UTC", 5) for each in (FEBRUARY, MARCH, APRIL)}
DEFINITION = SignalDefinition(
    key_features=("export", "reports"),
    higher_tier_features={"sso": 3},
    events=Events(**{name: (name,) for name in Events.model_fields}),
)
ASSIGNMENTS = pd.DataFrame(
    {name: pd.Series(dtype="str") for name in ("programme", "customer", "arm", "assigned_at", "randomised")}
)


def seen(of: Company, month: str, *names: str) -> list[Any]:
    """Features of c1 at a close."""
    row = of.features(month)
    return [row[name] for name in names]


def two_closes(more: Rows) -> Company:
    """c1 at the closes of March and April, its usage read in all months."""
    rows: Rows = {
        mrr.CustomerMonths: [paid(APRIL)],
        signals.UsageMonths: months_read(APRIL, 6),
    }
    return company(values={"signals": DEFINITION}).with_rows(rows).with_rows(more)


# The leaks, one by one.


def test_a_usage_month_as_it_reads_today() -> None:
    """Late events of March, of 20 April: March keeps its 5, and the close of April sees 9 in March."""
    late = {
        signals.AccountUsage: [
            used(MARCH, active_users=5, logins=3),
            used(MARCH, active_users=9, logins=8, known_at="2026-04-20"),
            used(APRIL, active_users=18),
        ],
        signals.FeatureUsage: [
            feature(MARCH, "export"),
            feature(MARCH, "reports", known_at="2026-04-20"),
        ],
    }
    of = two_closes(late)
    assert seen(of, MARCH, "active_users", "logins", "key_feature_adoption") == [5, 3, "0.500000"]
    assert seen(of, APRIL, "active_users", "active_users_change_1m") == [18, "1.000000"]


def test_usage_that_became_known_only_after_the_close_is_zero_then() -> None:
    late = {signals.AccountUsage: [used(MARCH, active_users=9, known_at="2026-04-20"), used(APRIL)]}
    of = two_closes(late)
    assert seen(of, MARCH, "active_users") == [0]
    assert seen(of, APRIL, "active_users", "active_users_change_1m") == [0, "-1.000000"]


@pytest.mark.parametrize(("known_at", "users"), [("2026-04-06", 9), ("2026-04-06T00:00:00.000001", 5)])
def test_what_is_known_exactly_at_the_close_counts(known_at: str, users: int) -> None:
    rows = {
        signals.AccountUsage: [used(MARCH, active_users=5), used(MARCH, active_users=9, known_at=known_at)]
    }
    assert seen(two_closes(rows), MARCH, "active_users") == [users]
    facts = {signals.SupportTickets: [ticket("2026-03-01", known_at=known_at)]}
    assert seen(two_closes(facts), MARCH, "open_tickets") == [1 if users == 9 else 0]


def test_touches_and_tickets_entered_late_with_an_early_date() -> None:
    rows = {
        signals.Activity: [touch("2026-03-10", known_at="2026-04-20")],
        signals.SupportTickets: [
            ticket("2026-03-10", known_at="2026-04-20", severity="critical", feature="sso")
        ],
        signals.NpsAnswers: [answer("2026-03-10", 2, known_at="2026-04-20")],
        signals.SignalValues: [own("2026-03-10", "fit", "1", known_at="2026-04-20")],
    }
    names = ("touches_3m", "last_touch", "open_tickets", "critical_tickets", "higher_tier_requests", "nps")
    assert seen(two_closes(rows), MARCH, *names, "own_json") == [0, None, 0, 0, 0, None, "{}"]
    assert seen(two_closes(rows), APRIL, *names, "own_json") == [1, "2026-03-10", 1, 1, 1, 2, '{"fit":"1"}']


def test_a_priority_that_was_changed_in_place() -> None:
    rows = {
        signals.SupportTickets: [
            ticket("2026-03-10", id="k", severity="low"),
            ticket("2026-03-10", id="k", severity="critical", known_at="2026-04-20", version=2),
        ]
    }
    assert seen(two_closes(rows), MARCH, "open_tickets", "critical_tickets") == [1, 0]
    assert seen(two_closes(rows), APRIL, "open_tickets", "critical_tickets") == [1, 1]


def test_the_final_close_of_a_ticket() -> None:
    """Closed on 3 April as the tool says since 20 April, when it had been opened again in between."""
    rows = {
        signals.SupportTickets: [
            ticket("2026-03-10", id="k"),
            ticket("2026-03-10", id="k", closed="2026-04-03", known_at="2026-04-20", version=2),
        ]
    }
    assert seen(two_closes(rows), MARCH, "open_tickets") == [1]
    assert seen(two_closes(rows), APRIL, "open_tickets") == [0]


def test_a_fact_that_is_gone_later_was_there() -> None:
    rows = {
        signals.NpsAnswers: [
            answer("2026-03-10", 9),
            answer("2026-03-10", 9, known_at="2026-04-20", version=2, gone=True),
        ],
        signals.Activity: [
            touch("2026-03-10", id="t"),
            touch("2026-03-10", id="t", known_at="2026-04-20", version=2, gone=True),
        ],
    }
    assert seen(two_closes(rows), MARCH, "nps", "touches_3m") == [9, 1]
    assert seen(two_closes(rows), APRIL, "nps", "touches_3m") == [None, 0]


def test_a_ticket_that_another_customer_has_later() -> None:
    rows = {
        signals.SupportTickets: [
            ticket("2026-03-10", id="k"),
            ticket("2026-03-10", id="k", known_at="2026-04-20", version=2, customer="c2"),
        ]
    }
    of = two_closes(rows).with_rows({mrr.CustomerMonths: [paid(MARCH, "c2"), paid(APRIL, "c2")]})
    for only in (None, ["c1"]):
        found = {
            month: of.signals(month, only=only)[signals.Features].set_index("customer")["open_tickets"]
            for month in (MARCH, APRIL)
        }
        assert (found[MARCH]["c1"], found[APRIL]["c1"]) == (1, 0)
    both = {month: of.signals(month)[signals.Features].set_index("customer") for month in (MARCH, APRIL)}
    assert (both[MARCH].loc["c2", "open_tickets"], both[APRIL].loc["c2", "open_tickets"]) == (0, 1)


def test_months_that_were_not_read_are_not_taken_as_zero() -> None:
    """January could not be read: no change since, no trend; of March alone all is known."""
    usage = [used(each, active_users=4, mean_daily_users="1.000000") for each in ("2025-12", FEBRUARY, MARCH)]
    rows = {
        mrr.CustomerMonths: [paid(APRIL)],
        signals.UsageMonths: [read("2025-12"), read("2026-01", complete=False), read(FEBRUARY), read(MARCH)],
        signals.AccountUsage: [*usage, used("2026-01", active_users=1)],
    }
    of = company(rows, values={"signals": DEFINITION}).with_rows({mrr.CustomerMonths: [paid(MARCH)]})
    names = ("active_users", "active_users_change_1m", "active_users_change_3m", "engagement_trend")
    assert seen(of, MARCH, *names) == [4, "0.000000", "0.000000", None]
    # April itself was not read: nothing is known of it, and March is not the newest.
    every = (*names, "stickiness", "logins", "active_days", "new_users", "key_feature_adoption")
    assert seen(of, APRIL, *every, "seat_utilisation") == [None] * 10


def owners(of: Sequence[Row], month: str) -> Any:
    """The owner of c1 among the candidates of a month."""
    given = {
        signals.Features: [{**_quiet(month), "customer": "c1"}],
        signals.Readiness: [{**_ready(month), "customer": "c1"}],
        signals.Health: [{"month": month, "customer": "c1", "components_json": "{}", "missing_json": "[]"}],
        **{model: [] for model in (signals.Propensity, signals.ChurnRisk, mrr.Movements)},
        OwnerPeriods: of,
    }
    found = compute_candidates([month], inputs(given, assignments=ASSIGNMENTS)).frames[signals.Candidates]
    owner = valid(signals.Candidates, found)["owner"].iloc[0]
    return None if pd.isna(owner) else owner


def _quiet(month: str) -> Row:
    return company({mrr.CustomerMonths: [paid(month)]}).row(signals.Features, month)


def _ready(month: str) -> Row:
    return company({mrr.CustomerMonths: [paid(month)]}).row(signals.Readiness, month)


def test_an_owner_that_was_changed_in_place() -> None:
    """The CRM names today's owner alone: it counts since it was first known."""
    today = [fact("2026-01-01", owner="ada"), fact("2026-04-20", owner="bob", version=2)]
    assert [owners(today, month) for month in (MARCH, APRIL)] == ["ada", "bob"]


def test_an_owner_since_a_day_that_became_known_later() -> None:
    dated = [
        fact("2026-01-01", owner="ada", valid_from="2025-06-01"),
        fact("2026-04-20", owner="bob", valid_from="2026-03-01"),
    ]
    assert [owners(dated, month) for month in (MARCH, APRIL)] == ["ada", "bob"]
    planned = [dated[0], fact("2026-02-01", owner="bob", valid_from="2026-04-06")]
    assert [owners(planned, month) for month in (MARCH, APRIL)] == ["ada", "bob"]


# Properties over random companies.

CUSTOMERS, WANTED = ("c1", "c2", "c3", "m1"), (FEBRUARY, MARCH, APRIL)
ACCOUNTS = {"a1": "c1", "a2": "c2", "a3": "c2", "a4": "m1"}
"""c3 has no account; c2 has two; m1 was merged into c1."""


def some(seed: int) -> Company:
    """A company of three customers: usage and facts in versions, some months not read."""
    dice = random.Random(seed)  # noqa: S311
    used_months = calendar("2025-11", APRIL)
    rows: dict[type[Table], list[Row]] = {
        mrr.CustomerMonths: [
            paid(month, each, dice.choice([0, 5000, 20000]), listed=25000)
            for month in WANTED
            for each in ("c1", "c2", "c3")
        ],
        mrr.Movements: [
            moved(month, dice.choice([0, 0, 900]), dice.choice([0, 0, -400]), each)
            for month in calendar("2025-01", APRIL)
            for each in ("c1", "c2", "c3")
        ],
        billing.ItemStates: [
            state(
                "2025-01-10",
                customer=each,
                subscription=f"sub_{each}",
                item=f"si_{each}",
                quantity=str(dice.randint(1, 20)),
                status=dice.choice(["active", "past_due"]),
            )
            for each in CUSTOMERS
        ],
        signals.UsageMonths: [read(month, dice.random() < 0.8) for month in used_months],
        signals.AccountUsage: [
            usage_row(dice, month, account, _after(dice, month))
            for month in used_months
            for account in ACCOUNTS
            for _ in range(dice.randint(0, 2))
        ],
        signals.FeatureUsage: [
            feature_row(dice, month, account, _after(dice, month))
            for month in used_months
            for account in ACCOUNTS
            for _ in range(dice.randint(0, 2))
        ],
    }
    for model in (signals.Activity, signals.SupportTickets, signals.NpsAnswers, signals.SignalValues):
        rows[model] = versions_of(dice, model, [fact_row(dice, model, _day(dice)) for _ in range(14)])
    made = {model: _distinct(model, each) for model, each in rows.items()}
    return Company(made, accounts=ACCOUNTS, aliases={"m1": "c1"}, values={"signals": DEFINITION})


def usage_row(dice: random.Random, month: str, account: str, known_at: str) -> Row:
    counts = ("active_users", "active_days", "features_used", "new_users", "logins", "gate_hits", "invites")
    said = {name: dice.randint(0, 9) for name in counts}
    mean = f"{dice.randint(0, 9)}.{dice.randint(0, 999999):06d}"
    return used(month, account, ACCOUNTS[account], known_at, mean_daily_users=mean, **said)


def feature_row(dice: random.Random, month: str, account: str, known_at: str) -> Row:
    name = dice.choice(["export", "reports", "other"])
    return feature(month, name, dice.randint(0, 2), known_at, account=account, customer=ACCOUNTS[account])


def fact_row(dice: random.Random, model: type[Table], known_at: str) -> Row:
    """A fact of a day before or after it was known."""
    day, customer = _day(dice), dice.choice(CUSTOMERS)
    more: Row = {"customer": customer, "known_at": known_at}
    if model is signals.Activity:
        kind = dice.choice(["touch", "opportunity"])
        stage = None if kind == "touch" else "open"
        return {**touch(day, id=f"t{dice.randint(0, 5)}"), "kind": kind, "stage": stage, **_at(more)}
    if model is signals.SupportTickets:
        severity, closed = dice.choice(["low", "critical", None]), dice.choice([None, _day(dice)])
        wish = {"feature": dice.choice(["sso", "export", None]), "tier": dice.choice(["pro", None, None])}
        row = ticket(day, id=f"k{dice.randint(0, 5)}", severity=severity, closed=closed, **wish)
        return {**row, **_at(more)}
    if model is signals.NpsAnswers:
        return {**answer(day, dice.randint(0, 10), id=f"n{dice.randint(0, 2)}"), **_at(more)}
    return {**own(day, dice.choice(["fit", "budget"]), str(dice.randint(0, 9))), **_at(more)}


def versions_of(dice: random.Random, model: type[Table], rows: list[Row]) -> list[Row]:
    """Rows numbered as versions of their facts in the order they became known; some of them gone."""
    names = fact_key(FACTS[model])
    numbers: dict[tuple[Any, ...], int] = {}
    found = []
    for row in sorted(rows, key=lambda row: row["known_at"]):
        which = tuple(row.get(name) for name in names)
        numbers[which] = numbers.get(which, 0) + 1
        gone = numbers[which] > 1 and dice.random() < 0.2
        found.append({**row, "version": numbers[which], "gone": gone})
    return found


FACTS = {model: model for model in FACT_TABLES.values()}


def _distinct(model: type[Table], rows: list[Row]) -> list[Row]:
    """One row a key, as the lake has them."""
    names = list((model.Config.metadata or {})["key"])
    return list({tuple(str(row.get(name)) for name in names): row for row in rows}.values())


def _at(more: Row) -> Row:
    return {**more, "known_at": pd.Timestamp(more["known_at"], tz="UTC").to_pydatetime()}


def _day(dice: random.Random) -> str:
    day = pd.Timestamp("2025-12-20") + pd.Timedelta(days=dice.randint(0, 140))
    return str(day.strftime("%Y-%m-%d"))


def _after(dice: random.Random, month: str) -> str:
    """An instant on a day from a month's end on."""
    return str(months.closing(month).tz_localize(None) + pd.Timedelta(days=dice.randint(0, 45)))


def later(dice: random.Random, of: Company, close: pd.Timestamp) -> Rows:
    """Usage and facts that become known after a close, by a second or by weeks; new versions among them."""

    def known() -> str:
        after = pd.Timedelta(seconds=dice.choice([1, 3600, 86400 * dice.randint(1, 40)]))
        return str((close + after).tz_localize(None))

    rows: dict[type[Table], list[Row]] = {
        signals.AccountUsage: [
            usage_row(dice, month, account, known())
            for month in calendar("2025-11", APRIL)
            for account in ACCOUNTS
        ],
        signals.FeatureUsage: [
            feature_row(dice, month, account, known())
            for month in calendar("2025-11", APRIL)
            for account in ACCOUNTS
        ],
    }
    for model in (signals.Activity, signals.SupportTickets, signals.NpsAnswers, signals.SignalValues):
        named = fact_key(FACTS[model])
        again = [
            {**fact_row(dice, model, known()), **{name: row.get(name) for name in named}}
            for row in of.rows[model]
        ]
        rows[model] = [
            {**row, "version": 1000 + number, "gone": dice.random() < 0.3}
            for number, row in enumerate([*again, *(fact_row(dice, model, known()) for _ in range(5))])
        ]
    return rows


def assert_same(found: dict[type[Table], pd.DataFrame], expected: dict[type[Table], pd.DataFrame]) -> None:
    for model in SIGNALS:
        pd.testing.assert_frame_equal(
            found[model].reset_index(drop=True), expected[model].reset_index(drop=True), obj=model.__name__
        )


SEEDS = st.integers(0, 10**6)


@settings(max_examples=12)
@given(SEEDS, st.sampled_from(WANTED))
def test_what_becomes_known_after_a_close_changes_nothing_of_it(seed: int, month: str) -> None:
    of, dice = some(seed), random.Random(seed + 1)  # noqa: S311
    more = of.with_rows(later(dice, of, CLOSES[month]))
    shuffled = Company(
        {model: dice.sample(list(rows), len(rows)) for model, rows in more.rows.items()},
        accounts=of.accounts, aliases=of.aliases, values=of.values,
    )  # fmt: skip
    assert_same(shuffled.signals(month), of.signals(month))


def test_what_becomes_known_later_does_change_later_closes() -> None:
    """So the property above says something: the same rows, seen from a close after them."""
    changed = []
    for seed in range(5):
        of = some(seed)
        more = of.with_rows(later(random.Random(seed), of, CLOSES[FEBRUARY]))  # noqa: S311
        one, other = (each.signals(APRIL)[signals.Features] for each in (of, more))
        changed.append(not one.equals(other))
    # What happens to be of no customer or of a month long past shows in none of the features.
    assert sum(changed) >= 4


@settings(max_examples=12)
@given(SEEDS)
def test_facts_after_a_close_removed_change_nothing_of_it(seed: int) -> None:
    """The check of 6.2: with every row that became known after the close left out, features are the same."""
    of, close = some(seed), CLOSES[MARCH]
    known = {
        model: [row for row in rows if "known_at" not in row or row["known_at"] <= close]
        for model, rows in of.rows.items()
    }
    then = Company(known, accounts=of.accounts, aliases=of.aliases, values=of.values)
    assert_same(then.signals(MARCH), of.signals(MARCH))


@settings(max_examples=8)
@given(SEEDS)
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    of, dice = some(seed), random.Random(seed)  # noqa: S311
    mixed = {model: dice.sample(list(rows), len(rows)) for model, rows in of.rows.items()}
    other = Company(mixed, accounts=of.accounts, aliases=of.aliases, values=of.values)
    assert_same(other.signals(*WANTED), of.signals(*WANTED))


@settings(max_examples=8)
@given(SEEDS)
def test_a_month_alone_is_as_in_a_range(seed: int) -> None:
    of = some(seed)
    every = of.signals(*WANTED)
    for month in WANTED:
        alone = of.signals(month)
        assert_same(alone, {model: rows[rows["month"] == month] for model, rows in every.items()})


@settings(max_examples=8)
@given(SEEDS)
def test_customers_in_shards_are_as_all_together(seed: int) -> None:
    """A shard has all the rows of its customers, and of those that were merged into them."""
    of = some(seed)
    every = of.signals(*WANTED)
    shards = [of.signals(*WANTED, only=only) for only in (["c1", "m1"], ["c2"], ["c3"])]
    for model in SIGNALS:
        grain = list((model.Config.metadata or {})["key"])
        together = pd.concat([shard[model] for shard in shards]).sort_values(grain)
        pd.testing.assert_frame_equal(
            together.reset_index(drop=True), every[model].sort_values(grain).reset_index(drop=True)
        )


@settings(max_examples=8)
@given(SEEDS)
def test_readiness_and_health_follow_from_features_alone(seed: int) -> None:
    """No score reads anything that has not the version of the close."""
    from expansion_platform.domain.signals.health import health_of
    from expansion_platform.domain.signals.readiness import readiness_of

    found = some(seed).signals(*WANTED)
    features = found[signals.Features]
    health = health_of(features, DEFINITION.health)
    assert health["score"].tolist() == found[signals.Health]["score"].tolist()
    scores = readiness_of(features, health["score"], DEFINITION.readiness)["score"]
    assert scores.tolist() == found[signals.Readiness]["score"].tolist()


def test_every_table_of_facts_is_given_in_these_tests() -> None:
    assert len(GIVEN) == 5 and Catalog.from_dict({}).aliases == {}
