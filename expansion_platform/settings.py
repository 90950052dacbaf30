"""Every environment variable the platform reads, in one class; nothing else reads the environment.

Here: names, defaults and what each is for (docs/settings.md and `.env.example` are made from it). Not here:
anything that uses them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_FACTS = "a CSV, a table of the warehouse, or `fivetran_hubspot:schema` and the like"
_GIVEN = "a CSV, or `warehouse:schema.table` of EXPANSION_WAREHOUSE_URL"


class Settings(BaseSettings):
    """Settings from the environment or a `.env` file beside it; all optional for the demo."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    stripe_api_key: SecretStr | None = Field(
        None, description="Restricted read-only key of the Stripe account (rk_live_...)"
    )
    stripe_api_base: str | None = Field(
        None, description="Another Stripe-compatible server; empty for api.stripe.com"
    )
    stripe_requests_per_second: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Ceiling of requests to Stripe per second; empty for 12, or 8 with a test key",
    )
    expansion_stripe_from: Literal["api", "warehouse"] = Field(
        "api", description="Where Stripe's data is read: `api`, or `warehouse` that has it already"
    )
    expansion_warehouse_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL of that warehouse, such as postgresql+psycopg://..."
    )
    expansion_warehouse_mapping: str | None = Field(
        None,
        description="What is where in it: `fivetran`, `airbyte`, `stripe_data_pipeline`, or a mapping "
        "file of your own (YAML)",
    )
    expansion_warehouse_schema: str | None = Field(
        None, description="Schema of its Stripe tables; empty for the connection's own"
    )
    expansion_stripe_mrr: str | None = Field(
        None,
        description="Stripe's own MRR to compare with: `change_events` of the warehouse, or a CSV of "
        "the dashboard's MRR per subscriber per month",
    )
    expansion_max_unexplained: str = Field(
        "0.005",
        pattern=r"^0(\.\d+)?$",
        description="Largest share of Stripe's MRR that may differ "
        "from ours without a reason before a check warns",
    )
    expansion_data_dir: str = Field(".expansion", description="Folder of the tables and the default ledger")
    expansion_ledger_url: str | None = Field(
        None, description="SQLAlchemy URL of the ledger; default SQLite in the data folder"
    )
    expansion_timezone: str = Field("UTC", description="IANA time zone in which months begin and end")
    expansion_currency: str = Field("usd", pattern="^[a-z]{3}$", description="Reporting currency, lower case")
    expansion_catalog: Path | None = Field(
        None, description="Catalog file (YAML): families, tiers, kinds, migrations, policy"
    )
    expansion_fx_rates: Path | None = Field(
        None, description="CSV of month-end rates (month,currency,rate); empty for the ECB's reference rates"
    )
    expansion_crm_activity: str | None = Field(
        None, description=f"Expansion opportunities and touches logged (customer,date,kind,id): {_FACTS}"
    )
    expansion_crm_link: str | None = Field(
        None,
        description="Column of the CRM's account that holds the Stripe customer; empty for the usual names",
    )
    expansion_owners: str | None = Field(
        None, description=f"Owners of customers (customer,owner,valid_from): {_FACTS}"
    )
    expansion_tickets: str | None = Field(
        None, description=f"Support tickets (customer,id,opened,closed,severity,feature,tier): {_FACTS}"
    )
    expansion_nps: str | None = Field(None, description=f"NPS answers (customer,date,score): {_FACTS}")
    expansion_customer_signals: str | None = Field(
        None,
        description=f"Signals of your own (customer,date,signal,value): {_FACTS}",
    )
    expansion_customer_attributes: str | None = Field(
        None,
        description=f"Attributes of customers to slice by (customer,attribute,value,valid_from): {_GIVEN}",
    )
    expansion_costs: str | None = Field(
        None,
        description="Costs by month, for the expansion CAC ratio "
        f"(month,program_cost,acquisition_cost,currency): {_GIVEN}",
    )
    expansion_assignments: str | None = Field(
        None,
        description="Who is in which arm of a programme of outreach "
        f"(programme,customer,arm,assigned_at,randomised); `expansion holdout` writes it: {_GIVEN}",
    )
    expansion_programmes: str | None = Field(
        None,
        description="Programmes of outreach "
        f"(programme,planned_share,primary_outcome,cost,margin,months_retained): {_GIVEN}",
    )
    expansion_attribute_keys: str = Field(
        "",
        description="Metadata keys of Stripe customers to slice by, comma separated, such as region,industry",
    )
    expansion_initiated_by_key: str = Field(
        "initiated_by",
        min_length=1,
        description="Metadata key of subscriptions and items that says who began a change",
    )
    expansion_first_month: str | None = Field(
        None,
        pattern=r"^\d{4}-(0[1-9]|1[0-2])$",
        description="First month of the tables, YYYY-MM; empty for that of the account's first "
        "subscription. History before it still counts",
    )
    expansion_close_lag_days: int = Field(
        5,
        ge=0,
        le=25,
        description="Days after a month's end at which it closes: its figures are then kept as first "
        "reported, and alerts are decided",
    )
    expansion_processes: int | None = Field(
        None, ge=1, description="Processes that compute customers side by side; empty for one a core"
    )
    expansion_shard_rows: int = Field(
        75_000,
        ge=1,
        description="Item states that a process computes at once; more customers are computed in parts. "
        "75,000 take about 0.6 GB",
    )
    expansion_as_of: str | None = Field(
        None, description="Run as if it were this instant (ISO 8601); empty for now"
    )
    posthog_host: str | None = Field(
        None, description="PostHog address, such as https://us.posthog.com; empty for no product analytics"
    )
    posthog_project_id: str | None = Field(None, description="PostHog project")
    posthog_api_key: SecretStr | None = Field(
        None, description="PostHog personal API key with scope query:read"
    )
    mixpanel_host: str | None = Field(
        None,
        description="Mixpanel's export address by residency: https://data.mixpanel.com, "
        "https://data-eu.mixpanel.com or https://data-in.mixpanel.com",
    )
    mixpanel_project_id: str | None = Field(None, description="Mixpanel project")
    mixpanel_username: str | None = Field(None, description="User of a Mixpanel service account")
    mixpanel_secret: SecretStr | None = Field(None, description="Secret of that service account")
    mixpanel_timezone: str = Field(
        "UTC",
        description="Time zone in which Mixpanel stored `time`: UTC for projects made since 2023, else that "
        "of the project",
    )
    amplitude_host: str | None = Field(
        None,
        description="Amplitude's address by residency: https://amplitude.com or https://analytics.eu.amplitude.com",
    )
    amplitude_api_key: SecretStr | None = Field(None, description="API key of the Amplitude project")
    amplitude_secret_key: SecretStr | None = Field(None, description="Secret key of that project")
    expansion_tracks_mapping: str | None = Field(
        None,
        description="Product events in the warehouse of EXPANSION_WAREHOUSE_URL: `segment`, `rudderstack`, "
        "`snowplow`, or a mapping file of your own (YAML)",
    )
    expansion_tracks_schema: str | None = Field(
        None, description="Schema of its event tables; empty for the connection's own"
    )
    expansion_usage_from: Literal["posthog", "mixpanel", "amplitude", "warehouse"] | None = Field(
        None,
        description="Which of these product usage is read from; empty for the one that is configured",
    )
    expansion_signals: Path | None = Field(
        None,
        description="Signals file (YAML): which product events mean login, invite, gate hit and so on, key "
        "features, points; `expansion signals init` writes a first one",
    )
    expansion_account_map: Path | None = Field(
        None, description="CSV of analytics account to Stripe customer (account,customer)"
    )
    expansion_account_key: str | None = Field(
        None,
        description="Metadata key of Stripe customers that names their analytics account, instead of or "
        "beside the CSV, which wins",
    )
    expansion_alerts: Path | None = Field(
        None,
        description="Alerts file (YAML): targets, smallest shortfall to report; empty for 2 % a month, "
        "the segments' benchmarks and 500.00",
    )
    expansion_alert_urls: SecretStr | None = Field(
        None,
        description="Further channels for alerts: apprise URLs, comma separated, such as "
        "mailto://user:pass@example.com; empty for none",
    )
    slack_webhook_url: SecretStr | None = Field(None, description="Incoming webhook to post alerts to")
    slack_bot_token: SecretStr | None = Field(
        None,
        description="Bot token (chat:write, channels:history; files:write for charts) to post alerts "
        "with, in threads, instead of a webhook",
    )
    slack_channel: str | None = Field(
        None,
        description="Channel for the bot token: its id (C0...), with which a lost answer is found again "
        "and a recovery marked; a name only posts",
    )
    slack_data_channel: str | None = Field(
        None, description="Channel for messages about data that cannot be judged; empty for SLACK_CHANNEL"
    )
    slack_api_base: str | None = Field(
        None, description="Another Slack-compatible server; empty for slack.com"
    )
    expansion_dashboard_url: str | None = Field(
        None, description="Address of your dashboard, for a button in alerts; empty for none"
    )
    expansion_alert_customers: Literal["id", "hash"] = Field(
        "id",
        description="How alerts name customers: by Stripe `id`, or by a `hash` of it; names are not "
        "stored. What has to be mended is named by id",
    )
    dagster_webserver_url: str = Field(
        "http://localhost:3000", description="Address of the Dagster UI, for links in alerts"
    )

    @field_validator("expansion_timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"unknown time zone {value!r}; use an IANA name such as Europe/Berlin"
            ) from error
        return value

    @property
    def data_dir(self) -> Path:
        """The data folder, absolute."""
        return _absolute(self.expansion_data_dir)

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.expansion_ledger_url or f"sqlite:///{self.data_dir / 'ledger.sqlite'}"


class _DataFolder(BaseSettings):
    """EXPANSION_DATA_DIR alone."""

    model_config = Settings.model_config
    expansion_data_dir: str = Settings.model_fields["expansion_data_dir"].default


def data_dir() -> Path:
    """The data folder, absolute, however wrong other settings are.

    Dagster's run history is in it, and the UI has to start and show what is wrong.
    """
    return _absolute(_DataFolder().expansion_data_dir)


def _absolute(folder: str) -> Path:
    return Path(folder).expanduser().resolve()


def setting_problems(error: ValidationError) -> list[str]:
    """Each wrong setting by the name people write, and what is wrong with it.

    Never its value, which may be a key.
    """
    return [f"{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg']}" for problem in error.errors()]
