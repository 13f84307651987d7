"""The checker is checked: right gradients pass, planted mistakes do not."""

import numpy as np
import pytest
from wrong_layers import Wrong, edit

from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import Report, check
from scratchnet.layers import Conv2d, Linear, Sigmoid, WeightedL1

SEEDS = range(20)
MISTAKES = {
    "dx scaled by 0.9995": lambda dx, grads: (0.9995 * dx, grads),
    "dx scaled by 1 + 1e-7": lambda dx, grads: (dx * (1 + 1e-7), grads),
    "sign of dx": lambda dx, grads: (-dx, grads),
    "kernel flipped in dweight": lambda dx, grads: (dx, grads | {"weight": grads["weight"][::-1, ::-1]}),
    "one entry of dweight lost": lambda dx, grads: (dx, grads | {"weight": edit(grads["weight"], (0, 1, 1, 2), 0.0)}),
    "last column of dx lost": lambda dx, grads: (edit(dx, (slice(None), -1), 0.0), grads),
    "one sample of dx lost": lambda dx, grads: (edit(dx, (slice(None), slice(None), 1), 0.0), grads),
    "bias averaged": lambda dx, grads: (dx, grads | {"bias": grads["bias"] / 12}),
    "bias forgotten": lambda dx, grads: (dx, grads | {"bias": 0 * grads["bias"]}),
    "a NaN": lambda dx, grads: (edit(dx, (0, 0, 0, 0), np.nan), grads),
}


def conv_problem(seed: int):
    rng = np.random.default_rng(seed)
    layer = Conv2d(2, 3, 3)
    params = {
        name: value + 0.1 * rng.standard_normal(value.shape) for name, value in layer.init(rng, np.float64).items()
    }
    return layer, params, rng.standard_normal((5, 6, 2, 2))


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_planted_mistake_is_caught_with_every_seed(mistake):
    for seed in SEEDS:
        layer, params, x = conv_problem(seed)
        assert not check(Wrong(layer, mistake), params, x, seed=seed), f"seed {seed}"


@pytest.mark.parametrize("method", ["auto", "complex", "central", "central4"])
def test_a_right_gradient_passes_with_every_seed(method):
    for seed in SEEDS:
        layer, params, x = conv_problem(seed)
        report = check(layer, params, x, seed=seed, method=method)
        assert report, report


def test_the_report_names_the_tensor_that_failed():
    layer, params, x = conv_problem(0)
    report = check(Wrong(layer, MISTAKES["bias averaged"]), params, x)
    assert [tensor.name for tensor in report.tensors if not tensor.passed] == ["bias"]
    assert "FAIL  bias (3,): relative error" in str(report)
    assert report.error == max(tensor.error for tensor in report.tensors)


def test_the_same_seed_gives_the_same_report():
    layer, params, x = conv_problem(0)
    assert check(layer, params, x, seed=4) == check(layer, params, x, seed=4)
    assert check(layer, params, x, seed=4) != check(layer, params, x, seed=5)


def test_layers_with_several_inputs_are_checked_in_each(rng):
    layer = WeightedL1(4)
    h1, h2 = rng.standard_normal((2, 3, 4))
    params = layer.init(rng, np.float64)
    assert [tensor.name for tensor in check(layer, params, h1, h2).tensors] == ["h1", "h2", "weight", "bias"]
    one_twin = Wrong(layer, lambda dinputs, grads: ((dinputs[0], 0 * dinputs[1]), grads))
    assert [t.name for t in check(one_twin, params, h1, h2).tensors if not t.passed] == [
        "x2"
    ]  # a wrapper that names no inputs


def test_a_layer_of_the_users_own_needs_only_forward_and_backward(rng):
    class Square:
        def forward(self, params, x):
            return x * x, x

        def backward(self, dy, cache):
            return 2 * dy * cache, {}

    assert check(Square(), {}, rng.standard_normal((3, 4)))


class Product:
    """y = scale * x."""

    def forward(self, params, x):
        return params["scale"] * x, (params["scale"], x)

    def backward(self, dy, cache):
        return dy * cache[0], {"scale": (dy * cache[1]).sum(axis=0)}


def test_a_zero_gradient_is_reported_as_proof_of_nothing(rng):
    report = check(Product(), {"scale": np.zeros(4)}, rng.standard_normal((3, 4)))
    assert report
    assert [tensor.vanishing for tensor in report.tensors] == [True, False]
    assert "zero gradient, proves nothing" in str(report)
    assert report.vacuous == ("x",)


def test_a_vacuous_tensor_is_tried_at_other_points(rng):
    def draw(rng):
        return {"scale": rng.standard_normal(4)}, [rng.standard_normal((3, 4))]

    x = rng.standard_normal((3, 4))
    report = check(Product(), {"scale": np.zeros(4)}, x, redraw=draw)
    assert report
    assert report.vacuous == ()
    wrong = Wrong(Product(), lambda dx, grads: (2 * dx, grads))  # which is invisible where scale is 0
    assert check(wrong, {"scale": np.zeros(4)}, x)
    assert not check(wrong, {"scale": np.zeros(4)}, x, redraw=draw)


def test_what_stays_vacuous_is_listed(rng):
    def always_zero(rng):
        return {"scale": np.zeros(4)}, [rng.standard_normal((3, 4))]

    report = check(Product(), {"scale": np.zeros(4)}, rng.random((3, 4)), redraw=always_zero, attempts=2)
    assert "vacuous, zero gradient at every point tried: x" in str(report)


def test_gradients_of_an_empty_batch_can_only_be_zero_and_were_looked_at(rng):
    layer = Linear(5, 2)
    report = check(layer, layer.init(rng, np.float64), np.zeros((0, 5)))
    assert report
    assert report.vacuous == ()
    assert "x (0, 5): no entries" in str(report)
    nan = Wrong(layer, lambda dx, grads: (dx, grads | {"bias": grads["bias"] + 1}))
    assert not check(nan, layer.init(rng, np.float64), np.zeros((0, 5)))


@pytest.mark.parametrize("number", ["directions", "attempts", "entries"])
def test_numbers_below_one_are_refused(number):
    with pytest.raises(ScratchnetError, match="directions, attempts and entries must be at least 1"):
        check(Sigmoid(), {}, np.zeros((2, 2)), **{number: 0})


def test_a_layer_that_is_not_deterministic_is_reported_as_that(rng):
    class Dropout:
        def forward(self, params, x):
            mask = rng.random(x.shape) < 0.5
            return x * mask, mask

        def backward(self, dy, mask):
            return dy * mask, {}

    report = check(Dropout(), {}, rng.random((3, 4)))
    assert not report
    assert "forward is not deterministic" in str(report)


def test_a_parameter_without_gradient_is_named(rng):
    layer = Linear(5, 2)
    forgetful = Wrong(layer, lambda dx, grads: (dx, {"weight": grads["weight"]}))
    report = check(forgetful, layer.init(rng, np.float64), rng.standard_normal((3, 5)), without_gradient=["bias"])
    assert [tensor.name for tensor in report.tensors] == ["x", "weight"]
    assert report


def test_a_check_of_nothing_does_not_pass():
    assert not Report((), seed=0)


def test_saturated_sigmoids_keep_their_digits(rng):
    assert check(Sigmoid(), {}, np.array([[-700.0, -40.0, 0.0, 37.0, 200.0]]) + rng.random((1, 5)))


def test_an_unknown_method_is_refused():
    with pytest.raises(ScratchnetError, match="method 'forward' is not one of auto, complex, central, central4"):
        check(Sigmoid(), {}, np.zeros((2, 2)), method="forward")


class Square:
    def forward(self, params, x):
        return x * x, x

    def backward(self, dy, x):
        assert dy.shape == x.shape
        return 2 * dy * x, {}


def test_a_layer_of_single_numbers_is_checked_in_every_layout():
    report = check(Square(), {}, np.array(3.0))
    assert report, report
