"""Layers that keep everything on themselves, in the styles in which people write them."""

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import check, draw, from_attributes

W, B = np.random.default_rng(0).standard_normal((3, 2)), np.zeros(2)


class Book:
    """W and dW, x kept, as in Deep Learning from Scratch; `wrong` is a factor of dW."""

    def __init__(self, wrong=1.0):
        self.W, self.b, self.x, self.wrong = W.copy(), B.copy(), None, wrong

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.wrong * self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T


class Nnfs:
    """Nothing is returned: output, dinputs, dweights."""

    def __init__(self, wrong=1.0):
        self.weights, self.biases, self.wrong = W.copy(), B[None].copy(), wrong

    def forward(self, inputs):
        self.inputs = inputs
        self.output = inputs @ self.weights + self.biases

    def backward(self, dvalues):
        self.dweights, self.dbiases = self.wrong * self.inputs.T @ dvalues, dvalues.sum(axis=0, keepdims=True)
        self.dinputs = dvalues @ self.weights.T


class Lists:
    """params and grads, lists of the same length, written in place."""

    def __init__(self, wrong=1.0):
        self.params, self.grads, self.wrong = [W.copy(), B.copy()], [np.zeros_like(W), np.zeros_like(B)], wrong

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout):
        self.grads[0][...] = self.wrong * self.x.T @ dout
        self.grads[1][...] = dout.sum(axis=0)
        return dout @ self.params[0].T


class NumpyMl:
    """Dictionaries; gradients and inputs add up until they are flushed."""

    def __init__(self, wrong=1.0):
        self.parameters, self.wrong = {"W": W.copy(), "b": B.copy()}, wrong
        self.flush_gradients()

    def flush_gradients(self):
        self.X, self.gradients = [], {"W": np.zeros_like(W), "b": np.zeros_like(B)}

    def forward(self, X):
        self.X.append(X)
        return X @ self.parameters["W"] + self.parameters["b"]

    def backward(self, dLdy):
        for x in self.X:
            self.gradients["W"] += self.wrong * x.T @ dLdy
            self.gradients["b"] += dLdy.sum(axis=0)
        return dLdy @ self.parameters["W"].T


class Accumulating:
    """Called, not forwarded; gradients add up in w_grad, and are never set to zero."""

    def __init__(self, wrong=1.0):
        self.w, self.c, self.wrong = W.copy(), B.copy(), wrong
        self.w_grad, self.c_grad = np.zeros_like(W), np.zeros_like(B)

    def __call__(self, x):
        self.x = x
        return x @ self.w + self.c

    def backward(self, dy):
        self.w_grad += self.wrong * self.x.T @ dy
        self.c_grad += dy.sum(axis=0)
        return dy @ self.w.T


class Parameter:
    def __init__(self, data):
        self.data, self.grad = data, None


class Objects:
    """Parameters with .data and .grad."""

    def __init__(self, wrong=1.0):
        self.weight, self.bias, self.wrong = Parameter(W.copy()), Parameter(B.copy()), wrong

    def forward(self, x):
        self.x = x
        return x @ self.weight.data + self.bias.data

    def backward(self, dy):
        self.weight.grad, self.bias.grad = self.wrong * self.x.T @ dy, dy.sum(axis=0)
        return dy @ self.weight.data.T


HABITS = [Book, Nnfs, Lists, NumpyMl, Accumulating, Objects]


@pytest.mark.parametrize("habit", HABITS)
def test_a_habit_takes_one_line_and_its_mistake_is_found(habit):
    layer = from_attributes(habit())
    params, inputs = draw(layer, (4, 3))
    assert len(params) == 2
    report = check(layer, params, *inputs)
    assert report, report
    assert len(report.tensors) == 3
    wrong = check(from_attributes(habit(wrong=1.01)), params, *inputs)
    assert len(wrong.failed) == 1
    assert wrong.failed[0].shape == (3, 2)


def test_the_layer_itself_is_left_alone():
    layer = Accumulating()
    adapted = from_attributes(layer)
    params, inputs = draw(adapted, (4, 3))
    check(adapted, params, *inputs)
    assert not layer.w_grad.any()
    assert not hasattr(layer, "x")
    np.testing.assert_array_equal(layer.w, W)


def test_an_array_without_a_gradient_is_reported_not_skipped():
    class Forgetful(Book):
        def backward(self, dout):
            return dout @ self.W.T

    layer = from_attributes(Forgetful())
    params, inputs = draw(layer, (4, 3))
    report = check(layer, params, *inputs)
    assert not report
    assert "backward returned no gradient for W, b" in str(report)
    assert check(layer, params, *inputs, without_gradient=["W", "b"])


def test_the_gradients_may_be_named():
    class Odd:
        def __init__(self):
            self.theta, self.history = W.copy(), np.zeros(3)

        def run(self, x):
            self.x = x
            return x @ self.theta

        def back(self, dy):
            self.sensitivity = self.x.T @ dy
            return dy @ self.theta.T

    layer = from_attributes(Odd(), {"theta": "sensitivity"}, forward="run", backward="back")
    params, inputs = draw(layer, (4, 3))
    assert list(params) == ["theta"]
    assert check(layer, params, *inputs)


class Variable:
    def __init__(self, data):
        self.data = data


class Sine:
    """As in DeZero: called with variables, returns one; backward takes and returns variables, too."""

    def __call__(self, x):
        self.inputs = [x]
        return Variable(np.sin(x.data))

    def forward(self, x):
        return np.sin(x)

    def backward(self, gy):
        return Variable(gy.data * np.cos(self.inputs[0].data))


class Multiply:
    """As in MyGrad: backward_var for one input at a time."""

    def __call__(self, a, b):
        self.variables = (a, b)
        return a.data * b.data

    def backward(self, grad):
        raise AssertionError("this drives MyGrad's graph")

    def backward_var(self, grad, index, **kwargs):
        return grad * self.variables[1 - index].data


def test_inputs_that_are_wrapped_in_variables(rng):
    x, y = rng.standard_normal((2, 4, 3))
    assert check(from_attributes(Sine(), variable=Variable), {}, x)
    report = check(from_attributes(Multiply(), variable=Variable), {}, x, y)
    assert [tensor.name for tensor in report.tensors] == ["a", "b"]
    assert report, report


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (lambda: from_attributes(Book), r"Book is a class, expected a layer: from_attributes\(Book\(...\)\)"),
        (lambda: from_attributes(object()), r"object has no method forward"),
        (lambda: from_attributes(Variable(1)), "name it, from_attributes"),
    ],
)
def test_what_is_no_layer_is_refused(make, answer):
    with pytest.raises(ScratchnetError, match=answer):
        make()


def test_a_layer_that_makes_its_parameters_later_is_told_to():
    lazy = NumpyMl()
    lazy.is_initialized = False
    with pytest.raises(ScratchnetError, match=r"call layer.forward\(x\) before"):
        draw(from_attributes(lazy), (4, 3))


class Held:
    def __init__(self, value):
        self.value, self.grad = value, np.zeros_like(value)


class WithParameters:
    def __init__(self, factor=1.0):
        self.w, self.factor = Held(np.eye(3)[:, :2] + 0.5), factor

    def __call__(self, x):
        self.x = x
        return x @ self.w.value

    def backward(self, dy):
        self.w.grad += self.factor * self.x.T @ dy
        return dy @ self.w.value.T


class GradsMadeInBackward(WithParameters):
    def __init__(self, factor=1.0):
        self.params, self.factor = {"w": np.eye(3)[:, :2] + 0.5}, factor

    def __call__(self, x):
        self.x = x
        return x @ self.params["w"]

    def backward(self, dy):
        self.grads = {"w": self.factor * self.x.T @ dy}
        return dy @ self.params["w"].T


class BuiltInTheFirstCall(WithParameters):
    def __init__(self, factor=1.0):
        self.weights, self.grad_weights, self.factor = [], [], factor
        self(np.ones((4, 3)))

    def __call__(self, x):
        self.weights = self.weights or [np.eye(3)[:, :2] + 0.5]
        self.x = x
        return x @ self.weights[0]

    def backward(self, dy):
        self.grad_weights = [self.factor * self.x.T @ dy]
        return dy @ self.weights[0].T


@pytest.mark.parametrize("layer", [WithParameters, GradsMadeInBackward, BuiltInTheFirstCall])
def test_parameters_that_others_would_overlook_are_looked_at(layer, rng):
    x = rng.standard_normal((4, 3))
    for factor in (1.0, 1.5):
        wrapped = from_attributes(layer(factor))
        report = check(wrapped, wrapped.init(rng), x)
        assert len(report.tensors) == 2
        assert bool(report) == (factor == 1.0)


def test_a_layer_on_which_no_parameters_were_found_says_so(rng):
    class Doubled:
        def forward(self, x):
            return 2 * x

        def backward(self, dy):
            return 2 * dy

    report = check(from_attributes(Doubled()), {}, rng.standard_normal(3))
    assert report
    assert "no parameters were found on Doubled" in str(report)


def test_a_loss_whose_backward_takes_nothing(rng):
    class SquaredError:
        def forward(self, p, target):
            self.gap = p - target
            return float((self.gap**2).mean())

        def backward(self):
            return 2 * self.gap / self.gap.size

    p, target = rng.standard_normal((2, 4, 3))
    loss = from_attributes(SquaredError())
    assert check(loss, {}, p, target, without_gradient=["target"])
    assert "without_gradient" in str(check(loss, {}, p, target))
