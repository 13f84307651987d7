"""Which function runs: the definition, or one that is only faster."""

import subprocess
import sys

import numpy as np
import pytest

from scratchnet.backend import for_each
from scratchnet.errors import BackendError
from scratchnet.layers import Conv2d
from scratchnet.ops import choose, definitions, pixels
from scratchnet.ops.accelerated import definition_of, definitions_only
from scratchnet.planted.cases import CASES


@pytest.fixture
def chosen(monkeypatch):
    """The operations for which a faster function was chosen, in order."""
    found = []
    choice = choose.faster

    def watched(operation, function, arguments):
        faster = choice(operation, function, arguments)
        found.append(f"{operation}.{function}" if faster else None)
        return faster

    monkeypatch.setattr(choose, "faster", watched)
    return found


def test_real_numbers_take_the_faster_function_and_complex_ones_the_definition(chosen, rng):
    x = rng.standard_normal((3, 4, 2, 5))
    np.testing.assert_array_equal(pixels.relu(x), definition_of(pixels.relu)(x))
    pixels.relu(x + 0j)
    assert chosen == ["pixels.relu", None]


def test_inside_the_block_nothing_but_definitions_runs(chosen, rng):
    layer, x = Conv2d(2, 3, 3, algorithm="dft"), rng.standard_normal((5, 6, 2, 2))
    params = layer.init(rng, np.float64)
    with definitions():
        y, cache = layer.forward(params, x)
        layer.backward(y, cache)
    assert chosen == []
    assert not definitions_only()
    assert cache.saved.algorithm == "offsets"


def test_a_backward_outside_of_the_block_goes_on_with_the_definition(rng):
    layer, x = Conv2d(2, 3, 3, algorithm="dft"), rng.standard_normal((5, 6, 2, 2))
    params = layer.init(rng, np.float64)
    with definitions():
        y, cache = layer.forward(params, x)
        dx, grads = layer.backward(y, cache)
    again, grads_again = layer.backward(y, cache)
    np.testing.assert_array_equal(again, dx)
    np.testing.assert_array_equal(grads_again["weight"], grads["weight"])


def test_threads_of_the_block_are_inside_it():
    inside = []
    with definitions():
        for_each(lambda _: inside.append(definitions_only()), range(8), like=np.zeros(1))
    assert inside == [True] * 8


def test_the_environment_asks_for_definitions(monkeypatch, chosen, rng):
    monkeypatch.setenv("SCRATCHNET_OPS", "definitions")
    pixels.relu(rng.standard_normal((2, 3)))
    assert chosen == []


def test_a_misspelt_variable_is_one_line(monkeypatch):
    monkeypatch.setenv("SCRATCHNET_OPS", "definition")
    with pytest.raises(BackendError, match=r"^SCRATCHNET_OPS=definition: set it to definitions, or leave it out$"):
        pixels.relu(np.ones(3))


@pytest.mark.parametrize("name", [name for name in CASES if "channels" in name or "to the loss" in name])
def test_the_networks_gradients_agree_on_the_definitions_alone(name):
    with definitions():
        report = CASES[name].check(seed=3)
    assert report, report


def test_a_definition_imports_nothing_that_is_only_faster():
    code = "import sys, scratchnet.layers; print([n for n in sys.modules if '.ops.fast' in n or '.ops.cuda' in n])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
