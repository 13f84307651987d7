"""The map of embeddings: principal components, and each drawing at its place."""

import numpy as np
import pytest

from scratchnet.backend import to_host
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import DataError
from scratchnet.explain.plots.embedding import CHARACTERS, EmbeddedDrawings, embedded, embedding_map, principal_plane
from scratchnet.explain.plots.page import COLOURS, coloured


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


def test_points_of_a_plane_keep_their_distances(rng):
    plane = np.linalg.qr(rng.standard_normal((9, 2)))[0]
    points = rng.standard_normal((7, 2)) @ plane.T + rng.standard_normal(9)
    found, shares = principal_plane(points)
    np.testing.assert_allclose(distances(found), distances(points), atol=1e-12)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] >= shares[1]


def test_the_shares_are_those_of_the_whole_variance(rng):
    points = rng.standard_normal((50, 6)) * [5, 3, 1, 1, 1, 1]
    found, shares = principal_plane(points)
    np.testing.assert_allclose(found.var(axis=0) / points.var(axis=0).sum(), shares)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)


def test_embeddings_without_a_plane_are_refused(rng):
    with pytest.raises(DataError, match="span no plane"):
        principal_plane(rng.standard_normal((2, 5)))
    with pytest.raises(DataError, match="embeds all these drawings alike"):
        principal_plane(np.ones((5, 5)))


def test_every_drawing_lies_at_its_place_in_the_colour_of_its_character(rng, drawings):
    shown = EmbeddedDrawings(drawings(6), np.array([0, 0, 1, 1, 2, 2]), rng.standard_normal((6, 5)))
    (axes,) = embedding_map(shown, title="a map").get_axes()
    places = principal_plane(shown.embeddings)[0]
    for image, place, ink, character in zip(axes.get_images(), places, shown.drawings, shown.characters, strict=True):
        left, right, bottom, top = image.get_extent()
        assert ((left + right) / 2, (bottom + top) / 2) == pytest.approx(tuple(place))
        np.testing.assert_array_equal(image.get_array(), coloured(ink, COLOURS[character]))
        assert axes.get_xlim()[0] < left < right < axes.get_xlim()[1]
        assert axes.get_ylim()[0] < bottom < top < axes.get_ylim()[1]


def test_the_axes_say_how_much_of_the_variance_they_show(rng, drawings):
    shown = EmbeddedDrawings(drawings(5), np.arange(5), rng.standard_normal((5, 4)))
    (axes,) = embedding_map(shown, title="a map").get_axes()
    first, second = principal_plane(shown.embeddings)[1]
    assert f"{100 * first:.0f} % of the variance" in axes.get_xlabel()
    assert f"{100 * second:.0f} % of the variance" in axes.get_ylabel()


@pytest.mark.parametrize("characters", [3, CHARACTERS + 2])
def test_a_network_embeds_as_many_characters_as_there_are_colours(characters, tiny_net):
    (alphabet,) = generate_alphabets(1, characters=characters, drawers=3, image_size=24, seed=1)
    found = embedded(tiny_net, alphabet)
    count = min(characters, CHARACTERS)
    assert found.characters.tolist() == np.arange(count).repeat(3).tolist()
    assert found.drawings.shape == (3 * count, 16, 16)
    expected = to_host(tiny_net.embed(alphabet.images[:count].reshape(-1, 24, 24)))
    np.testing.assert_allclose(found.embeddings, expected, rtol=1e-6)
