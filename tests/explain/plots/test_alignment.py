"""The picture of an alignment shows the query, its grid, what it becomes, and the supports, the best match first."""

import numpy as np
import pytest

from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import ScratchnetError
from scratchnet.explain.plots.alignment import LINES, alignment, fitted
from scratchnet.explain.plots.page import save
from scratchnet.images.align import align, warped

NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture
def looks(tiny_net):
    """A query and five supports, as the network keeps them."""
    (alphabet,) = generate_alphabets(1, characters=5, drawers=2, image_size=16, seed=5)
    images = alphabet.images.astype(np.float32)
    return tiny_net.look(images[:1, 0], keep=True), tiny_net.look(images[:, 1], keep=True)


def test_the_fits_are_those_of_the_scores(tiny_net, looks):
    query, supports = looks
    fits = fitted(tiny_net, query, supports, NAMES, 3)
    scores = tiny_net.match(query, supports, align=3)[0]
    plain = tiny_net.match(query, supports)[0]
    assert {fit.name for fit in fits} == {NAMES[n] for n in np.argsort(-plain)[:3]}
    for fit in fits:
        number = NAMES.index(fit.name)
        assert fit.score == pytest.approx(scores[number], rel=1e-3, abs=1e-3)
        assert fit.logit == pytest.approx(plain[number], rel=1e-4, abs=1e-4)
        np.testing.assert_array_equal(fit.support, supports.framed[number])
        field = align(query.framed, supports.framed[number : number + 1]).field
        np.testing.assert_allclose(fit.warped, warped(query.framed, field)[0], atol=1e-3)
    assert [fit.score for fit in fits] == sorted((fit.score for fit in fits), reverse=True)


def test_the_picture_has_a_row_for_each_fit(tiny_net, looks, tmp_path):
    fits = fitted(tiny_net, *looks, NAMES, 2)
    figure = alignment(fits, query="query.png")
    assert "query.png" in figure.get_suptitle()
    first = figure.get_axes()[:5]
    shown = [axes.get_images()[0].get_array()[..., 3] for axes in first[:3]]
    for picture, ink in zip(shown, (fits[0].query, fits[0].warped, fits[0].support), strict=True):
        np.testing.assert_allclose(picture, np.clip(ink, 0, 1), atol=1e-6)
    assert len(first[0].lines) == 2 * LINES
    words = [text.get_text() for text in first[4].texts]
    assert words[:2] == [fits[0].name, f"score {fits[0].score:+.2f}"]
    assert len(figure.get_axes()) == 10
    save(figure, tmp_path / "fits.png")


def test_the_grid_lies_where_the_field_reads(tiny_net, looks):
    fit = fitted(tiny_net, *looks, NAMES, 1)[0]
    still = fit._replace(field=np.zeros_like(fit.field))
    lines = alignment([still], query="a query").get_axes()[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), -0.5, atol=1e-9)  # the upper border
    moved = still.field.copy()
    moved[1, 0] = 0.5  # everything is read a quarter of the image further down
    lines = alignment([fit._replace(field=moved)], query="a query").get_axes()[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), -0.5 + len(fit.query) / 4, atol=1e-9)


def test_images_that_were_not_kept_are_refused(tiny_net, looks):
    query, supports = looks
    with pytest.raises(ScratchnetError, match="keep=True"):
        fitted(tiny_net, query._replace(framed=None), supports, NAMES, 1)
