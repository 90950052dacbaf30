"""Is the account the key reads the one whose tables are stored?

Here: what identifies the account, and the refusal to mix two. Not here: pulling (`pulling.py`), `expansion
doctor` (`reports/doctor.py`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.tables import TABLES
from expansion_platform.resources import PULLED, Platform
from expansion_platform.sources.stripe.client import StripeSource

CURSOR = PULLED
"""The ledger's cursor of the account: where the last pull ended, and which server it read."""
UNDER_WAY = "stripe, under way"
"""The cursor of a pull that has stored something and has not ended yet: history is not made of what
it left.
"""


def server(platform: Platform) -> str:
    """What identifies where the account is read from.

    The API's host name, or the warehouse and its mapping.
    """
    if platform.from_warehouse:
        return platform.warehouse.server
    return urlsplit(platform.settings.stripe_api_base or "https://api.stripe.com").hostname or ""


def check_same_account(platform: Platform, source: StripeSource | None) -> str:
    """What the stored tables are.

    ConfigurationError when they cannot be of what is read now: the account of a key, or (None) a warehouse.
    """
    stored = platform.ledger.pulls.cursor(CURSOR) or platform.ledger.pulls.cursor(UNDER_WAY)
    folder = platform.settings.data_dir
    if stored is not None and stored.get("server", server(platform)) != server(platform):
        raise ConfigurationError(
            f"the tables in {folder} come from {stored['server']}, not from {server(platform)}: the two "
            "are never mixed. Set EXPANSION_DATA_DIR to a folder of its own, or run `make clean` if "
            "they are the demo's"
        )
    kept = stored_livemode(platform)
    if kept is not None and source is not None and source.livemode is not None and kept != source.livemode:
        raise ConfigurationError(
            f"the tables in {folder} hold {_kind(kept)} data, and STRIPE_API_KEY is a "
            f"{_kind(source.livemode)} key: set EXPANSION_DATA_DIR to a folder of its own, or use the "
            "other key"
        )
    if kept is None:
        return (
            "nothing pulled yet" if stored is None else f"{server(platform)} had no objects when it was read"
        )
    return f"{_kind(kept)} data of {server(platform)}"


def check_key_kind(source: StripeSource) -> str:
    """What the key reads, by its newest customer. ConfigurationError when its prefix says otherwise."""
    newest = source.newest("customers")
    if newest is None:
        return "no customers yet"
    found = bool(newest["livemode"])
    if source.livemode is not None and source.livemode != found:
        raise ConfigurationError(
            f"STRIPE_API_KEY is a {_kind(source.livemode)} key, and its customers are {_kind(found)} "
            "data: see STRIPE_API_BASE and the key"
        )
    return f"{_kind(found)} data" + ("" if found else ": none of it counts as MRR")


def stored_livemode(platform: Platform) -> bool | None:
    """Whether the stored objects are live data, None when none is stored."""
    for name, model in TABLES.items():
        if name.startswith("stripe/") and len(first := platform.lake.head(model, 1)):
            return bool(first["livemode"].iloc[0])
    return None


def _kind(livemode: bool) -> str:
    return "live" if livemode else "test"
