"""Affine, elastic and stroke distortions do what their parameters say, and the square has eight symmetries."""

from math import cos, pi, radians, sin, sqrt

import numpy as np
import pytest
from PIL import Image, ImageFilter

from scratchnet.backend import to_device, to_host
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.images.augment import (
    IDENTITY,
    SYMMETRIES,
    AffineRanges,
    ElasticRanges,
    distort,
    elastic_shifts,
    inverse_maps,
    symmetry,
    thicken,
)
from scratchnet.images.warp import warp

ROTATION, SHEARS, SCALES, SHIFTS = 0, slice(1, 3), slice(3, 5), slice(5, 7)


@pytest.fixture(scope="module")
def characters() -> np.ndarray:
    """Twenty generated characters, (20, 105, 105) float64."""
    (alphabet,) = generate_alphabets(1, characters=20, drawers=1, image_size=105, seed=7)
    return alphabet.images[:, 0].astype(np.float64)


def forward(transform: np.ndarray, point: np.ndarray, size: int) -> np.ndarray:
    """Where the module's docstring says that a point (x, y) of the input goes."""
    theta, rho_x, rho_y, s_x, s_y, t_x, t_y = transform
    centre = (size - 1) / 2
    x, y = s_x * (point[0] - centre), s_y * (point[1] - centre)
    x, y = x + rho_x * y, rho_y * x + y
    angle = radians(theta)
    x, y = cos(angle) * x - sin(angle) * y, sin(angle) * x + cos(angle) * y
    return np.array([x + centre + t_x, y + centre + t_y])


def only(**components: float) -> np.ndarray:
    """One transform (1, 7), neutral but for the components given by name."""
    names = ["theta", "rho_x", "rho_y", "s_x", "s_y", "t_x", "t_y"]
    return np.array([[components.get(name, neutral) for name, neutral in zip(names, IDENTITY, strict=True)]])


def strong(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Transforms with every component, in the paper's ranges."""
    return AffineRanges(probability=1).draw(count, image_size=size, rng=rng)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_identity_returns_its_images_exactly(device, dtype, characters, rng):
    images = (characters * rng.random(characters.shape)).astype(dtype)
    distorted = distort(to_device(images, device), np.tile(IDENTITY, (len(images), 1)))
    np.testing.assert_array_equal(to_host(distorted), images)


@pytest.mark.parametrize("size", [16, 105])
def test_inverse_maps_lead_back_from_the_output_to_the_input(size, rng):
    transforms = strong(rng, 50, size)
    for transform, inverse in zip(transforms, inverse_maps(transforms, size), strict=True):
        point = rng.uniform(0, size - 1, 2)
        np.testing.assert_allclose(inverse @ [*forward(transform, point, size), 1], point, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (only(theta=90), lambda image: np.rot90(image, -1)),  # y points down, so a positive angle turns clockwise
        (only(theta=180), lambda image: image[::-1, ::-1]),
        (only(s_x=-1), lambda image: image[:, ::-1]),
        (only(s_y=-1), lambda image: image[::-1]),
        (only(t_x=3), lambda image: np.pad(image, ((0, 0), (3, 0)))[:, :-3]),
        (only(t_y=2), lambda image: np.pad(image, ((2, 0), (0, 0)))[:-2]),
    ],
    ids=["quarter turn", "half turn", "mirrored in x", "mirrored in y", "to the right", "down"],
)
def test_a_transform_moves_the_ink_as_its_component_says(transform, expected, rng):
    image = rng.random((15, 15))
    np.testing.assert_allclose(distort(image[None], transform)[0], expected(image), rtol=0, atol=1e-12)


def test_random_transforms_of_characters_agree_with_pillow(characters, rng):
    transforms = strong(rng, len(characters), 105)
    for image, transform, distorted in zip(characters, transforms, distort(characters, transforms), strict=True):
        # Pillow wants the inverse map between corners of pixels: found here from where three corners go.
        corners = np.array([[0, 0], [1, 0], [0, 1]]) - 0.5
        moved = np.array([forward(transform, corner, 105) for corner in corners]) + 0.5
        inverse = np.linalg.solve(np.column_stack([moved, np.ones(3)]), corners + 0.5).T
        picture = Image.fromarray(image.astype(np.float32)).transform(
            (105, 105), Image.Transform.AFFINE, inverse.ravel().tolist(), Image.Resampling.BILINEAR
        )
        np.testing.assert_allclose(distorted, np.asarray(picture), rtol=0, atol=1e-5)


def test_the_twins_of_a_pair_are_distorted_each_on_its_own(device, characters, rng):
    one, other = strong(rng, 2, 105)
    twins = to_device(np.stack([characters[0], characters[0]]).astype(np.float32), device)
    first, second = to_host(distort(twins, np.stack([one, other])))
    assert not np.allclose(first, second)
    for twin, transform in ((first, one), (second, other)):
        alone = distort(characters[:1].astype(np.float32), transform[None])[0]
        # The place that is read has three terms, each rounded up to three times on either device; pixels differ by 1.
        reach = np.abs(inverse_maps(transform[None], 105)[0]) @ [105, 105, 1]
        rounding = 3 * np.finfo(np.float32).eps * reach.sum()
        np.testing.assert_allclose(twin, alone, rtol=0, atol=rounding)


def test_outside_the_image_there_is_paper(rng):
    shrunk = distort(1 + rng.random((1, 20, 20)), only(s_x=0.5, s_y=0.5))[0]
    assert shrunk[7:13, 7:13].min() >= 1
    assert not shrunk[:4].any()
    assert not shrunk[:, -4:].any()


@pytest.mark.parametrize("component", ["t_x", "t_y"])
@pytest.mark.parametrize("far", [-21.0, 21.0, 1e6])
def test_a_shift_beyond_the_image_leaves_it_empty(device, component, far, rng):
    ink = to_device(1 + rng.random((1, 20, 20), np.float32), device)
    assert not to_host(distort(ink, only(**{component: far}))).any()


def test_drawn_transforms_stay_in_the_papers_ranges_and_fill_them(rng):
    drawn = AffineRanges().draw(20_000, image_size=105, rng=rng) - IDENTITY
    reach = np.array([10, 0.3, 0.3, 0.2, 0.2, 2, 2])
    assert np.all(np.abs(drawn) <= reach)
    assert np.all(drawn.max(axis=0) > 0.99 * reach)
    assert np.all(drawn.min(axis=0) < -0.99 * reach)
    np.testing.assert_allclose(drawn.mean(axis=0) / reach, 0, atol=0.02)


@pytest.mark.parametrize("probability", [0.0, 0.5, 0.8, 1.0])
def test_each_component_is_kept_with_the_probability_asked_for_and_neutral_otherwise(probability, rng):
    kept = AffineRanges(probability=probability).draw(20_000, image_size=105, rng=rng) != IDENTITY
    np.testing.assert_allclose(kept.mean(axis=0), probability, atol=0.02)
    if probability == 0.5:
        np.testing.assert_allclose(np.corrcoef(kept.T), np.eye(7), atol=0.03)  # each on its own


def test_the_shift_scales_with_the_image_and_nothing_else_does():
    large, small = (AffineRanges().draw(100, image_size=size, rng=np.random.default_rng(3)) for size in (105, 35))
    np.testing.assert_allclose(small[:, SHIFTS], large[:, SHIFTS] / 3, rtol=1e-12)
    np.testing.assert_array_equal(small[:, :5], large[:, :5])


@pytest.mark.parametrize(
    ("ranges", "columns"),
    [
        (AffineRanges(rotation=0), ROTATION),
        (AffineRanges(shear=0), SHEARS),
        (AffineRanges(scale=0), SCALES),
        (AffineRanges(shift=0), SHIFTS),
    ],
    ids=["rotation", "shear", "scale", "shift"],
)
def test_a_range_of_zero_leaves_its_components_alone_neutral(ranges, columns, rng):
    varied = ranges.draw(200, image_size=105, rng=rng) != IDENTITY
    assert not varied[:, columns].any()
    assert np.delete(varied, np.arange(7)[columns], axis=1).any(axis=0).all()


def test_the_same_seed_draws_the_same_transforms():
    first, again, other = (
        AffineRanges().draw(10, image_size=48, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (10, 7)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_elastic_shifts_are_the_series_of_cosines_that_the_docstring_gives(rng):
    size, coefficients = 6, rng.standard_normal((2, 2, 3, 3))
    shifts = elastic_shifts(coefficients, size)
    assert shifts.shape == (2, 2, 6, 6)

    def wave(k, i):
        return sqrt(2 if k else 1) * cos(pi * k * (i + 0.5) / size)

    for n, axis, i, j in np.ndindex(shifts.shape):
        terms = [c * wave(k, i) * wave(m, j) for (k, m), c in np.ndenumerate(coefficients[n, axis])]
        assert shifts[n, axis, i, j] == pytest.approx(sum(terms), abs=1e-12)


@pytest.mark.parametrize("size", [16, 48])
def test_the_root_mean_square_of_elastic_shifts_is_a_random_share_of_the_image(size, rng):
    shifts = elastic_shifts(ElasticRanges(0.08).draw(3000, image_size=size, rng=rng), size)
    shares = np.sqrt((shifts**2).mean(axis=(1, 2, 3))) / size
    assert 0 <= shares.min() < 0.001
    assert 0.079 < shares.max() <= 0.08
    np.testing.assert_allclose(np.quantile(shares, [0.25, 0.5, 0.75]), [0.02, 0.04, 0.06], atol=0.004)


def test_elastic_shifts_differ_from_image_to_image_and_from_axis_to_axis(rng):
    shifts = elastic_shifts(ElasticRanges().draw(50, image_size=24, rng=rng), 24).reshape(100, -1)
    correlations = np.corrcoef(shifts) - np.eye(100)
    assert np.abs(correlations).max() < 0.95
    assert abs(correlations.mean()) < 0.02


def test_the_same_seed_draws_the_same_elastic_warp_at_every_size():
    small, again, large = (
        ElasticRanges().draw(5, image_size=size, rng=np.random.default_rng(4)) for size in (24, 24, 48)
    )
    assert small.shape == (5, 2, 4, 4)
    np.testing.assert_array_equal(small, again)
    np.testing.assert_allclose(large, 2 * small, rtol=1e-12)


def test_images_go_through_the_transform_and_the_elastic_warp_in_one_look_up(device, characters, rng):
    images, transforms = characters.astype(np.float32), strong(rng, len(characters), 105)
    elastic = ElasticRanges(0.1).draw(len(characters), image_size=105, rng=rng)
    distorted = to_host(distort(to_device(images, device), transforms, elastic=elastic))
    expected = warp(characters, inverse_maps(transforms, 105), displacement=elastic_shifts(elastic, 105))
    assert distorted.dtype == np.float32
    np.testing.assert_allclose(distorted, expected, rtol=0, atol=1e-3)
    assert np.abs(distorted - distort(images, transforms)).max() > 0.5


def test_an_elastic_warp_of_amplitude_zero_returns_its_images_exactly(device, characters, rng):
    images = (characters * rng.random(characters.shape)).astype(np.float32)
    elastic = ElasticRanges(0.0).draw(len(images), image_size=105, rng=rng)
    distorted = distort(to_device(images, device), np.tile(IDENTITY, (len(images), 1)), elastic=elastic)
    np.testing.assert_array_equal(to_host(distorted), images)


def filtered(images: np.ndarray, kind: type[ImageFilter.Filter]) -> np.ndarray:
    """By Pillow, of bytes: the largest or the smallest of 3 x 3 neighbours, with paper around."""
    pictures = [Image.fromarray(np.pad(image, 1)).filter(kind(3)) for image in images]
    return np.stack([np.asarray(picture)[1:-1, 1:-1] for picture in pictures])


@pytest.mark.parametrize(
    ("share", "kind"),
    [
        (1.0, ImageFilter.MaxFilter),
        (0.3, ImageFilter.MaxFilter),
        (-1.0, ImageFilter.MinFilter),
        (-0.6, ImageFilter.MinFilter),
    ],
)
def test_strokes_move_by_their_share_towards_the_dilation_or_the_erosion(device, share, kind, rng):
    grey = rng.integers(0, 256, (3, 9, 14), np.uint8)
    moved = thicken(to_device(grey.astype(np.float32), device), np.full(3, share))
    expected = grey + abs(share) * (filtered(grey, kind).astype(float) - grey)
    np.testing.assert_allclose(to_host(moved), expected, rtol=0, atol=1e-4)


def test_each_image_has_its_own_share_and_a_share_of_zero_changes_no_bit(device, rng):
    images, shares = rng.random((4, 9, 14), np.float32), np.array([0.5, 0.0, -0.5, 0.25])
    moved = to_host(thicken(to_device(images, device), shares))
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(moved[1], images[1])
    for n in (0, 2, 3):
        np.testing.assert_array_equal(moved[n], thicken(images[n : n + 1], shares[n : n + 1])[0])
    assert (moved[0] >= images[0]).all()
    assert (moved[2] <= images[2]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 4, 5), (3, 1, 1), (2, 1, 9), (3, 8, 1), (5, 7, 13)])
def test_strokes_of_any_image_move_as_on_the_host(device, shape, dtype, rng):
    images, shares = rng.standard_normal(shape).astype(dtype), rng.uniform(-1, 1, shape[0])
    images.reshape(-1)[-1:] = np.nan  # its neighbours follow it
    moved = thicken(to_device(images, device), shares)
    assert moved.dtype == dtype
    rounding = 10 * np.finfo(dtype).eps
    np.testing.assert_allclose(to_host(moved), thicken(images, shares), rtol=0, atol=rounding)


def test_a_thick_and_a_thin_stroke_of_a_character_are_strokes_of_it(characters):
    thick, thin = (thicken(characters, np.full(len(characters), share)) for share in (0.5, -0.5))
    for moved in (thick, thin):
        assert moved.min() >= 0
        assert moved.max() <= 1
    assert (thin.sum(axis=(1, 2)) < characters.sum(axis=(1, 2))).all()
    assert (characters.sum(axis=(1, 2)) < thick.sum(axis=(1, 2))).all()


def test_the_symmetries_of_an_image_are_eight_and_the_first_is_itself(device, rng):
    image = rng.random((1, 5, 5), np.float32)
    turned = [to_host(symmetry(to_device(image, device), *each)) for each in SYMMETRIES]
    np.testing.assert_array_equal(turned[0], image)
    assert len({each.tobytes() for each in turned}) == 8


@pytest.mark.parametrize("first", SYMMETRIES)
def test_two_symmetries_in_a_row_are_one_of_the_eight(first, rng):
    image = rng.random((1, 5, 5))
    eight = {symmetry(image, *each).tobytes() for each in SYMMETRIES}
    assert {symmetry(symmetry(image, *first), *second).tobytes() for second in SYMMETRIES} == eight


def test_four_quarter_turns_or_two_mirrors_undo_themselves(rng):
    image = rng.random((2, 5, 5))
    quarter = image
    for _ in range(4):
        quarter = symmetry(quarter, 1, False)
    np.testing.assert_array_equal(quarter, image)
    np.testing.assert_array_equal(symmetry(symmetry(image, 0, True), 0, True), image)


@pytest.mark.parametrize("turns", range(4))
def test_an_image_is_mirrored_first_and_turned_then(turns, rng):
    image = rng.random((1, 5, 5))
    in_two_steps = symmetry(symmetry(image, 0, True), turns, False)
    np.testing.assert_array_equal(symmetry(image, turns, True), in_two_steps)


@pytest.mark.parametrize("shape", [(4, 6, 6), (2, 3, 6, 6)])
def test_whatever_is_turned_together_is_turned_alike(device, shape, rng):
    images = rng.random(shape, np.float32)
    turned = to_host(symmetry(to_device(images, device), 3, True))
    for index in np.ndindex(shape[:-2]):
        np.testing.assert_array_equal(turned[index], symmetry(images[index], 3, True))


def test_as_listed_rotation_comes_first_and_scale_last(rng):
    (transform,) = strong(rng, 1, 16)
    theta, rho_x, rho_y, s_x, s_y, t_x, t_y = transform
    parts = only(theta=theta), only(rho_x=rho_x, rho_y=rho_y), only(s_x=s_x, s_y=s_y), only(t_x=t_x, t_y=t_y)
    listed, scale_first = (inverse_maps(transform[None], 16, as_listed=listed)[0] for listed in (True, False))
    point = rng.uniform(0, 15, 2)

    def moved(order):
        found = point
        for part in order:
            found = forward(part[0], found, 16)
        return found

    np.testing.assert_allclose(listed @ [*moved(parts), 1], point, atol=1e-9)
    rotation, shear, scale, shift = parts
    np.testing.assert_allclose(scale_first @ [*moved((scale, shear, rotation, shift)), 1], point, atol=1e-9)
    assert not np.allclose(listed, scale_first)
