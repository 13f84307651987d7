"""Bugs in strangers' layers on vectors and scores: sort pooling, spectral norm, losses."""

import numpy as np

from scratchnet.backend import Array
from scratchnet.planted.bug import STRANGERS, ForwardPass, edited, planted_in
from scratchnet.planted.parts import BackwardResult
from scratchnet.planted.stranger_layers import softmax
from scratchnet.planted.stranger_losses import Cosine, CrossEntropy, Hinge, Huber, SortPool, SpectralNorm, Triplet

SCORES, VECTORS = (5, 3), (4, 5)
in_sort = planted_in(SortPool(), VECTORS, catalogue=STRANGERS)
in_spectral = planted_in(SpectralNorm(), (5, 4), catalogue=STRANGERS)
in_cross_entropy = planted_in(CrossEntropy(), SCORES, catalogue=STRANGERS)
in_hinge = planted_in(Hinge(), SCORES, catalogue=STRANGERS)
in_huber = planted_in(Huber(), VECTORS, VECTORS, catalogue=STRANGERS)
in_triplet = planted_in(Triplet(), VECTORS, VECTORS, VECTORS, catalogue=STRANGERS)
in_cosine = planted_in(Cosine(), VECTORS, VECTORS, catalogue=STRANGERS)


@in_sort
def gradient_left_in_sorted_order(dy: Array, at: ForwardPass) -> BackwardResult:
    """dy is written into the first k columns instead of to the winners."""
    dx = np.zeros(at.x.shape)
    dx[:, : at.layer.k] = dy
    return dx, {}


@in_sort
def order_inverted_once_more(dy: Array, at: ForwardPass) -> BackwardResult:
    """dy is taken at the order of the order, which is its inverse only for whole sorts."""
    order, shape = at.cache
    return at.layer.backward(np.take_along_axis(np.asarray(dy), np.argsort(order, axis=1), axis=1), (order, shape))


@in_sort
def only_the_largest_counts(dy: Array, at: ForwardPass) -> BackwardResult:
    """Only the largest of each row gets a gradient, as in max pooling."""
    order, shape = at.cache
    return at.layer.backward(edited(dy, (slice(None), slice(1, None)), 0.0), (order, shape))


@in_spectral
def singular_value_held_constant(dy: Array, at: ForwardPass) -> BackwardResult:
    """dw lacks the path through the largest singular value."""
    return at.backward(dy)[0], {"w": at.x.T @ dy / at.cache[2]}


@in_spectral
def divided_by_it_once(dy: Array, at: ForwardPass) -> BackwardResult:
    """The path through s is divided by s instead of s squared."""
    plain = at.x.T @ dy / at.cache[2]
    return at.backward(dy)[0], {"w": plain + (at.backward(dy)[1]["w"] - plain) * at.cache[2]}


@in_spectral
def second_singular_vectors(dy: Array, at: ForwardPass) -> BackwardResult:
    """The singular vectors are those of the second largest value: taken from the wrong end."""
    x, w, s = at.cache
    u, _, vt = np.linalg.svd(w)
    dw = x.T @ dy
    return at.backward(dy)[0], {"w": dw / s - (dw * w).sum() / s**2 * np.outer(u[:, 1], vt[1])}


@in_cross_entropy
def not_averaged(dy: Array, at: ForwardPass) -> BackwardResult:
    """forward takes the mean over samples, backward the sum."""
    return at.backward(dy)[0] * len(at.x), {}


@in_cross_entropy
def smoothing_forgotten(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward subtracts the plain label from the softmax."""
    return dy * (softmax(at.x) - np.eye(3)[list(at.layer.labels)]) / len(at.x), {}


@in_cross_entropy
def softmax_derived_again(dy: Array, at: ForwardPass) -> BackwardResult:
    """p - t is multiplied by p (1 - p), though it already is the gradient of the scores."""
    p = softmax(at.x)
    return at.backward(dy)[0] * p * (1 - p), {}


@in_cross_entropy
def averaged_over_classes_too(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is divided by all entries instead of the samples."""
    return at.backward(dy)[0] / at.x.shape[1], {}


@in_hinge
def label_not_pushed(dy: Array, at: ForwardPass) -> BackwardResult:
    """The other classes are pushed down, the right one is not pulled up."""
    rows = np.arange(len(at.x))
    return edited(at.backward(dy)[0], (rows, list(at.layer.labels)), 0.0), {}


@in_hinge
def label_pulled_once(dy: Array, at: ForwardPass) -> BackwardResult:
    """The right class is pulled up once, however many are over the margin."""
    rows, dx = np.arange(len(at.x)), at.backward(dy)[0]
    return edited(dx, (rows, list(at.layer.labels)), -dy / len(at.x)), {}


@in_huber
def beyond_delta_as_within(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradient is e everywhere: the linear part is forgotten."""
    return (dy * at.cache, -dy * at.cache), {}


@in_huber
def slope_of_one_beyond_delta(dy: Array, at: ForwardPass) -> BackwardResult:
    """Beyond delta the slope is 1 instead of delta."""
    e = at.cache
    slope = np.where(np.abs(e) < at.layer.delta, e, np.sign(e))
    return (dy * slope, -dy * slope), {}


@in_huber
def sign_of_the_target(dy: Array, at: ForwardPass) -> BackwardResult:
    """Both arguments get the gradient with the same sign."""
    de = at.backward(dy)[0][0]
    return (de, de.copy()), {}


@in_triplet
def positive_and_negative_exchanged(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradients of the positive and the negative example change places."""
    (da, dp, dn), grads = at.backward(dy)
    return (da, dn, dp), grads


@in_triplet
def anchor_from_the_positive_alone(dy: Array, at: ForwardPass) -> BackwardResult:
    """da has the pull of the positive example, not the push of the negative one."""
    (_, dp, dn), grads = at.backward(dy)
    return (-dp, dp, dn), grads


@in_triplet
def margin_ignored(dy: Array, at: ForwardPass) -> BackwardResult:
    """Every triplet is taken to be active."""
    a, p, n, active = at.cache
    return at.layer.backward(dy, (a, p, n, np.ones_like(active)))


@in_cosine
def lengths_held_constant(dy: Array, at: ForwardPass) -> BackwardResult:
    """da = dy v / |a|: the part along a itself is not taken away."""
    u, v, sizes = at.cache
    return (dy[:, None] * v / sizes[0], dy[:, None] * u / sizes[1]), {}


@in_cosine
def lengths_exchanged(dy: Array, at: ForwardPass) -> BackwardResult:
    """da is divided by the length of b."""
    u, v, sizes = at.cache
    return at.layer.backward(dy, (u, v, sizes[::-1]))
