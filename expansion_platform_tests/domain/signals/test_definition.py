"""The file that says what a product's events mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.definition import HealthWeights, ReadinessPoints, SignalDefinition


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def read(text: str) -> SignalDefinition:
        path = tmp_path / "signals.yaml"
        path.write_text(text)
        return SignalDefinition.from_yaml(path)

    return read


def test_without_a_file_the_defaults_are_those_of_the_semantics() -> None:
    definition = SignalDefinition.from_yaml(None)
    assert definition == SignalDefinition()
    assert definition.health.model_dump() == {
        "engagement": 35, "adoption": 25, "utilisation": 20, "support": 20
    }  # fmt: skip
    assert definition.readiness.model_dump() == {
        "utilisation_high": 30, "utilisation_medium": 15, "team_growth": 20, "higher_tier": 15,
        "adoption": 10, "engagement": 10, "health": 10, "tenure": 5, "past_due": -25, "contraction": -15,
        "detractor": -10, "expanded_lately": -10,
    }  # fmt: skip
    assert (definition.events.logins, definition.features, definition.capacity) == ((), None, 50)


def test_a_file(written: Any) -> None:
    definition = written(
        """
        account: {group: company}
        events: {logins: [signed in], gate_hits: [paywall, locked]}
        key_features: [export]
        higher_tier_features: {sso: 3}
        health: {adoption: 0}
        readiness: {past_due: -40}
        """
    )
    assert definition.account.group == "company"
    assert definition.counted == [("gate_hits", "locked"), ("gate_hits", "paywall"), ("logins", "signed in")]
    assert definition.health == HealthWeights(adoption=0)
    assert definition.readiness == ReadinessPoints(past_due=-40)
    assert definition.higher_tier_features == {"sso": 3}


def test_an_event_that_is_named_twice_counts_once(written: Any) -> None:
    assert written("events: {logins: [in, in], invites: [in]}").counted == [
        ("invites", "in"),
        ("logins", "in"),
    ]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "events:\n  # logins: [in]\nhealth:\nkey_features:\n", "events: {logins: }"]
)
def test_keys_whose_lines_are_all_comments_say_nothing(written: Any, text: str) -> None:
    assert written(text) == SignalDefinition()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("evnts: {}", "evnts"),
        ("events: {logons: [in]}", r"events\.logons"),
        ("health: {support: -1}", r"health\.support"),
        ("readiness: {past_due: 5}", r"readiness\.past_due"),
        ("readiness: {tenure: many}", r"readiness\.tenure"),
        ("account: {group: company, property: id}", "account: .*group or property"),
        ("capacity: 0", "capacity"),
        ("- events", "signals"),
    ],
)
def test_what_makes_no_sense_is_named(written: Any, text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as error:
        written(text)
    assert "signals.yaml" in str(error.value)


COUNTED = SignalDefinition()


@pytest.mark.parametrize(
    "other",
    [
        {"account": {"group": "company"}},
        {"events": {"logins": ["in"]}},
        {"feature_property": "name"},
        {"features": ["export"]},
        {"excluded_events": ["$pageview"]},
        {"internal_accounts": ["own"]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_usage_is_counted_again_where_something_else_counts(other: dict[str, Any]) -> None:
    assert SignalDefinition.model_validate(other).counting_hash != COUNTED.counting_hash


@pytest.mark.parametrize(
    "other",
    [
        {"key_features": ["export"]},
        {"higher_tier_features": {"sso": 3}},
        {"health": {"adoption": 0}},
        {"readiness": {"tenure": 0}},
        {"capacity": 7},
    ],
    ids=lambda other: next(iter(other)),
)
def test_usage_is_not_counted_again_for_a_score(other: dict[str, Any]) -> None:
    assert SignalDefinition.model_validate(other).counting_hash == COUNTED.counting_hash


def test_the_order_of_keys_does_not_matter(written: Any) -> None:
    one, other = "events: {logins: [in], invites: [sent]}", "events: {invites: [sent], logins: [in]}"
    assert written(one).counting_hash == written(other).counting_hash
