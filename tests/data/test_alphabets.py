"""Alphabets are found by name, and a part of their drawers is an alphabet again."""

import numpy as np
import pytest

from scratchnet.data.alphabets import Alphabet, pick, without
from scratchnet.errors import DataError


@pytest.fixture
def alphabets() -> list[Alphabet]:
    """Three alphabets of 2, 3 and 4 characters by 5 drawers; no two drawings are alike."""
    names = {"Greek": 2, "Latin": 3, "Korean": 4}
    return [Alphabet(name, np.arange(n * 5).reshape(n, 5, 1, 1) / 64) for name, n in names.items()]


def test_an_alphabet_counts_its_characters_and_its_drawers(alphabets):
    assert [(alphabet.characters, alphabet.drawers) for alphabet in alphabets] == [(2, 5), (3, 5), (4, 5)]


@pytest.mark.parametrize(("drawers", "kept"), [(slice(2), [0, 1]), (slice(3, 5), [3, 4]), ([4, 0], [4, 0])])
def test_some_drawers_of_an_alphabet_are_all_its_characters_in_their_hands(drawers, kept, alphabets):
    part = alphabets[1].drawn_by(drawers)
    assert part.name == "Latin"
    numbers = 64 * part.images[:, :, 0, 0]
    assert numbers.tolist() == [[5 * character + drawer for drawer in kept] for character in range(3)]


def test_picked_alphabets_come_in_the_order_of_their_names(alphabets):
    assert pick(alphabets, ["Korean", "Greek"]) == [alphabets[2], alphabets[0]]
    assert pick(alphabets, []) == []


def test_a_name_that_is_not_there_is_named_beside_those_that_are(alphabets):
    with pytest.raises(DataError, match=r"no alphabet called Tifinagh; there are Greek, Korean, Latin"):
        pick(alphabets, ["Latin", "Tifinagh"])


def test_without_leaves_the_others_in_their_order(alphabets):
    assert without(alphabets, ["Latin"]) == [alphabets[0], alphabets[2]]
    assert without(alphabets, []) == alphabets
    assert without(alphabets, ["Greek", "Latin", "Korean"]) == []
