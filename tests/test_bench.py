"""`scratchnet bench`: its arithmetic, what it prints, and peers that compute the same as we do."""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import strict_array

from scratchnet import backend
from scratchnet.backend import CPU
from scratchnet.bench import embedding, machine, measure, memory, peers, report, timing, workload
from scratchnet.bench.channels_first import channels_first
from scratchnet.bench.machine import Rates
from scratchnet.bench.peers import Difference, Embedder, Variant
from scratchnet.bench.profile import REST, UPDATE, Part, Pass, product_flop, profile
from scratchnet.bench.timing import Spread, in_turns, now, ratio
from scratchnet.bench.workload import Workload
from scratchnet.checkpoint import save_model
from scratchnet.cli import main
from scratchnet.errors import ScratchnetError, install_extra
from scratchnet.layers import Conv2d, Linear, MaxPool2d, ReLU
from scratchnet.ops.fast import conv_cost

TINY = Workload("compact", pairs=2, device="cpu", options={"image_size": 16, "width": 2, "features": 8})
SMALL = ["--network", "compact", "--image-size", "16", "--pairs", "2", "--rounds", "1", "--device", "cpu"]


@pytest.fixture(scope="module", autouse=True)
def short_measurements():
    """Of what the machine can at best, which is no matter here."""
    small = {"ROUNDS": 1, "SGEMM_SIZE": 64, "GPU_SGEMM_SIZE": 32, "COPY_BYTES": 4096, "GPU_REPEATS": 2}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small.items():
            patch.setattr(machine, name, value)
        patch.setattr(timing, "WARM_UP", 0)
        yield


@pytest.fixture
def training():
    return TINY.prepare()


@pytest.fixture
def bench(capsys):
    """Runs the command; returns its exit code, what it printed, and what it said on stderr."""

    def run(*arguments):
        try:
            code = main(["bench", *SMALL, *arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, *capsys.readouterr()

    return run


class Mirror:
    """A peer that computes what we do, with gradients that are `factor` times as long."""

    def __init__(self, training, factor=1.0):
        self.training, self.factor = training, factor

    def step(self):
        return 0.0

    def gradients(self):
        loss, grads = self.training.gradients()
        return loss, {name: self.factor * gradient for name, gradient in grads.items()}


def never(_training):
    raise RuntimeError("no compiler\nand much more")


@pytest.fixture
def mirrors(monkeypatch):
    """In place of PyTorch: a peer that agrees, one that does not, one that need not, and one that does not run."""
    variants = [
        Variant("agrees", Mirror),
        Variant("differs", lambda training: Mirror(training, 1.5)),
        Variant("is coarse", lambda training: Mirror(training, 1.2), "on purpose", lower_precision=True),
        Variant("never runs", never),
    ]
    monkeypatch.setattr(peers, "load", lambda name, device: variants)


# Arithmetic


@pytest.mark.parametrize(
    ("layer", "y_shape", "flop"),
    [
        (Conv2d(3, 4, (2, 5)), (4, 6, 7, 4), 2 * (4 * 6 * 7) * (2 * 5) * 3 * 4),
        (Conv2d(1, 2, 3, stride=2, padding=1), (5, 5, 1, 2), 2 * 25 * 9 * 2),
        (Linear(5, 3), (7, 3), 2 * 7 * 5 * 3),
        (MaxPool2d(2), (4, 6, 7, 4), 0),
        (ReLU(), (7, 3), 0),
    ],
)
def test_flop_count_the_multiplications_and_additions_of_the_direct_sum(layer, y_shape, flop):
    assert product_flop(layer, y_shape) == flop


@pytest.mark.parametrize("padding", [0, 20])
def test_the_algorithm_is_the_one_asked_for_or_the_choice_for_the_padded_image(padding):
    def algorithm(**options):
        layer = Conv2d(8, 8, 7, padding=padding, **options)
        return layer.forward(layer.init(np.random.default_rng(0)), np.ones((8, 8, 2, 8), np.float32))[1].algorithm

    assert algorithm(algorithm="offsets") == "offsets"
    assert algorithm() == conv_cost.choose((8, 8, 2, 8), (7, 7, 8, 8), 1, padding)


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


def test_the_clock_is_read_when_the_device_is_done():
    waited = []
    now(replace(CPU, synchronise=lambda: waited.append(True)))
    assert waited


def test_differences_are_relative_by_layer():
    ours = {"a.weight": np.array([3.0, 0.0]), "a.bias": np.array([4.0]), "b.weight": np.array([1.0])}
    theirs = ours | {"a.weight": np.array([3.0, 0.5])}
    assert peers.difference((2.0, ours), (2.2, theirs)) == pytest.approx(Difference(0.1, 0.1))
    assert peers.difference((2.0, ours), (2.0, ours)).is_rounding("float32")
    not_a_number = peers.difference((2.0, ours), (2.0, ours | {"b.weight": np.array([np.nan])}))
    assert not not_a_number.is_rounding("float32")


def test_the_tolerance_is_that_of_the_coarser_precision():
    of_tf32, of_loss = Difference(1e-5, 0.2), Difference(5e-4, 0.01)
    for found in (of_tf32, of_loss):
        assert not found.is_rounding("float32", "float32")
        assert found.is_rounding("float32", "tf32")
        assert found.is_rounding("tf32", "float32")
    assert not Difference(1e-5, 1.0).is_rounding("tf32")  # a mistake
    assert not Difference(0.1, 1e-5).is_rounding("tf32")


# The profile


def test_the_profile_has_every_layer_in_order_and_what_is_left(training):
    names = [part.name for part in profile(training, rounds=1)]
    assert names == [*training.net.encoder.layers, REST, UPDATE]


def test_the_first_layer_finds_no_dx_and_the_others_two_gradients(training):
    parts = {part.name: part for part in profile(training, rounds=1)}
    assert parts["conv1"].forward.flop == 2 * (16 * 16 * 4) * 25 * 2  # 2 pairs are 4 images
    assert parts["conv1"].backward.flop == parts["conv1"].forward.flop
    for name in ("conv2", "linear"):
        assert parts[name].backward.flop == 2 * parts[name].forward.flop > 0
    assert all((part.algorithm is not None) == name.startswith("conv") for name, part in parts.items())


def test_a_measured_step_is_a_training_step(training):
    other = TINY.prepare()
    profile(training, rounds=1)  # two steps
    losses = [other.step(), other.step()]
    assert losses[0] != losses[1]
    for name, value in other.net.params.items():
        np.testing.assert_array_equal(training.net.params[name], value)
    assert training.step() == other.step()  # with the same velocity


# The machine


def test_the_sgemm_rate_is_a_rate():
    assert 1e6 < machine.sgemm_rate(CPU, 32) < 1e15


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_that_of_the_process_and_not_of_the_one_that_started_it():
    before = machine.peak_memory()
    large = np.ones(2**26)  # 512 MiB
    assert machine.peak_memory() >= min(large.nbytes, before + large.nbytes // 2)
    code = "from scratchnet.bench.machine import peak_memory; print(peak_memory())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(child) < large.nbytes / 2


@pytest.fixture
def same_package(monkeypatch):
    """Processes that tests start import the package that is tested, installed or not."""
    monkeypatch.setenv("PYTHONPATH", str(Path(machine.__file__).parents[2]))


@pytest.mark.usefixtures("same_package")
def test_memory_is_measured_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(peers, "load", lambda name, device: [Variant("absent", Mirror)])
    ours, theirs = memory.in_own_processes(TINY, ["nonesuch"])
    assert ours["name"] == "scratchnet"
    assert 2**24 < ours["peak_bytes"] < 2**30
    assert ours["ms"] > 0
    assert theirs["name"] == "absent"
    assert "nonesuch does not load" in theirs["problem"]


# The command


def test_the_command_prints_a_line_for_every_layer(bench, training):
    code, out, err = bench()
    assert (code, err) == (0, "")
    started = [line.split()[0] for line in out.splitlines() if line]
    assert all(name in started for name in (*training.net.encoder.layers, "SGD", "sgemm:"))
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
    assert [row["name"] for row in figures["layers"]] == [*training.net.encoder.layers, REST, UPDATE]
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


def test_what_agrees_is_timed_and_what_does_not_is_told(bench, mirrors):
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


def test_what_takes_long_to_compile_comes_last_so_that_the_rest_is_not_lost(bench, monkeypatch):
    variants = [Variant("slow", Mirror, compiled=True), Variant("quick", Mirror)]
    monkeypatch.setattr(peers, "load", lambda name, device: variants)
    code, out, _ = bench("--against", "torch", "--json")
    figures = json.loads(out)
    assert (code, list(figures)[-2:]) == (0, ["peers", "compiled peers"])
    assert [row["name"] for row in figures["peers"]] == ["scratchnet", "quick"]
    assert [row["name"] for row in figures["compiled peers"]] == ["scratchnet", "slow"]
    assert figures["compiled peers"][1]["ratio"]["median"] > 0
    assert "slow" in bench("--against", "torch")[1]


def test_only_the_variants_wanted_are_timed(training, mirrors):
    assert [row["name"] for row in measure.compare(training, 1, against=["torch"], only=["s"])] == [
        "scratchnet",
        "agrees",
        "differs",
        "never runs",
    ]


def test_a_peer_that_is_not_installed_is_one_line_and_the_rest_goes_on(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "dezero", None)
    monkeypatch.delitem(sys.modules, "scratchnet.bench.dezero_peer", raising=False)
    code, out, err = bench("--against", "dezero")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("dezero")]
    assert 'dezero is not installed; in your clone: pip install -e ".[bench]"' in line
    assert "conv1" in out


def test_a_peer_that_does_not_load_is_told_apart(monkeypatch):
    monkeypatch.setattr(peers, "import_module", lambda name: 1 / 0)
    with pytest.raises(ScratchnetError, match="jax does not load: ZeroDivisionError: division by zero"):
        peers.load("jax")


@pytest.mark.usefixtures("same_package")
def test_memory_stands_beside_the_rest(bench):
    code, out, _ = bench("--memory-peak", "--json")
    figures = json.loads(out)["memory"]
    assert code == 0
    assert "GiB" in report.render("memory", figures)


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


# A trained network, and embedding


@pytest.fixture
def trained(tmp_path, tiny_net):
    """A saved network with running statistics and biases that are its own."""
    rng = np.random.default_rng(0)
    for value in tiny_net.params.values():
        value += rng.random(value.shape).astype(value.dtype)
    save_model(tmp_path / "trained.npz", tiny_net)
    return str(tmp_path / "trained.npz")


def test_a_trained_network_is_measured_as_it_is(trained, tiny_net, bundle):
    bundle("stand-in", tiny_net, "float32")
    for network in (trained, "stand-in"):
        training = Workload(network, pairs=2, device="cpu").prepare()
        assert training.a.shape == (2, 16, 16)
        for name, value in training.net.params.items():
            np.testing.assert_array_equal(value, tiny_net.params[name])
        assert np.isfinite(training.step())


def test_the_command_takes_a_trained_network(trained):
    for mode in ([], ["--embed"]):
        assert main(["bench", "--network", trained, "--pairs", "2", "--rounds", "1", "--device", "cpu", *mode]) == 0


def test_a_trained_network_has_the_size_that_it_has(trained, bench):
    code, out, err = bench("--network", trained)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "trained.npz is trained: its image_size cannot be changed" in err


def test_embedding_is_told_for_a_batch_and_for_a_single_image(bench):
    code, out, err = bench("--embed", "--rounds", "3")
    assert (code, err) == (0, "")
    spread = r"[\d,.]+ \([\d,.]+ - [\d,.]+\)"
    assert re.search(rf"^scratchnet +{spread} images/s; single image {spread} ms$", out, re.MULTILINE)
    assert max(map(len, out.splitlines()[1:])) <= 120  # the first names the folder of the code
    figures = json.loads(bench("--embed", "--json")[1])
    assert figures.keys() == {"code", "workload", "machine", "embedding"}
    (row,) = figures["embedding"]
    assert row.keys() == {"name", "images_per_second", "single_ms"}
    assert row["single_ms"].keys() == {"median", "least", "most"}


def test_the_rate_is_of_all_images_and_the_latency_of_one(monkeypatch, tiny_net, rng):
    images = rng.random((6, 16, 16)).astype(np.float32)
    asked = []

    def in_turns(steps, rounds, device):
        asked.append([len(step()) for step in steps.values()])
        return {name: [0.5, 0.25, 2.0] for name in steps}

    monkeypatch.setattr(embedding, "in_turns", in_turns)
    (row,) = embedding.measure(tiny_net, images, rounds=3)
    assert asked == [[6], [1]]
    assert row["images_per_second"] == {"median": 12.0, "least": 3.0, "most": 24.0}
    assert row["single_ms"] == {"median": 500.0, "least": 250.0, "most": 2000.0}


@pytest.fixture
def embedders(monkeypatch):
    """In place of PyTorch: one that agrees, one that does not, and one that does not run."""
    found = [
        Embedder("agrees", lambda net: net.embed),
        Embedder("differs", lambda net: lambda images: net.embed(images) + np.float32(0.01)),
        Embedder("is no number", lambda net: lambda images: net.embed(images) * np.float32("nan")),
        Embedder("never runs", never),
    ]
    monkeypatch.setattr(peers, "load_embedders", lambda name, device: found)


def test_an_embedding_that_agrees_is_timed_and_what_does_not_is_told(bench, embedders):
    code, out, err = bench("--embed", "--against", "torch")
    lines = {name: next(line for line in out.splitlines() if line.startswith(name))
             for name in ("scratchnet", "agrees", "differs", "is no number", "never runs")}  # fmt: skip
    assert (code, err) == (1, "")
    assert "ratios" not in lines["scratchnet"]
    assert re.search(r"; ratios [\d.]+ \([\d.]+ - [\d.]+\) and [\d.]+ \(", lines["agrees"])
    assert re.search(r"computes something else: embeddings off by \de[+-]0\d; not timed", lines["differs"])
    assert "embeddings off by nan" in lines["is no number"]
    assert lines["never runs"].endswith("does not run: RuntimeError: no compiler")


def test_embedding_has_no_other_peers(bench):
    code, out, _ = bench("--embed", "--against", "jax")
    assert code == 0
    assert re.search(r"^jax +embedding can be compared only with torch$", out, re.MULTILINE)


@pytest.mark.parametrize("embed", [[], ["--embed"]], ids=["steps", "embedding"])
def test_peers_are_not_compared_with_another_device(embed, bench, monkeypatch):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    code, _, err = bench("--against", "torch", *embed, "--device", "strict")
    assert code == 2
    assert "--against torch runs on cpu or cuda, not on strict: drop it, or --device strict" in err


def test_embedding_runs_on_another_device(bench, monkeypatch):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    assert bench("--embed", "--device", "strict")[0] == 0


@pytest.mark.parametrize("network", ["compact", "koch2015"])
def test_pytorch_embeds_the_same_in_evaluation(network, rng):
    if importlib.util.find_spec("torch") is None:
        pytest.skip(f"compares with torch, which is an extra; {install_extra('bench')}")
    options = {"compact": {"image_size": 16, "width": 4}, "koch2015": {"image_size": 75}}[network]
    training = Workload(network, 3, "cpu", options | {"features": 16}).prepare()
    net = replace(training.net, embed_batch=2)  # three parts
    for name, value in net.params.items():
        if ".running_" in name:
            value += 0.05 * rng.random(value.shape).astype(np.float32)
    images = np.concatenate([training.a, training.b])
    for embedder in peers.load_embedders("torch"):
        found = embedder.download(embedder.build(net)(embedder.upload(images)))
        assert np.std(found, axis=0).max() > 1e-3  # not all alike
        np.testing.assert_allclose(found, net.embed(images), rtol=0, atol=1e-5, err_msg=embedder.name)


# Peers


@pytest.mark.parametrize("workload", [TINY, Workload("koch2015", 2, "cpu", {"image_size": 80, "features": 8})])
def test_parameters_come_back_from_the_order_of_other_libraries(workload):
    net = workload.prepare().net
    there = channels_first(net, net.params)
    assert there["encoder.conv2.weight"].shape == net.params["encoder.conv2.weight"].shape[::-1]
    assert not np.array_equal(there["encoder.linear.weight"], net.params["encoder.linear.weight"])
    for name, value in channels_first(net, there, inverse=True).items():
        np.testing.assert_array_equal(value, net.params[name])


@pytest.mark.parametrize("library", peers.MODULES)
@pytest.mark.parametrize("network", ["compact", "koch2015"])
def test_a_peer_computes_the_same_and_learns_the_same(library, network):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"compares with {library}, which is an extra; {install_extra('bench')}")
    options = {"compact": {"image_size": 16, "width": 4}, "koch2015": {"image_size": 75}}[network]
    workload = Workload(network, 3, "cpu", options | {"features": 16})
    for variant in peers.load(library):
        if "compiled" in variant.name:  # takes a minute; `scratchnet bench` checks it before it is timed
            continue
        training = workload.prepare()
        training.optimiser.lr, training.optimiser.weight_decay = 0.05, 0.2
        peer, difference = peers.build(variant, training)
        assert variant.lower_precision or max(difference) < 1e-3, variant.name
        for _ in range(3):  # with a decay that shows: the update is the same
            tolerance = 0.1 if variant.lower_precision else 1e-3
            assert peer.step() == pytest.approx(training.step(), rel=tolerance), variant.name


# On a GPU, and on what stands in for one


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


def test_the_command_embeds_on_every_device(bench, device):
    code, out, err = bench("--device", device.name, "--embed")
    assert (code, err) == (0, "")
    assert re.search(rf"parameters, float32, {device.name}$", out, re.MULTILINE)


def test_a_peer_embeds_images_that_it_takes_from_the_host_once(monkeypatch, tiny_net, rng):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    taken = []

    def upload(images):
        taken.append(type(images))
        return images.tolist()

    def build(net):
        return lambda images: tiny_net.embed(np.array(images, np.float32)).tolist()

    def download(found):
        return np.array(found, np.float32)

    monkeypatch.setattr(peers, "load_embedders", lambda name, device: [Embedder("peer", build, upload, download)])
    images = strict_array.upload(rng.random((3, 16, 16)).astype(np.float32))
    _, row = embedding.measure(tiny_net.to_device("strict"), images, 2, against=["torch"])
    assert row["difference"] < 1e-6
    assert row["images_per_second"]["median"] > 0
    assert taken == [np.ndarray]


def test_shares_are_of_the_measured_product_and_the_measured_copy():
    part = Part("conv1", Pass(0.5, 2_000_000_000, 1_000_000_000), Pass(1.5, 6_000_000_000, 5_000_000_000), "dft")
    row = measure._row(part, Rates(sgemm=16e9, size=4096, copy=12e9))
    assert row["gflops"] == pytest.approx(4)
    assert row["gigabytes"] == pytest.approx(6)
    assert row["share_of_sgemm"] == pytest.approx(1 / 4)
    assert row["share_of_copy"] == pytest.approx(1 / 4)
    assert measure._row(part, Rates(sgemm=16e9, size=2048))["share_of_copy"] is None


def test_the_rate_of_a_copy_counts_what_is_read_and_what_is_written(monkeypatch):
    copied = []
    monkeypatch.setattr(machine, "in_turns", lambda steps, rounds, device: {"calls": [steps["calls"]() or 0.5]})
    monkeypatch.setattr(
        strict_array.strict, "copyto", lambda target, source: copied.append(source.nbytes), raising=False
    )
    assert machine.copy_rate(strict_array.STRICT) == pytest.approx(2 * sum(copied) / 0.5)
    assert len(copied) == machine.GPU_REPEATS


def test_the_bytes_of_a_layer_are_those_that_it_must_read_and_write(training):
    parts = {part.name: part for part in profile(training, rounds=1)}
    params = training.net.params
    images, channels = 4 * 4 * 16 * 16, 2  # four of 16 x 16 pixels; conv1 has 5 x 5 kernels
    first = images + channels * images + 4 * (5 * 5 * channels + channels)  # x, y, parameters; x, dy, gradients
    assert (parts["conv1"].forward.bytes, parts["conv1"].backward.bytes) == (first, first)
    pooled = channels * images // 4
    assert parts["pool1"].forward.bytes == parts["pool1"].backward.bytes == channels * images + pooled
    assert parts["relu1"].forward.bytes == parts["relu1"].backward.bytes == 2 * pooled
    linear = params["encoder.linear.weight"].nbytes + params["encoder.linear.bias"].nbytes
    x, y = 4 * 4 * len(params["encoder.linear.weight"]), 4 * 4 * len(params["encoder.linear.bias"])
    assert parts["linear"].forward.bytes == x + y + linear
    assert parts["linear"].backward.bytes == y + 2 * x + 2 * linear  # dy, x and weights; dx and gradients
    trained = sum(value.nbytes for name, value in params.items() if ".running_" not in name)
    assert parts[UPDATE].backward.bytes == 5 * trained


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


def test_the_peak_memory_of_a_step_is_that_of_its_device(monkeypatch):
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


@pytest.mark.parametrize(("ours", "theirs", "timed"), [
    ("float32", "float32", False), ("float32", "tf32", True), ("tf32", "float32", True), ("tf32", "tf32", True),
])  # fmt: skip
def test_a_peer_may_differ_by_the_rounding_of_the_coarser_of_both(ours, theirs, timed, training, monkeypatch):
    variant = Variant("rounds", lambda training: Mirror(training, 1.2), precision=theirs)
    monkeypatch.setattr(peers, "load", lambda name, device: [variant])
    _, row = measure.compare(replace(training, precision=ours), 1, against=["torch"])
    assert ("median_ms" in row) is timed
    assert ("failed" in row) is not timed


def test_the_precision_is_set_and_told(bench, monkeypatch):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    asked = []
    monkeypatch.setattr(workload, "set_precision", asked.append)
    assert "TF32" not in bench("--device", "strict")[1]
    assert "float32, products in TF32, strict" in bench("--device", "strict", "--precision", "tf32")[1]
    assert asked == ["float32", "tf32"]
    monkeypatch.setattr(backend.products, "_precision", "tf32")  # as SCRATCHNET_PRECISION would
    assert "TF32" in bench("--device", "strict")[1]
    assert json.loads(bench("--json")[1])["workload"]["precision"] == "float32"  # on the CPU, where it changes nothing


def test_an_interrupt_leaves_the_figures_that_there_are(bench, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "profile", interrupted)
    code, out, err = bench("--json")
    assert (code, err) == (130, "scratchnet: interrupted\n")
    assert json.loads(out).keys() == {"code", "workload", "machine", "sgemm", "step"}


@pytest.fixture
def torch(monkeypatch):
    """PyTorch, which believes that there is a GPU; its settings are put back afterwards."""
    torch = pytest.importorskip("torch", reason=f"is about torch, an extra; {install_extra('bench')}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32
    yield torch
    cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32 = before


@pytest.fixture
def cuda():
    return replace(strict_array.STRICT, name="cuda")


def test_pytorch_has_other_ways_on_a_gpu(torch, cuda):
    version = f"PyTorch {torch.__version__.partition('+')[0]} "
    on_cpu, on_gpu = ([v.name.removeprefix(version) for v in peers.load("torch", place)] for place in (CPU, cuda))
    assert on_cpu == [
        "float32 NCHW", "float32 channels_last", "float32 compiled channels_last", "bfloat16 channels_last",
    ]  # fmt: skip
    assert on_gpu == [
        "default (TF32 convolutions, float32 products)", "all TF32, channels_last", "all float32", "default, compiled",
    ]  # fmt: skip
    assert [v.precision for v in peers.load("torch", cuda)] == ["tf32", "tf32", "float32", "tf32"]
    assert [e.name.removeprefix(version) for e in peers.load_embedders("torch", cuda)] == on_gpu[:-1]
    assert [v.device_peak is None for v in peers.load("torch", CPU)] == [True] * 4
    assert all(variant.device_peak for variant in peers.load("torch", cuda))


def test_each_way_of_pytorch_makes_its_settings_before_its_step(torch, cuda, monkeypatch):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    training = replace(TINY, device="strict").prepare()  # not a device that PyTorch could read
    found = []
    for variant in peers.load("torch", cuda)[:-1]:  # the last one is compiled
        peer = variant.build(training, device="cpu")
        assert peers.difference(training.gradients(), peer.gradients()).is_rounding("float32"), variant.name
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not found
        peer.step()
        found.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        assert torch.backends.cudnn.benchmark, variant.name
    assert found == [(True, False), (True, True), (False, False)]
    for embedder, expected in zip(peers.load_embedders("torch", cuda), found, strict=True):
        embed = embedder.build(training.net, device="cpu")
        embed(torch.zeros(1, 16, 16))
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == expected


# Few channels: what runs on the host takes its time
FEW = {"image_size": 65, "channels": [2, 3, 2, 3], "features": 4}


def test_layers_that_are_one_on_a_gpu_are_counted_and_compared_as_those_that_they_are(kernels):
    training, host = (Workload("koch2015", 1, place, FEW).prepare() for place in (kernels.name, "cpu"))
    assert "pool1" not in training.net.encoder.layers
    parts, on_host = ({part.name: part for part in profile(each, rounds=1)} for each in (training, host))
    for name in ("conv1", "conv2", "conv3", "conv4", "linear"):
        assert parts[name].forward.flop == on_host[name].forward.flop > 0, name
        assert parts[name].backward.flop == on_host[name].backward.flop > 0, name
    assert parts["conv1"].algorithm == "im2col"  # as on a GPU, and not "bands"
    torch_peer = pytest.importorskip(
        "scratchnet.bench.torch_peer", reason=f"is about torch, an extra; {install_extra('bench')}"
    )
    peer = torch_peer.TorchPeer(training, "contiguous_format")
    assert peers.difference(training.gradients(), peer.gradients()).is_rounding("float32")


def test_a_pytorch_without_a_gpu_is_one_line(torch, cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for load in (peers.load, peers.load_embedders):
        with pytest.raises(ScratchnetError, match=r"PyTorch \S+ finds no GPU"):
            load("torch", cuda)
