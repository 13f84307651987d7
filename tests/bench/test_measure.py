"""Training steps compared with those of other libraries, and their rates."""

import json
from dataclasses import replace

import pytest
from bench_parts import Mirror

from scratchnet.bench import measure, peers
from scratchnet.bench.machine import Rates
from scratchnet.bench.peers import Variant
from scratchnet.bench.profile import Part, Pass


def test_a_variant_that_agrees_is_timed_and_one_that_does_not_is_reported(bench, mirrors):
    code, out, err = bench("--against", "torch")
    lines = {
        name: next(line for line in out.splitlines() if line.startswith(name))
        for name in ("scratchnet", "agrees", "differs", "is coarse", "never runs")
    }
    assert (code, err) == (1, "")
    assert "ratio" not in lines["scratchnet"]
    assert "ratio" in lines["agrees"]
    assert "computes something else: loss off by 0e+00, gradients by 5e-01; not timed" in lines["differs"]
    assert lines["is coarse"].endswith("gradients within 2e-01 of ours; on purpose")
    assert lines["never runs"].endswith("does not run: RuntimeError: no compiler")


def test_compiled_variants_come_last_so_that_an_interrupt_does_not_lose_the_rest(bench, monkeypatch):
    variants = [Variant("slow", Mirror, compiled=True), Variant("quick", Mirror)]
    monkeypatch.setattr(peers, "load", lambda name, device: variants)
    code, out, _ = bench("--against", "torch", "--json")
    figures = json.loads(out)
    assert (code, list(figures)[-2:]) == (0, ["peers", "compiled peers"])
    assert [row["name"] for row in figures["peers"]] == ["scratchnet", "quick"]
    assert [row["name"] for row in figures["compiled peers"]] == ["scratchnet", "slow"]
    assert figures["compiled peers"][1]["ratio"]["median"] > 0
    assert "slow" in bench("--against", "torch")[1]


def test_only_the_selected_variants_are_timed(training, mirrors):
    assert [row["name"] for row in measure.compare(training, 1, against=["torch"], only=["s"])] == [
        "scratchnet",
        "agrees",
        "differs",
        "never runs",
    ]


def test_shares_are_of_the_measured_product_and_the_measured_copy():
    part = Part("conv1", Pass(0.5, 2_000_000_000, 1_000_000_000), Pass(1.5, 6_000_000_000, 5_000_000_000), "dft")
    row = measure._row(part, Rates(sgemm=16e9, size=4096, copy=12e9))
    assert row["gflops"] == pytest.approx(4)
    assert row["gigabytes"] == pytest.approx(6)
    assert row["share_of_sgemm"] == pytest.approx(1 / 4)
    assert row["share_of_copy"] == pytest.approx(1 / 4)
    assert measure._row(part, Rates(sgemm=16e9, size=2048))["share_of_copy"] is None


@pytest.mark.parametrize(("ours", "theirs", "timed"), [
    ("float32", "float32", False), ("float32", "tf32", True), ("tf32", "float32", True), ("tf32", "tf32", True),
])  # fmt: skip
def test_a_peer_may_differ_by_the_rounding_of_the_coarser_of_both(ours, theirs, timed, training, monkeypatch):
    variant = Variant("rounds", lambda training: Mirror(training, 1.2), precision=theirs)
    monkeypatch.setattr(peers, "load", lambda name, device: [variant])
    _, row = measure.compare(replace(training, precision=ours), 1, against=["torch"])
    assert ("median_ms" in row) is timed
    assert ("failed" in row) is not timed
