"""An episode shows distinct characters of one alphabet, each by two different drawers."""

from collections import Counter

import numpy as np
import pytest

from scratchnet.data.episodes import sample_episodes
from scratchnet.errors import DataError

SIZES = [(5, 4), (9, 2), (6, 3), (3, 9)]  # characters and drawers; the last is too small for five-way episodes


def tables(sizes: list[tuple[int, int]] = SIZES) -> list[np.ndarray]:
    """Tables of the numbers 1000 alphabet + 10 character + drawer, from which these can be decoded."""
    return [
        1000 * k + 10 * np.arange(characters)[:, None] + np.arange(drawers)
        for k, (characters, drawers) in enumerate(sizes)
    ]


def alphabets_of(queries: np.ndarray) -> list[int]:
    return (queries[:, 0, 0] // 1000).tolist()


@pytest.fixture(scope="module")
def episodes():
    return sample_episodes(tables(), 600, n_way=5, rng=np.random.default_rng(2))


def test_a_query_shows_the_character_of_its_support_in_another_hand(episodes):
    queries, supports = episodes
    assert queries.shape == supports.shape == (600, 1, 5)
    assert queries.dtype == supports.dtype == np.int64
    np.testing.assert_array_equal(queries // 10, supports // 10)
    assert np.all(queries != supports)


def test_with_several_hands_each_drawing_of_a_character_is_in_another():
    queries, supports = sample_episodes(tables([(6, 9), (9, 5)]), 200, n_way=5, rng=np.random.default_rng(3), hands=2)
    assert queries.shape == supports.shape == (200, 2, 5)
    drawings = np.concatenate([queries, supports], axis=1)  # (E, drawing, character)
    np.testing.assert_array_equal(drawings // 10, np.broadcast_to(drawings[:, :1] // 10, drawings.shape))
    ordered = np.sort(drawings, axis=1)
    assert np.all(ordered[:, 1:] != ordered[:, :-1])


def test_every_number_is_one_of_the_drawings(episodes):
    drawings = np.concatenate([table.ravel() for table in tables()[:3]])
    for numbers in episodes:
        assert set(numbers.ravel().tolist()) == set(drawings.tolist())


def test_the_characters_of_an_episode_are_distinct_and_of_one_alphabet(episodes):
    for (queries,) in episodes[0]:
        assert len(set(queries // 10)) == 5
        assert len(set(queries // 1000)) == 1


def test_the_characters_of_an_episode_are_by_drawers_of_their_own(episodes):
    queries, _ = episodes
    assert any(len(set(drawers)) > 1 for (drawers,) in queries % 10)


@pytest.mark.parametrize("count", [2, 3, 7, 12])
@pytest.mark.parametrize("seed", range(5))
def test_an_alphabet_comes_again_only_after_all_the_others(count, seed):
    queries, _ = sample_episodes(tables(), count, n_way=5, rng=np.random.default_rng(seed))
    alphabets = alphabets_of(queries)
    assert len(alphabets) == count
    for start in range(0, count, 3):
        part = alphabets[start : start + 3]
        assert len(set(part)) == len(part)


def test_an_alphabet_with_more_characters_comes_first_more_often():
    first = Counter(
        alphabets_of(sample_episodes(tables(), 1, n_way=5, rng=np.random.default_rng(seed))[0])[0]
        for seed in range(1000)
    )
    for alphabet, characters in ((0, 5), (1, 9), (2, 6)):
        assert abs(first[alphabet] / 1000 - characters / 20) < 0.06


def test_the_same_seed_gives_the_same_episodes():
    one, again, other = (sample_episodes(tables(), 4, n_way=5, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ([(5, 4), (9, 2)], "episodes of 10 characters by 2 drawers .* the largest has 9"),
        ([(3, 4), (12, 1)], "episodes of 10 characters by 2 drawers .* the largest has 3"),
        ([(12, 1)], "episodes of 10 characters by 2 drawers .* the largest has 0"),
        ([], "episodes of 10 characters by 2 drawers .* the largest has 0"),
    ],
)
def test_more_characters_than_any_alphabet_has_in_two_hands_are_refused(sizes, complaint):
    with pytest.raises(DataError, match=complaint):
        sample_episodes(tables(sizes), 1, n_way=10, rng=np.random.default_rng(0))
