"""Scores in several views are means over them; the best supports are aligned, the others keep their logits."""

import numpy as np
import pytest
from siamese_nets import SIZE, images, placed

from scratchnet.backend import to_device, to_host
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import ScratchnetError, ShapeError
from scratchnet.images.align import align, warped
from scratchnet.images.augment import symmetry
from scratchnet.models.scoring import VIEWS


@pytest.fixture(scope="module")
def drawn():
    """Queries and supports of six characters, (6, SIZE, SIZE) float32 each."""
    (alphabet,) = generate_alphabets(1, characters=6, drawers=2, image_size=SIZE, seed=5)
    return alphabet.images[:, 0].astype(np.float32), alphabet.images[:, 1].astype(np.float32)


@pytest.mark.parametrize("views", VIEWS)
def test_scores_in_several_views_are_means_over_them(net, rng, views):
    queries, supports = images(rng, 3), images(rng, 4)
    expected = np.mean([net.scores(symmetry(queries, *way), symmetry(supports, *way)) for way in VIEWS[views]], axis=0)
    np.testing.assert_allclose(net.scores(queries, supports, views=views), expected, rtol=1e-4, atol=1e-5)


def test_eight_views_are_alike_for_a_query_and_supports_that_are_turned(net, rng):
    queries, supports = images(rng, 3), images(rng, 4)
    turned = [symmetry(each, 1, True) for each in (queries, supports)]
    expected = net.scores(queries, supports, views=8)
    np.testing.assert_allclose(net.scores(*turned, views=8), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(net.scores(*turned), net.scores(queries, supports), rtol=1e-3)


def test_two_views_are_upright_and_upside_down(rng):
    upright, upside_down = (symmetry(images(np.random.default_rng(0), 2), *way) for way in VIEWS[2])
    np.testing.assert_array_equal(upside_down, upright[:, ::-1])


@pytest.mark.parametrize("views", [1, 2])
def test_an_aligned_score_is_what_the_docstring_says(net, drawn, views):
    queries, supports = drawn
    plain = net.scores(queries, supports, views=views)
    found = net.scores(queries, supports, views=views, align=6)
    for q, s in ((0, 0), (2, 5), (4, 1)):
        a, b = queries[q : q + 1], supports[s : s + 1]
        forth, back = align(a, b), align(b, a)
        W = (net.scores(warped(a, forth.field), b, views=views) + net.scores(a, warped(b, back.field), views=views)) / 2
        r, e = (forth.residual + back.residual) / 2, (forth.energy + back.energy) / 2
        expected = (plain[q, s] + 1.8 * W - 52 * (r - 0.012) - 0.42 * (e - 7.4)) / 2.8
        assert found[q, s] == pytest.approx(expected.item(), rel=1e-3, abs=1e-3)


def test_only_the_best_supports_are_aligned(net, drawn):
    plain, found, all_of_them = (net.scores(*drawn, align=count) for count in (0, 2, 99))
    best = np.argsort(-plain, axis=1)
    rows = np.arange(6)[:, None]
    np.testing.assert_array_equal(found[rows, best[:, 2:]], plain[rows, best[:, 2:]])
    np.testing.assert_allclose(found[rows, best[:, :2]], all_of_them[rows, best[:, :2]], rtol=1e-4, atol=1e-4)
    assert not np.isclose(found[rows, best[:, :2]], plain[rows, best[:, :2]]).any()


def test_a_query_is_aligned_without_a_look_at_the_others(net, drawn):
    queries, supports = drawn
    together = net.scores(queries, supports, align=3)
    for q in range(6):
        np.testing.assert_allclose(
            net.scores(queries[q : q + 1], supports, align=3)[0], together[q], rtol=1e-3, atol=1e-3
        )


def test_a_picture_and_itself_need_no_warping(net, drawn):
    queries, _ = drawn
    logit = net.params["head.bias"].item()
    expected = logit + (52 * 0.012 + 0.42 * 7.4) / 2.8
    np.testing.assert_allclose(np.diag(net.scores(queries, queries, align=99)), expected, rtol=1e-5)


def test_looks_that_were_kept_give_the_same_scores(net, drawn):
    queries, supports = (net.look(each, views=2, keep=True) for each in drawn)
    np.testing.assert_array_equal(net.match(queries, supports, align=3), net.scores(*drawn, views=2, align=3))
    pairs = net.match_pairs(queries, supports, align=True)
    np.testing.assert_allclose(pairs, np.diag(net.scores(*drawn, views=2, align=99)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        net.match_pairs(queries, supports), np.diag(net.scores(*drawn, views=2)), rtol=1e-4, atol=1e-5
    )


def test_what_was_skipped_is_never_among_the_best(net, drawn):
    queries, supports = drawn
    given = [supports[0], b"no picture", *supports[1:]]
    found = net.scores(list(queries), given, align=6, on_error="skip")
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_allclose(
        np.delete(found, 1, axis=1), net.scores(queries, supports, align=6), rtol=1e-3, atol=1e-3
    )


def test_every_device_scores_alike(net, drawn, device):
    queries, supports = (to_device(each, device) for each in drawn)
    found = to_host(placed(net, device, "float32").scores(queries, supports, views=8, align=3))
    np.testing.assert_allclose(found, net.scores(*drawn, views=8, align=3), rtol=1e-2, atol=1e-2)


def test_without_a_query_there_are_no_scores(net, drawn):
    assert net.scores(drawn[0][:0], drawn[1], views=2, align=3).shape == (0, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 3}, "views=3: take 1, 2 or 8 symmetries"),
        ({"views": "8"}, r"views='8' \(did you mean '8'\?\): take"),
        ({"align": -1}, "align=-1: give the number of best supports to align, 0 for none"),
        ({"align": 0.5}, "align=0.5: give the number"),
    ],
)
def test_other_numbers_are_refused(net, drawn, options, message):
    with pytest.raises(ScratchnetError, match=message):
        net.scores(*drawn, **options)


def test_looks_in_different_views_are_not_compared(net, drawn):
    queries, supports = (net.look(each, views=views) for each, views in zip(drawn, (2, 8), strict=True))
    with pytest.raises(ShapeError, match="queries were seen in views=2 and supports in views=8"):
        net.match(queries, supports)


def test_what_was_not_kept_cannot_be_aligned(net, drawn):
    queries, supports = (net.look(each) for each in drawn)
    with pytest.raises(ScratchnetError, match=r"net\.look\(images, keep=True\)"):
        net.match(queries, supports, align=1)
