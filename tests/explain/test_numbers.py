"""The numbers of the page: what is shown and what the others add make up the arrays."""

import numpy as np
import pytest

from scratchnet.explain.stages import PRODUCTS, stages
from scratchnet.layers import Conv2d


def assert_close(ours, expected) -> None:
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def product_stages(found):
    return [(i, stage) for i, stage in enumerate(found.stages) if stage.kind in PRODUCTS]


def shown_layer(stage, found, i) -> tuple[Conv2d, dict[str, np.ndarray]]:
    """A convolution that has only the shown channels."""
    weight = found.arrays[f"w{i}"].transpose(2, 3, 1, 0).astype(np.float64)
    kh, kw, C, O = weight.shape
    layer = Conv2d(C, O, (kh, kw), stride=stage.strides, padding=stage.paddings, bias=False)
    return layer, {"weight": weight}


def as_input(maps: np.ndarray) -> np.ndarray:
    """(2, S, H, W) as (H, W, N, C)."""
    return maps.transpose(2, 3, 0, 1).astype(np.float64)


@pytest.mark.parametrize("mode", ["compare", "batch", "alone"])
def test_the_shown_channels_the_others_and_the_bias_make_up_y(found, mode):
    for i, stage in product_stages(found):
        layer, params = shown_layer(stage, found, i)
        y, _ = layer.forward(params, as_input(found.arrays[f"{mode}/v{i}"]))
        total = y + as_input(found.arrays[f"{mode}/y{i}/others"]) + found.arrays[f"b{i}"]
        assert_close(total, as_input(found.arrays[f"{mode}/v{i + 1}"]))


@pytest.mark.parametrize("mode", ["batch", "alone"])
def test_the_shown_channels_and_the_others_make_up_dx(found, mode):
    for i, stage in product_stages(found):
        layer, params = shown_layer(stage, found, i)
        _, cache = layer.forward(params, as_input(found.arrays[f"{mode}/v{i}"]))
        dx, _ = layer.backward(as_input(found.arrays[f"{mode}/g{i + 1}"]), cache)
        total = dx + as_input(found.arrays[f"{mode}/dx{i}/others"])
        assert_close(total, as_input(found.arrays[f"{mode}/g{i}"]))


@pytest.mark.parametrize("mode", ["batch", "alone"])
def test_both_twins_and_the_other_images_make_up_the_gradients_of_a_layer(found, mode):
    for i, stage in product_stages(found):
        layer, params = shown_layer(stage, found, i)
        _, cache = layer.forward(params, as_input(found.arrays[f"{mode}/v{i}"]))
        dy = as_input(found.arrays[f"{mode}/g{i + 1}"])
        _, grads = layer.backward(dy, cache)
        total = grads["weight"].transpose(3, 2, 0, 1) + found.arrays[f"{mode}/dw{i}/others"]
        assert_close(total, found.arrays[f"{mode}/dw{i}"])
        bias = dy.sum(axis=(0, 1, 2)) + found.arrays[f"{mode}/db{i}/others"]
        assert_close(bias, found.arrays[f"{mode}/db{i}"])


def test_alone_there_are_no_other_images(found):
    others = [value for name, value in found.arrays.items() if name.startswith("alone/d") and name.endswith("/others")]
    of_images = [value for value in others if value.ndim != 4 or value.shape[0] != 2]
    assert of_images
    assert not any(value.any() for value in of_images)


def test_the_features_shown_are_those_in_which_the_twins_differ_most(explained, found):
    h1, h2 = explained.trace.step.head.x
    parts = abs(explained.trace.step.head.params["weight"] * (h1[0] - h2[0]))
    assert set(found.channels[-1]) == set(np.argsort(-parts)[: len(found.channels[-1])])


def test_the_logit_is_the_sum_of_its_parts(explained, found):
    for mode, head in (("compare", explained.trace.head), ("batch", explained.trace.step.head)):
        h1, h2 = (h[0, found.channels[-1]] for h in head.x)
        of_shown = float(abs(h1 - h2) @ found.arrays["alpha"])
        figures = found.modes[mode]
        assert of_shown + figures["logitOthers"] + figures["headBias"] == pytest.approx(figures["logit"], abs=1e-4)


def test_a_dense_layer_is_a_convolution_that_covers_its_map(explained):
    (dense,) = (stage for stage in stages(explained.trace.step.encoder) if stage.kind == "dense")
    kh, kw, C, _ = dense.params["weight"].shape
    assert dense.x.shape[:2] == (kh, kw)
    assert dense.x.shape[3] == C
    expected = np.einsum("ijnc,ijco->no", dense.x, dense.params["weight"]) + dense.params["bias"]
    assert_close(dense.y[0, 0], expected)
