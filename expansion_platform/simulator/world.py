"""The simulated company as the platform meets it.

Three loopback servers, four where its usage is not asked of PostHog, the files a user would write, and
settings that point at them.

Here: starting all of it and the settings. Not here: the company (`simulator/company/company.py`), the servers
themselves, running the pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from expansion_platform.domain.core import months as calendar
from expansion_platform.settings import Settings
from expansion_platform.simulator.company.company import AS_OF, LAST_MONTH, Company, simulate
from expansion_platform.simulator.company.signals import PREDICTIVE, Signals
from expansion_platform.simulator.servers.faults import Faults, besides
from expansion_platform.simulator.servers.posthog import PostHogServer
from expansion_platform.simulator.servers.slack import SlackServer
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.usage_sources import Analytics, of_posthog, other_source, usage

REQUESTS_PER_SECOND = 100  # the stand-in has no neighbours to be polite to


@dataclass(frozen=True)
class World:
    """A running company: its servers and the settings (as environment variables) that lead to them."""

    company: Company
    stripe: StripeServer
    posthog: PostHogServer
    slack: SlackServer
    environment: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        """The settings the environment stands for, with no `.env` file mixed in."""
        return Settings(_env_file=None, **{name.lower(): value for name, value in self.environment.items()})  # type: ignore[arg-type]  # texts, as from the environment


@contextmanager
def running(
    company: Company,
    *,
    seed: int,
    months: int,
    data_dir: Path,
    as_of: str = AS_OF.isoformat(),
    faults: int | None = None,
    analytics: Analytics = "posthog",
) -> Iterator[World]:
    """Starts the servers and writes the user's files into `data_dir/company`.

    The catalog, the exchange rates, the account map and the CRM's records; of a company with signals all of
    the user's tables, and what its events mean.

    `faults` is the seed of a plan under which the Stripe account is served, None for none. `analytics` is
    whom its usage is asked of (`usage_sources.py`).
    """
    folder = data_dir / "company"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalog.yaml").write_text(yaml.safe_dump(company.catalog, sort_keys=True))
    company.fx_rates.to_csv(folder / "fx_rates.csv", index=False)
    company.account_map.to_csv(folder / "account_map.csv", index=False)
    company.crm_activity.to_csv(folder / "crm_activity.csv", index=False)
    with ExitStack() as stack:
        account = company.account if faults is None else besides(company.account, faults)
        stripe = stack.enter_context(StripeServer(account, faults=None if faults is None else Faults(faults)))
        posthog = stack.enter_context(PostHogServer(partial(usage, company, seed)))
        slack = stack.enter_context(SlackServer())
        environment = {
            "STRIPE_API_KEY": "rk_live_simulated",
            "STRIPE_API_BASE": stripe.url,
            "STRIPE_REQUESTS_PER_SECOND": str(REQUESTS_PER_SECOND),
            "EXPANSION_DATA_DIR": str(data_dir),
            "EXPANSION_CATALOG": str(folder / "catalog.yaml"),
            "EXPANSION_FX_RATES": str(folder / "fx_rates.csv"),
            "EXPANSION_ACCOUNT_MAP": str(folder / "account_map.csv"),
            "EXPANSION_CRM_ACTIVITY": str(folder / "crm_activity.csv"),
            "EXPANSION_FIRST_MONTH": calendar.shift(LAST_MONTH, 1 - months),
            "EXPANSION_CLOSE_LAG_DAYS": "2",  # its newest month ended two days before AS_OF
            "EXPANSION_AS_OF": as_of,
            **(
                of_posthog(posthog)
                if analytics == "posthog"
                else stack.enter_context(other_source(analytics, company, seed, folder))
            ),
            "SLACK_BOT_TOKEN": "xoxb-simulated",
            "SLACK_CHANNEL": "C0EXPANSION",
            "SLACK_API_BASE": slack.api_url,
            **({} if company.signals is None else company.signals.write(folder)),
        }
        yield World(company, stripe, posthog, slack, environment)


@contextmanager
def with_signals(
    data_dir: Path,
    signals: Signals = PREDICTIVE,
    *,
    seed: int = 7,
    customers: int = 100,
    months: int = 8,
    behaviours: frozenset[str] = frozenset(),
    analytics: Analytics = "posthog",
) -> Iterator[World]:
    """A running company with signals, configured whole; `company.signals.truth` is what is true of it."""
    company = simulate(seed, customers, months, behaviours=behaviours, signals=signals)
    with running(company, seed=seed, months=months, data_dir=data_dir, analytics=analytics) as world:
        yield world
