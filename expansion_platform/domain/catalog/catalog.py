"""The catalog of products, versioned by the hash of its content (semantics 3.1, 8.1).

Here: what it may say, and looking a price up. Not here: the counting policy in it (`pricing/policy.py`), the
file's text (`core/configuration.py`), exchange rates, which are data, and any amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from expansion_platform.domain.catalog.hints import HIGHEST_RANK, followed
from expansion_platform.domain.core.canonical import content_hash, dumps
from expansion_platform.domain.core.configuration import FileModel, only_known, problems_text, read_yaml
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform.domain.pricing.schemes import parse_scheme
from expansion_platform.domain.stripe.vocabulary import INTERVALS


class CatalogEntry(FileModel):
    """What the catalog says of one price or product id; None is silence."""

    family: str | None = Field(
        None, min_length=1, description="Products that are tiers of one another share it"
    )
    tier_rank: int | None = Field(
        None, ge=-HIGHEST_RANK, le=HIGHEST_RANK, description="Higher is a higher plan"
    )
    kind: Literal["base", "addon", "usage"] | None = None
    unit: str | None = Field(None, min_length=1, description="What a quantity counts: seat, flat, or a meter")
    meter: str | None = Field(None, min_length=1, description="Meter of usage prices")
    group: str | None = Field(
        None, min_length=1, description="Match group, where the rule of semantics 3.1 is not wanted"
    )
    included: int | None = Field(
        None, ge=0, description="Units that the price includes, such as 10000 calls a month (semantics 6.6)"
    )


class ListPrice(FileModel):
    """A published price of a product.

    It distinguishes a plan change from an interval change (semantics 3.3).
    """

    price: str
    product: str
    currency: str = Field(pattern="^[a-z]{3}$")
    interval: str = "month"
    interval_count: int = Field(1, ge=1)
    scheme: dict[str, Any]

    @field_validator("interval")
    @classmethod
    def _known_interval(cls, value: str) -> str:
        return only_known((value,), INTERVALS, "interval")[0]

    @model_validator(mode="after")
    def _priceable(self) -> ListPrice:
        parse_scheme(self.scheme_json)
        return self

    @property
    def scheme_json(self) -> str:
        """Its scheme as canonical JSON text."""
        try:
            return dumps(self.scheme)
        except TypeError as error:
            raise ValueError(f"scheme of list price {self.price}: {error}") from error


@dataclass(frozen=True)
class Entry:
    """What is taken to be true of a price: the catalog's word, else metadata, else inference.

    See semantics 3.1.
    """

    family: str
    tier_rank: int | None
    kind: str
    unit: str
    group: str
    placed: bool
    """The family was said (catalog or metadata), not inferred."""
    inferred: bool
    """The catalog says nothing of the price or its product."""


class Catalog(FileModel):
    """Products as tiers, add-ons and usage; declared migrations; merged, earlier and excluded customers.

    Policy and currency (semantics 8.1).

    `metadata` is Stripe's own metadata by price or product id, the first source of inference when `products`
    is silent.
    """

    reporting_currency: str = Field("usd", pattern="^[a-z]{3}$")
    products: dict[str, CatalogEntry] = Field(default_factory=dict, description="By price or product id")
    list_prices: tuple[ListPrice, ...] = ()
    migrations: tuple[tuple[str, str], ...] = Field(
        (), description="Unordered price pairs that are the vendor's repricings"
    )
    aliases: dict[str, str] = Field(
        default_factory=dict, description="Customer id to the customer it was merged into"
    )
    ever_paid: tuple[str, ...] = Field(
        (), description="Customers that paid before the history Stripe holds: their return is a reactivation"
    )
    excluded_customers: tuple[str, ...] = Field(
        (), description="Internal and demo customers, left out of all history (section 7, case 30)"
    )
    policy: Policy = Field(default_factory=Policy)
    metadata: dict[str, dict[str, str]] = Field(default_factory=dict)

    @field_validator("products", mode="before")
    @classmethod
    def _named_entries(cls, value: Any) -> Any:
        return (
            {identity: {} if said is None else said for identity, said in value.items()}
            if isinstance(value, dict)
            else value
        )

    @field_validator("products")
    @classmethod
    def _speaking_entries(cls, value: dict[str, CatalogEntry]) -> dict[str, CatalogEntry]:
        """An id with nothing under it is silence, as in the file `expansion catalog init` writes."""
        return {identity: entry for identity, entry in value.items() if entry.model_dump(exclude_none=True)}

    @field_validator("aliases")
    @classmethod
    def _resolved_aliases(cls, value: dict[str, str]) -> dict[str, str]:
        return {customer: _last_alias(customer, value) for customer in value}

    @classmethod
    def from_dict(
        cls, content: Mapping[str, Any], metadata: Mapping[str, Mapping[str, str]] | None = None
    ) -> Catalog:
        """A catalog from the dict of semantics 8.1, whose `fx`, being data, is left out.

        ConfigurationError names the key path of bad fields.
        """
        try:
            return cls._read(content, metadata or {})
        except ConfigurationError as error:
            raise ConfigurationError(f"catalog: {error}") from error

    @classmethod
    def from_yaml(cls, path: Path, metadata: Mapping[str, Mapping[str, str]] | None = None) -> Catalog:
        """A catalog from a YAML file with the fields of semantics 8.1 but `fx`.

        ConfigurationError names the file and the key path.
        """
        content = read_yaml(path)
        try:
            if isinstance(content, dict) and "fx" in content:
                raise ConfigurationError("fx is data, not catalog; rates come from EXPANSION_FX_RATES")
            return cls._read({} if content is None else content, metadata or {})
        except ConfigurationError as error:
            raise ConfigurationError(f"catalog {path}: {error}") from error

    @classmethod
    def _read(cls, content: Mapping[str, Any], metadata: Mapping[str, Mapping[str, str]]) -> Catalog:
        if not isinstance(content, Mapping):
            raise ConfigurationError("not a mapping; begin with `products:`")
        known = {name: value for name, value in content.items() if name != "fx" and value is not None}
        hints = {
            identity: {name: text for name, text in said.items() if name in CatalogEntry.model_fields}
            for identity, said in metadata.items()
        }
        try:
            return cls.model_validate(
                {"metadata": {identity: said for identity, said in hints.items() if said}, **known}
            )
        except ValidationError as error:
            raise ConfigurationError(problems_text(error, cls)) from error

    @property
    def policy_hash(self) -> str:
        """Hash of the policy alone."""
        return self.policy.policy_hash

    @property
    def catalog_hash(self) -> str:
        """16 hex digits of everything but the policy.

        The order of lists, and within a migration pair, does not matter.
        """
        return content_hash(
            {
                "reporting_currency": self.reporting_currency,
                "products": {
                    identity: entry.model_dump(exclude_none=True) for identity, entry in self.products.items()
                },
                "list_prices": sorted(dumps(price.model_dump()) for price in self.list_prices),
                "migrations": sorted({tuple(sorted(pair)) for pair in self.migrations}),
                "aliases": self.aliases,
                "ever_paid": sorted(set(self.ever_paid)),
                "excluded_customers": sorted(set(self.excluded_customers)),
                "metadata": self.metadata,
            }
        )

    def customer(self, identity: str) -> str:
        """The customer after aliases."""
        return self.aliases.get(identity, identity)

    def merged_into(self, identity: str) -> list[str]:
        """Every id of a customer: its own and those of customers merged into it."""
        return [identity, *(other for other, into in self.aliases.items() if into == identity != other)]

    def excludes(self, identity: str) -> bool:
        """Whether a customer, under its own id or the one it was merged into, is on the exclusion list."""
        return not self._excluded.isdisjoint((identity, self.customer(identity)))

    def is_migration(self, price_a: str, price_b: str) -> bool:
        """Whether the pair, in either order, is a declared repricing."""
        return (price_a, price_b) in self._migration_pairs

    def list_price(self, product: str, currency: str, interval: str, interval_count: int) -> ListPrice | None:
        """The list price of a product for a billing interval; the smallest price id on a tie."""
        return self._list_prices.get((product, currency, interval, interval_count))

    def hint(self, identity: str) -> CatalogEntry | None:
        """What Stripe's metadata says of a price or product (`hints.py`).

        None when nothing that makes sense.
        """
        said = followed(self.metadata.get(identity, {}))
        return CatalogEntry.model_validate(said) if said else None

    def entry(self, price: str, product: str, usage_type: str) -> Entry:
        """Price over product over metadata over inference, field by field."""
        metered = usage_type == "metered"
        said: dict[str, Any] = {}
        for source in (
            self.hint(product),
            self.hint(price),
            self.products.get(product),
            self.products.get(price),
        ):
            said.update({} if source is None else source.model_dump(exclude_none=True))
        kind = said.get("kind", "usage" if metered else "base")
        meter = said.get("meter", product)
        family = said.get("family", product)
        unit = said.get("unit", "meter" if metered else "flat" if kind == "addon" else "seat")
        unit = f"usage:{meter}" if unit == "meter" else unit
        group = said.get("group", {"base": family, "addon": product, "usage": meter}[kind])
        inferred = price not in self.products and product not in self.products
        return Entry(family, said.get("tier_rank"), kind, unit, group, "family" in said, inferred)

    @cached_property
    def paid_before(self) -> frozenset[str]:
        """The customers of `ever_paid`, after aliases."""
        return frozenset(map(self.customer, self.ever_paid))

    @cached_property
    def _excluded(self) -> frozenset[str]:
        return frozenset(self.excluded_customers)

    @cached_property
    def _migration_pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset(self.migrations) | {(b, a) for a, b in self.migrations}

    @cached_property
    def _list_prices(self) -> dict[tuple[str, str, str, int], ListPrice]:
        ordered = sorted(self.list_prices, key=lambda listed: listed.price, reverse=True)
        return {
            (listed.product, listed.currency, listed.interval, listed.interval_count): listed
            for listed in ordered
        }


def _last_alias(customer: str, aliases: Mapping[str, str]) -> str:
    seen = [customer]
    while seen[-1] in aliases and aliases[seen[-1]] != seen[-1]:
        seen.append(aliases[seen[-1]])
        if seen[-1] in seen[:-1]:
            raise ValueError(f"aliases go round in a circle: {' -> '.join(seen)}")
    return seen[-1]
