"""The tables that `scratchnet bench` prints."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import strict_array

from scratchnet.bench import machine, report
from scratchnet.bench.profile import REST


def test_the_report_of_a_gpu_shows_both_shares_and_enough_digits():
    row = {"name": "conv1", "forward_ms": 0.1254, "backward_ms": 0.25, "forward_gflop": 1.0, "backward_gflop": 2.0}
    row |= {"gflops": 8000.0, "share_of_sgemm": 0.16, "gigabytes": 0.9, "share_of_copy": 0.625, "algorithm": "dft"}
    rest = {"name": REST, "forward_ms": None, "backward_ms": 0.1, "forward_gflop": None, "backward_gflop": 0.0}
    rest |= dict.fromkeys(("gflops", "share_of_sgemm", "gigabytes", "share_of_copy", "algorithm"))
    lines = report.render("layers", [row, rest]).splitlines()
    assert lines[1].split()[-5:] == ["of", "sgemm", "of", "copy", "algorithm"]
    assert lines[2].split() == ["conv1", "0.125", "0.250", "3.00", "8,000", "16%", "62%", "dft"]
    assert lines[3].split()[-4:] == ["-"] * 4
    assert "of copy:" in lines[-2]
    on_host = report.render("layers", [row | {"share_of_copy": None}])
    assert "copy" not in on_host
    assert max(map(len, [*lines, *on_host.splitlines()])) <= 120


def test_the_report_names_the_gpu_and_its_versions():
    runtime = SimpleNamespace(
        getDevice=lambda: 1,
        getDeviceProperties=lambda number: {
            "name": b"GPU %d" % number, "totalGlobalMem": 3 * 2**30, "multiProcessorCount": 132, "major": 9, "minor": 0,
        },
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 12090,
    )  # fmt: skip
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), __version__="14.2.0")
    this = machine.Machine.this(replace(strict_array.STRICT, name="cuda", module=cupy))
    *_, first, second = report.render("machine", asdict(this)).splitlines()
    assert first == "GPU 1, 3.00 GiB, 132 multiprocessors, compute capability 9.0"
    assert second == "driver for CUDA 13.0, CUDA 12.9, CuPy 14.2.0"
