"""Which Stripe customers an account of a CRM is, as a column of the account says.

Here: finding the column, reading it, and customers that two accounts claim. Not here: guessing by name or
mail domain: an account without a customer stays without one and is counted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.sources.crm.fivetran import Schema, text

LINK_SETTING = "EXPANSION_CRM_LINK"
_CUSTOMER = re.compile(r"cus_[A-Za-z0-9_]+")
_BETWEEN = re.compile(r"[\s,;]+")


@dataclass(frozen=True)
class Conflict:
    """A customer that several accounts name: none of their facts is taken for it."""

    customer: str
    accounts: tuple[str, ...]


@dataclass(frozen=True)
class Accounts:
    """Customers by account, in the order in which the account names them."""

    there: Set[str]
    """Every account that is not deleted."""
    customers: Mapping[str, tuple[str, ...]]
    conflicts: tuple[Conflict, ...]
    column: str
    unreadable: int
    """Accounts whose column holds something else than ids of customers."""

    def of(self, accounts: Iterable[str | None]) -> tuple[str, ...]:
        """The customers of some accounts, each once."""
        found = (self.customers.get(account or "", ()) for account in accounts)
        return tuple(dict.fromkeys(customer for each in found for customer in each))


def accounts_of(schema: Schema, table: str, key: str, link: str | None, usual: Sequence[str]) -> Accounts:
    """The accounts of a table.

    Args:
        schema: Where it is.
        table: Its name.
        key: Its column of the account's id.
        link: The column that names the customer; None for the usual one.
        usual: What it is usually called, the likeliest first. A longer name that ends so will do, too, as one
            with the prefix of an app.

    Raises:
        ConfigurationError: there is no such column, or several could be it.
    """
    column = link or _usual(schema, table, usual)
    named: dict[str, tuple[str, ...]] = {}
    there: set[str] = set()
    unreadable = 0
    for row in schema.rows(table, {"id": key, "link": column}):
        account, written = text(row["id"]), text(row["link"])
        if account is not None:
            there.add(account)
        if account is not None and written is not None:
            customers = [each for each in _BETWEEN.split(written) if _CUSTOMER.fullmatch(each)]
            unreadable += not customers
            named[account] = tuple(dict.fromkeys(customers))
    claimed: dict[str, list[str]] = defaultdict(list)
    for account, customers_of in named.items():
        for customer in customers_of:
            claimed[customer].append(account)
    conflicts = {customer: sorted(by, key=in_order) for customer, by in claimed.items() if len(by) > 1}
    return Accounts(
        there,
        {
            account: tuple(each for each in customers_of if each not in conflicts)
            for account, customers_of in named.items()
        },
        tuple(Conflict(customer, tuple(by)) for customer, by in sorted(conflicts.items())),
        column,
        unreadable,
    )


def in_order(identity: str) -> tuple[int, str]:
    """Sorts ids that are numbers as numbers."""
    return (int(identity), "") if identity.isdecimal() else (0, identity)


def _usual(schema: Schema, table: str, usual: Sequence[str]) -> str:
    there = schema.columns(table)
    for name in usual:
        plain = name.replace("_", "")
        same = [each for each in there if each.replace("_", "").lower().endswith(plain)]
        exact = [each for each in same if each.replace("_", "").lower() == plain]
        found = exact or same
        if len(found) > 1:
            raise ConfigurationError(
                f"{schema.where}: columns {' and '.join(sorted(found))} of {table} could each name the "
                f"Stripe customer: write the right one into {LINK_SETTING}"
            )
        if found:
            return found[0]
    raise ConfigurationError(
        f"{schema.where}: no column of {table} names the Stripe customer (looked for {', '.join(usual)}): "
        f"write its name into {LINK_SETTING}. A formula field is not synced by Fivetran"
    )
