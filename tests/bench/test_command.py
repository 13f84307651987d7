"""`scratchnet bench`: what it prints and refuses."""

import json

import pytest
import strict_array

from scratchnet import backend
from scratchnet.backend import CPU
from scratchnet.bench import measure, workload
from scratchnet.bench.profile import REST, UPDATE


def test_the_command_prints_a_line_for_every_layer(bench, training):
    code, out, err = bench()
    assert (code, err) == (0, "")
    started = [line.split()[0] for line in out.splitlines() if line]
    assert all(name in started for name in (*training.net.fused.encoder.layers, "SGD", "sgemm:"))
    assert "images/s" in out
    assert "peak memory" in out
    assert max(map(len, out.splitlines()[1:])) <= 120  # the first names the folder of the code


def test_the_figures_as_json(bench, training, mirrors):
    code, out, _ = bench("--json", "--against", "torch")
    figures = json.loads(out)
    assert code == 1  # one of the mirrors differs
    assert figures.keys() == {"code", "workload", "machine", "sgemm", "step", "layers", "peers"}
    assert figures["machine"].keys() == {"processor", "threads", "system", "python", "numpy", "blas", "date", "gpu"}
    assert figures["step"].keys() == {"median_ms", "least_ms", "most_ms", "rounds", "images_per_second", "peak_bytes"}
    assert [row["name"] for row in figures["layers"]] == [*training.net.fused.encoder.layers, REST, UPDATE]
    for row in figures["layers"]:
        assert row.keys() == {
            "name",
            "forward_ms",
            "backward_ms",
            "forward_gflop",
            "backward_gflop",
            "gflops",
            "share_of_sgemm",
            "gigabytes",
            "share_of_copy",
            "algorithm",
        }
    conv1 = figures["layers"][0]
    seconds = (conv1["forward_ms"] + conv1["backward_ms"]) / 1e3
    assert conv1["gflops"] == pytest.approx((conv1["forward_gflop"] + conv1["backward_gflop"]) / seconds)
    assert conv1["share_of_sgemm"] == pytest.approx(conv1["gflops"] / figures["sgemm"]["gflops"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "numpy"], "--against: invalid choice: 'numpy'"),
        (["--rounds", "0"], "--rounds: 0 is too small"),
        (["--pairs", "many"], "--pairs: invalid"),
        (["--network", "alexnet"], "--network: alexnet is not an architecture (koch2015, compact), a run"),
        (["--embed", "--memory-peak"], "--memory-peak measures training steps"),
        (["--network", "koch2015", "--image-size", "64"], "give 65 or more"),
        (["--image-size", "4"], "give 8 or more"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--precision", "tf32"], "--precision tf32 needs a GPU: leave it out, or add --device cuda"),
        (["--precision", "half"], "--precision: invalid choice: 'half'"),
    ],
)
def test_bad_options_are_one_line(arguments, message, bench):
    code, out, err = bench(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("scratchnet")
    assert message in err


def test_the_command_measures_a_training_step_on_every_device(bench, device):
    code, out, err = bench("--device", device.name, "--json")
    assert (code, err) == (0, "")
    figures = json.loads(out)
    on_host = device is CPU
    assert ("copy" in figures) is not on_host
    assert (figures["machine"]["gpu"] is not None) is (device.name == "cuda")
    assert figures["step"]["peak_bytes"] > 0
    for row in figures["layers"]:
        counted = row["name"] != REST
        assert (row["gigabytes"] is not None) is counted
        assert (row["share_of_copy"] is not None) is (counted and not on_host)


def test_the_precision_is_set_and_reported(bench, monkeypatch):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    asked = []
    monkeypatch.setattr(workload, "set_precision", asked.append)
    assert "TF32" not in bench("--device", "strict")[1]
    assert "float32, products in TF32, strict" in bench("--device", "strict", "--precision", "tf32")[1]
    assert asked == ["float32", "tf32"]
    monkeypatch.setattr(backend.products, "_precision", "tf32")  # as SCRATCHNET_PRECISION would
    assert "TF32" in bench("--device", "strict")[1]
    assert json.loads(bench("--json")[1])["workload"]["precision"] == "float32"  # on the CPU, where it changes nothing


def test_an_interrupt_leaves_the_figures_so_far(bench, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "profile", interrupted)
    code, out, err = bench("--json")
    assert (code, err) == (130, "scratchnet: interrupted\n")
    assert json.loads(out).keys() == {"code", "workload", "machine", "sgemm", "step"}
