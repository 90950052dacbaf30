"""Settings: names, defaults, and refusals that say what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.resources import Platform, as_of
from expansion_platform.settings import Settings, setting_problems

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / ".env.example"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the developer's and none of their variables."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_nothing_is_required(tmp_path: Path) -> None:
    settings = Settings()
    assert settings.data_dir == tmp_path / ".expansion"
    assert settings.ledger_url == f"sqlite:///{tmp_path}/.expansion/ledger.sqlite"


def test_a_dotenv_file_is_read_and_the_environment_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        "EXPANSION_CURRENCY=eur\nEXPANSION_TIMEZONE=Europe/Berlin\nEXPANSION_FIRST_MONTH=\nOTHER=1\n"
    )
    monkeypatch.setenv("EXPANSION_CURRENCY", "gbp")
    settings = Settings()
    assert (settings.expansion_currency, settings.expansion_timezone, settings.expansion_first_month) == (
        "gbp",
        "Europe/Berlin",
        None,
    )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("expansion_timezone", "Mars/Olympus", "IANA"),
        ("expansion_timezone", "../etc/passwd", "IANA"),
        ("expansion_currency", "USD", "pattern"),
        ("expansion_first_month", "2026-13", "pattern"),
        ("stripe_requests_per_second", "0", "greater"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told) as caught:
        Settings(**{name: value})  # type: ignore[arg-type]
    (problem,) = setting_problems(caught.value)
    assert problem.startswith(f"{name.upper()}: ")


def test_secrets_do_not_show() -> None:
    secrets = ("stripe_api_key", "posthog_api_key", "slack_bot_token", "slack_webhook_url")
    settings = Settings(**dict.fromkeys(secrets, "hush-hush"))  # type: ignore[arg-type]
    assert "hush" not in f"{settings!r}{settings}{settings.model_dump()}{settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-03T06:00:00+00:00", "2026-11-03T06:00:00+00:00"),
        ("2026-11-03T06:00:00", "2026-11-03T06:00:00+00:00"),
        ("2026-11-03", "2026-11-03T00:00:00+00:00"),
    ],
)
def test_the_clock_is_a_setting(text: str, instant: str) -> None:
    assert as_of(Settings(expansion_as_of=text)).isoformat() == instant


def test_a_clock_that_is_no_instant_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="EXPANSION_AS_OF"):
        as_of(Settings(expansion_as_of="yesterday"))


def test_what_is_half_configured_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="STRIPE_API_KEY"):
        _ = Platform(Settings()).stripe
    with pytest.raises(ConfigurationError, match="POSTHOG_PROJECT_ID"):
        _ = Platform(Settings(posthog_host="https://us.posthog.com")).usage
    assert Platform(Settings()).usage is None


def test_the_example_names_every_setting_and_no_other() -> None:
    named = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", EXAMPLE.read_text(), re.MULTILINE)
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)
