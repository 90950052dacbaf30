"""What can go wrong around the platform, one test for each fault, and what is promised then.

Here: a test for each numbered fault, `test_NN_...`, marked with `@fault(NN, what, promise)`. It injects the
fault for real (a server that answers so, a file cut short, a process that is killed), then compares with
`oracle.py` what one plain run makes of it. Not here: details of a rule or a message (the tests of its room).

`python -m expansion_platform_tests.faults` writes `docs/faults.md` from the marks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

FAULTS = 58
Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
class Fault:
    """One row of the table in `docs/faults.md`."""

    number: int
    what: str
    """What happens, in a few words: "the disk is full"."""
    promise: str
    """What the platform then does, as its user sees it, in one or two plain sentences."""


def fault(number: int, what: str, promise: str) -> Callable[[Test], Test]:
    """Marks the test of a fault; the function's name begins with `test_NN_`."""

    def marked(test: Test) -> Test:
        assert test.__name__.startswith(f"test_{number:02}_"), f"{test.__name__} is not test_{number:02}_..."
        test.fault = Fault(number, what, promise)  # type: ignore[attr-defined]
        return test

    return marked
