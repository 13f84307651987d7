"""Characters with different numbers of drawings: all of them train and are judged, and one alone is only a support."""

from collections import Counter

import numpy as np
import pytest

from scratchnet.data.alphabets import Alphabet, digest
from scratchnet.data.drawings import Drawings
from scratchnet.data.episodes import sample_episodes
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.pairs import sample_pairs
from scratchnet.data.uneven import UnevenAlphabet, drawn_again, pooled, together, uneven
from scratchnet.errors import DataError, ShapeError

COUNTS = {"one": 1, "two": 2, "three": 3, "seven": 7, "forty": 40}


def shown(number: int) -> np.ndarray:
    """A drawing that shows its number as a column of pixels that nobody takes for a negative."""
    image = np.zeros((9, 9), np.float32)
    image[0, 0] = number / 256
    return image


def alphabet_of(counts=COUNTS, name="counts", start=0):
    """An alphabet whose classes have so many drawings, each by a drawer of its own."""
    images = np.stack([shown(start + n) for n in range(sum(counts.values()))])
    return UnevenAlphabet.of(name, images, {label: [f"{d}" for d in range(n)] for label, n in counts.items()})


def label_of(numbers, counts=COUNTS):
    return np.repeat(np.arange(len(counts)), list(counts.values()))[numbers]


def test_the_table_has_every_drawing_once_in_the_row_of_its_character():
    alphabet = alphabet_of()
    assert (alphabet.characters, alphabet.drawers, alphabet.table.shape) == (5, 40, (5, 40))
    for character, row in enumerate(alphabet.table):
        assert set(label_of(row[row >= 0])) == {character}
    assert sorted(alphabet.table[alphabet.table >= 0]) == list(range(53))
    np.testing.assert_array_equal(alphabet.labels, label_of(np.arange(53)))


def test_the_drawings_of_one_drawer_count_as_one_in_the_table():
    images = np.stack([shown(n) for n in range(6)])
    alphabet = UnevenAlphabet.of("writers", images, {"a": ["ann", "ann", "bob"], "b": ["ann", "bob", "bob"]})
    np.testing.assert_array_equal(alphabet.table, [[0, 2], [3, 4]])
    np.testing.assert_array_equal(alphabet.repeats, [2, 1, 1, 1, 2, 1])
    drawn = {int(drawn_again(np.array([4]), alphabet.repeats, np.random.default_rng(n))[0]) for n in range(30)}
    assert drawn == {4, 5}


def test_where_nobody_draws_a_character_twice_no_random_number_is_drawn():
    rng = np.random.default_rng(3)
    numbers = np.arange(4)
    assert drawn_again(numbers, np.ones(4, int), rng) is numbers
    assert rng.random() == np.random.default_rng(3).random()


def test_pairs_of_the_same_character_come_from_those_with_two_drawers_and_all_drawings_are_in_some_pair():
    pairs = sample_pairs([alphabet_of().table], 8000, rng=np.random.default_rng(1))
    same, labels = pairs.labels == 1, label_of(np.stack([pairs.first, pairs.second]))
    assert np.all(labels[0][same] == labels[1][same])
    assert np.all(pairs.first[same] != pairs.second[same])
    assert np.all(labels[0][~same] != labels[1][~same])
    assert set(labels[0][same]) == {1, 2, 3, 4}
    assert set(pairs.first) | set(pairs.second) == set(range(53))


@pytest.mark.parametrize("hands", [1, 2, 3])
def test_in_an_episode_a_query_shows_a_support_that_is_another_drawing(hands):
    queries, supports = sample_episodes([alphabet_of().table], 400, n_way=5, rng=np.random.default_rng(2), hands=hands)
    assert queries.min() >= 0
    for asked, known in zip(queries, supports, strict=True):
        assert not set(asked.ravel()) & set(known.ravel())
        assert {frozenset(row) for row in label_of(known)} == {frozenset(range(5))}
        assert set(label_of(asked).ravel()) == {1, 2, 3, 4}  # never the one that has no other drawing
    assert set(queries.ravel()) | set(supports.ravel()) == set(range(53))


def test_a_character_with_as_many_drawers_as_an_episode_needs_never_repeats_one():
    queries, supports = sample_episodes([alphabet_of().table], 50, n_way=5, rng=np.random.default_rng(2), hands=2)
    for asked, known in zip(queries, supports, strict=True):
        drawings = np.concatenate([asked.ravel(), known.ravel()])
        forty = [number for number in set(drawings) if label_of(number) == 4]
        assert len(forty) == 4


def test_an_episode_always_has_something_to_ask():
    table = alphabet_of({"a": 1, "b": 1, "c": 1, "d": 1, "e": 2}).table
    queries, _ = sample_episodes([table], 100, n_way=2, rng=np.random.default_rng(0))
    assert set(queries.ravel()) <= {4, 5}


def test_drawings_know_their_characters_over_all_alphabets():
    (even,) = generate_alphabets(1, characters=3, drawers=2, image_size=16)
    drawings = Drawings.of([alphabet_of(), even], 9)
    assert len(drawings.images) == 53 + 6
    np.testing.assert_array_equal(drawings.labels, [*label_of(np.arange(53)), 5, 5, 6, 6, 7, 7])
    np.testing.assert_array_equal(drawings.numbers[1], 53 + np.arange(6).reshape(3, 2))
    found = drawings.numbers[0][2][:4]
    np.testing.assert_array_equal(found, [3, 4, 5, -1])


def test_many_drawings_are_framed_in_parts_to_the_same_bytes(monkeypatch):
    whole = Drawings.of([alphabet_of()], 12).images
    monkeypatch.setattr("scratchnet.data.drawings.AT_ONCE", 16)
    np.testing.assert_array_equal(Drawings.of([alphabet_of()], 12).images, whole)


@pytest.mark.parametrize(
    ("sizes", "n_way", "expected"),
    [
        ([8, 10, 26], 20, [26 + 8 + 10]),
        ([25, 30], 20, [25, 30]),
        ([3, 4, 5], 20, [12]),
        ([12, 12, 15], 20, [39]),
        ([20, 5, 15, 22], 20, [20, 20, 22]),
    ],
)
def test_small_alphabets_are_put_together_until_each_is_large_enough(sizes, n_way, expected):
    alphabets = [alphabet_of({f"{c}": 2 for c in range(size)}, f"{size}") for size in sizes]
    found = pooled(alphabets, n_way)
    assert sorted(alphabet.characters for alphabet in found) == sorted(expected)
    assert sum(len(alphabet.drawings) for alphabet in found) == 2 * sum(sizes)


def test_alphabets_put_together_keep_every_drawing_with_its_character():
    even = Alphabet("even", np.stack([shown(100 + n) for n in range(12)]).reshape(3, 4, 9, 9))
    one, both = alphabet_of(), together([alphabet_of(), uneven(even)])
    assert both.characters == 8
    for character in range(3):
        row = both.table[5 + character]
        np.testing.assert_array_equal(both.images[row[row >= 0]], even.images[character])
    np.testing.assert_array_equal(both.table[:5], one.table)
    assert together([one]) is one


def test_keeping_out_drawers_leaves_two_of_each_character_and_asks_about_the_others_alone():
    alphabet = alphabet_of()
    train, whole = alphabet.kept_out(0.2, np.random.default_rng(0))
    assert Counter(train.labels.tolist()) == {0: 1, 1: 2, 2: 2, 3: 6, 4: 32}
    assert Counter(whole.labels[whole.asked].tolist()) == {2: 1, 3: 1, 4: 8}
    asked = {image.tobytes() for image in whole.images[whole.asked]}
    assert not asked & {image.tobytes() for image in train.images}
    assert len(asked) + len(train.images) == 53
    np.testing.assert_array_equal(whole.askable, [2, 3, 4])


def test_with_writers_all_that_a_writer_drew_is_kept_out():
    drawers = [f"w{d // 3}" for d in range(15)]
    alphabet = UnevenAlphabet.of("writers", np.stack([shown(n) for n in range(15)]), {"a": drawers})
    train, whole = alphabet.kept_out(0.2, np.random.default_rng(0))
    (out,) = np.flatnonzero(whole.asked)[[0]] // 3
    np.testing.assert_array_equal(np.flatnonzero(whole.asked), 3 * out + np.arange(3))
    assert len(train.images) == 12
    np.testing.assert_array_equal(train.repeats[train.table[0]], [3, 3, 3, 3])


def test_some_of_the_characters_keep_their_drawings_and_names():
    part = alphabet_of().of_characters([4, 1])
    assert part.classes == ("forty", "two")
    np.testing.assert_array_equal(part.images[part.table[1, :2]], [shown(1), shown(2)])
    assert len(part.images) == 42


def test_the_digest_tells_apart_what_shows_which_character():
    one, other = alphabet_of({"a": 2, "b": 3}), alphabet_of({"a": 3, "b": 2})
    np.testing.assert_array_equal(one.images, other.images)
    assert digest([one]) != digest([other])


def test_what_is_no_uneven_alphabet_is_refused():
    with pytest.raises(ShapeError, match=r"expected \(P, H, W\)"):
        UnevenAlphabet("flat", np.zeros((3, 9), bool), np.zeros((1, 3), int), np.ones(3, int), ("a",))
    with pytest.raises(DataError, match="a character without a drawing"):
        UnevenAlphabet("gap", np.zeros((1, 9, 9), bool), np.array([[0], [-1]]), np.ones(1, int), ("a", "b"))
    with pytest.raises(DataError, match="alphabet 'ink', drawing 1, has values from 0 to 7"):
        UnevenAlphabet.of("ink", np.stack([shown(0), shown(7 * 256)]), {"a": ["x", "y"]})


def test_an_even_alphabet_has_the_numbers_that_it_always_had():
    alphabet = Alphabet("even", np.zeros((3, 4, 9, 9), bool))
    np.testing.assert_array_equal(alphabet.numbers, np.arange(12).reshape(3, 4))
    assert alphabet.drawings.shape == (12, 9, 9)
