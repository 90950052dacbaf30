"""What the user's product events mean: the file `signals.yaml` of EXPANSION_SIGNALS.

Here: its fields, and what each event counts as. Not here: reading events (`sources/analytics/`), features and
scores made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.core.configuration import FileModel, problems_text, read_yaml
from expansion_platform.domain.core.errors import ConfigurationError

KINDS = ("logins", "invites", "gate_hits", "limit_warnings", "integrations", "milestones")
"""What an event can count as; each is a column of analytics/account_usage."""


class _Part(FileModel):
    """A part of the file in which a key without a value, all of whose lines are comments, says nothing."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return content
        return {name: value for name, value in content.items() if value is not None}


class AccountKey(_Part):
    """Where an event names its account. Both empty: the source's own place for it."""

    group: str | None = Field(None, description="Group type, such as company")
    property: str | None = Field(None, description="Event property, such as account_id")

    @model_validator(mode="after")
    def _one(self) -> AccountKey:
        if self.group is not None and self.property is not None:
            raise ValueError("give group or property, not both")
        return self


class Events(_Part):
    """Names of the events that count as each kind."""

    logins: tuple[str, ...] = ()
    invites: tuple[str, ...] = ()
    gate_hits: tuple[str, ...] = ()
    limit_warnings: tuple[str, ...] = ()
    integrations: tuple[str, ...] = ()
    milestones: tuple[str, ...] = ()
    sign_ups: tuple[str, ...] = Field(
        (), description="Events with which a person begins, where the source knows no other"
    )


class HealthWeights(_Part):
    """Weights of the components of health (semantics 6.1); 0 leaves one out."""

    engagement: int = Field(35, ge=0)
    adoption: int = Field(25, ge=0)
    utilisation: int = Field(20, ge=0)
    support: int = Field(20, ge=0)


class ReadinessPoints(_Part):
    """Points of the readiness score (semantics 6.4)."""

    utilisation_high: int = Field(30, description="Utilisation of 80 % and more")
    utilisation_medium: int = Field(15, description="Utilisation of 60 % and more")
    team_growth: int = Field(20, description="Active users grew by 10 % and more in three months")
    higher_tier: int = Field(15, description="A feature of a higher plan was tried or asked for")
    adoption: int = Field(10, description="60 % of the key features and more are used")
    engagement: int = Field(10, description="Engagement rises")
    health: int = Field(10, description="Health of 70 and more")
    tenure: int = Field(5, description="A customer for three months and more")
    past_due: int = Field(-25, le=0, description="A payment is past due")
    contraction: int = Field(-15, le=0, description="Contracted in the last three months")
    detractor: int = Field(-10, le=0, description="Answered NPS with 0 to 6")
    expanded_lately: int = Field(-10, le=0, description="Expanded in the last 60 days")


class SignalDefinition(_Part):
    """What the product's events mean. Every field may be left out."""

    account: AccountKey = AccountKey()
    events: Events = Events()
    feature_property: str | None = Field(
        None, description="Event property that names the feature; without, the event is the feature"
    )
    features: tuple[str, ...] | None = Field(
        None, description="Events, or values of feature_property, that are features; empty for all"
    )
    key_features: tuple[str, ...] = Field((), description="Features whose adoption counts")
    higher_tier_features: Mapping[str, int] = Field({}, description="Feature to the tier rank it needs")
    excluded_events: tuple[str, ...] = Field((), description="Events that are no activity of a person")
    internal_accounts: tuple[str, ...] = Field((), description="Accounts of your own company")
    health: HealthWeights = HealthWeights()
    readiness: ReadinessPoints = ReadinessPoints()
    capacity: int = Field(50, ge=1, description="Candidates that the team can speak to in a month")

    @classmethod
    def from_yaml(cls, path: Path | None) -> SignalDefinition:
        """The definition of a file, with the fields' defaults where there is no file.

        Raises:
            ConfigurationError: names the file and the key path of bad fields.
        """
        content: Any = None if path is None else read_yaml(path)
        try:
            return cls.model_validate({} if content is None else content)
        except ValidationError as error:
            raise ConfigurationError(f"signals {path}: {problems_text(error, cls)}") from error

    @property
    def counted(self) -> list[tuple[str, str]]:
        """(kind, event) of every event that counts as something, sorted."""
        kinds: Mapping[str, Sequence[str]] = self.events.model_dump()
        return sorted((kind, event) for kind, events in kinds.items() for event in set(events))

    @property
    def counting_hash(self) -> str:
        """16 hex digits of what usage is counted by. Another one: stored usage says something else."""
        return content_hash(self.model_dump(mode="json", include=_COUNTING))


_COUNTING = {"account", "events", "feature_property", "features", "excluded_events", "internal_accounts"}
