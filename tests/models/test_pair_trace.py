"""A pair's way through a Siamese network: compare's on the way forward, a training step's on the way back."""

import numpy as np
import pytest
from helpers import same_bits
from PIL import Image

from scratchnet.errors import ShapeError
from scratchnet.losses import PairCrossEntropy
from scratchnet.models.networks import koch2015, parameter_count
from scratchnet.models.pair_trace import Pairs
from scratchnet.train.gradients import gradients

ROUNDING = 1e-5  # the trace runs the layers one by one, and all others run them fused


def pairs(rng, net, count: int) -> Pairs:
    size = net.image_size
    a, b = (rng.random((count, size, size), np.float32) for _ in range(2))
    return Pairs(a, b, (np.arange(count) % 2).astype(np.float32))


def test_the_score_is_that_of_compare(net, rng):
    a, b = rng.random((2, net.image_size, net.image_size), np.float32)
    trace = net.trace(a, b, others=pairs(rng, net, 3))
    assert trace.logit == pytest.approx(float(net.logits(a[None], b[None])[0]), rel=ROUNDING, abs=ROUNDING)
    assert trace.probability == pytest.approx(float(net.similarity(a[None], b[None])[0]), rel=ROUNDING)


def test_files_are_taken_as_compare_takes_them(net, tmp_path, rng):
    for name in ("one.png", "two.png"):
        Image.fromarray((255 * rng.random((40, 40))).astype(np.uint8)).save(tmp_path / name)
    files = tmp_path / "one.png", tmp_path / "two.png"
    expected = float(net.similarity([files[0]], [files[1]])[0])
    assert net.trace(*files).probability == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("others", [0, 3])
def test_the_gradients_are_those_of_a_training_step(net, rng, others):
    a, b = rng.random((2, net.image_size, net.image_size), np.float32)
    more = pairs(rng, net, others) if others else None
    step = net.trace(a, b, same=False, others=more).step
    batch = pairs(rng, net, 0) if more is None else more
    labels = np.concatenate([np.zeros(1, np.float32), batch.labels])
    expected = gradients(
        net, PairCrossEntropy(), np.concatenate([a[None], batch.a]), np.concatenate([b[None], batch.b]), labels
    )
    assert step.pairs == others + 1
    assert float(step.loss) == pytest.approx(float(expected.loss), rel=ROUNDING)
    assert step.grads.keys() == expected.params.keys()
    largest = max(abs(gradient).max() for gradient in expected.params.values())
    for name, gradient in expected.params.items():
        np.testing.assert_allclose(step.grads[name], gradient, rtol=1e-3, atol=1e-4 * largest, err_msg=name)


def test_the_papers_network_is_traced_too(rng):
    net = koch2015(image_size=65, channels=(2, 3, 3, 4), features=8)
    a, b = rng.random((2, 65, 65), np.float32)
    trace = net.trace(a, b)
    assert trace.probability == pytest.approx(float(net.similarity(a[None], b[None])[0]), rel=ROUNDING)
    assert [at.name for at in trace.layers()][-3:] == ["linear", "sigmoid", "head"]


def test_nothing_of_the_network_changes(net, rng):
    before = {name: value.copy() for name, value in net.params.items()}
    net.trace(*rng.random((2, net.image_size, net.image_size), np.float32), others=pairs(rng, net, 2))
    assert same_bits(net.params, before)


def test_others_that_are_no_pairs_are_refused(net, rng):
    a, b = rng.random((2, net.image_size, net.image_size), np.float32)
    more = pairs(rng, net, 3)
    with pytest.raises(ShapeError, match=r"others are pairs a \(N, H, W\), b \(N, H, W\) and labels \(N,\), got"):
        net.trace(a, b, others=more._replace(labels=more.labels[:2]))


def test_it_tells_the_score_and_the_batch_below_the_table(net, rng):
    trace = net.trace(*rng.random((2, net.image_size, net.image_size), np.float32))
    assert f"P(same character) = {trace.probability:.1%}." in str(trace)
    assert "a training step on 1 pair, with a loss of" in str(trace)
    assert trace._repr_html_().startswith("<table>")


def test_the_summary_is_of_one_image(net):
    lines = str(net.summary()).splitlines()
    assert "N=1" in lines[1]
    assert lines[-2].split()[:2] == ["head", "WeightedL1"]
    assert lines[-1].startswith(f"{parameter_count(net.params):,} parameters")
