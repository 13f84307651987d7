"""The peak memory of a training step, in a separate process and on a device."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import strict_array
from bench_parts import TINY, Mirror

from scratchnet import backend
from scratchnet.bench import memory, peers, report
from scratchnet.bench.peers import Variant


@pytest.mark.usefixtures("same_package")
def test_memory_is_measured_in_a_separate_process(monkeypatch):
    monkeypatch.setattr(peers, "load", lambda name, device: [Variant("absent", Mirror)])
    ours, theirs = memory.in_own_processes(TINY, ["nonesuch"])
    assert ours["name"] == "scratchnet"
    assert 2**24 < ours["peak_bytes"] < 2**30
    assert ours["ms"] > 0
    assert theirs["name"] == "absent"
    assert "nonesuch does not load" in theirs["problem"]


@pytest.mark.usefixtures("same_package")
def test_memory_is_part_of_the_report(bench):
    code, out, _ = bench("--memory-peak", "--json")
    figures = json.loads(out)["memory"]
    assert code == 0
    assert "GiB" in report.render("memory", figures)


def test_the_peak_memory_of_a_step_is_measured_on_its_device(monkeypatch):
    ran = []

    def peak(function):
        ran.append(function())
        return 24

    monkeypatch.setitem(
        backend.device._devices, "strict", replace(strict_array.STRICT, held_memory=lambda: 1000, peak_memory=peak)
    )
    task = {"workload": asdict(replace(TINY, device="strict"))}
    assert memory._measure(task)["peak_bytes"] == 1024
    assert np.isfinite(ran).all()
    monkeypatch.setattr(peers, "load", lambda name, device: [Variant(device.name, Mirror, device_peak=lambda: 77)])
    assert memory._measure(task | {"peer": "torch", "variant": 0})["peak_bytes"] == 77
