"""Interleaved timing, and summaries of repeated measurements."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import strict_array

from scratchnet.backend import CPU
from scratchnet.bench import timing
from scratchnet.bench.timing import Spread, in_turns, now, ratio


def test_a_spread_is_the_median_and_the_ends():
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0)


def test_a_ratio_is_ours_over_theirs_round_by_round():
    assert ratio([1.0, 2.0, 6.0], [2.0, 2.0, 2.0]) == Spread(1.0, 0.5, 3.0)
    with pytest.raises(ValueError, match="argument 2"):
        ratio([1.0], [1.0, 2.0])


def test_steps_are_taken_in_turns_and_the_first_round_is_not_counted():
    taken = []
    seconds = in_turns({"a": lambda: taken.append("a"), "b": lambda: taken.append("b")}, 2, CPU)
    assert "".join(taken) == "ababab"
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_the_clock_is_read_after_the_device_has_finished():
    waited = []
    now(replace(CPU, synchronise=lambda: waited.append(True)))
    assert waited


def test_rounds_in_which_a_gpu_warms_up_are_not_counted(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(timing, "WARM_UP", 2.5)
    taken = []

    def step():
        taken.append(len(taken))
        clock[0] += 1 + len(taken)  # each round takes a second longer

    found = in_turns({"step": step}, 2, strict_array.STRICT)["step"]
    assert (len(taken), found) == (4, [4.0, 5.0])
    clock[0] = 0.0
    taken.clear()
    assert (len(in_turns({"step": step}, 2, CPU)["step"]), len(taken)) == (2, 3)
