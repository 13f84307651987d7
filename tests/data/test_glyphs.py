import numpy as np
import pytest

from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import DataError


@pytest.fixture(scope="module")
def alphabets():
    return generate_alphabets(4, seed=3)


def blurred(images):
    """(..., H, W) bool as (..., H / 5, W / 5) ink fractions."""
    *lead, height, width = images.shape
    return images.reshape(*lead, height // 5, 5, width // 5, 5).mean(axis=(-3, -1))


def distances(images, others):
    """(N, M) distances between every image of one stack and every image of another."""
    difference = images[:, None].astype(float) - others[None].astype(float)
    return np.sqrt((difference**2).sum(axis=(-2, -1)))


@pytest.mark.parametrize(("characters", "drawers", "image_size"), [(20, 12, 35), (3, 2, 16), (1, 1, 48), (5, 4, 105)])
def test_alphabets_have_the_shape_that_was_asked_for(characters, drawers, image_size):
    for alphabet in generate_alphabets(2, characters=characters, drawers=drawers, image_size=image_size):
        assert alphabet.images.shape == (characters, drawers, image_size, image_size)
        assert alphabet.images.dtype == bool


def test_the_defaults_are_20_characters_12_drawers_and_35_pixels():
    (alphabet,) = generate_alphabets(1)
    assert alphabet.images.shape == (20, 12, 35, 35)


def test_the_same_seed_gives_the_same_bits(alphabets):
    for first, again in zip(alphabets, generate_alphabets(4, seed=3), strict=True):
        assert first.name == again.name
        assert np.array_equal(first.images, again.images)


def test_an_alphabet_is_the_same_however_many_are_asked_for(alphabets):
    for few, many in zip(generate_alphabets(2, seed=3), alphabets, strict=False):
        assert few.name == many.name
        assert np.array_equal(few.images, many.images)


def test_another_seed_gives_other_alphabets(alphabets):
    for one, other in zip(alphabets, generate_alphabets(4, seed=4), strict=True):
        assert one.name != other.name
        assert not np.array_equal(one.images, other.images)


def test_the_alphabets_of_one_seed_differ_from_each_other(alphabets):
    first, *rest = alphabets
    assert not any(np.array_equal(first.images, other.images) for other in rest)


def test_names_are_unique_and_stay_in_one_word():
    names = [alphabet.name for alphabet in generate_alphabets(50, characters=1, drawers=1, image_size=16)]
    assert len(set(names)) == 50
    assert not any(" " in name for name in names)


def test_the_image_size_sets_only_how_finely_an_alphabet_is_drawn():
    (coarse,) = generate_alphabets(1, image_size=35)
    (fine,) = generate_alphabets(1, image_size=105)
    assert coarse.name == fine.name
    at_seven = coarse.images.reshape(20, 12, 7, 5, 7, 5).mean(axis=(3, 5))
    also_at_seven = fine.images.reshape(20, 12, 7, 15, 7, 15).mean(axis=(3, 5))
    assert np.corrcoef(at_seven.ravel(), also_at_seven.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("image_size", [16, 35, 48, 105])
def test_no_image_is_empty_and_none_is_mostly_ink(image_size):
    for alphabet in generate_alphabets(3, image_size=image_size):
        ink = alphabet.images.mean(axis=(-2, -1))
        assert ink.min() > 0.003
        assert ink.max() < 0.5
        assert 0.02 < ink.mean() < 0.25


def test_no_two_drawings_of_an_alphabet_are_the_same(alphabets):
    for alphabet in alphabets:
        drawings = alphabet.images.reshape(20 * 12, -1)
        assert len(np.unique(drawings, axis=0)) == len(drawings)


def test_drawings_of_one_character_are_closer_than_drawings_of_different_ones(alphabets):
    for alphabet in alphabets:
        drawings = blurred(alphabet.images).reshape(20 * 12, 7, 7)
        apart = distances(drawings, drawings)
        character = np.repeat(np.arange(20), 12)
        same = character[:, None] == character
        itself = np.eye(len(drawings), dtype=bool)
        assert apart[same & ~itself].mean() < 0.85 * apart[~same].mean()


def test_pixels_alone_tell_characters_apart_better_than_chance_but_not_well(alphabets):
    hits = []
    for alphabet in alphabets:
        for drawer in range(1, alphabet.drawers):
            nearest = distances(alphabet.images[:, drawer], alphabet.images[:, 0]).argmin(axis=1)
            hits.extend(nearest == np.arange(alphabet.characters))
    assert 0.10 < np.mean(hits) < 0.45  # chance is 0.05


def test_an_alphabet_of_very_many_characters_is_still_found():
    (alphabet,) = generate_alphabets(1, characters=150, drawers=1)
    assert alphabet.characters == 150


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"count": 0}, "count is 0, expected 1 or more"),
        ({"count": -2}, "count is -2, expected 1 or more"),
        ({"count": 1, "characters": 0}, "characters is 0, expected 1 or more"),
        ({"count": 1, "drawers": 0}, "drawers is 0, expected 1 or more"),
        ({"count": 1, "image_size": 15}, "image_size is 15, expected 16 or more"),
        ({"count": 1, "seed": -1}, "seed is -1, expected 0 or more"),
    ],
)
def test_a_number_out_of_range_is_named_with_its_limit(arguments, complaint):
    with pytest.raises(DataError, match=complaint):
        generate_alphabets(**arguments)
