"""Facts of the relationship with customers, from wherever the user keeps them.

Here: which source a setting names, and what each has. Not here: how one is read (`hubspot.py`,
`salesforce.py`, `zendesk.py`, `sources/user_tables.py`), what was known when (`domain/signals/facts.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from expansion_platform.domain.catalog.tables import CrmActivity, CustomerSignals, Owners, Tickets
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.sources.crm import hubspot, hubspot_tickets, salesforce, salesforce_cases, zendesk
from expansion_platform.sources.crm.collected import Facts
from expansion_platform.sources.crm.fivetran import Schema
from expansion_platform.sources.user_tables import read_given

_FIVETRAN = "fivetran_"
_Read = Callable[[Schema, str | None, ZoneInfo], Facts]

SOURCES: Mapping[str, Mapping[type[Table], _Read]] = {
    "fivetran_hubspot": {
        CrmActivity: hubspot.activity,
        Owners: hubspot.owners,
        Tickets: hubspot_tickets.tickets,
    },
    "fivetran_salesforce": {
        CrmActivity: salesforce.activity,
        Owners: salesforce.owners,
        Tickets: salesforce_cases.tickets,
    },
    "fivetran_zendesk": {Tickets: zendesk.tickets, CustomerSignals: zendesk.satisfaction},
}
"""What is read of a schema that Fivetran wrote, by how a setting names it."""


def read_facts(
    where: str | None,
    model: type[Table],
    warehouse_url: str | None = None,
    link: str | None = None,
    timezone: str = "UTC",
) -> Facts:
    """The facts of one of the user's tables.

    Args:
        where: `fivetran_hubspot:SCHEMA`, `fivetran_salesforce:SCHEMA` or `fivetran_zendesk:SCHEMA` of the
            warehouse, else a file or table as `read_given` takes it; None for no rows.
        model: The table (`FACTS` of `domain/catalog/tables.py`).
        warehouse_url: SQLAlchemy URL of the warehouse.
        link: Column of the CRM's accounts that names the Stripe customer; None for the usual ones.
        timezone: Reporting time zone, in which an instant has its day.

    Raises:
        ConfigurationError: the source does not have such facts, a table, a column or the warehouse is
            missing, or a file has rows that cannot be.
        WarehouseError: the warehouse cannot be read.
        DataQualityError: a column holds what it cannot.
    """
    name, _, schema = (where or "").partition(":")
    if name not in SOURCES:
        if name.startswith(_FIVETRAN):
            raise ConfigurationError(f"{where}: nothing reads {name}; there are {', '.join(SOURCES)}")
        return Facts(read_given(where, model, warehouse_url))
    if warehouse_url is None:
        raise ConfigurationError(f"{where} is in a warehouse: EXPANSION_WAREHOUSE_URL is needed")
    read = SOURCES[name].get(model)
    if read is None:
        others = [other for other, has in SOURCES.items() if model in has]
        instead = f"{', '.join(others)}, " if others else ""
        raise ConfigurationError(
            f"{where} has no {table_name(model)}: give them as {instead}a CSV or a table of the warehouse"
        )
    return read(Schema(warehouse_url, schema.strip(), str(where)), link, ZoneInfo(timezone))
