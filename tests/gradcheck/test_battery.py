"""The short form of the battery: right functions as people write them pass, with mistakes planted they do not.

The long form: nox -s "long(battery='gradcheck/battery')".
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "gradcheck"))
battery = pytest.importorskip("battery", reason="the benchmarks are not here, as in an installed package")

SMALL = {name: right for name, right in battery.BATTERY.items() if right.entries() <= battery.LARGE}
PLANTED = {name: right for name, right in SMALL.items() if right.entries() >= battery.PLANTED_FROM}


def test_the_battery_has_enough_functions_of_all_sizes():
    sizes = [right.entries() for right in battery.BATTERY.values()]
    assert len(sizes) >= 60
    assert min(sizes) <= 1
    assert max(sizes) >= 10**6


@pytest.mark.parametrize("name", SMALL)
def test_a_right_function_passes(name):
    for seed in range(3):
        report = battery.examine(SMALL[name], seed)
        assert report, report


@pytest.mark.parametrize("name", PLANTED)
def test_a_mistake_in_a_large_tensor_does_not_pass(name):
    for number, mistake in enumerate(battery.MISTAKES.values()):
        layer = battery.Mistaken(PLANTED[name].layer, mistake, number)
        assert not battery.examine(PLANTED[name], number, layer, contract=False, entries=1)
