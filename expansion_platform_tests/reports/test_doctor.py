"""What `expansion doctor` finds of a Stripe account before a run does; the rest of it is tested with the
command (`cli/test_main.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.reports.doctor import Finding, examine
from expansion_platform.resources import Platform
from expansion_platform.simulator.servers.http import Request, Response
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.servers.stripe_meters import meter
from expansion_platform.sources.stripe.resources import RESOURCES
from expansion_platform_tests.simulator import stripe_objects as made
from expansion_platform_tests.simulator.stripe_objects import DAY, START
from expansion_platform_tests.sources import pulled

NOW = "2026-01-20T00:00:00+00:00"


@pytest.fixture
def server() -> Iterator[StripeServer]:
    account = made.account()
    account.meters = [meter("mtr_1", "API calls", START)]
    with StripeServer(account) as running:
        yield running


def found(folder: Path, server: StripeServer, key: str = "rk_live_simulated") -> dict[str, Finding]:
    given = pulled.settings(folder, server.url, NOW).model_copy(update={"stripe_api_key": SecretStr(key)})
    with Platform(given) as platform:
        return {each.subject: each for each in examine(platform) if each.subject.startswith("Stripe")}


def test_nothing_is_wrong(server: StripeServer, tmp_path: Path) -> None:
    told = found(tmp_path, server)
    assert all(each.ok for each in told.values())
    assert {f"Stripe {name}" for name in RESOURCES} <= told.keys()


@pytest.mark.parametrize("resource", RESOURCES)
def test_each_list_a_pull_reads_is_asked_for(server: StripeServer, tmp_path: Path, resource: str) -> None:
    """A restricted key that lacks one permission: the list is named with the permission, as an error unless
    an account can be read without it.
    """
    server.missing_permissions = frozenset({resource})
    told = found(tmp_path, server)
    missing = told[f"Stripe {resource}"]
    assert f"give the key Read on '{RESOURCES[resource].permission}' (rak_" in missing.text
    assert missing.ok == (RESOURCES[resource].without is not None)
    if missing.ok:
        assert missing.text.endswith(f"; without it {RESOURCES[resource].without}")
        pulled.pull(tmp_path, server.url, NOW)
    else:
        with pytest.raises(ConfigurationError, match=f"may not read {resource} "):
            pulled.pull(tmp_path, server.url, NOW)


def test_nothing_that_a_pull_reads_is_left_out(server: StripeServer, tmp_path: Path) -> None:
    found(tmp_path, server)
    probed = {request.path for request in server.requests}
    server.requests.clear()
    pulled.pull(tmp_path, server.url, NOW)
    lists = {request.path for request in server.requests if request.path.count("/") == 2}
    # Items need no permission beyond their subscription's.
    assert lists - {"/v1/subscription_items"} <= probed


def test_a_meter_whose_summaries_may_not_be_read(
    server: StripeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = server.answer

    def refusing(request: Request) -> Response:
        answered = whole(request)
        return server.failure(403, "no") if request.path.endswith("/event_summaries") else answered

    monkeypatch.setattr(server, "answer", refusing)
    assert "give the key Read on 'Billing meters'" in found(tmp_path, server)["Stripe billing/meters"].text


@pytest.mark.parametrize(
    ("livemode", "key", "told"),
    [
        (False, "rk_live_simulated", "STRIPE_API_KEY is a live key, and its customers are test data"),
        (True, "rk_test_simulated", "STRIPE_API_KEY is a test key, and its customers are live data"),
        (True, "rk_live_simulated", "live data"),
        (False, "rk_test_simulated", "test data: none of it counts as MRR"),
    ],
)
def test_a_key_of_one_kind_and_data_of_the_other(
    server: StripeServer, tmp_path: Path, livemode: bool, key: str, told: str
) -> None:
    for each in server.account.objects["customers"]:
        each["livemode"] = livemode
    named = found(tmp_path, server, key)["Stripe key"]
    assert named.text.startswith(told)
    assert named.ok == (livemode == key.startswith("rk_live"))


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (
            "2018-11-08",
            "events come in 2018-11-08, the account's own, and objects in 2026-10-28.endive: every "
            "version since 2018 is read",
        ),
        ("2026-10-28.endive", "events come in 2026-10-28.endive, as objects do"),
        (None, "events come in unknown, "),
    ],
)
def test_the_version_events_come_in(
    server: StripeServer, tmp_path: Path, version: str | None, told: str
) -> None:
    newest = made.event(99, "invoice.paid", {"id": "in_1"}, created=START + 10 * DAY)
    server.account.objects["events"].append({**newest, "api_version": version})
    server.account = server.account
    assert found(tmp_path, server)["Stripe API version"].text.startswith(told)


def given_findings(folder: Path, server: StripeServer, **files: str) -> dict[str, Finding]:
    """What is found of the user's own files, after a pull of the account's 35 customers cus_001 to
    cus_035.
    """
    pulled.pull(folder, server.url, NOW)
    places = {name: folder / f"{name}.csv" for name in files}
    for name, place in places.items():
        place.write_text(files[name])
    changed = {f"expansion_{name}": str(place) for name, place in places.items()}
    with Platform(pulled.settings(folder, server.url, NOW).model_copy(update=changed)) as platform:
        return {
            each.subject: each
            for each in examine(platform)
            if each.subject in ("CRM activity", "customer attributes", "costs")
        }


def test_the_users_own_files_are_read_and_their_customers_looked_for(
    server: StripeServer, tmp_path: Path
) -> None:
    told = given_findings(
        tmp_path,
        server,
        crm_activity="customer,date,kind,id\ncus_001,2026-01-05,touch,t1\ncus_x,2026-01-05,touch,t2\ncus_001,2026-01-06,opportunity,o1\n",
        customer_attributes="customer,attribute,value\ncus_002,region,EMEA\n",
        costs="month,program_cost,acquisition_cost,currency\n2025-12,1,2,usd\n2025-10,1,2,usd\n",
    )
    assert all(each.ok for each in told.values())
    assert {name: each.text for name, each in told.items()} == {
        "CRM activity": "3 rows of 2 customers, 1 of them (50.0%) unknown to the account: cus_x",
        "customer attributes": "1 row of 1 customer, 0 of them (0.0%) unknown to the account",
        "costs": "of 2 months, 2025-10 to 2025-12",
    }


def test_files_that_cannot_be_read_are_named_each_with_its_row(server: StripeServer, tmp_path: Path) -> None:
    told = given_findings(
        tmp_path,
        server,
        crm_activity="customer,date,kind,id\ncus_001,5.1.2026,touch,t1\n",
        customer_attributes="customer,attribute,value\ncus_002,plan,pro\n",
        costs="month,program_cost,acquisition_cost,currency\n2025-12,1,2,eur\n",
    )
    assert not any(each.ok for each in told.values())
    assert "crm_activity.csv: line 2: date '5.1.2026' cannot be" in told["CRM activity"].text
    assert "cannot be called plan" in told["customer attributes"].text
    assert "2025-12 are in eur, and the reporting currency is usd" in told["costs"].text


def test_what_is_not_given_is_not_spoken_of(server: StripeServer, tmp_path: Path) -> None:
    assert given_findings(tmp_path, server) == {}


def test_who_began_changes_is_counted_and_what_cannot_be_read_is_named(
    server: StripeServer, tmp_path: Path
) -> None:
    subscriptions = server.account.objects["subscriptions"]
    for held, said in zip(subscriptions, ("sales", "Self-Serve", "the boss"), strict=False):
        held["metadata"] = {"initiated_by": said}
    pulled.pull(tmp_path, server.url, NOW)
    with Platform(pulled.settings(tmp_path, server.url, NOW)) as platform:
        told = {each.subject: each.text for each in examine(platform)}["metadata initiated_by"]
    assert (
        told == "on subscriptions and bills: sales 1, self_serve 1; values that are not understood: the boss"
    )


def test_features_are_named_before_the_first_pull_and_after_it(server: StripeServer, tmp_path: Path) -> None:
    """Before it from one page of each list, so without MRR; a feature that is not used is not named."""
    account = server.account
    price = account.objects["prices"][0]
    price["currency_options"] = {"usd": {"tiers": price["tiers"]}, "eur": {"tiers": price["tiers"]}}
    account.objects["subscriptions"][0]["currency"] = "eur"
    price["recurring"] |= {"usage_type": "metered", "meter": "mtr_1"}
    with Platform(pulled.settings(tmp_path, server.url, NOW)) as platform:
        before = {each.subject: each for each in examine(platform)}
    told = before["prices in several currencies"]
    assert told.ok
    assert told.look
    assert (
        told.text
        == "1 subscription of the newest 100. Exact: each item counts at the amount of its subscription's "
        "currency"
    )
    assert "usage without its meter" not in before
    server.missing_permissions = frozenset({"billing/meters"})
    with Platform(pulled.settings(tmp_path, server.url, NOW)) as platform:
        assert any(
            each.subject == "usage without its meter" and "Approximate: " in each.text
            for each in examine(platform)
        )
    server.missing_permissions = frozenset()
    pulled.pull(tmp_path, server.url, NOW)
    with Platform(pulled.settings(tmp_path, server.url, NOW)) as platform:
        after = {each.subject: each for each in examine(platform)}
    assert after["prices in several currencies"].text.startswith("1 subscription. Exact: ")
