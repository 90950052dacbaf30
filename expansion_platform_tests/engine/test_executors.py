"""The local executor: here for one item, in processes of their own for several, and what happens when one of
them ends.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from expansion_platform.domain.core.errors import DataQualityError, ExpansionError
from expansion_platform.engine.executors import Local


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    local = Local(2)
    yield local
    local.close()


def process(_: int) -> int:
    return os.getpid()


def failure(number: int) -> DataQualityError:
    return DataQualityError("no rate", [f"eur {number}"])


def ended(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_one_item_stays_here(local: Local) -> None:
    assert list(local.map(process, [1])) == [os.getpid()]
    assert list(Local(1).map(process, [1, 2])) == [os.getpid()] * 2


def test_several_go_elsewhere_and_come_back_in_order(local: Local) -> None:
    assert os.getpid() not in list(local.map(process, range(4)))
    assert [error.objects for error in local.map(failure, range(4))] == [
        [f"eur {number}"] for number in range(4)
    ]
    assert {str(error) for error in local.map(failure, [7, 7])} == {"no rate: eur 7"}


def test_a_process_that_is_ended_is_an_error_and_the_next_run_works(local: Local) -> None:
    with pytest.raises(
        ExpansionError,
        match=r"a process that computed a part of the customers was ended from outside.*EXPANSION_SHARD_ROWS",
    ):
        list(local.map(ended, range(3)))
    assert len(set(local.map(process, range(4)))) >= 1
