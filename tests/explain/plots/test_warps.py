"""The grid of warps shows drawings, and what training makes of them."""

from dataclasses import replace

import numpy as np
import pytest
from short_runs import TINY, tiny_split

from scratchnet.data.drawings import Drawings
from scratchnet.explain.plots.warps import COPIES, described, warped, warps
from scratchnet.train.batches import distorted

PLAIN = replace(TINY, distort=False)


def test_the_copies_are_what_the_recipe_makes_of_its_drawings():
    recipe = replace(TINY, elastic=0.1, stroke=0.5)
    alphabets = tiny_split().train
    drawings, copies = warped(recipe, alphabets)
    assert copies.shape == (3, COPIES, 16, 16)
    expected = distorted(recipe, 0, 0, drawings.repeat(COPIES, axis=0)).reshape(copies.shape)
    np.testing.assert_array_equal(copies, expected)
    assert not any(np.array_equal(copy, drawings[0]) for copy in copies[0])


def test_each_row_is_the_first_drawing_of_another_alphabet():
    alphabets = tiny_split().train
    drawings, copies = warped(PLAIN, alphabets)
    for drawing, row, alphabet in zip(drawings, copies, alphabets, strict=True):
        np.testing.assert_array_equal(drawing, Drawings.of([alphabet], 16).images[0] / np.float32(255))
        assert all(np.array_equal(copy, drawing) for copy in row)


def test_the_picture_has_the_drawing_first_and_then_its_copies(drawings):
    plain = drawings(2)
    copies = drawings(6).reshape(2, 3, 12, 12)
    figure = warps(plain, copies, title="warps", note="how")
    shown = [axes.get_images()[0].get_array()[..., 3] for axes in figure.get_axes() if axes.get_images()]
    expected = [ink for drawing, row in zip(plain, copies, strict=True) for ink in (drawing, *row)]
    for found, ink in zip(shown, expected, strict=True):
        np.testing.assert_allclose(found, ink)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Affine distortions."),
        ({"distort": False}, "Nothing: drawings are seen as they are."),
        ({"elastic": 0.05, "stroke": 0.25}, "Affine distortions, elastic warps of up to 5 % of the side, thicker and "
         "thinner strokes, up to 25 %."),
        ({"symmetries": True}, "Affine distortions. Whole episodes are also turned and mirrored, which is not shown."),
    ],
)  # fmt: skip
def test_a_recipe_is_described_by_its_distortions(changes, words):
    assert described(replace(TINY, **changes)) == words
