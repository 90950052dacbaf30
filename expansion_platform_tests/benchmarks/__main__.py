"""`python -m expansion_platform_tests.benchmarks month`: makes its data, measures, prints one table."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from expansion_platform_tests.benchmarks import history, month, mrr, pull, range, refresh, signals

BENCHMARKS = {
    "history": (history, 5_000),
    "month": (month, 1_000_000),
    "mrr": (mrr, 100_000),
    "pull": (pull, None),
    "range": (range, 100_000),
    "refresh": (refresh, 500),
    "signals": (signals, 100_000),
}


def main() -> None:
    """Runs the named benchmarks, or one stage of one in this process (`--stage`), whose result it prints as
    JSON.
    """
    parser = argparse.ArgumentParser(
        prog="python -m expansion_platform_tests.benchmarks", description=__doc__
    )
    parser.add_argument("names", nargs="+", choices=BENCHMARKS)
    parser.add_argument("--customers", type=int)
    parser.add_argument("--stage")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    for name in asked.names:
        benchmark, size = BENCHMARKS[name]
        customers = asked.customers or size
        if asked.stage:
            print(json.dumps(benchmark.stage(asked.stage, asked.folder, customers)))
            continue
        with tempfile.TemporaryDirectory(prefix="expansion-benchmark-") as folder:
            benchmark.run(customers, Path(folder))


if __name__ == "__main__":
    main()
