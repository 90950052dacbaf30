"""Errors a user meets, each naming the objects it is about.

Here: the package's exception types. Not here: how they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable


class ExpansionError(Exception):
    """Base of every error this package raises on purpose; its text is for people."""


class DataQualityError(ExpansionError):
    """Input that cannot be counted as it is: it stops the affected month instead of being read as zero.

    `objects` holds the ids that it is about (all of them; the text shows the first ten).
    """

    def __init__(self, problem: str, objects: Iterable[str] = ()) -> None:
        self.problem = problem
        self.objects = [str(item) for item in objects]
        shown = ", ".join(self.objects[:10])
        more = f" and {len(self.objects) - 10} more" if len(self.objects) > 10 else ""
        super().__init__(f"{problem}: {shown}{more}" if shown else problem)


class ConfigurationError(ExpansionError):
    """A setting, catalog or policy file that does not make sense.

    The text says which and what to write instead.
    """


class UndeclaredReadError(ExpansionError):
    """A rule reads what its declaration does not name.

    A mistake in this package, or in a rule of the user's.
    """
