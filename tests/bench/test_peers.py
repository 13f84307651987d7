"""Other libraries: how they are loaded and when they compute the same as we do."""

import importlib.util
import sys

import numpy as np
import pytest
import strict_array

from scratchnet import backend
from scratchnet.bench import peers
from scratchnet.bench.peers import Difference
from scratchnet.bench.workload import Workload
from scratchnet.errors import ScratchnetError, install_extra


def test_differences_are_relative_by_layer():
    ours = {"a.weight": np.array([3.0, 0.0]), "a.bias": np.array([4.0]), "b.weight": np.array([1.0])}
    theirs = ours | {"a.weight": np.array([3.0, 0.5])}
    assert peers.difference((2.0, ours), (2.2, theirs)) == pytest.approx(Difference(0.1, 0.1))
    assert peers.difference((2.0, ours), (2.0, ours)).is_rounding("float32")
    not_a_number = peers.difference((2.0, ours), (2.0, ours | {"b.weight": np.array([np.nan])}))
    assert not not_a_number.is_rounding("float32")


def test_the_tolerance_is_that_of_the_coarser_precision():
    of_tf32, of_loss = Difference(1e-5, 0.25), Difference(5e-4, 0.01)
    for found in (of_tf32, of_loss):
        assert not found.is_rounding("float32", "float32")
        assert found.is_rounding("float32", "tf32")
        assert found.is_rounding("tf32", "float32")
    assert not Difference(1e-5, 1.0).is_rounding("tf32")  # a mistake
    assert not Difference(0.1, 1e-5).is_rounding("tf32")


def test_a_peer_that_is_not_installed_is_one_line_and_the_rest_goes_on(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "dezero", None)
    monkeypatch.delitem(sys.modules, "scratchnet.bench.dezero_peer", raising=False)
    code, out, err = bench("--against", "dezero")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("dezero")]
    assert 'dezero is not installed; in your clone: pip install -e ".[bench]"' in line
    assert "conv1" in out


def test_a_peer_that_does_not_load_is_an_error_with_its_cause(monkeypatch):
    monkeypatch.setattr(peers, "import_module", lambda name: 1 / 0)
    with pytest.raises(ScratchnetError, match="jax does not load: ZeroDivisionError: division by zero"):
        peers.load("jax")


@pytest.mark.parametrize("embed", [[], ["--embed"]], ids=["steps", "embedding"])
def test_peers_are_not_compared_with_another_device(embed, bench, monkeypatch):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    code, _, err = bench("--against", "torch", *embed, "--device", "strict")
    assert code == 2
    assert "--against torch runs on cpu or cuda, not on strict: drop it, or --device strict" in err


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
