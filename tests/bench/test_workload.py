"""Networks to measure, new and trained."""

import numpy as np
import pytest

from scratchnet.bench.workload import Workload
from scratchnet.checkpoint import save_model
from scratchnet.cli import main


@pytest.fixture
def trained(tmp_path, tiny_net):
    """A saved network whose biases and running statistics differ from fresh ones."""
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


def test_a_trained_network_takes_no_other_image_size(trained, bench):
    code, out, err = bench("--network", trained)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "trained.npz is trained: its image_size cannot be changed" in err
