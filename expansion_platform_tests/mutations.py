"""Does the suite notice a changed rule? Flips one rule at a time in a copy of the package and runs the quick
tests of the rules on it.

`python -m expansion_platform_tests.mutations [NAME ...]` (or `make mutants`) prints a line each and ends with
1 if a change survives. A mutant is an exact text of a file that occurs there once; when the text is gone the
check fails, and the mutant is to be written anew. The last line is the unchanged package: what it does not
pass proves nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOMAIN = Path("expansion_platform/domain")
# The worked cases first: they fail at once and say why, where a property would search for the smallest
# example.
FIRST = (
    *("mrr/test_cases", "mrr/test_examples", "core/test_money", "pricing/test_schemes", "mrr/test_valuation"),
    *("pricing/test_discounts", "mrr/test_movements", "history/test_cases"),
)
STAGES = [[f"domain/{name}.py" for name in FIRST], ["domain"], ["conformance"]]


@dataclass(frozen=True)
class Mutant:
    """One changed rule: in `file` of `domain/` the text `old`, which occurs once, becomes `new`."""

    rule: str
    file: str
    old: str
    new: str

    def applied(self, root: Path) -> str:
        """The file's text with the change. LookupError when its text is not there, or there twice."""
        text = (root / DOMAIN / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise LookupError(
                f"{self.rule}: {self.file} has {text.count(self.old)} times, not once: {self.old}"
            )
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Verdict:
    """What the tests said of a mutant: `exit_code` 1 is a failed test; others but 0 mean that they could not
    run.
    """

    exit_code: int
    killer: str
    seconds: float

    @property
    def killed(self) -> bool:
        """True when a test failed, not when the change broke the import."""
        return self.exit_code == 1


MUTANTS = {
    # What counts
    "past-due": Mutant(
        "past_due does not count", "pricing/policy.py", '("active", "past_due"), desc', '("active",), desc'
    ),
    "drafts": Mutant(
        "keep_as_draft does not count", "pricing/policy.py", '("keep_as_draft",), desc', "(), desc"
    ),
    "test-mode": Mutant(
        "test mode counts",
        "mrr/valuation.py",
        "bool(livemode) and status in policy.statuses",
        "status in policy.statuses",
    ),
    "aliases": Mutant(
        "aliases are ignored",
        "catalog/catalog.py",
        "return {customer: _last_alias(customer, value) for customer in value}",
        "return {}",
    ),
    "excluded": Mutant(
        "exclusion list is ignored", "mrr/first_paid.py", "if not catalog.excluded_customers:", "if True:"
    ),
    # What an item is worth
    "half-up": Mutant(
        "half up, not to even",
        "core/money.py",
        "2 * rest == denominator and whole % 2 == 1",
        "2 * rest == denominator",
    ),
    "customer-rounding": Mutant(
        "rounded at the customer",
        "mrr/movements.py",
        '"closing": by_customer(book, book.closing, at_close.mrr)',
        '"closing": (by_customer(book, book.closing, at_close.arr) + 6) // 12',
    ),
    "arr": Mutant(
        "ARR is 12 x rounded MRR",
        "mrr/valuation.py",
        "net.rounded(code, factors, factor, 12)",
        "12 * net.rounded(code, factors, factor)",
    ),
    "flat-at-zero": Mutant(
        "no flat fee at zero (D-2)",
        "pricing/schemes.py",
        "units = _packages(scheme, quantity)\n",
        "units = _packages(scheme, quantity)\n    if not units:\n        return scheme.minimum\n",
    ),
    "tier-border": Mutant(
        "a tier ends before its border", "pricing/schemes.py", "units <= tier.up_to", "units < tier.up_to"
    ),
    "graduated": Mutant(
        "volume tiers are graduated",
        "pricing/schemes.py",
        'graduated=kind == "graduated")',
        "graduated=True)",
    ),
    "packages": Mutant(
        "packages are always rounded up", "pricing/schemes.py", "if scheme.round_up else", "if True else"
    ),
    "minimum": Mutant(
        "minimum commits are ignored",
        "pricing/schemes.py",
        "max(amount, scheme.minimum) if scheme.minimum else amount",
        "amount",
    ),
    "week": Mutant("a year of 52 weeks", "pricing/policy.py", 'Field("84/365"', 'Field("12/52"'),
    "metered-period": Mutant(
        "usage spread over its billing period",
        "pricing/schemes.py",
        "Fraction(1) if metered else lengths",
        "lengths",
    ),
    "exponent": Mutant("ISK without decimals", "core/money.py", '["bif",', '["isk", "bif",'),
    "once": Mutant(
        "once coupons lower monthly plans",
        "pricing/discounts.py",
        "not metered and period >= policy.once_discount_min_months",
        "not metered",
    ),
    "repeating": Mutant(
        "repeating coupons are ignored",
        "pricing/discounts.py",
        "or policy.repeating_discount_counts",
        "or False",
    ),
    "coupon-order": Mutant(
        "coupons from last to first",
        "pricing/discounts.py",
        "for reduction in lowered_by",
        "for reduction in reversed(list(lowered_by))",
    ),
    # Who moved
    "reactivation": Mutant(
        "returning customers are new",
        "mrr/movements.py",
        "[CONTINUING, CHURN, REACTIVATION, NEW]",
        "[CONTINUING, CHURN, NEW, NEW]",
    ),
    "dormant": Mutant(
        "dormant churn is ignored",
        "mrr/movements.py",
        '(totals["closing_chargeable"] > 0)',
        '(totals["closing_chargeable"] < 0)',
    ),
    "segment": Mutant(
        "segment at closing",
        "mrr/customer_rows.py",
        '(totals["opening"] == 0) & (totals["closing"] > 0), totals["closing_arr"]',
        '(totals["closing"] > 0), totals["closing_arr"]',
    ),
    "concessions": Mutant(
        "concessions do not cap",
        "mrr/movements.py",
        "np.minimum(organic_sum, organic_sum + commercial_sum)",
        "organic_sum",
    ),
    "absorbed": Mutant(
        "conceded amounts stay",
        "mrr/movements.py",
        "(organic_sum > 0) & (commercial_sum < 0), organic_sum",
        "False, organic_sum",
    ),
    "gross": Mutant(
        "gross at the item",
        "mrr/movements.py",
        "cells, which = np.unique((customer * groups + group) * len(ORGANIC) + cause, return_inverse=True)",
        "cells, which = (customer * groups + group) * len(ORGANIC) + cause, np.arange(len(cause))",
    ),
    # Which item became which
    "rank": Mutant(
        "paired by id",
        "mrr/matching.py",
        '["mrr", "item"], ascending=[False, True]',
        '["item", "mrr"], ascending=[True, False]',
    ),
    "swap": Mutant(
        "one placed product prevents a swap",
        "mrr/matching.py",
        "~(placed[terms_a] & placed[terms_b])",
        "~(placed[terms_a] | placed[terms_b])",
    ),
    "passes": Mutant(
        "prices do not pair first",
        "mrr/matching.py",
        '(("price", ["price"]), ("product", ["product"]), ("any", []))',
        '(("any", []),)',
    ),
    "held-group": Mutant(
        "more of a held plan is cross-sell",
        "mrr/attribution.py",
        "same_group & metered, same_group,",
        "same_group & metered, same_group & False,",
    ),
    # Why
    "sequential": Mutant(
        "sequential, not Shapley",
        "mrr/causes.py",
        "for steps in _orders(players):",
        "for steps in _orders(players)[:1]:",
    ),
    "settlement": Mutant(
        "settlement drops cents", "core/money.py", "settled[index] += sign", "settled[index] += 0"
    ),
    "settled-last": Mutant(
        "ties go to the later cause",
        "core/money.py",
        "- settled[index]), index))",
        "- settled[index]), -index))",
    ),
    "price": Mutant(
        "price rises are tiers",
        "mrr/causes.py",
        '(a.price, b.price)\n        else "price"',
        '(a.price, b.price)\n        else "tier"',
    ),
    "migrations": Mutant(
        "migrations are ignored",
        "mrr/causes.py",
        "if a.price == b.price or catalog.is_migration(a.price, b.price):",
        "if a.price == b.price:",
    ),
    "ranks": Mutant(
        "ranks are ignored", "mrr/causes.py", "return ranks[0] != ranks[1]", "return a.product != b.product"
    ),
    "plans-customers": Mutant(
        "two customers make a plan", "catalog/plans.py", "FEWEST_BEGINNINGS = 3", "FEWEST_BEGINNINGS = 2"
    ),
    "plans-stretch": Mutant(
        "89 days are side by side", "catalog/plans.py", "pd.Timedelta(days=90)", "pd.Timedelta(days=89)"
    ),
    "plans-year": Mutant(
        "beginnings a day older than a year count",
        "catalog/plans.py",
        "pd.Timedelta(days=365)",
        "pd.Timedelta(days=366)",
    ),
    "plans-later": Mutant(
        "a beginning at the closing instant counts",
        "catalog/plans.py",
        '(rows["at"] < closing)',
        '(rows["at"] <= closing)',
    ),
    "plans-free": Mutant(
        "who comes from a free plan does not begin",
        "catalog/plans.py",
        "with_any if free else with_paid",
        "with_any",
    ),
    "plans-parts": Mutant(
        "parts bought together are plans", "catalog/plans.py", '~first.duplicated("key", keep=False) & ', ""
    ),
    "plans-said": Mutant(
        "inferred plans win over a rank that was said",
        "catalog/plans.py",
        "entry.tier_rank is None)",
        "True)",
    ),
    "units": Mutant(
        "any units compare",
        "mrr/causes.py",
        "comparable = before.entry.unit == after.entry.unit",
        "comparable = True",
    ),
    "addon": Mutant(
        "add-on quantities are seats", "mrr/causes.py", '"addon" if "addon" in', '"seat" if "addon" in'
    ),
    "interval": Mutant(
        "plan and interval are not split",
        "mrr/causes.py",
        'players.get(SCHEDULE) == "tier" and',
        'players.get(SCHEDULE) == "none" and',
    ),
    "corners": Mutant(
        "missing corners are zero",
        "mrr/causes.py",
        "if schedule is None:\n            continue",
        "if schedule is None:\n            values[coalition] = 0\n            continue",
    ),
    "listed": Mutant(
        "the largest list price wins",
        "catalog/catalog.py",
        "key=lambda listed: listed.price, reverse=True",
        "key=lambda listed: listed.price",
    ),
    "discount-period": Mutant(
        "discounts at the other end's period",
        "mrr/causes.py",
        "on(a, schedules[False, False]), on(b, schedules[True, True])",
        "on(a, schedules[True, True]), on(b, schedules[False, False])",
    ),
    "unchanged-discount": Mutant(
        "an unchanged discount keeps its period", "mrr/causes.py", "if not switched:", "if False:"
    ),
    "closing-rates": Mutant(
        "added items at closing rates",
        "mrr/attribution.py",
        "mrr = book.at_open.mrr[terms]",
        "mrr = book.at_close.mrr[terms]",
    ),
    "fx-first": Mutant(
        "pairs at closing rates",
        "mrr/attribution.py",
        "before, after = book.at_open.mrr[terms_a], book.at_open.mrr[terms_b]",
        "before, after = book.at_close.mrr[terms_a], book.at_close.mrr[terms_b]",
    ),
    "currency": Mutant(
        "a currency switch is a repricing",
        "mrr/causes.py",
        'currency:\n        return "fx"',
        'currency:\n        return "price"',
    ),
    "override": Mutant(
        "products override prices",
        "catalog/catalog.py",
        "self.products.get(product),\n            self.products.get(price),",
        "self.products.get(price),\n            self.products.get(product),",
    ),
    "usage-family": Mutant(
        "usage of a held plan is cross-sell",
        "mrr/attribution.py",
        '(kind == "usage") & same_family]',
        '(kind == "usage") & False]',
    ),
    # When
    "boundary": Mutant(
        "a change at midnight is of the month before",
        "mrr/states.py",
        '(states["valid_from"] < instant) & (states["valid_to"].isna()',
        '(states["valid_from"] <= instant) & (states["valid_to"].isna()',
    ),
    "timezone": Mutant("months are UTC's", "core/months.py", "tzinfo=ZoneInfo(timezone)", "tzinfo=UTC"),
    "wish": Mutant(
        "updates that were not paid are made",
        "history/updates.py",
        "if _took_effect(subscription, update, facts):",
        "if True:",
    ),
    "hand": Mutant(
        "what a person gives up within the hour is a pause",
        "history/bills.py",
        "AT_ONCE = 5 * MINUTE",
        "AT_ONCE = 60 * MINUTE",
    ),
    "written-off": Mutant(
        "unpaid from the bill on",
        "history/bills.py",
        "if given_up is None or not failed",
        "if True or not failed",
    ),
    "trial": Mutant(
        "trials are active",
        "history/status.py",
        'subscription.trial_start, "trialing"',
        'subscription.trial_start, "active"',
    ),
    "backdated": Mutant(
        "backdating is ignored",
        "history/changes.py",
        "subscription.start_date,\n        subscription.ended_at",
        "subscription.created,\n        subscription.ended_at",
    ),
    # Figures
    "tenure": Mutant(
        "tenure runs from the month's beginning",
        "mrr/first_paid.py",
        "np.maximum(begins[rows[paying]], openings[at[paying]])",
        "openings[at[paying]]",
    ),
    "imported": Mutant(
        "the tenure of imported customers is known",
        "mrr/customer_slices.py",
        "np.where(imported &",
        "np.where(False & imported &",
    ),
    "dormant-logos": Mutant(
        "dormant customers are lost logos",
        "metrics/slice_sums.sql",
        "where flow_churn < 0 and not dormant) as",
        "where flow_churn < 0) as",
    ),
    "continuous": Mutant(
        "who came back was never lost", "metrics/windows.py", "np.where(interrupted, 0, retained)", "retained"
    ),
    "few-first": Mutant(
        "an open window hides few customers",
        "metrics/rows.py",
        "if members < LOW_MEMBERS or",
        "if complete and members < LOW_MEMBERS or",
    ),
    "cost-edge": Mutant(
        "a third is too much",
        "metrics/benchmarks.py",
        "ratio > Fraction(edge) if",
        "ratio >= Fraction(edge) if",
    ),
    "effective": Mutant(
        "weighted customers count as many",
        "metrics/expansion_then_churn.py",
        "size = Fraction(whole**2, int(our_squares.sum()))",
        "size = Fraction(int((ours > 0).sum()))",
    ),
    # What became of closed months
    "late-usage": Mutant(
        "late usage is any late fact",
        "metrics/restatements.py",
        '"late_usage": usage &',
        '"late_usage": states &',
    ),
    "merge": Mutant(
        "a merge is a change of catalog",
        "metrics/restatements.py",
        '"merge": self.merged',
        '"merge": self.made_later',
    ),
    "restated": Mutant(
        "five percent may be restated",
        "alerts/gate.py",
        "RESTATED = Fraction(5, 1000)",
        "RESTATED = Fraction(50, 1000)",
    ),
    "metered": Mutant(
        "a quarter of the metered items is enough", "alerts/gate.py", "now < usual / 2", "now < usual / 4"
    ),
    # Alerts
    "quarter": Mutant(
        "a drop is a fifth", "alerts/rules.py", "DROP = Fraction(3, 4)", "DROP = Fraction(4, 5)"
    ),
    "members": Mutant(
        "slices of 29 are judged", "alerts/rules.py", "SLICE_MEMBERS = 30", "SLICE_MEMBERS = 29"
    ),
    "nearly-all": Mutant(
        "a model of 90 % is the total",
        "alerts/rules.py",
        "NEARLY_ALL = Fraction(95, 100)",
        "NEARLY_ALL = Fraction(90, 100)",
    ),
    "two-months": Mutant(
        "one month below target is enough",
        "alerts/rules.py",
        "now.rate < target and twice and",
        "now.rate < target and",
    ),
    "nobody": Mutant(
        "nobody expanding bounds the rate by nothing",
        "core/statistics.py",
        "return float(usual * Fraction(",
        "return 0 * float(usual * Fraction(",
    ),
    "holm": Mutant(
        "every p-value is multiplied by all",
        "core/statistics.py",
        "(len(p_values) - position)",
        "len(p_values)",
    ),
    "family": Mutant(
        "Holm's correction is over slices only",
        "alerts/rules.py",
        "statistics.holm([drop.p for *_, drop in judged] + nets)",
        "statistics.holm([drop.p for *_, drop in judged]) + statistics.holm(nets)",
    ),
    "silent": Mutant(
        "half of the shortfall is silent",
        "alerts/lifecycle.py",
        "SLICE_SHARE = Fraction(3, 10)",
        "SLICE_SHARE = Fraction(5, 10)",
    ),
    "recovers": Mutant(
        "it is over where it fired",
        "alerts/lifecycle.py",
        "clear_months = before.clear_months + 1 if clear else 0",
        "clear_months = 2",
    ),
    # The open month
    "fifteenth": Mutant(
        "notices begin on the 15th", "metrics/pace.py", "NOTICE_AFTER_DAY = 15", "NOTICE_AFTER_DAY = 14"
    ),
    "pending": Mutant(
        "usage so far is usage",
        "metrics/pace.py",
        'if usage_type == "metered" else quantity',
        'if usage_type == "" else quantity',
    ),
    "two-paces": Mutant(
        "two months are a pace", "metrics/pace.py", "LEAST_COMPARED = 3", "LEAST_COMPARED = 2"
    ),
    "slowest": Mutant(
        "the lower quartile is due",
        "metrics/pace.py",
        'due = quantile(shares, SHARES["share_p10"])',
        'due = quantile(shares, SHARES["share_lower"])',
    ),
    "crossed": Mutant(
        "who crossed over stays in the opening", "metrics/pace.py", ' + int(before["transfer_in"])', ""
    ),
}


def check(mutant: Mutant | None, folder: Path, package: Path = ROOT) -> Verdict:
    """Runs the tests on a copy of the package in `folder`, changed by the mutant; None leaves it as it is."""
    copied(package, folder)
    if mutant is not None:
        (folder / DOMAIN / mutant.file).write_text(mutant.applied(folder), encoding="utf-8")
    options = [
        "-x",
        "-q",
        "-m",
        "not slow",
        "--noconftest",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "--hypothesis-seed=0",
    ]
    started = time.monotonic()
    for stage in STAGES:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                *options,
                *(f"expansion_platform_tests/{name}" for name in stage),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            break
    failed = re.search(r"^(?:FAILED|ERROR) expansion_platform_tests/(\S+)", done.stdout, re.MULTILINE)
    return Verdict(done.returncode, failed[1] if failed else "", time.monotonic() - started)


def copied(package: Path, folder: Path) -> None:
    """Copies what the tests need, without what they leave behind."""
    for name in ("expansion_platform", "expansion_platform_tests"):
        shutil.copytree(
            package / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis")
        )
    shutil.copy(package / "pyproject.toml", folder)


def main(names: list[str]) -> int:
    """Checks the named mutants, or all, and the unchanged package; prints a line each and returns the exit
    code.
    """
    chosen: dict[str, Mutant | None] = {
        **{name: MUTANTS[name] for name in names or MUTANTS},
        "unchanged": None,
    }
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        package = Path(scratch) / "package"
        # Once, so that all mutants are of one state of the code whatever is edited meanwhile.
        copied(ROOT, package)
        for mutant in MUTANTS.values():
            mutant.applied(package)
        wrong = []
        for name, verdict in zip(
            chosen,
            pool.map(lambda name: check(chosen[name], Path(scratch) / name, package), chosen),
            strict=True,
        ):
            mutant = chosen[name]
            result = {
                0: "passes" if mutant is None else "SURVIVES",
                1: "FAILS" if mutant is None else "killed",
            }.get(verdict.exit_code, "BROKEN")
            rule = "" if mutant is None else mutant.rule
            print(f"{result:<9}{name:<20}{rule:<44}{verdict.seconds:>4.0f} s  {verdict.killer}", flush=True)
            wrong += [] if result in ("passes", "killed") else [name]
    print(
        f"{len(chosen) - 1} changed rules; "
        + (f"not noticed or not checked: {', '.join(wrong)}" if wrong else "each is noticed by a test")
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
