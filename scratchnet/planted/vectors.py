"""Bugs in layers on vectors: linear layers, activations, and layers in sequence."""

import numpy as np

from scratchnet.backend import Array
from scratchnet.layers import Linear, ReLU, Sequential, Sigmoid, sigmoid
from scratchnet.planted.bug import ForwardPass, planted_in
from scratchnet.planted.parts import BackwardResult, Dropout, Residual

LINEAR = Linear(5, 4)
VECTORS = (3, 5)  # (N, C)
SQUARE = Linear(4, 4)  # for mistakes that other shapes would turn into errors
SQUARE_VECTORS = (3, 4)
TWO_LAYERS = Sequential({"linear1": SQUARE, "relu": ReLU(), "linear2": SQUARE})


@planted_in(SQUARE, SQUARE_VECTORS)
def weight_not_transposed(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx = dy @ weight instead of dy @ weight.T; the weight is square, so the shapes still match."""
    _, grads = at.backward(dy)
    return dy @ at.params["weight"], grads


@planted_in(SQUARE, SQUARE_VECTORS)
def weight_gradient_transposed(dy: Array, at: ForwardPass) -> BackwardResult:
    """dweight = dy.T @ x instead of x.T @ dy; the weight is square, so the shapes still match."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": dy.T @ at.x}


@planted_in(LINEAR, VECTORS)
def averaged_over_the_batch_twice(dy: Array, at: ForwardPass) -> BackwardResult:
    """dweight is divided by the batch size, although the loss has already done that."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"] / len(dy)}


@planted_in(Linear(5, 3), (3, 5))
def bias_summed_along_the_wrong_axis(dy: Array, at: ForwardPass) -> BackwardResult:
    """dbias sums over features instead of samples; N equals O, so the shapes still match."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy.sum(axis=1)}


@planted_in(LINEAR, (1, 5))
def batch_of_one_squeezed(dy: Array, at: ForwardPass) -> BackwardResult:
    """dy is squeezed first, so for a batch of one the sum over axis 0 runs over features."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": np.broadcast_to(dy.squeeze().sum(axis=0), grads["bias"].shape).copy()}


@planted_in(LINEAR, (0, 5))
def mean_of_an_empty_batch(dy: Array, at: ForwardPass) -> BackwardResult:
    """dbias is computed as the mean times N, which is NaN for an empty batch at the end of the data."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy.sum(axis=0) / np.float64(len(dy)) * len(dy)}


@planted_in(LINEAR, VECTORS)
def bias_keeps_an_axis(dy: Array, at: ForwardPass) -> BackwardResult:
    """dbias is summed with keepdims=True and has shape (1, O)."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy.sum(axis=0, keepdims=True)}


@planted_in(LINEAR, VECTORS)
def bias_left_out(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradient dictionary has no entry for the bias."""
    dx, grads = at.backward(dy)
    return dx, {"weight": grads["weight"]}


@planted_in(LINEAR, VECTORS)
def first_layer_returns_none(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is None: it was skipped while this was the first layer, which it no longer is."""
    return None, at.backward(dy)[1]


@planted_in(LINEAR, VECTORS)
def single_precision_inside(dy: Array, at: ForwardPass) -> BackwardResult:
    """dweight is computed in float32 and returned as float64, with half of its digits lost."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": (at.x.astype(np.float32).T @ dy.astype(np.float32)).astype(dy.dtype)}


@planted_in(LINEAR, VECTORS)
def epsilon_added(dy: Array, at: ForwardPass) -> BackwardResult:
    """1e-8 is added to dx to keep it away from zero."""
    dx, grads = at.backward(dy)
    return dx + 1e-8, grads


@planted_in(LINEAR, VECTORS)
def gradient_clipped(dy: Array, at: ForwardPass) -> BackwardResult:
    """dy is clipped to [-1, 1] inside the layer, which is the job of the training step."""
    return at.backward(np.clip(dy, -1, 1))


@planted_in(LINEAR, VECTORS)
def gradient_normalised(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is divided by the norm of dy, to stabilise deep networks."""
    dx, grads = at.backward(dy)
    return dx / (np.linalg.norm(dy) + 1e-12), grads


@planted_in(LINEAR, VECTORS)
def cotangent_ignored(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward assumes that dy is ones: it was tested only as the last layer, under a plain sum."""
    return at.backward(np.ones_like(dy))


@planted_in(ReLU(), (4, 6))
def relu_mask_missing(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx = dy everywhere: the mask is y >= 0, which always holds."""
    return dy * (at.y >= 0), {}


@planted_in(ReLU(), (4, 6))
def relu_mask_of_the_gradient(dy: Array, at: ForwardPass) -> BackwardResult:
    """The mask is dy > 0 instead of x > 0."""
    return dy * (dy > 0), {}


@planted_in(ReLU(), (4, 6))
def relu_mask_inverted(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx = dy where x is negative."""
    return dy * (at.x < 0), {}


@planted_in(Sigmoid(), (4, 6))
def sigmoid_forgotten(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx = dy: backward skips the sigmoid."""
    return dy.copy(), {}


@planted_in(Sigmoid(), (4, 6))
def sigmoid_of_the_preactivation(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx = dy x (1 - x) instead of dy y (1 - y)."""
    return dy * at.x * (1 - at.x), {}


@planted_in(Sigmoid(), (4, 6))
def sigmoid_applied_twice(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward applies the sigmoid to its cached value, which is already y."""
    twice = sigmoid(at.y)
    return dy * twice * (1 - twice), {}


@planted_in(Sigmoid(), (4, 6))
def sigmoid_half_of_its_derivative(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx = dy y: the factor 1 - y is missing."""
    return dy * at.y, {}


@planted_in(Dropout(), (4, 6))
def dropout_mask_redrawn(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward draws a new mask."""
    return dy * at.layer.draw(dy, at.layer.seed + 1), {}


@planted_in(Residual(SQUARE), SQUARE_VECTORS)
def shortcut_overwritten(dy: Array, at: ForwardPass) -> BackwardResult:
    """x feeds two paths, and the gradient of one overwrites that of the other."""
    return at.layer.linear.backward(dy, at.cache)


@planted_in(TWO_LAYERS, SQUARE_VECTORS)
def activation_skipped(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward visits only the layers with parameters and skips the ReLU between them."""
    layers = at.layer.layers
    dh, grads2 = layers["linear2"].backward(dy, at.cache["linear2"])
    dx, grads1 = layers["linear1"].backward(dh, at.cache["linear1"])
    grads = {f"linear{i}.{name}": value for i, own in ((1, grads1), (2, grads2)) for name, value in own.items()}
    return dx, grads


@planted_in(TWO_LAYERS, SQUARE_VECTORS)
def gradients_of_two_layers_swapped(dy: Array, at: ForwardPass) -> BackwardResult:
    """Gradients are collected from last layer to first, but zipped with the layers from first to last."""
    dx, grads = at.backward(dy)
    return dx, grads | {"linear1.weight": grads["linear2.weight"], "linear2.weight": grads["linear1.weight"]}


@planted_in(TWO_LAYERS, SQUARE_VECTORS)
def layers_share_a_cache(dy: Array, at: ForwardPass) -> BackwardResult:
    """Caches are stored by layer type, so the second linear layer overwrites that of the first."""
    return at.layer.backward(dy, at.cache | {"linear1": at.cache["linear2"]})
