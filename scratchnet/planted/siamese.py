"""Bugs in what makes a network Siamese and trains it: twins, the head, losses and weight penalties."""

from typing import Any

import numpy as np

from scratchnet.backend import Array
from scratchnet.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Sigmoid, WeightedL1
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.planted.bug import ForwardPass, planted_in
from scratchnet.planted.cases import LossOf
from scratchnet.planted.parts import BackwardResult, Penalised, Twins

HEAD = WeightedL1(4)
PAIRS = (3, 4), (3, 4)  # h1 and h2, (N, D)
EPISODE = (2, 1, 4), (5, 4)  # queries (Q, 1, D) and supports (S, D)

ENCODER = Sequential(
    {
        "conv": Conv2d(1, 3, (2, 3), algorithm="offsets"),
        "relu": ReLU(),
        "pool": MaxPool2d(2),
        "flatten": Flatten(),
        "linear": Linear(2 * 3 * 3, 4),
        "sigmoid": Sigmoid(),
    }
)
TWINS = Twins(ENCODER, HEAD)
IMAGES = (5, 8, 2, 1), (5, 8, 2, 1)  # a and b, (H, W, N, C)

PAIR_LOSS = LossOf(PairCrossEntropy(), (0.0, 1.0, 1.0, 0.0, 0.25))
CHOICE_LOSS = LossOf(NWayCrossEntropy(), ((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
PENALTY = {"weight": 0.3}
OBJECTIVE = Penalised(HEAD, (1.0, 0.0, 1.0), PENALTY)


@planted_in(HEAD, *PAIRS)
def distance_sign_missing(dlogit: Array, at: ForwardPass) -> BackwardResult:
    """dh1 and dh2 omit the sign of h1 - h2, the derivative of the absolute value."""
    _, grads = at.backward(dlogit)
    dh = dlogit[:, None] * at.params["weight"]
    return (dh, -dh), grads


@planted_in(HEAD, *PAIRS)
def distance_squared(dlogit: Array, at: ForwardPass) -> BackwardResult:
    """backward is that of the squared distance: 2 (h1 - h2) instead of its sign."""
    _, grads = at.backward(dlogit)
    dh = 2 * dlogit[:, None] * at.params["weight"] * (at.inputs[0] - at.inputs[1])
    return (dh, -dh), grads


@planted_in(HEAD, *PAIRS)
def distance_signed_in_the_weight(dlogit: Array, at: ForwardPass) -> BackwardResult:
    """dweight sums h1 - h2 without the absolute value."""
    dh, grads = at.backward(dlogit)
    return dh, grads | {"weight": dlogit @ (at.inputs[0] - at.inputs[1])}


@planted_in(HEAD, *PAIRS)
def second_twin_has_the_sign_of_the_first(dlogit: Array, at: ForwardPass) -> BackwardResult:
    """dh2 = dh1 instead of -dh1."""
    (dh1, _), grads = at.backward(dlogit)
    return (dh1, dh1.copy()), grads


@planted_in(HEAD, *PAIRS)
def second_twin_detached(dlogit: Array, at: ForwardPass) -> BackwardResult:
    """dh2 = 0: the second twin is treated as a constant target."""
    (dh1, dh2), grads = at.backward(dlogit)
    return (dh1, np.zeros_like(dh2)), grads


@planted_in(HEAD, *EPISODE)
def scores_averaged_over_supports(dlogit: Array, at: ForwardPass) -> BackwardResult:
    """A query compared with S supports gets the mean of their gradients instead of the sum."""
    (dh1, dh2), grads = at.backward(dlogit)
    return (dh1 / dlogit.shape[-1], dh2), grads


@planted_in(HEAD, *EPISODE)
def scores_of_the_first_query(dlogit: Array, at: ForwardPass) -> BackwardResult:
    """A support's gradient comes from the first query only: the query axis is indexed instead of summed."""
    (dh1, _), grads = at.backward(dlogit)
    h1, h2 = at.inputs
    dh2 = -dlogit[0][:, None] * at.params["weight"] * np.sign(h1[0] - h2)
    return (dh1, dh2), grads


@planted_in(TWINS, *IMAGES)
def second_twin_overwrites(dlogits: Array, at: ForwardPass) -> BackwardResult:
    """Gradients are stored with = instead of +=, so those of the second twin replace those of the first."""
    dinputs, (_, second), head = at.layer.backward_twins(dlogits, at.cache)
    return dinputs, at.layer.collect(second, head)


@planted_in(TWINS, *IMAGES)
def only_one_twin_counted(dlogits: Array, at: ForwardPass) -> BackwardResult:
    """The shared weights get the gradient of the first twin only."""
    dinputs, (first, _), head = at.layer.backward_twins(dlogits, at.cache)
    return dinputs, at.layer.collect(first, head)


@planted_in(TWINS, *IMAGES)
def twins_averaged(dlogits: Array, at: ForwardPass) -> BackwardResult:
    """The shared weights get the mean over both twins instead of the sum."""
    dinputs, (first, second), head = at.layer.backward_twins(dlogits, at.cache)
    return dinputs, at.layer.collect({name: (first[name] + second[name]) / 2 for name in first}, head)


@planted_in(TWINS, *IMAGES)
def twins_subtracted(dlogits: Array, at: ForwardPass) -> BackwardResult:
    """The gradients of the twins are subtracted, as their embeddings are in the head."""
    dinputs, (first, second), head = at.layer.backward_twins(dlogits, at.cache)
    return dinputs, at.layer.collect({name: first[name] - second[name] for name in first}, head)


@planted_in(TWINS, *IMAGES)
def one_weight_not_shared(dlogits: Array, at: ForwardPass) -> BackwardResult:
    """The second twin uses a detached copy of one weight, so that part of its gradient is lost."""
    dinputs, (first, second), head = at.layer.backward_twins(dlogits, at.cache)
    shared = {name: first[name] + second[name] for name in first}
    return dinputs, at.layer.collect(shared | {"conv.weight": first["conv.weight"]}, head)


@planted_in(TWINS, *IMAGES)
def cache_of_the_other_twin(dlogits: Array, at: ForwardPass) -> BackwardResult:
    """The encoder keeps a single cache, so the first twin is differentiated at the second twin's input."""
    _, cache2, head_cache = at.cache
    return at.layer.backward(dlogits, (cache2, cache2, head_cache))


@planted_in(PAIR_LOSS, (5,))
def mean_forgotten(dloss: Array, at: ForwardPass) -> BackwardResult:
    """The loss is a mean over pairs, but its gradient is not divided by their number."""
    dlogits, grads = at.backward(dloss)
    return dlogits * dlogits.size, grads


@planted_in(PAIR_LOSS, (5,))
def loss_a_thousandth_too_small(dloss: Array, at: ForwardPass) -> BackwardResult:
    """The gradient of the loss is too small by one part in 1,000, from a stray discount factor."""
    dlogits, grads = at.backward(dloss)
    return 0.999 * dlogits, grads


@planted_in(PAIR_LOSS, (5,))
def loss_a_hair_too_large(dloss: Array, at: ForwardPass) -> BackwardResult:
    """The gradient of the loss is too large by one part in 100,000, from an epsilon in a denominator."""
    dlogits, grads = at.backward(dloss)
    return dlogits * (1 + 1e-5), grads


@planted_in(PAIR_LOSS, (5,))
def probability_and_label_swapped(dloss: Array, at: ForwardPass) -> BackwardResult:
    """dlogits = label - probability, so training goes uphill."""
    dlogits, grads = at.backward(dloss)
    return -dlogits, grads


@planted_in(PAIR_LOSS, (5,))
def sigmoid_derived_twice(dloss: Array, at: ForwardPass) -> BackwardResult:
    """dlogits has an extra factor p (1 - p), which cross-entropy on logits has already cancelled."""
    dlogits, grads = at.backward(dloss)
    p = 1 / (1 + np.exp(-at.x))
    return dlogits * p * (1 - p), grads


@planted_in(PAIR_LOSS, (5,))
def loss_taken_for_the_end(dloss: Array, at: ForwardPass) -> BackwardResult:
    """backward ignores dloss because a loss comes last, so weights in a sum of losses are lost."""
    return at.backward(np.ones_like(dloss))


@planted_in(PAIR_LOSS, (5,))
def divided_by_the_cotangent(dloss: Any, at: ForwardPass) -> BackwardResult:
    """dlogits is divided by dloss, which goes unnoticed as long as dloss = 1."""
    return at.backward(np.asarray(1 / np.float64(dloss)))


@planted_in(CHOICE_LOSS, (2, 4))
def mean_over_scores(dloss: Array, at: ForwardPass) -> BackwardResult:
    """The gradient is divided by the number of scores, but the loss is a mean over queries."""
    dscores, grads = at.backward(dloss)
    return dscores / at.x.shape[-1], grads


@planted_in(CHOICE_LOSS, (2, 4))
def softmax_of_the_right_answer_only(dloss: Array, at: ForwardPass) -> BackwardResult:
    """Only the correct class has a gradient: the sum in the softmax is treated as a constant."""
    dscores, grads = at.backward(dloss)
    return dscores * np.array(at.layer.target), grads


@planted_in(OBJECTIVE, *PAIRS)
def penalty_without_its_factor_2(dloss: Array, at: ForwardPass) -> BackwardResult:
    """The gradient of strength |w|^2 is taken to be strength w."""
    dh, grads = at.backward(dloss)
    return dh, grads | {"weight": grads["weight"] - dloss * PENALTY["weight"] * at.params["weight"]}


@planted_in(OBJECTIVE, *PAIRS)
def penalty_forgotten(dloss: Array, at: ForwardPass) -> BackwardResult:
    """The penalty is in the reported loss but not in the gradient."""
    return at.layer.backward_loss(dloss, at.cache)


@planted_in(OBJECTIVE, *PAIRS)
def penalty_on_the_bias_as_well(dloss: Array, at: ForwardPass) -> BackwardResult:
    """The decay is added to the gradient of every parameter, but only the weight is penalised."""
    dh, grads = at.backward(dloss)
    return dh, grads | {"bias": grads["bias"] + 2 * dloss * PENALTY["weight"] * at.params["bias"]}


@planted_in(OBJECTIVE, *PAIRS)
def penalty_not_in_the_chain(dloss: Array, at: ForwardPass) -> BackwardResult:
    """The decay is added without its factor dloss, which is correct only if nothing follows the objective."""
    dh, grads = at.backward(dloss)
    return dh, grads | {"weight": grads["weight"] + (1 - dloss) * 2 * PENALTY["weight"] * at.params["weight"]}
