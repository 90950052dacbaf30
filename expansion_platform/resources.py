"""What an asset needs of the world: the settings, the lake, the ledger, the sources, the clock.

Here: one resource that builds each of them when first used, and imports what it is made with only then. Not
here: what they do. The resource has no fields, so no secret can show in the Dagster UI; settings are read
when a run starts, never at import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self

import pandas as pd
import pyarrow.compute as pc

from expansion_platform.domain.catalog import tables as user_tables
from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.hints import from_rows
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.money import exponent
from expansion_platform.domain.core.table import Table, empty, table_name
from expansion_platform.domain.metrics.tables import Rollforward
from expansion_platform.domain.signals.tables import FACT_TABLES
from expansion_platform.domain.stripe.tables import Customers, Prices, Products, Subscriptions
from expansion_platform.settings import Settings
from expansion_platform.storage.lake import ABSENT, Lake

if TYPE_CHECKING:
    from pathlib import Path

    from expansion_platform.alerting.outbox import Notifier
    from expansion_platform.domain.signals.definition import SignalDefinition
    from expansion_platform.engine.executors import Executor
    from expansion_platform.sources.analytics.usage import UsageSource
    from expansion_platform.sources.crm import Facts
    from expansion_platform.sources.stripe.client import StripeSource
    from expansion_platform.sources.stripe.fields import MetadataKeys
    from expansion_platform.sources.warehouse.source import WarehouseSource
    from expansion_platform.storage.ledger import Ledger

NO_ROWS = "no rows"
"""State of a month that was computed and has none."""
PULLED = "stripe"
"""The ledger's cursor of the account: where the last pull ended."""


class Platform:
    """The platform as configured.

    Everything is built on first use, so a missing key fails the step that needs it and no other.
    """

    def __init__(self, settings: Settings | Callable[[], Settings] = Settings) -> None:
        self._settings = settings
        self._catalogs: dict[tuple[object, ...], Catalog] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections this run opened."""
        for name in ("stripe", "usage", "ledger", "executor"):
            if (source := self.__dict__.pop(name, None)) is not None:
                source.close()

    @cached_property
    def settings(self) -> Settings:
        """The settings of this run."""
        return self._settings if isinstance(self._settings, Settings) else self._settings()

    @property
    def as_of(self) -> datetime:
        """The instant to run as if it were: EXPANSION_AS_OF, else now. The only place the clock is read."""
        return as_of(self.settings)

    @property
    def timezone(self) -> str:
        """Reporting time zone."""
        return self.settings.expansion_timezone

    @property
    def newest_closed_month(self) -> str:
        """Latest month that has wholly passed; its figures are first reported later (`closes`)."""
        return months.newest_closed(self.as_of, self.timezone)

    @property
    def first_month(self) -> str:
        """The month the tables begin with.

        EXPANSION_FIRST_MONTH, else that of the account's first subscription, as far as Stripe was read.

        It only ever moves back: months that were computed stay. It is no later than the newest closed month,
        which is the first one of an account that has no subscription, began this month, or was never read.
        """
        if self.settings.expansion_first_month is not None:
            return self.settings.expansion_first_month
        begun = pc.min(
            self.lake.dataset(Subscriptions).to_table(columns=["start_date"])["start_date"]
        ).as_py()
        computed = self.lake.months(Rollforward)  # it has rows of every month that was computed
        return min(
            [
                self.newest_closed_month,
                *computed[:1],
                *([] if begun is None else [months.of(begun, self.timezone)]),
            ]
        )

    @property
    def read_until(self) -> pd.Timestamp | None:
        """When Stripe was last read to the end: everything known is known as of then.

        None before the first pull.
        """
        pulled = self.ledger.pulls.cursor(PULLED)
        return (
            None
            if pulled is None
            else pd.Timestamp(int(pulled["last_pull_at"]), unit="s", tz="UTC").as_unit("us")
        )

    def closes(self, month: str) -> pd.Timestamp:
        """When a month's figures are first reported: EXPANSION_CLOSE_LAG_DAYS after its end."""
        return months.closes(month, self.timezone, self.settings.expansion_close_lag_days)

    def closed(self, wanted: Iterable[str]) -> set[str]:
        """Those of some months past whose close Stripe has been read; the others are provisional."""
        until = self.read_until
        return set() if until is None else {month for month in wanted if until >= self.closes(month)}

    def states(self, model: type[Table]) -> dict[str, str]:
        """`Lake.states` of each month of a monthly table that was computed, by month.

        Those without any row are among them.

        A month whose rows somebody deleted was not computed. Rows count where the ledger knows nothing of
        them: it may have been lost.
        """
        stored, built = self.lake.states(model), self.ledger.builds.of(table_name(model))
        without_rows = {month: NO_ROWS for month, (_, state) in built.items() if state == ABSENT}
        return dict(sorted({**without_rows, **stored}.items()))

    def computed(self, model: type[Table], month: str) -> bool:
        """Whether a month of a table was computed.

        The ledger is asked only of a month without rows: opening it takes 0.3 s of CPU.
        """
        return month in self.lake.months(model) or month in self.months(model)

    def months(self, model: type[Table]) -> list[str]:
        """Months of a monthly table that were computed, sorted.

        `Lake.months` are those of them that have rows.
        """
        return list(self.states(model))

    @property
    def reporting_exponent(self) -> int:
        """Decimal places of the reporting currency."""
        return exponent(self.settings.expansion_currency)

    @cached_property
    def lake(self) -> Lake:
        """The tables."""
        return Lake(self.settings.data_dir / "lake")

    @cached_property
    def executor(self) -> Executor:
        """What runs a task on many shards of customers."""
        from expansion_platform.engine.executors import Local

        return Local(self.settings.expansion_processes)

    @cached_property
    def ledger(self) -> Ledger:
        """The operational ledger."""
        from expansion_platform.storage.ledger import Ledger

        return Ledger(self.settings.ledger_url)

    def catalog(self) -> Catalog:
        """Policy and catalog: the file of EXPANSION_CATALOG, else house policy and an empty catalog.

        Both with the hints in Stripe's metadata. Read again where one of them is another: a refresh asks 22
        times.

        Raises:
            ConfigurationError: the file makes no sense, or is written for another reporting currency.
        """
        path, lake = self.settings.expansion_catalog, self.lake
        content = path.read_bytes() if path is not None and path.is_file() else None
        version = (content, *(lake.version(model) for model in (Products, Prices)))
        if version not in self._catalogs:
            self._catalogs = {version: self._catalog_of(path)}
        return self._catalogs[version]

    def _catalog_of(self, path: Path | None) -> Catalog:
        frames = (self.lake.read(model) for model in (Products, Prices))
        hints = from_rows(
            pair for frame in frames for pair in zip(frame["id"], frame["metadata_json"], strict=True)
        )
        catalog = Catalog.from_dict({}, hints) if path is None else Catalog.from_yaml(path, hints)
        currency = self.settings.expansion_currency
        if "reporting_currency" in catalog.model_fields_set and catalog.reporting_currency != currency:
            raise ConfigurationError(
                f"catalog {path}: reporting_currency is {catalog.reporting_currency}, "
                f"EXPANSION_CURRENCY is {currency}: make them one"
            )
        return catalog.model_copy(update={"reporting_currency": currency})

    @property
    def metadata_keys(self) -> MetadataKeys:
        """The user's names for metadata that is kept of Stripe's objects."""
        from expansion_platform.sources.stripe.fields import MetadataKeys

        account = self.settings.expansion_account_key
        names = {*self.attribute_keys, *([] if account is None else [account])}
        return MetadataKeys(tuple(sorted(names)), self.settings.expansion_initiated_by_key)

    @property
    def attribute_keys(self) -> tuple[str, ...]:
        """Metadata keys of customers to slice by, sorted."""
        named = (name.strip() for name in self.settings.expansion_attribute_keys.split(","))
        return tuple(sorted({name for name in named if name}))

    def given(self, model: type[Table]) -> pd.DataFrame:
        """What the user gives in a table of their own (`catalog/tables.py`), as text.

        No rows where they give none.

        Raises:
            ConfigurationError: it cannot be read, or has rows that cannot be.
        """
        from expansion_platform.sources.user_tables import read_given

        if model in user_tables.FACTS:
            facts = self.facts(model)
            return empty(model) if facts is None else facts.frame
        url = self.settings.expansion_warehouse_url
        return read_given(
            given_at(self.settings, model), model, None if url is None else url.get_secret_value()
        )

    def facts(self, model: type[Table]) -> Facts | None:
        """What the user gives in a table of facts, from a file, their warehouse, or a CRM in it.

        None where they give nothing.

        Raises:
            ConfigurationError: it cannot be read, or has rows that cannot be.
        """
        from expansion_platform.sources.crm import read_facts

        where, url = given_at(self.settings, model), self.settings.expansion_warehouse_url
        if where is None:
            return None
        return read_facts(
            where,
            model,
            None if url is None else url.get_secret_value(),
            self.settings.expansion_crm_link,
            self.timezone,
        )

    @property
    def facts_given(self) -> frozenset[str]:
        """The tables of floor `crm` that the user gives something for."""
        return frozenset(
            table_name(model)
            for given, model in FACT_TABLES.items()
            if given_at(self.settings, given) is not None
        )

    @cached_property
    def stripe(self) -> StripeSource:
        """The Stripe account.

        Raises:
            ConfigurationError: no key is set.
        """
        from expansion_platform.sources.stripe.client import StripeSource

        key = self.settings.stripe_api_key
        if key is None:
            raise ConfigurationError(
                "STRIPE_API_KEY is not set: create a restricted read-only key in Stripe and put it into "
                ".env (docs/connect-stripe.md)"
            )
        return StripeSource(
            key.get_secret_value(),
            self.settings.stripe_api_base,
            self.settings.stripe_requests_per_second,
            self.metadata_keys,
        )

    @property
    def from_warehouse(self) -> bool:
        """Whether Stripe's objects come from a warehouse instead of the API."""
        return self.settings.expansion_stripe_from == "warehouse"

    @cached_property
    def warehouse(self) -> WarehouseSource:
        """The warehouse that has Stripe's data.

        Raises:
            ConfigurationError: its URL or its mapping is not set, or makes no sense.
        """
        from expansion_platform.sources.warehouse.mapping import BUILT_IN, mapping
        from expansion_platform.sources.warehouse.source import WarehouseSource
        from expansion_platform.sources.warehouse.tables import Warehouse

        settings = self.settings
        if settings.expansion_warehouse_url is None or settings.expansion_warehouse_mapping is None:
            raise ConfigurationError(
                "reading from a warehouse needs EXPANSION_WAREHOUSE_URL and EXPANSION_WAREHOUSE_MAPPING "
                f"({', '.join(BUILT_IN)}, or a file; docs/warehouse.md)"
            )
        name = settings.expansion_warehouse_mapping
        tables = Warehouse(
            settings.expansion_warehouse_url.get_secret_value(),
            mapping(name),
            name,
            settings.expansion_warehouse_schema,
        )
        return WarehouseSource(tables, name, self.metadata_keys)

    @cached_property
    def signals(self) -> SignalDefinition:
        """What product events mean: the file of EXPANSION_SIGNALS, else the fields' defaults.

        Raises:
            ConfigurationError: the file makes no sense.
        """
        from expansion_platform.domain.signals.definition import SignalDefinition

        return SignalDefinition.from_yaml(self.settings.expansion_signals)

    @cached_property
    def usage(self) -> UsageSource | None:
        """The source of product usage, None when none is configured.

        Raises:
            ConfigurationError: a setting of it is missing, or several are configured.
        """
        from expansion_platform.sources.analytics.configured import usage_source

        return usage_source(self.settings, self.signals)

    @property
    def counted_by(self) -> str:
        """Hash of whose product events are counted, and as what."""
        from expansion_platform.sources.analytics.configured import counted_by

        return counted_by(self.settings, self.signals)

    def account_map(self) -> pd.DataFrame:
        """Analytics account to Stripe customer, columns account and customer.

        Of EXPANSION_ACCOUNT_MAP and of the metadata key EXPANSION_ACCOUNT_KEY; no rows without either.

        Raises:
            ConfigurationError: the file makes no sense.
        """
        return self._account_map[0]

    @property
    def account_conflicts(self) -> dict[str, list[str]]:
        """Analytics accounts that the metadata of several customers names, with these customers."""
        return self._account_map[1]

    @property
    def _account_map(self) -> tuple[pd.DataFrame, dict[str, list[str]]]:
        from expansion_platform.sources.analytics.accounts import accounts_of_metadata, read_account_map

        path, key = self.settings.expansion_account_map, self.settings.expansion_account_key
        named = accounts_of_metadata([], "")[0] if path is None else read_account_map(path)
        if key is None:
            return named, {}
        customers = self.lake.read(Customers)
        rows = customers.loc[~customers["deleted"], ["id", "metadata_json"]].itertuples(
            index=False, name=None
        )
        others, conflicts = accounts_of_metadata(rows, key, named["account"])
        return pd.concat([named, others], ignore_index=True), conflicts

    @cached_property
    def channels(self) -> list[Notifier]:
        """Where alerts go; empty when no channel is configured."""
        from expansion_platform.alerting.outbox import channels

        return channels(self.settings)


def given_at(settings: Settings, model: type[Table]) -> str | None:
    """Where the user keeps one of their own tables."""
    places = {
        user_tables.CrmActivity: settings.expansion_crm_activity,
        user_tables.Owners: settings.expansion_owners,
        user_tables.Tickets: settings.expansion_tickets,
        user_tables.Nps: settings.expansion_nps,
        user_tables.CustomerSignals: settings.expansion_customer_signals,
        user_tables.CustomerAttributes: settings.expansion_customer_attributes,
        user_tables.Costs: settings.expansion_costs,
        user_tables.Assignments: settings.expansion_assignments,
        user_tables.Programmes: settings.expansion_programmes,
    }
    return places[model]


def as_of(settings: Settings) -> datetime:
    """The instant the settings say to run at.

    Raises:
        ConfigurationError: EXPANSION_AS_OF is not an ISO 8601 instant.
    """
    text = settings.expansion_as_of
    if text is None:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"EXPANSION_AS_OF is not an instant: {text!r}; write it like 2026-11-03T06:00:00+00:00"
        ) from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
