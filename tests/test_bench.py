"""`scratchnet bench`: its arithmetic, what it prints, and peers that compute the same as we do."""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standin

from scratchnet import backend
from scratchnet.backend import CPU
from scratchnet.bench import embedding, machine, measure, memory, peers, report
from scratchnet.bench.channels_first import from_channels_first, to_channels_first
from scratchnet.bench.peers import Difference, Embedder, Variant
from scratchnet.bench.profile import REST, UPDATE, algorithm_of, product_flop, profile
from scratchnet.bench.timing import Spread, in_turns, now, ratio
from scratchnet.bench.workload import Workload
from scratchnet.checkpoint import save_model
from scratchnet.cli import main
from scratchnet.errors import ScratchnetError
from scratchnet.layers import Conv2d, Linear, MaxPool2d, ReLU

TINY = Workload("compact", pairs=2, device="cpu", options={"image_size": 16, "width": 2, "features": 8})
SMALL = ["--network", "compact", "--image-size", "16", "--pairs", "2", "--rounds", "1", "--device", "cpu"]
pytestmark = pytest.mark.usefixtures("small_sgemm")


@pytest.fixture(scope="module", autouse=True)
def small_sgemm():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine.sgemm_rate, "__defaults__", (64, 1))
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
    monkeypatch.setattr(peers, "load", lambda name: variants)


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


def test_the_algorithm_is_the_one_asked_for_or_the_choice_for_the_padded_image():
    assert algorithm_of(Conv2d(1, 2, 3, algorithm="offsets"), (9, 9, 2, 1)) == "offsets"
    padded, bare = algorithm_of(Conv2d(64, 64, 7, padding=20), (8, 8, 64, 64)), Conv2d(64, 64, 7)
    assert padded == algorithm_of(bare, (48, 48, 64, 64))


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
    assert peers.difference((2.0, ours), (2.0, ours)).is_rounding
    assert not peers.difference((2.0, ours), (2.0, ours | {"b.weight": np.array([np.nan])})).is_rounding


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
    assert 1e6 < machine.sgemm_rate(CPU, size=32, rounds=1) < 1e15


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
    monkeypatch.setattr(peers, "load", lambda name: [Variant("absent", Mirror)])
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
    assert max(map(len, out.splitlines())) <= 120


def test_the_figures_as_json(bench, training, mirrors):
    code, out, _ = bench("--json", "--against", "torch")
    figures = json.loads(out)
    assert code == 1  # one of the mirrors differs
    assert figures.keys() == {"workload", "machine", "sgemm", "step", "layers", "peers"}
    assert figures["machine"].keys() == {"processor", "threads", "system", "python", "numpy", "blas", "date"}
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


def test_only_the_variants_wanted_are_timed(training, mirrors):
    assert [row["name"] for row in measure.compare(training, 1, ["torch"], only=["s"])] == [
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
    assert "dezero is not installed: pip install 'scratchnet[bench]'" in line
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
        (["--network", "alexnet"], "--network: alexnet is neither an architecture (koch2015, compact) nor a run"),
        (["--embed", "--memory-peak"], "--memory-peak is that of training steps"),
        (["--network", "koch2015", "--image-size", "64"], "give 65 or more"),
        (["--image-size", "4"], "give 8 or more"),
        (["--device", "tpu"], "unknown device 'tpu'"),
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
    assert "trained.npz is trained, it takes no other image_size" in err


def test_embedding_is_told_for_a_batch_and_for_a_single_image(bench):
    code, out, err = bench("--embed", "--rounds", "3")
    assert (code, err) == (0, "")
    spread = r"[\d,.]+ \([\d,.]+ - [\d,.]+\)"
    assert re.search(rf"^scratchnet +{spread} images/s; a single one {spread} ms$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 120
    figures = json.loads(bench("--embed", "--json")[1])
    assert figures.keys() == {"workload", "machine", "embedding"}
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
    monkeypatch.setattr(peers, "load_embedders", lambda name: found)


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
    assert re.search(r"^jax +embedding is compared with torch alone$", out, re.MULTILINE)


@pytest.mark.parametrize("embed", [[], ["--embed"]], ids=["steps", "embedding"])
def test_peers_are_not_compared_with_another_device(embed, bench, monkeypatch):
    monkeypatch.setitem(backend._devices, "strict", standin.STRICT)
    code, _, err = bench("--against", "torch", *embed, "--device", "strict")
    assert code == 2
    assert "--against compares on the CPU" in err


def test_embedding_runs_on_another_device(bench, monkeypatch):
    monkeypatch.setitem(backend._devices, "strict", standin.STRICT)
    assert bench("--embed", "--device", "strict")[0] == 0


@pytest.mark.parametrize("network", ["compact", "koch2015"])
def test_pytorch_embeds_the_same_in_evaluation(network, rng):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("compares with torch, which is an extra: pip install 'scratchnet[bench]'")
    options = {"compact": {"image_size": 16, "width": 4}, "koch2015": {"image_size": 75}}[network]
    training = Workload(network, 3, "cpu", options | {"features": 16}).prepare()
    net = replace(training.net, embed_batch=2)  # three parts
    for name, value in net.params.items():
        if ".running_" in name:
            value += 0.05 * rng.random(value.shape).astype(np.float32)
    images = np.concatenate([training.a, training.b])
    for embedder in peers.load_embedders("torch"):
        found = embedder.build(net)(images)
        assert np.std(found, axis=0).max() > 1e-3  # not all alike
        np.testing.assert_allclose(found, net.embed(images), rtol=0, atol=1e-5, err_msg=embedder.name)


# Peers


@pytest.mark.parametrize("workload", [TINY, Workload("koch2015", 2, "cpu", {"image_size": 80, "features": 8})])
def test_parameters_come_back_from_the_order_of_other_libraries(workload):
    net = workload.prepare().net
    there = to_channels_first(net, net.params)
    assert there["encoder.conv2.weight"].shape == net.params["encoder.conv2.weight"].shape[::-1]
    assert not np.array_equal(there["encoder.linear.weight"], net.params["encoder.linear.weight"])
    for name, value in from_channels_first(net, there).items():
        np.testing.assert_array_equal(value, net.params[name])


@pytest.mark.parametrize("library", peers.MODULES)
@pytest.mark.parametrize("network", ["compact", "koch2015"])
def test_a_peer_computes_the_same_and_learns_the_same(library, network):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"compares with {library}, which is an extra: pip install 'scratchnet[bench]'")
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
