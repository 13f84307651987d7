"""At every door, arrays that are no drawings are refused by the number of the image, and drawings never are."""

import re
from dataclasses import replace

import numpy as np
import pytest
from strict_array import strict

import scratchnet as sn
from scratchnet.backend import to_device, to_host
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.errors import DataError, ScratchnetError, ShapeError
from scratchnet.images.augment import AffineRanges, ElasticRanges, distort, thicken
from scratchnet.images.ink import BatchLook, expect_images, expect_ink, look
from scratchnet.oneshot.baselines import ModifiedHausdorff, PixelNearestNeighbour
from scratchnet.oneshot.scorers import Embedded, Ensemble
from scratchnet.oneshot.trials import Run, evaluate
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step

N, SIZE = 6, 16
BAD = 4  # the number of the image that is at fault


@pytest.fixture(scope="module")
def glyphs() -> list[Alphabet]:
    return generate_alphabets(4, characters=12, drawers=6, image_size=24, seed=3)


@pytest.fixture(scope="module")
def ink() -> np.ndarray:
    """N drawings, float32."""
    (alphabet,) = generate_alphabets(1, characters=N, drawers=1, image_size=SIZE, seed=3)
    return alphabet.images[:, 0].astype(np.float32)


def run_of(query, support):
    labels = np.arange(N)
    return Run("run 7", "within one alphabet", support, labels, query, labels)


def read_later(images):
    """The images of an alphabet can change after it was made."""
    alphabet = Alphabet("Greek", np.zeros((N // 2, 2, SIZE, SIZE), images.dtype))
    alphabet.images[...] = images.reshape(alphabet.images.shape)
    return Drawings.of([alphabet], SIZE)


def labels_of(images):
    return np.zeros(len(images), np.float32)


# Functions that take images, and how each refers to the image at fault.
DOORS = {
    "embed": (lambda net, bad, good: net.embed(bad), "images[4]"),
    "similarity, a": (lambda net, bad, good: net.similarity(bad, good), "a[4]"),
    "similarity, b": (lambda net, bad, good: net.similarity(good, bad), "b[4]"),
    "logits": (lambda net, bad, good: net.logits(good, bad), "b[4]"),
    "scores, queries": (lambda net, bad, good: net.scores(bad, good), "queries[4]"),
    "scores, supports": (lambda net, bad, good: net.scores(good, bad), "supports[4]"),
    "Embedded": (lambda net, bad, good: Embedded(net).scores(good, bad), "images[4]"),
    "Ensemble": (lambda net, bad, good: Ensemble([Embedded(net)] * 2).similarity(bad, good), "images[4]"),
    "pixels": (lambda net, bad, good: PixelNearestNeighbour().scores(good, bad), "supports[4]"),
    "Hausdorff": (lambda net, bad, good: ModifiedHausdorff().scores(bad, good), "queries[4]"),
    "query of a run": (lambda net, bad, good: evaluate(net, [run_of(bad, good)]), "query of 'run 7'[4]"),
    "support of a run": (lambda net, bad, good: evaluate(net, [run_of(good, bad)]), "support of 'run 7'[4]"),
    "Alphabet": (
        lambda net, bad, good: Alphabet("Greek", bad.reshape(N // 2, 2, SIZE, SIZE)),
        "alphabet 'Greek', character 2, drawer 0,",
    ),
    "Drawings.of": (lambda net, bad, good: read_later(bad), "alphabet 'Greek', character 2, drawer 0,"),
    "train_step, a": (lambda net, bad, good: train_step(net, SGD(0.1), bad, good, labels_of(good)), "a[4]"),
    "train_step, b": (lambda net, bad, good: train_step(net, SGD(0.1), good, bad, labels_of(good)), "b[4]"),
}
VALUES = {"255": 255.0, "over 1": 1.01, "below 0": -0.01, "huge": 1e30, "NaN": np.nan, "inf": np.inf, "-inf": -np.inf}
OTHER_DTYPES = ["uint8", "int8", "uint16", "int64", "complex64", "object", "U3", "S3", "M8[s]"]


def complaint(call):
    with pytest.raises(ScratchnetError) as refusal:
        call()
    message = str(refusal.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("value", VALUES)
def test_a_value_that_is_no_ink_is_refused_by_the_image_that_has_it(door, value, ink, tiny_net):
    if door.startswith("train_step") and not np.isfinite(VALUES[value]):
        pytest.skip("the training step looks for NaN everywhere itself")
    enter, place = DOORS[door]
    bad = ink.copy()
    bad[BAD, 3, 5] = VALUES[value]
    before = {name: param.copy() for name, param in tiny_net.params.items()}
    said = complaint(lambda: enter(tiny_net, bad, ink))
    assert said.startswith(f"{place} has ")
    assert "expected ink 1 and paper 0: " in said
    for name, param in before.items():
        np.testing.assert_array_equal(tiny_net.params[name], param)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("dtype", OTHER_DTYPES)
def test_an_array_of_anything_but_floats_and_truth_values_is_refused(door, dtype, ink, tiny_net):
    enter, _ = DOORS[door]
    said = complaint(lambda: enter(tiny_net, np.zeros(ink.shape, dtype), ink))
    assert f" is {np.dtype(dtype)}, expected bool or float, ink 1 and paper 0: " in said


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_paper_of_1_is_refused_with_the_line_that_turns_it(door, dtype, ink, tiny_net):
    enter, place = DOORS[door]
    bad = ink.astype(dtype)
    if door.startswith("train_step"):  # which judges the batch as a whole
        if dtype == "bool":
            pytest.skip("layers take no bool")
        bad, place = 1 - bad, place[0]
    else:
        bad[BAD] = ~bad[BAD] if dtype == "bool" else 1 - bad[BAD]
    said = complaint(lambda: enter(tiny_net, bad, ink.astype(dtype)))
    assert said.startswith(place)
    assert re.search(r"write ~\w+" if dtype == "bool" else r"write 1 - \w+", said)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("change", ["as it is", "within the slack", "blank", "bool", "float16", "float64", "reversed"])
def test_drawings_are_taken_at_every_door(door, change, ink, tiny_net):
    enter, _ = DOORS[door]
    if door.startswith("train_step") and change in ("bool", "float16", "float64"):
        pytest.skip("layers take one precision")
    given = {
        "as it is": ink,
        "within the slack": np.float32(1.0018) * ink - np.float32(0.0009),
        "blank": 0 * ink,
        "bool": ink.astype(bool),
        "float16": ink.astype(np.float16),
        "float64": ink.astype(np.float64),
        "reversed": ink[:, ::-1, ::-1],
    }[change]
    enter(tiny_net, given, ink)


@pytest.mark.parametrize(
    ("given", "mends"),
    [
        (lambda ink: (255 * (1 - ink)).astype(np.uint8), "1 - images.astype('float32') / 255"),
        (lambda ink: (255 * ink).astype(np.uint8), "images.astype('float32') / 255"),
        (lambda ink: (65535 * (1 - ink)).astype(np.uint16), "1 - images.astype('float32') / 65535"),
        (lambda ink: (1000 * (1 - ink)).astype(np.int32), "1 - images.astype('float32') / 1023"),
        (lambda ink: ink.astype(np.uint8), "images.astype(bool)"),
        (lambda ink: (1 - ink).astype(np.int64), "images == 0"),
        (lambda ink: 255 * ink, "images / 255"),
        (lambda ink: 255 * (1 - ink.astype(np.float64)), "1 - images / 255"),
        (lambda ink: 65535 * (1 - ink), "1 - images / 65535"),
        (lambda ink: 1e7 * ink, "(images - images.min()) / np.ptp(images)"),
        (lambda ink: 2 * ink - 1, "(images + 1) / 2"),
        (lambda ink: 1.1 * ink - np.float32(0.05), "images.clip(0, 1)"),
        (lambda ink: 1 - ink, "1 - images"),
        (lambda ink: ink == 0, "~images"),
        (lambda ink: (256 * ink - 128).astype(np.int16), "(images.astype('float32') + 128) / 256"),
        (lambda ink: (100_000 * ink).astype(np.int64), "images.astype('float32') / 100000"),
        (lambda ink: 400 * ink - 100, "(images - images.min()) / np.ptp(images)"),
        (lambda ink: ink.astype(np.complex64), "images.real"),
        (lambda ink: ink[..., None], "images[..., 0]"),
        (lambda ink: ink[:, None], "images[:, 0]"),
        (lambda ink: np.repeat(ink[..., None], 3, axis=3), "images.mean(axis=3)"),
        (lambda ink: np.repeat(ink[:, None], 3, axis=1), "images.mean(axis=1)"),
        (lambda ink: ink[0], "images[None]"),
    ],
)
def test_the_line_that_a_refusal_names_makes_drawings_of_the_array(given, mends, ink, tiny_net):
    images = given(ink)
    said = complaint(lambda: tiny_net.embed(images))
    code = re.search(r"(?:write|channels as|image is) (.+?)(?:; a drawing.*| if that is.*)?$", said).group(1)
    assert code == mends
    mended = eval(code, {"images": images, "np": np})
    expect_images("images", mended)
    np.testing.assert_allclose(np.asarray(mended, np.float32), ink if mended.shape[0] == N else ink[:1], atol=0.06)


# Negatives


def pages_and_windows(alphabets, size):
    for frame in ("page", "ink"):
        yield Drawings.of(alphabets, size, frame=frame).images / np.float32(255)


@pytest.mark.parametrize("size", [8, 16, 24, 48])
def test_no_generated_drawing_is_taken_for_a_negative_and_its_negative_is(glyphs, size):
    for images in pages_and_windows(glyphs, size):
        expect_ink("images", images)
        assert np.mean(look(1 - images).is_negative) > 0.99


def test_no_drawing_of_omniglot_is_taken_for_a_negative_and_its_negative_is(real_data):
    alphabets = load_omniglot(find_data(real_data, "images_background.zip", "images_background"))[::10]
    for size in (28, 105):
        for images in pages_and_windows(alphabets, size):
            expect_ink("images", images)
            assert np.mean(look(1 - images).is_negative) > 0.999


@pytest.mark.parametrize("size", [12, 16, 24])
def test_no_batch_of_drawings_distorted_and_thickened_to_the_utmost_is_refused(glyphs, size, rng):
    for images in pages_and_windows(glyphs, size):
        count = len(images)
        bent = distort(
            images,
            AffineRanges().draw(count, image_size=size, rng=rng),
            elastic=ElasticRanges(0.1).draw(count, image_size=size, rng=rng),
        )
        thick = thicken(thicken(bent, np.ones(count, np.float32)), np.ones(count, np.float32) / 2)
        for batch in np.split(thick, 12):
            BatchLook(batch, bent[: len(batch)])


def test_noise_is_no_negative(rng):
    expect_ink("images", rng.random((2_000, 16, 16)))
    expect_ink("images", rng.random((2_000, 16, 16)) < 0.5)


def test_images_of_a_few_pixels_are_not_judged():
    for shape in ((3, 1, 1), (3, 7, 7), (3, 105, 7)):
        expect_ink("images", np.ones(shape, np.float32))
    for shape in ((3, 8, 8), (3, 105, 8)):
        with pytest.raises(DataError, match=r"images\[0\] has paper 1"):
            expect_ink("images", np.ones(shape, np.float32))


def test_a_drawing_with_a_margin_may_be_mostly_ink():
    thick = np.pad(np.ones((1, 30, 30)), ((0, 0), (2, 2), (2, 2)))
    expect_ink("images", thick)
    with pytest.raises(DataError, match="needs a margin of paper"):
        expect_ink("images", thick[:, 2:-2, 2:-2])


# On a device


@pytest.mark.parametrize("device", ["strict"], indirect=True)
def test_a_device_is_not_waited_for_and_wrong_images_answer_nan(device, ink, tiny_net):
    net, images = tiny_net.to_device(device), ink.copy()
    images[0], images[2, 3, 5], images[3, 1, 1], images[5, 0, 0] = 1 - ink[0], 255, np.nan, -1
    there = to_device(images, device)
    strict.synchronisations = 0
    h, scores = net.embed(there), net.scores(to_device(ink, device), there)
    assert strict.synchronisations == 0
    h, scores, right = to_host(h), to_host(scores), [1, 4]
    np.testing.assert_allclose(h[right], tiny_net.embed(ink[right]), atol=1e-5)
    np.testing.assert_allclose(scores[:, right], tiny_net.scores(ink, ink[right]), atol=1e-4)
    for wrong in (0, 2, 3, 5):
        assert np.isnan(h[wrong]).all()
        assert np.isnan(scores[:, wrong]).all()


@pytest.mark.parametrize("value", [255.0, -0.5])
def test_a_training_step_on_any_device_names_the_image_and_changes_nothing(value, device, ink, tiny_net):
    net, bad = tiny_net.to_device(device), ink.copy()
    bad[BAD, 3, 5] = value
    before = {name: to_host(param).copy() for name, param in net.params.items()}
    a, b, labels = (to_device(each, device) for each in (ink, bad, labels_of(ink)))
    with pytest.raises(DataError, match=re.escape(f"b[{BAD}] has values from")):
        train_step(net, SGD(0.1), a, b, labels)
    with pytest.raises(DataError, match=r"a is mostly ink, .*: write 1 - a"):
        train_step(net, SGD(0.1), 1 - a, a, labels)
    for name, param in before.items():
        np.testing.assert_array_equal(to_host(net.params[name]), param)


def test_the_images_of_an_episode_are_named_by_all_their_axes(ink, tiny_net):
    a, b = ink[:4].reshape(2, 2, 1, SIZE, SIZE), ink[:4].reshape(2, 1, 2, SIZE, SIZE).copy()
    b[1, 0, 1, 2, 2] = 3
    target = np.tile(np.eye(2, dtype=np.float32), (2, 1, 1))
    with pytest.raises(DataError, match=re.escape("b[1, 0, 1] has values from 0 to 3")):
        train_step(tiny_net, SGD(0.1), a, b, target, loss=sn.NWayCrossEntropy())


# Elsewhere


@pytest.mark.parametrize("dtype", ["uint8", "bool"])
@pytest.mark.parametrize(
    "change",
    [
        lambda x: distort(x, AffineRanges().draw(2, image_size=16, rng=np.random.default_rng(0))),
        lambda x: thicken(x, np.ones(2)),
    ],
    ids=["distort", "thicken"],
)
def test_distortions_take_floats_alone(dtype, change):
    with pytest.raises(ShapeError, match=r"images is (uint8|bool), expected .*float.*: .*write images.astype"):
        change(np.zeros((2, 16, 16), dtype))


@pytest.mark.parametrize("shape", [(3, 4, 16), (3, 4, 16, 16, 1), (3, 4, 0, 16)])
def test_an_alphabet_has_four_axes(shape):
    with pytest.raises(ShapeError, match=r"expected \(characters, drawers, H, W\)"):
        Alphabet("Greek", np.zeros(shape, bool))


def test_drawings_hold_bytes(ink):
    drawings = Drawings.of([Alphabet("Greek", ink[:, None])], SIZE)
    for images in (drawings.images / 255, drawings.images[0]):
        with pytest.raises(ShapeError, match=r"expected uint8 \(M, size, size\): make them with Drawings.of"):
            replace(drawings, images=images)


def test_an_empty_batch_holds_nothing_wrong(tiny_net):
    assert tiny_net.embed(np.zeros((0, 9, 9))).shape == (0, 8)
    assert tiny_net.scores(np.zeros((0, 9, 9)), np.zeros((2, 9, 9))).shape == (0, 2)
