"""Pairs are half of the same character, and the same number of them comes from each alphabet."""

from itertools import permutations

import numpy as np
import pytest

from scratchnet.data.pairs import sample_pairs
from scratchnet.errors import DataError

SIZES = [(3, 4), (2, 2), (7, 3), (4, 4)]  # characters and drawers of four alphabets
COUNT = 8000


def tables(sizes: list[tuple[int, int]] = SIZES) -> list[np.ndarray]:
    """Tables of the numbers 1000 alphabet + 10 character + drawer, from which these can be decoded."""
    return [
        1000 * k + 10 * np.arange(characters)[:, None] + np.arange(drawers)
        for k, (characters, drawers) in enumerate(sizes)
    ]


def read(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Alphabet, character and drawer."""
    return numbers // 1000, numbers // 10 % 100, numbers % 10


@pytest.fixture(scope="module")
def pairs():
    return sample_pairs(tables(), COUNT, rng=np.random.default_rng(5))


def test_half_of_the_pairs_show_the_same_character(pairs):
    assert len(pairs) == COUNT
    assert pairs.labels.dtype == np.float32
    assert pairs.first.dtype == pairs.second.dtype == np.int64
    assert pairs.labels.sum() == COUNT / 2


def test_every_alphabet_gives_as_many_same_and_as_many_different_pairs(pairs):
    alphabet = read(pairs.first)[0]
    for k in range(len(SIZES)):
        assert np.count_nonzero((alphabet == k) & (pairs.labels == 1)) == COUNT / 8
        assert np.count_nonzero((alphabet == k) & (pairs.labels == 0)) == COUNT / 8


def test_a_pair_of_the_same_character_is_by_two_drawers(pairs):
    (alphabet, character, drawer), (other_alphabet, other_character, other_drawer) = (
        read(numbers[pairs.labels == 1]) for numbers in (pairs.first, pairs.second)
    )
    np.testing.assert_array_equal(alphabet, other_alphabet)
    np.testing.assert_array_equal(character, other_character)
    assert np.all(drawer != other_drawer)


def test_a_pair_of_different_characters_is_from_one_alphabet_and_by_any_drawers(pairs):
    (alphabet, character, drawer), (other_alphabet, other_character, other_drawer) = (
        read(numbers[pairs.labels == 0]) for numbers in (pairs.first, pairs.second)
    )
    np.testing.assert_array_equal(alphabet, other_alphabet)
    assert np.all(character != other_character)
    assert 0 < np.count_nonzero(drawer == other_drawer) < len(drawer)


def test_every_character_meets_every_other_and_every_drawer_too(pairs):
    (alphabet, *first), (_, *second) = read(pairs.first), read(pairs.second)
    for label, one, other in ((0, first[0], second[0]), (1, first[1], second[1])):
        for k, sizes in enumerate(SIZES):
            here = (alphabet == k) & (pairs.labels == label)
            met = set(zip(one[here].tolist(), other[here].tolist(), strict=True))
            assert met == set(permutations(range(sizes[label]), 2))


@pytest.mark.parametrize("side", ["first", "second"])
@pytest.mark.parametrize("label", [0, 1])
def test_every_drawing_of_an_alphabet_is_drawn_as_often_as_any_other(pairs, side, label):
    drawn = getattr(pairs, side)[pairs.labels == label]
    for table in tables():
        expected = COUNT / 8 / table.size
        counts = np.array([np.count_nonzero(drawn == number) for number in table.ravel()])
        assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))


def test_an_odd_count_is_met_too():
    pairs = sample_pairs(tables(), 7, rng=np.random.default_rng(0))
    assert len(pairs) == len(pairs.first) == len(pairs.second) == 7
    assert pairs.labels.sum() == 4


def test_the_same_seed_gives_the_same_pairs():
    one, again, other = (sample_pairs(tables(), 50, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal([one.first, one.second], [again.first, again.second])
    assert not np.array_equal(one.first, other.first)


@pytest.mark.parametrize("sizes", [[(1, 4)], [(4, 1)], [(5, 5), (1, 5)]])
def test_an_alphabet_of_one_character_or_one_drawer_is_refused(sizes):
    with pytest.raises(DataError, match="expected two or more"):
        sample_pairs(tables(sizes), 10, rng=np.random.default_rng(0))


def test_no_alphabet_at_all_is_refused():
    with pytest.raises(DataError, match="at least one"):
        sample_pairs([], 10, rng=np.random.default_rng(0))


def test_across_alphabets_different_characters_are_of_two_and_all_of_them_meet():
    pairs = sample_pairs(tables(), COUNT, rng=np.random.default_rng(5), across=True)
    (alphabet, character, _), (other, other_character, _) = read(pairs.first), read(pairs.second)
    same = pairs.labels == 1
    np.testing.assert_array_equal(alphabet == other, same)
    np.testing.assert_array_equal(character[same], other_character[same])
    assert set(zip(alphabet[~same].tolist(), other[~same].tolist(), strict=True)) == set(permutations(range(4), 2))
    for k, (characters, drawers) in enumerate(SIZES):
        numbers, counts = np.unique(pairs.second[~same & (other == k)], return_counts=True)
        assert len(numbers) == characters * drawers
        assert counts.min() > counts.max() / 3


def test_one_alphabet_has_no_pairs_across():
    with pytest.raises(DataError, match="one alphabet makes no pairs across alphabets"):
        sample_pairs(tables()[:1], 10, rng=np.random.default_rng(0), across=True)
