"""The network compares: twins share their weights, every way in gives the same answer, every device too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from siamese_nets import SIZE, assert_close, batch, images, on_host, placed

from scratchnet.backend import Array, Params, to_device, to_host
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import BackendError, DataError, ScratchnetError, ShapeError
from scratchnet.images.frames import FRAMES
from scratchnet.images.resize import resize
from scratchnet.layers import sigmoid
from scratchnet.layers.protocol import strip_prefix
from scratchnet.models import siamese
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot import trials as oneshot
from scratchnet.oneshot.verification import verify
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step

PICTURE = Image.fromarray(np.pad(np.zeros((9, 4), np.uint8), 8, constant_values=255))


# Comparing


def test_similarity_is_symmetric_and_a_probability(net, rng):
    a, b = images(rng, 6), images(rng, 6)
    similarity = net.similarity(a, b)
    assert similarity.shape == (6,)
    assert similarity.min() > 0
    assert similarity.max() < 1
    assert np.ptp(similarity) > 0
    np.testing.assert_allclose(similarity, net.similarity(b, a), rtol=1e-6)


def test_an_image_is_as_similar_to_itself_as_the_bias_says(net, rng):
    a = images(rng, 5)
    np.testing.assert_array_equal(net.similarity(a, a), np.broadcast_to(sigmoid(net.params["head.bias"]), 5))


def test_scores_are_the_logits_of_all_pairs(net, rng):
    queries, supports = images(rng, 4), images(rng, 3)
    scores = net.scores(queries, supports)
    assert scores.shape == (4, 3)
    for q, s in np.ndindex(scores.shape):
        (logit,), _ = net.forward(net.params, queries[q : q + 1], supports[s : s + 1])
        assert scores[q, s] == pytest.approx(logit, abs=1e-5)
        assert net.similarity(queries[q : q + 1], supports[s : s + 1])[0] == pytest.approx(sigmoid(logit), abs=1e-5)


def test_leading_axes_broadcast_to_episodes(net, rng):
    queries, supports = images(rng, 2, 4, 1), images(rng, 2, 1, 3)
    scores, _ = net.forward(net.params, queries, supports)
    assert scores.shape == (2, 4, 3)
    for e in range(2):
        np.testing.assert_allclose(scores[e], net.scores(queries[e, :, 0], supports[e, 0]), rtol=0, atol=1e-5)


# Twins


def test_the_gradient_of_a_shared_weight_is_the_sum_over_both_twins(net, rng):
    net = placed(net, "cpu", "float64")
    encoder, head = strip_prefix("encoder", net.params), strip_prefix("head", net.params)
    a, b, dlogits = rng.random((3, SIZE, SIZE)), rng.random((3, SIZE, SIZE)), rng.standard_normal(3)

    h1, cache1 = encode(net, encoder, a)
    h2, cache2 = encode(net, encoder, b)
    logits, head_cache = net.head.forward(head, h1, h2)
    (dh1, dh2), head_grads = net.head.backward(dlogits, head_cache)
    (dx1, grads1), (dx2, grads2) = net.encoder.backward(dh1, cache1), net.encoder.backward(dh2, cache2)

    both, cache = net.forward(net.params, a, b)
    (da, db), grads = net.backward(dlogits, cache)
    np.testing.assert_allclose(both, logits, rtol=1e-12)
    assert_close(strip_prefix("encoder", grads), {name: grads1[name] + grads2[name] for name in grads1}, 1e-9, 1e-12)
    assert_close(strip_prefix("head", grads), head_grads, 1e-9, 1e-12)
    for dimages, dx in ((da, dx1), (db, dx2)):
        np.testing.assert_allclose(dimages, dx[..., 0].transpose(2, 0, 1), rtol=1e-9, atol=1e-12)
    assert all(np.abs(value).max() > 0 for value in (*grads1.values(), *grads2.values()))


def encode(net: SiameseNet, params: Params, x: np.ndarray) -> tuple[np.ndarray, object]:
    """One twin alone, in evaluation: images (N, H, W) become (H, W, N, 1)."""
    return net.encoder.forward(params, x.transpose(1, 2, 0)[..., None])


def test_gradients_have_the_shapes_of_what_they_belong_to(net, rng):
    queries, supports = images(rng, 2, 3, 1), images(rng, 2, 1, 4)
    logits, cache = net.forward(net.params, queries, supports, training=True)
    (dqueries, dsupports), grads = net.backward(rng.standard_normal(logits.shape, np.float32), cache)
    assert dqueries.shape == queries.shape
    assert dsupports.shape == supports.shape
    trained = {name: value for name, value in net.params.items() if ".running_" not in name}
    assert {name: value.shape for name, value in grads.items()} == {name: v.shape for name, v in trained.items()}


# Images of every kind


def test_arrays_pillow_images_and_paths_give_the_same_embeddings(net, rng, tmp_path):
    grey = rng.integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8)
    pictures = [Image.fromarray(each) for each in grey]
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    expected = net.embed((1 - grey / 255).astype(np.float32))  # black is ink
    assert expected.shape == (3, 8)
    for given in (pictures, tuple(pictures), paths, [str(path) for path in paths], [pictures[0], *paths[1:]]):
        np.testing.assert_allclose(net.embed(given), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(20, 20), (9, 9), (30, 12)])
def test_images_of_another_size_are_resized(net, shape, rng):
    larger = rng.random((2, *shape), np.float32)
    np.testing.assert_array_equal(net.embed(larger), net.embed(resize(larger, SIZE)))


@pytest.mark.parametrize("shape", [(2, 40, 40), (2, SIZE, SIZE), (3, 30, 45)])
@pytest.mark.parametrize("frame", FRAMES)
def test_a_network_looks_at_its_frame_of_an_image(net, frame, shape, rng):
    ink = (rng.random(shape) < 0.05) * np.float32(FRAMES[frame].darkest)
    framed = FRAMES[frame].fit(ink, SIZE)
    np.testing.assert_array_equal(replace(net, frame=frame).embed(ink), net.embed(framed))


@pytest.fixture(scope="module")
def character() -> np.ndarray:
    """A character small in the corner of a page, (120, 100) bool."""
    (alphabet,) = generate_alphabets(1, characters=1, drawers=1, image_size=60, seed=4)
    return np.pad(alphabet.images[0, 0], ((60, 0), (0, 40)))


def test_where_a_character_was_drawn_is_nothing_to_a_network_that_frames_the_ink(net, character):
    moved = np.roll(character, (-51, 33), axis=(0, 1))
    both = np.stack([character, moved])
    one, other = replace(net, frame="ink").embed(both)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    one, other = net.embed(both)
    assert np.abs(one - other).max() > 1e-3


def test_a_network_that_frames_the_ink_reads_photos(net, character, tmp_path):
    """White chalk on a green board comes to the same as the drawing; a network that sees the page takes it as it is."""
    board = np.where(character[..., None], (240, 240, 230), (30, 70, 50)).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "board.png")
    photo, drawing = [tmp_path / "board.png"], character[None]
    framing = replace(net, frame="ink")
    np.testing.assert_allclose(framing.prepare(photo), framing.prepare(drawing), rtol=0, atol=1e-5)
    np.testing.assert_allclose(framing.embed(photo), framing.embed(drawing), rtol=0, atol=1e-5)
    gray = np.asarray(Image.fromarray(board).convert("L"), np.float32)[None] / 255
    np.testing.assert_allclose(net.prepare(photo), resize(1 - gray, SIZE), rtol=0, atol=1e-6)


def test_a_picture_without_a_character_is_refused_by_its_name_where_the_ink_is_framed(net, tmp_path):
    Image.new("RGB", (50, 40), "beige").save(tmp_path / "blank.png")
    assert net.embed([tmp_path / "blank.png"]).shape == (1, 8)
    with pytest.raises(DataError, match=r"blank\.png shows no character, nothing stands out from the paper"):
        replace(net, frame="ink").embed([tmp_path / "blank.png"])


def test_an_unknown_frame_is_refused(net):
    with pytest.raises(ScratchnetError, match="unknown frame 'box': choose one of page, ink"):
        replace(net, frame="box")


def test_pictures_of_different_sizes_go_together(net, rng):
    pictures = [Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)) for shape in ((16, 16), (40, 21))]
    together = net.embed(pictures)
    for n in range(2):
        np.testing.assert_allclose(net.embed(pictures[n : n + 1])[0], together[n], rtol=0, atol=1e-6)


def test_bool_images_are_ink_and_paper(net, rng):
    ink = rng.random((3, SIZE, SIZE)) < 0.3
    np.testing.assert_array_equal(net.embed(ink), net.embed(ink.astype(np.float32)))


@pytest.mark.parametrize("empty", [np.zeros((0, SIZE, SIZE), np.float32), np.zeros((0, 30, 30), bool), []], ids=repr)
def test_no_images_have_no_embeddings_and_no_scores(net, empty, rng):
    some = images(rng, 3)
    assert net.embed(empty).shape == (0, 8)
    assert net.similarity(empty, empty).shape == (0,)
    assert net.scores(empty, some).shape == (0, 3)
    assert net.scores(some, empty).shape == (3, 0)


def test_no_pairs_have_no_logits(net, rng):
    nothing = images(rng, 0)
    assert net.forward(net.params, nothing, nothing)[0].shape == (0,)
    assert net.forward(net.params, nothing[:, None], images(rng, 3))[0].shape == (0, 3)


def test_batches_and_blocks_do_not_change_the_answers(net, rng, monkeypatch):
    queries, supports = images(rng, 11), images(rng, 5)
    embedded, scores = net.embed(queries), net.scores(queries, supports)
    sizes = []
    encode_whole = SiameseNet._encode

    def watched(self: SiameseNet, x: Array) -> Array:
        sizes.append(len(x))
        return encode_whole(self, x)

    monkeypatch.setattr(SiameseNet, "_encode", watched)
    net = replace(net, embed_batch=4)
    monkeypatch.setattr(siamese, "SCORE_ELEMENTS", 2 * supports.shape[0] * 8)  # two queries at a time
    np.testing.assert_allclose(net.embed(queries), embedded, rtol=0, atol=1e-6)
    assert sizes == [4, 4, 3]
    np.testing.assert_allclose(net.scores(queries, supports), scores, rtol=0, atol=1e-5)


# What is refused


@pytest.mark.parametrize(
    ("given", "error", "complaint"),
    [
        (np.zeros((SIZE, SIZE), np.float32), ShapeError, r"has shape \(16, 16\), .*: a single image is \w+\[None\]"),
        (np.zeros((2, SIZE, SIZE, 1), bool), ShapeError, r"has shape \(2, 16, 16, 1\), expected \(N, H, W\)"),
        (np.zeros((2, SIZE, SIZE), np.uint8), ShapeError, " is uint8, expected bool or float, .* scale it"),
        ([3.5], DataError, r"\w+\[0\]: a float, expected a path, bytes, an open file, a Pillow image or an array"),
        ("a.png", DataError, " is a single picture, expected a list"),
        (Path("a.png"), DataError, " is a single picture, expected a list"),
        (Image.new("L", (9, 9)), DataError, " is a single picture, expected a list"),
        (["nowhere.png"], DataError, "there is no file nowhere.png"),
        (3.5, BackendError, "expected a NumPy or CuPy array, got float"),
    ],
    ids=["two axes", "four axes", "bytes", "list of numbers", "name", "path", "picture", "missing", "number"],
)
def test_what_are_no_images_is_refused_by_name(net, given, error, complaint):
    for ask in (net.embed, lambda x: net.similarity(x, x), lambda x: net.scores(x, x)):
        with pytest.raises(error, match=complaint):
            ask(given)


def test_as_many_images_are_needed_on_both_sides(net, rng):
    with pytest.raises(ShapeError, match="a has 3 images and b 2"):
        net.similarity(images(rng, 3), images(rng, 2))


@pytest.mark.parametrize(
    ("a", "b", "complaint"),
    [
        ((3, 16, 15), (3, 16, 16), r"a has shape \(3, 16, 15\), expected \(..., H=16, W=16\)"),
        ((3, 16, 16), (3, 20, 20), r"b has shape \(3, 20, 20\), expected \(..., H=16, W=16\)"),
        ((16, 16, 3), (3, 16, 16), r"a has shape .*: it looks like \(H, W, N\), which becomes a.transpose\(2, 0, 1\)"),
        ((3, 16, 16), (3, 16, 16, 1), r"b has shape .*: the channel goes as b\[\.\.\., 0\]"),
        ((3, 16, 16), (2, 16, 16), r"a has leading axes \(3,\) and b \(2,\), expected axes that broadcast"),
    ],
)
def test_forward_spells_out_the_shapes_it_refuses(net, a, b, complaint):
    with pytest.raises(ShapeError, match=complaint):
        net.forward(net.params, np.zeros(a, np.float32), np.zeros(b, np.float32))


@pytest.mark.parametrize("device", ["strict"], indirect=True)
def test_images_on_another_device_than_the_network_are_refused(net, device, rng):
    here, there = images(rng, 2), to_device(images(rng, 2), device)
    with pytest.raises(BackendError, match=r"\(2, 16, 16\) on strict, \(8,\) on cpu"):
        net.embed(there)
    with pytest.raises(BackendError, match=r"\(2, 16, 16\) on cpu, \(8,\) on strict"):
        net.to_device(device).embed(here)
    with pytest.raises(BackendError, match=r"\(2, 16, 16\) on cpu, \(2, 16, 16\) on strict"):
        net.forward(net.params, here, there)


# Training


@pytest.mark.parametrize("kind", ["pairs", "episodes"])
def test_every_device_trains_alike(net, device, kind, rng):
    here, there = placed(net, "cpu"), placed(net, device)
    one, other = SGD(0.05, weight_decay=1e-3), SGD(0.05, weight_decay=1e-3)
    for _ in range(3):
        a, b, target, loss = batch(rng, kind)
        on_device = (to_device(each, device) for each in (a, b, target))
        assert train_step(there, other, *on_device, loss=loss) == pytest.approx(
            train_step(here, one, a, b, target, loss=loss), rel=1e-4
        )
    assert_close(on_host(there.params), here.params, rtol=1e-3, atol=1e-5)
    assert_close(on_host(other.velocity), one.velocity, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("frame", FRAMES)
def test_every_device_embeds_and_scores_alike(net, device, frame, rng):
    net = replace(net, frame=frame)
    there = net.to_device(device)
    assert there.device is device
    darkest = np.float32(FRAMES[frame].darkest)
    queries, supports = darkest * images(rng, 5), darkest * (rng.random((4, 20, 20)) < 0.2)
    placed_queries, placed_supports = to_device(queries, device), to_device(supports, device)
    for answer, expected in (
        (there.embed(placed_queries), net.embed(queries)),
        (there.similarity(placed_queries, placed_queries), net.similarity(queries, queries)),
        (there.scores(placed_queries, placed_supports), net.scores(queries, supports)),
        (there.embed([PICTURE]), net.embed([PICTURE])),
    ):
        np.testing.assert_allclose(to_host(answer), expected, rtol=0, atol=1e-5)


def test_every_device_gets_the_same_trials_right(net, device, rng):
    alphabets = generate_alphabets(3, characters=6, drawers=5, image_size=SIZE, seed=2)
    runs = oneshot.sample_runs(alphabets, 6, rng=rng, n_way=6, k_shot=2)
    result = oneshot.evaluate(net.to_device(device), runs)
    assert result == oneshot.evaluate(net, runs)
    assert 0 < result.correct < result.trials
    verified, expected = (
        verify(each, validation=alphabets[:1], test=alphabets[1:], pairs=60, rng=np.random.default_rng(3))
        for each in (net.to_device(device), net)
    )
    assert verified == expected


def test_at_least_one_image_is_embedded_at_a_time(net):
    with pytest.raises(ScratchnetError, match="embed_batch=0: embed at least 1 image at a time"):
        replace(net, embed_batch=0)
