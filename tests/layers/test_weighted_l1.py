"""The weighted L1 distance, worked out by hand."""

import numpy as np
import pytest
from by_hand import assert_close, forward_and_backward

from scratchnet.errors import ShapeError
from scratchnet.layers import WeightedL1

PARAMS = {"weight": [-2, 1], "bias": [5]}


def test_pairs_by_hand(device):
    h1, h2 = [[1, 0], [3, 2]], [[0, 4], [3, -1]]
    logit, (dh1, dh2), grads = forward_and_backward(WeightedL1(2), PARAMS, [h1, h2], [2, 6], device)
    # |h1 - h2| = (1, 4) and (0, 3): -2 + 4 + 5 and 0 + 3 + 5
    assert_close(logit, [7, 8])
    # sign(h1 - h2) = (1, -1) and (0, 1); dh1 = dlogit weight sign, 0 where h1 = h2
    assert_close(dh1, [[2 * -2, 2 * -1], [0, 6]])
    assert_close(dh2, [[4, 2], [0, -6]])
    assert_close(grads["weight"], [2 * 1 + 6 * 0, 2 * 4 + 6 * 3])
    assert_close(grads["bias"], [8])


def test_queries_against_supports_by_hand(device):
    """h1 (Q, 1, D) and h2 (S, D) give every query with every support; the gradients are summed back."""
    h1, h2 = [[[1, 0]], [[3, 2]]], [[1, 0], [0, 4], [3, -1]]
    dlogit = [[1, 2, 3], [4, 5, 6]]
    logit, (dh1, dh2), grads = forward_and_backward(WeightedL1(2), PARAMS, [h1, h2], dlogit, device)
    # |h1 - h2|: (0, 0) (1, 4) (2, 1) of the first query, (2, 2) (3, 2) (0, 3) of the second
    assert_close(logit, [[5, 7, 2], [3, 1, 8]])
    # sign(h1 - h2): (0, 0) (1, -1) (-1, 1) and (1, 1) (1, -1) (0, 1), so dlogit weight sign is
    # (0, 0) (-4, -2) (6, 3) and (-8, 4) (-10, -5) (0, 6): summed over the supports for dh1, over the queries for -dh2
    assert_close(dh1, [[[2, 1]], [[-18, 5]]])
    assert_close(dh2, [[8, -4], [14, 7], [-6, -9]])
    # dlogit |h1 - h2|: 2 + 6 + 8 + 15 + 0 and 8 + 3 + 8 + 10 + 18
    assert_close(grads["weight"], [31, 47])
    assert_close(grads["bias"], [21])


def test_a_new_head_holds_distance_against_sameness():
    """weight -4 / D, bias 1: a pair of equal embeddings has logit 1, one that differs by 1 in every feature -3."""
    params = WeightedL1(8).init(np.random.default_rng(0))
    h1, h2 = np.zeros((2, 8), np.float32), np.float32([[0] * 8, [1] * 8])
    assert_close(WeightedL1(8).forward(params, h1, h2)[0], [1, -3])


def test_one_pair_of_vectors_has_one_logit(rng):
    head = WeightedL1(3)
    params = {"weight": np.array([1.0, -2.0, 3.0]), "bias": np.array([0.5])}
    logit, cache = head.forward(params, np.array([1.0, 1.0, 1.0]), np.array([0.0, 3.0, 1.0]))
    assert np.shape(logit) == ()
    assert logit == 1 - 4 + 0 + 0.5
    (dh1, dh2), grads = head.backward(np.asarray(2.0), cache)
    assert dh1.tolist() == [2.0, 4.0, 0.0]
    assert dh2.tolist() == [-2.0, -4.0, 0.0]
    assert grads["weight"].tolist() == [2.0, 4.0, 0.0]
    assert grads["bias"].tolist() == [2.0]


def test_axes_that_do_not_broadcast_are_refused(rng):
    head = WeightedL1(3)
    with pytest.raises(ShapeError, match=r"WeightedL1: h1 has leading axes \(2,\) and h2 \(5,\)"):
        head.forward(head.init(rng, np.float64), np.zeros((2, 3)), np.zeros((5, 3)))
