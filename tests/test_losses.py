"""The losses: their values, where naive formulas overflow, and the penalty on the weights."""

import math

import numpy as np
import pytest
from by_hand import assert_close

from scratchnet.backend import to_host
from scratchnet.errors import ShapeError
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy, _mean
from scratchnet.optim.penalty import l2_penalty


def test_the_pair_loss_by_hand(device):
    # p = sigmoid(logit) = (3/4, 1/4): loss = -(log(3/4) + log(1 - 1/4)) / 2 = log(4/3), dlogit = (p - label) / 2
    logits, labels = np.float32([math.log(3), -math.log(3)]), np.float32([1, 0])
    loss, cache = PairCrossEntropy().forward(device.upload(logits), device.upload(labels))
    assert_close(to_host(loss), math.log(4 / 3))
    assert_close(to_host(PairCrossEntropy().backward(1.0, cache)), [-1 / 8, 1 / 8])


def test_the_n_way_loss_by_hand(device):
    # softmax = (1, 3) / 4 and (2, 2) / 4: loss = -(log(3/4) + log(1/2)) / 2 = log(8/3) / 2
    scores, target = np.float32([[0, math.log(3)], [5, 5]]), np.float32([[0, 1], [1, 0]])
    loss, cache = NWayCrossEntropy().forward(device.upload(scores), device.upload(target))
    assert_close(to_host(loss), math.log(8 / 3) / 2)
    # (softmax - target) / 2 rows
    assert_close(to_host(NWayCrossEntropy().backward(1.0, cache)), [[1 / 8, -1 / 8], [-1 / 4, 1 / 4]])


def test_the_n_way_loss_in_both_directions_by_hand(device):
    # softmax of the rows p = (1, 3) / 4 and (1, 1) / 2, of the columns r = (1, 2) / 3 and (3, 2) / 5
    scores, target = np.float32([[0, math.log(3)], [math.log(2)] * 2]), np.float32([[0, 1], [1, 0]])
    loss, cache = NWayCrossEntropy(both_ways=True).forward(device.upload(scores), device.upload(target))
    # the mean of -log 3/4 and -log 1/2 over the rows, of -log 2/3 and -log 3/5 over the columns
    assert_close(to_host(loss), (math.log(8 / 3) + math.log(5 / 2)) / 4)
    # (p + r) / 2 = (7/24, 27/40) and (7/12, 9/20); less the target, over 2 rows
    expected = [[7 / 48, -13 / 80], [-5 / 24, 9 / 40]]
    assert_close(to_host(NWayCrossEntropy(both_ways=True).backward(1.0, cache)), expected)


def exact_pair_loss(logit: float, label: float) -> float:
    """Cross-entropy of one pair in Python floats, without cancellation: log(1 + exp(-|z|)) is log1p."""
    return max(logit, 0.0) - logit * label + math.log1p(math.exp(-abs(logit)))


@pytest.mark.parametrize("logit", [0.0, 1e-8, 0.5, -3.0, 20.0, -40.0, 100.0, 745.0, -1e4, 1e4])
@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_pair_loss_is_finite_and_exact_for_large_logits(logit, label, dtype):
    logits, labels = np.array([logit], dtype), np.array([label], dtype)
    loss, cache = PairCrossEntropy().forward(logits, labels)
    gradient = PairCrossEntropy().backward(1.0, cache)
    precision = 4 * float(np.finfo(dtype).eps)
    assert loss.dtype == dtype
    assert float(loss) == pytest.approx(exact_pair_loss(float(logits[0]), label), rel=precision, abs=1e-44)
    sign = 1 - 2 * label  # the gradient is p for label 0, and -(1 - p) for label 1
    expected = sign * math.exp(min(0, sign * float(logits[0]))) / (1 + math.exp(-abs(float(logits[0]))))
    assert float(gradient[0]) == pytest.approx(expected, rel=precision, abs=1e-44)


def test_the_pair_loss_is_the_mean_over_the_pairs(rng):
    logits, labels = rng.standard_normal(7), rng.integers(0, 2, 7).astype(float)
    loss, _ = PairCrossEntropy().forward(logits, labels)
    assert float(loss) == pytest.approx(np.mean([exact_pair_loss(z, t) for z, t in zip(logits, labels, strict=True)]))


def test_a_network_that_knows_nothing_pays_log_2():
    loss, _ = PairCrossEntropy().forward(np.zeros(4), np.array([0.0, 1.0, 1.0, 0.0]))
    assert float(loss) == pytest.approx(math.log(2))


def test_the_n_way_loss_is_minus_the_log_of_the_softmax(rng):
    scores, target = rng.standard_normal((3, 2, 5)), np.eye(5)[rng.integers(0, 5, (3, 2))]
    loss, _ = NWayCrossEntropy().forward(scores, target)
    softmax = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    assert float(loss) == pytest.approx(-np.log(softmax[target == 1]).mean())


@pytest.mark.parametrize("shift", [1e4, -1e4])
@pytest.mark.parametrize("both_ways", [False, True])
def test_the_n_way_loss_does_not_overflow_and_ignores_a_common_shift(shift, both_ways, rng):
    scores, target = rng.standard_normal((4, 4)), np.eye(4)[[1, 3, 0, 2]]
    plain, moved = (NWayCrossEntropy(both_ways).forward(s, target)[0] for s in (scores, scores + shift))
    assert float(moved) == pytest.approx(float(plain), rel=1e-9)


def test_both_ways_is_the_mean_of_queries_choosing_supports_and_supports_choosing_queries(rng):
    scores, target = rng.standard_normal((2, 3, 3)), np.stack([np.eye(3)[[1, 2, 0]], np.eye(3)])
    loss, cache = NWayCrossEntropy(both_ways=True).forward(scores, target)
    one_way = [NWayCrossEntropy().forward(s, t) for s, t in ((scores, target), (scores.mT, target.mT))]
    assert float(loss) == pytest.approx(np.mean([value for value, _ in one_way]), rel=1e-12)
    queries, supports = (NWayCrossEntropy().backward(0.7, each) for _, each in one_way)
    found = NWayCrossEntropy(both_ways=True).backward(0.7, cache)
    np.testing.assert_allclose(found, (queries + supports.mT) / 2, rtol=1e-12)
    assert not np.allclose(found, queries)


def test_both_ways_a_shift_of_a_row_changes_only_what_the_columns_choose(rng):
    """A row's shift cancels in its own softmax; to the columns it is another score."""
    scores, target = rng.standard_normal((3, 3)), np.eye(3)
    moved = scores + np.array([[0.0], [5.0], [0.0]])
    one_way = [float(NWayCrossEntropy().forward(each, target)[0]) for each in (scores, moved)]
    both_ways = [float(NWayCrossEntropy(both_ways=True).forward(each, target)[0]) for each in (scores, moved)]
    assert one_way[0] == pytest.approx(one_way[1])
    assert abs(both_ways[0] - both_ways[1]) > 0.1


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 3, 2)])
def test_both_ways_need_as_many_queries_as_supports(shape, rng):
    with pytest.raises(ShapeError, match=r"scores has shape .*, expected \(\.\.\., Q, S\) with Q = S"):
        NWayCrossEntropy(both_ways=True).forward(rng.random(shape), rng.random(shape))


HUGE = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("size", [3e38, HUGE])
def test_the_n_way_loss_is_finite_for_every_score_that_float32_has(both_ways, size):
    scores = np.full((50, 2, 2), -size, np.float32)
    scores[:, [0, 1], [0, 1]] = size
    right = np.tile(np.eye(2, dtype=np.float32), (50, 1, 1))
    for target, expected in ((right, 0.0), (1 - right, HUGE)):  # 6e38 is more than float32 has
        loss, cache = NWayCrossEntropy(both_ways).forward(scores, target)
        assert float(loss) == pytest.approx(expected, rel=1e-6)
        gradient = NWayCrossEntropy(both_ways).backward(1.0, cache)
        np.testing.assert_array_equal(gradient, (right - target) / 100)


@pytest.mark.parametrize("size", [3e38, HUGE])
def test_the_pair_loss_is_finite_for_every_logit_that_float32_has(size):
    logits = np.tile(np.array([size, -size], np.float32), 100)
    for labels, expected in ((logits > 0, 0.0), (logits < 0, size)):
        loss, cache = PairCrossEntropy().forward(logits, labels.astype(np.float32))
        assert float(loss) == pytest.approx(expected, rel=1e-6)
        assert np.isfinite(PairCrossEntropy().backward(1.0, cache)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [0, 1])
def test_no_loss_is_finite_where_a_logit_is_not(value, label, device):
    logits, target = np.zeros((3, 3), np.float32), np.eye(3, dtype=np.float32)
    logits[1, 1 + label] = value
    for loss in EVERY_LOSS:
        items = (each.reshape(-1) if isinstance(loss, PairCrossEntropy) else each for each in (logits, target))
        assert not np.isfinite(to_host(loss.forward(*(device.upload(each) for each in items))[0]))


@pytest.mark.parametrize("loss_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("N", [1, 2, 7, 64, 129])
def test_the_mean_has_the_bits_that_numpy_gives_it(N, loss_dtype, rng):
    losses = rng.random(N).astype(loss_dtype)
    assert _mean(losses) == losses.mean()


EVERY_LOSS = [PairCrossEntropy(), NWayCrossEntropy(), NWayCrossEntropy(both_ways=True)]


@pytest.mark.parametrize("loss", EVERY_LOSS)
def test_backward_is_linear_in_the_gradient_of_the_loss(loss, rng):
    shape = (6,) if isinstance(loss, PairCrossEntropy) else (3, 4, 4)
    _, cache = loss.forward(rng.standard_normal(shape), rng.random(shape))
    np.testing.assert_allclose(loss.backward(-2.5, cache), -2.5 * loss.backward(1.0, cache), rtol=1e-14)


@pytest.mark.parametrize("loss", EVERY_LOSS)
def test_the_losses_give_the_same_on_every_device(loss, device, rng):
    shape = (6,) if isinstance(loss, PairCrossEntropy) else (2, 3, 3)
    logits, target = rng.standard_normal(shape).astype(np.float32), rng.random(shape).astype(np.float32)
    expected, cache = loss.forward(logits, target)
    expected_gradient = loss.backward(1.0, cache)
    found, cache = loss.forward(device.upload(logits), device.upload(target))
    np.testing.assert_allclose(to_host(found), expected, rtol=1e-6)
    np.testing.assert_allclose(to_host(loss.backward(1.0, cache)), expected_gradient, rtol=1e-5, atol=1e-7)


def test_the_penalty_is_the_weighted_sum_of_squares_and_its_gradient(rng):
    params = {
        "a.weight": rng.standard_normal((2, 3)),
        "b.weight": rng.standard_normal(4),
        "b.bias": rng.standard_normal(4),
    }
    strengths = {"a.weight": 0.1, "b.weight": 0.02}
    penalty, gradient = l2_penalty(params, strengths)
    assert penalty == pytest.approx(0.1 * (params["a.weight"] ** 2).sum() + 0.02 * (params["b.weight"] ** 2).sum())
    assert gradient.keys() == strengths.keys()
    direction = rng.standard_normal((2, 3))
    moved = params | {"a.weight": params["a.weight"] + 1e-6 * direction}
    slope = (l2_penalty(moved, strengths)[0] - penalty) / 1e-6
    assert slope == pytest.approx((gradient["a.weight"] * direction).sum(), rel=1e-4)
