from __future__ import annotations

import pytest

from htcl.datasets.frame_jobs import run_jobs
from htcl.errors import InvalidValueError


def halve(number: int) -> float:
    if number == 3:
        raise ValueError("three is bad")
    if number == 4:
        raise InvalidValueError("4.label: no four")
    return number / 2


@pytest.mark.parametrize("processes", [1, 2])
def test_errors_do_not_cost_the_other_jobs(processes: int):
    results = run_jobs(halve, range(6), processes)
    assert [result.value for result in results] == [0, 0.5, 1, None, None, 2.5]
    assert results[3].error == "ValueError: three is bad" and results[3].job == 3
    assert results[4].error == "4.label: no four"
    assert run_jobs(halve, [], processes) == []
