"""Bugs of layers on vectors: linear, activations, and several layers in a row."""

import numpy as np

from scratchnet.backend import Array
from scratchnet.layers import Linear, ReLU, Sequential, Sigmoid, sigmoid
from scratchnet.planted.bug import Point, planted_in
from scratchnet.planted.parts import Dropout, Gradients, Residual

LINEAR = Linear(5, 4)
VECTORS = (3, 5)  # (N, C)
SQUARE = Linear(4, 4)  # for mistakes that other shapes would give away
SQUARE_VECTORS = (3, 4)
TWO_LAYERS = Sequential({"linear1": SQUARE, "relu": ReLU(), "linear2": SQUARE})


@planted_in(SQUARE, SQUARE_VECTORS)
def weight_not_transposed(dy: Array, at: Point) -> Gradients:
    """dx = dy @ weight, where it should be its transpose; the weight is square, so no shape complains."""
    _, grads = at.backward(dy)
    return dy @ at.params["weight"], grads


@planted_in(SQUARE, SQUARE_VECTORS)
def weight_gradient_transposed(dy: Array, at: Point) -> Gradients:
    """dweight = dy.T @ x, where it should be x.T @ dy; the weight is square, so no shape complains."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": dy.T @ at.x}


@planted_in(LINEAR, VECTORS)
def averaged_over_the_batch_twice(dy: Array, at: Point) -> Gradients:
    """dweight is divided by the number of samples, which the loss has done already."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"] / len(dy)}


@planted_in(Linear(5, 3), (3, 5))
def bias_summed_along_the_wrong_axis(dy: Array, at: Point) -> Gradients:
    """dbias sums over the features; there are as many samples as features, so no shape complains."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy.sum(axis=1)}


@planted_in(LINEAR, (1, 5))
def batch_of_one_squeezed(dy: Array, at: Point) -> Gradients:
    """dy is squeezed first; in a batch of one the sum over axis 0 then runs over the features."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": np.broadcast_to(dy.squeeze().sum(axis=0), grads["bias"].shape).copy()}


@planted_in(LINEAR, (0, 5))
def mean_of_an_empty_batch(dy: Array, at: Point) -> Gradients:
    """dbias is computed as the mean times N, which is NaN for the empty batch at the end of a file."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy.sum(axis=0) / np.float64(len(dy)) * len(dy)}


@planted_in(LINEAR, VECTORS)
def bias_keeps_an_axis(dy: Array, at: Point) -> Gradients:
    """dbias is summed with keepdims and has the shape (1, O)."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy.sum(axis=0, keepdims=True)}


@planted_in(LINEAR, VECTORS)
def bias_left_out(dy: Array, at: Point) -> Gradients:
    """The dictionary of gradients has no entry for the bias."""
    dx, grads = at.backward(dy)
    return dx, {"weight": grads["weight"]}


@planted_in(LINEAR, VECTORS)
def first_layer_returns_none(dy: Array, at: Point) -> Gradients:
    """dx is None: it was saved for a first layer, and the layer has moved to the middle since."""
    return None, at.backward(dy)[1]


@planted_in(LINEAR, VECTORS)
def single_precision_inside(dy: Array, at: Point) -> Gradients:
    """dweight is computed in float32 and returned as float64, half of its digits gone."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": (at.x.astype(np.float32).T @ dy.astype(np.float32)).astype(dy.dtype)}


@planted_in(LINEAR, VECTORS)
def epsilon_added(dy: Array, at: Point) -> Gradients:
    """A 1e-8 was added to dx to keep it away from zero."""
    dx, grads = at.backward(dy)
    return dx + 1e-8, grads


@planted_in(LINEAR, VECTORS)
def gradient_clipped(dy: Array, at: Point) -> Gradients:
    """dy is clipped to -1 ... 1 inside the layer, which is the business of the training step."""
    return at.backward(np.clip(dy, -1, 1))


@planted_in(LINEAR, VECTORS)
def gradient_normalised(dy: Array, at: Point) -> Gradients:
    """dx is divided by the norm of dy, to keep deep networks stable."""
    dx, grads = at.backward(dy)
    return dx / (np.linalg.norm(dy) + 1e-12), grads


@planted_in(LINEAR, VECTORS)
def cotangent_ignored(dy: Array, at: Point) -> Gradients:
    """backward takes dy for ones: it was tested as the last layer under a plain sum, where dy is that."""
    return at.backward(np.ones_like(dy))


@planted_in(ReLU(), (4, 6))
def relu_mask_missing(dy: Array, at: Point) -> Gradients:
    """dx = dy everywhere: the mask was built from y >= 0, which always holds."""
    return dy * (at.y >= 0), {}


@planted_in(ReLU(), (4, 6))
def relu_mask_of_the_gradient(dy: Array, at: Point) -> Gradients:
    """The mask is that of dy > 0, where it should be that of x > 0."""
    return dy * (dy > 0), {}


@planted_in(ReLU(), (4, 6))
def relu_mask_inverted(dy: Array, at: Point) -> Gradients:
    """dx = dy where x is negative."""
    return dy * (at.x < 0), {}


@planted_in(Sigmoid(), (4, 6))
def sigmoid_forgotten(dy: Array, at: Point) -> Gradients:
    """dx = dy: backward goes past the sigmoid as if it were not there."""
    return dy.copy(), {}


@planted_in(Sigmoid(), (4, 6))
def sigmoid_of_the_preactivation(dy: Array, at: Point) -> Gradients:
    """dx = dy x (1 - x), where y (1 - y) is meant."""
    return dy * at.x * (1 - at.x), {}


@planted_in(Sigmoid(), (4, 6))
def sigmoid_applied_twice(dy: Array, at: Point) -> Gradients:
    """backward takes the sigmoid of what it kept, which was y already."""
    twice = sigmoid(at.y)
    return dy * twice * (1 - twice), {}


@planted_in(Sigmoid(), (4, 6))
def sigmoid_half_of_its_derivative(dy: Array, at: Point) -> Gradients:
    """dx = dy y: the factor 1 - y is missing."""
    return dy * at.y, {}


@planted_in(Dropout(), (4, 6))
def dropout_mask_redrawn(dy: Array, at: Point) -> Gradients:
    """backward draws a mask of its own."""
    return dy * at.layer.draw(dy, at.layer.seed + 1), {}


@planted_in(Residual(SQUARE), SQUARE_VECTORS)
def shortcut_overwritten(dy: Array, at: Point) -> Gradients:
    """x goes two ways, and the gradient of one overwrites that of the other."""
    return at.layer.linear.backward(dy, at.cache)


@planted_in(TWO_LAYERS, SQUARE_VECTORS)
def activation_skipped(dy: Array, at: Point) -> Gradients:
    """backward walks over the layers that have parameters and forgets the ReLU between them."""
    layers = at.layer.layers
    dh, grads2 = layers["linear2"].backward(dy, at.cache["linear2"])
    dx, grads1 = layers["linear1"].backward(dh, at.cache["linear1"])
    grads = {f"linear{i}.{name}": value for i, own in ((1, grads1), (2, grads2)) for name, value in own.items()}
    return dx, grads


@planted_in(TWO_LAYERS, SQUARE_VECTORS)
def gradients_of_two_layers_swapped(dy: Array, at: Point) -> Gradients:
    """Gradients are listed from the last layer back, and zipped with the layers from the first on."""
    dx, grads = at.backward(dy)
    return dx, grads | {"linear1.weight": grads["linear2.weight"], "linear2.weight": grads["linear1.weight"]}


@planted_in(TWO_LAYERS, SQUARE_VECTORS)
def layers_share_a_cache(dy: Array, at: Point) -> Gradients:
    """Caches are kept by the type of the layer, so the second linear layer overwrites that of the first."""
    return at.layer.backward(dy, at.cache | {"linear1": at.cache["linear2"]})
