"""What events may mean, by their names; and the file that says it changes nothing until it is edited."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from expansion_platform.domain.signals.definition import Events, SignalDefinition
from expansion_platform.domain.signals.suggestions import suggestions
from expansion_platform.reports.signals_file import MEANINGS, first_signals
from expansion_platform.sources.analytics.usage import MonthUsage


def sent(*rows: tuple[str, str, int]) -> pd.DataFrame:
    """Events by account: (account, event, how often)."""
    frame = pd.DataFrame(rows, columns=["account", "feature", "events"])
    return frame.assign(active_users=1)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("User Logged In", "logins"),
        ("user_signed_in", "logins"),
        ("sessionStarted", "logins"),
        ("Signed Up", "sign_ups"),
        ("account-created", "sign_ups"),
        ("teamInviteSent", "invites"),
        ("Invitations sent", "invites"),
        ("paywall_viewed", "gate_hits"),
        ("upgrade modal", "gate_hits"),
        ("SeatLimitReached", "limit_warnings"),
        ("quota exceeded", "limit_warnings"),
        ("integration_connected", "integrations"),
        ("ApiKeyCreated: api key", "integrations"),
        ("onboarding completed", "milestones"),
        ("First Report", "milestones"),
        # Words that only contain one of these.
        ("delegate task", None),
        ("blogged in public", None),
        ("unlimited export", None),
        ("reactivated row", None),
        ("$pageview", None),
    ],
)
def test_an_event_is_guessed_by_whole_words_of_its_name(event: str, kind: str | None) -> None:
    found = suggestions(sent(("a1", event, 3)), "2026-10").kinds
    assert {name for name, guesses in found.items() if guesses} == ({kind} if kind else set())


def test_a_key_feature_is_used_by_some_accounts_and_not_by_all() -> None:
    accounts = [f"a{number}" for number in range(10)]
    rows = [
        *((account, "everybody's", 1) for account in accounts),
        *((account, "most", 1) for account in accounts[:9]),
        *((account, "few", 1) for account in accounts[:2]),
        ("a1", "one", 50),
        *((account, "$autocapture", 1) for account in accounts[:5]),
    ]
    found = suggestions(sent(*rows), "2026-10")
    assert [guess.event for guess in found.key_features] == ["most", "few"]
    assert [guess.event for guess in found.other] == ["one", "everybody's", "$autocapture"]
    assert found.key_features[0].reason == "9 times by 9 of 10 accounts in 2026-10"


def test_the_first_file_says_nothing_and_all_of_it_when_uncommented(tmp_path: Path) -> None:
    usage = sent(
        ("a1", "User Logged In", 3),
        ("a2", 'odd "name": # with\nlines', 2),
        ("a3", "team invite", 1),
        ("a1", "true", 4),
    )
    text = first_signals(MonthUsage(usage, usage, 10, 1), "2026-10", "posthog")
    path = tmp_path / "signals.yaml"
    path.write_text(text)
    assert SignalDefinition.from_yaml(path) == SignalDefinition()
    assert "10.0 % of the events name none" in text
    fields = "|".join([*Events.model_fields, "key_features", "capacity", "[a-z_]+: -?[0-9]"])
    edited = re.sub(rf"^(\s*)# (?=({fields})|  - )", r"\1", text, flags=re.MULTILINE)
    path.write_text(edited)
    definition = SignalDefinition.from_yaml(path)
    assert definition.events.logins == ("User Logged In",)
    assert definition.events.invites == ("team invite",)
    assert definition.key_features == ('odd "name": # with\nlines', "true")
    assert definition.health == SignalDefinition().health
    assert definition.readiness == SignalDefinition().readiness


def test_every_kind_of_event_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Events.model_fields)
    assert set(suggestions(sent(), "2026-10").kinds) == set(Events.model_fields)
