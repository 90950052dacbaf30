"""The smallest effects that are found: by simulation at the size named, and in the edges."""

from __future__ import annotations

import numpy as np
import pytest

from expansion_platform.domain.signals.programmes.detectable import detectable_amount, detectable_share
from expansion_platform.domain.signals.programmes.intervals import share_difference


@pytest.mark.parametrize(("treated", "control"), [(200, 200), (360, 40), (2000, 2000)])
def test_four_of_five_programmes_find_it(treated: int, control: int) -> None:
    rise = detectable_share(0.1, treated, control)
    assert rise is not None
    rng = np.random.default_rng(3)
    one, other = rng.binomial(treated, 0.1 + rise, 2000), rng.binomial(control, 0.1, 2000)
    found = np.mean(
        [
            share_difference((int(a), int(b)), (treated, control)).shown
            for a, b in zip(one, other, strict=True)
        ]
    )
    assert found == pytest.approx(0.8, abs=0.05)


def test_by_hand_with_equal_spread() -> None:
    """2.801585 standard errors of a difference: 1000 * sqrt(1/200 + 1/200) = 100."""
    assert detectable_amount(1000.0, 200, 200) == pytest.approx(280.1585, abs=1e-4)


def test_what_cannot_be_said() -> None:
    assert detectable_share(0.1, 10, 0) is None
    assert detectable_share(0.95, 3, 3) is None
    assert detectable_amount(0.0, 10, 10) is None
    assert detectable_amount(5.0, 0, 10) is None


def test_more_customers_find_less() -> None:
    sizes = [detectable_share(0.1, 9 * each, each) for each in (20, 40, 80, 160)]
    assert all(each is not None for each in sizes)
    assert sizes == sorted(sizes, key=lambda each: -(each or 0))
