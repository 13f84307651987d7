"""Pictures from anywhere: what they may be, what an error says, what is kept, and many threads at once."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from scratchnet.checkpoint import load_model, save_model
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import DataError, ScratchnetError, ShapeError
from scratchnet.models.networks import compact
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step


@pytest.fixture(scope="module")
def net():
    return compact(image_size=16, width=4, features=8, frame="ink", device="cpu")


@pytest.fixture(scope="module")
def drawings():
    (alphabet,) = generate_alphabets(1, characters=6, drawers=1, image_size=60, seed=8)
    return alphabet.images[:, 0]


@pytest.fixture(scope="module")
def files(drawings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, ink in enumerate(drawings):
        Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).save(folder / f"p{number}.png")
    return [folder / f"p{number}.png" for number in range(len(drawings))]


def test_paths_names_bytes_streams_pictures_and_arrays_are_the_same(net, files, drawings):
    expected = net.embed(files)
    with open(files[2], "rb") as stream, Image.open(files[3]) as picture:
        mixed = [str(files[0]), files[1].read_bytes(), stream, picture, io.BytesIO(files[4].read_bytes())]
        np.testing.assert_allclose(net.embed(mixed), expected[:5], atol=1e-6)
    np.testing.assert_allclose(net.embed([drawings[5], drawings[0][:, :50]])[0], expected[5], atol=0.01)


def test_arrays_of_different_sizes_are_a_list(net, drawings):
    large = np.kron(drawings[0], np.ones((2, 2), bool))
    one, other = net.embed([drawings[0], large])
    np.testing.assert_allclose(one, other, atol=0.05)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("nowhere.png", r"images\[2\]: there is no file nowhere.png"),
        (b"nothing", r"images\[2\]: the image is empty or not an image"),
        (io.BytesIO(b""), r"images\[2\]: the image is empty or not an image"),
        (np.full((20, 20), 7.0), r"images\[2\]: image\[0\] has values from 7 to 7"),
        (np.zeros((20, 20, 3), np.float32), r"images\[2\]: image has shape \(1, 20, 20, 3\)"),
        (np.zeros((20, 20), np.uint8), r"images\[2\]: image is uint8"),
        (None, r"images\[2\]: a NoneType, expected a path, bytes, an open file"),
        (Image.new("L", (50, 50), "white"), r"images\[2\]: the image shows no character"),
    ],
    ids=["missing", "bytes", "stream", "values", "axes", "dtype", "nothing", "blank"],
)
def test_an_error_has_the_index_and_the_name_and_can_be_skipped(net, files, bad, message):
    images = [files[0], files[1], bad, files[3]]
    with pytest.raises(DataError, match=message):
        net.embed(images)
    skipped = net.embed(images, on_error="skip")
    assert np.isnan(skipped[2]).all()
    others = net.embed([files[0], files[1], files[3]])
    np.testing.assert_allclose(np.delete(skipped, 2, axis=0), others, atol=1e-6)
    assert np.isnan(net.prepare(images, on_error="skip")[2]).all()


def test_the_first_of_several_that_cannot_be_read_is_named(net, files):
    with pytest.raises(DataError, match=r"images\[1\]: there is no file a.png"):
        net.embed([files[0], "a.png", "b.png", *files])


def test_what_is_skipped_scores_nan_and_nothing_else_does(net, files):
    scores = net.scores([files[0], "none.png"], [files[1], b"", files[2]], on_error="skip")
    np.testing.assert_array_equal(np.isnan(scores), [[False, True, False], [True, True, True]])
    np.testing.assert_array_equal(np.isnan(net.similarity(["none.png", files[0]], files[:2], on_error="skip")), [1, 0])


def test_bad_drawings_in_one_array_are_skipped_one_by_one(net, drawings):
    ink = drawings.astype(np.float32)
    ink[1, 0, 0] = np.nan
    assert np.isnan(net.embed(ink, on_error="skip")).any(axis=1).tolist() == [False, True, False, False, False, False]


def test_an_unknown_way_with_errors_is_refused(net, files):
    with pytest.raises(ScratchnetError, match=r"on_error='skp' .did you mean 'skip'.*: give 'raise' or 'skip'"):
        net.embed(files, on_error="skp")


def test_embeddings_that_were_kept_score_like_the_pictures(net, files):
    kept = net.embed(files)
    np.testing.assert_allclose(net.scores_of(kept[:2], kept), net.scores(files[:2], files), atol=1e-6)
    with pytest.raises(ShapeError, match=r"h2 has shape \(6, 7\), expected embeddings \(N, 8\)"):
        net.scores_of(kept, kept[:, :7])
    with pytest.raises(ShapeError, match=r"h1 has shape \(8,\)"):
        net.scores_of(kept[0], kept)


def test_what_the_encoder_sees_is_framed_float32(net, files, drawings):
    seen = net.prepare(files)
    assert (seen.shape, seen.dtype) == ((6, 16, 16), np.float32)
    embedded = net.network.encode(net.params, seen)[0]
    np.testing.assert_allclose(embedded, net.embed(files), atol=1e-6)
    np.testing.assert_allclose(net.prepare(drawings), seen, atol=0.05)


def test_embeddings_follow_the_weights(net, drawings, tmp_path):
    """Training, writing into a parameter, and loading: nothing of the weights is kept between two calls."""
    net, optimiser = replace(net, params={name: value.copy() for name, value in net.params.items()}), SGD(0.1)
    seen = []

    def expect_those_of_the_layers():
        seen.append(net.embed(drawings))
        np.testing.assert_allclose(seen[-1], net.network.encode(net.params, net.prepare(drawings))[0], atol=1e-6)

    for _ in range(2):
        train_step(net, optimiser, net.prepare(drawings), net.prepare(drawings[::-1]), np.ones(len(drawings), "f4"))
        expect_those_of_the_layers()
    for name in ("encoder.norm2.running_var", "encoder.norm2.weight", "encoder.conv1.bias"):
        net.params[name] -= 1.5 if "weight" in name else -1.5  # to a negative scale, too
        expect_those_of_the_layers()
    save_model(tmp_path / "saved.npz", net)
    net.params["encoder.conv2.weight"] += 0.1
    expect_those_of_the_layers()
    net = load_model(tmp_path / "saved.npz")
    expect_those_of_the_layers()
    np.testing.assert_allclose(seen[-1], seen[-3], atol=1e-6)
    assert all(abs(one - other).max() > 1e-4 for one, other in pairwise(seen))


def test_no_pictures_have_no_embeddings(net):
    assert net.embed([]).shape == (0, 8)


def test_grey_arrays_have_a_range_of_their_own(net, drawings):
    grey = replace(net, frame="grey")
    with pytest.raises(DataError, match="images has values up to 1, but a network that reads grey takes 0 for white"):
        grey.embed(drawings.astype(np.float32))
    assert grey.embed(drawings * np.float32(127 / 255)).shape == (6, 8)


def test_eight_threads_get_what_one_gets(net, files, drawings):
    """Warnings, which are switched off for the time of reading, come back."""
    before = list(warnings.filters)
    expected, arrays = net.scores(files, files), net.embed(drawings)

    def serve(number):
        if number % 4 == 3:
            with pytest.raises(DataError):
                net.embed([files[0], b"nothing"])
        return net.scores(files, files), net.embed(drawings)

    with ThreadPoolExecutor(8) as pool:
        for scores, embedded in pool.map(serve, range(64)):
            np.testing.assert_array_equal(scores, expected)
            np.testing.assert_array_equal(embedded, arrays)
    assert warnings.filters == before
