"""No alphabet is used both for training and for validation or testing."""

from itertools import combinations

import numpy as np
import pytest

from scratchnet.data import splits
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.splits import VALIDATION_ALPHABETS, background_split, glyph_split, mnist_digits
from scratchnet.errors import DataError


def names(alphabets: list[Alphabet]) -> set[str]:
    return {alphabet.name for alphabet in alphabets}


@pytest.fixture
def background(monkeypatch) -> list[Alphabet]:
    """A background set of three alphabets and 20 drawers; each drawing shows its drawer's number, of 64."""
    hands = np.broadcast_to((np.arange(20) / 64).reshape(1, 20, 1, 1), (4, 20, 1, 1))
    alphabets = [Alphabet(name, hands) for name in ("Greek", "Korean", "Latin")]
    monkeypatch.setattr(splits, "find_data", lambda data, *names: data)
    monkeypatch.setattr(splits, "load_omniglot", lambda path: alphabets)
    return alphabets


@pytest.fixture(scope="module")
def generated() -> splits.Split:
    return glyph_split(16)


def test_generated_alphabets_are_split_with_none_in_common(generated):
    parts = [generated.train, generated.validation, generated.test]
    assert [len(names(part)) for part in parts] == [40, 5, 10]
    for one, other in combinations(parts, 2):
        assert not names(one) & names(other)
        assert not any(np.array_equal(a.images, b.images) for a in one for b in other)


def test_generated_alphabets_allow_20_way_trials_and_have_the_size_asked_for(generated):
    for alphabet in [*generated.train, *generated.validation, *generated.test]:
        assert alphabet.images.shape == (20, 12, 16, 16)


def test_the_generated_split_is_always_the_same(generated):
    again = glyph_split(16)
    for part, same in ((generated.train, again.train), (generated.test, again.test)):
        for one, other in zip(part, same, strict=True):
            np.testing.assert_array_equal(one.images, other.images)


def test_the_validation_alphabets_are_cut_out_of_the_background(background):
    split = background_split("unused", validation=["Korean"])
    assert [alphabet.name for alphabet in split.train] == ["Greek", "Latin"]
    assert [alphabet.name for alphabet in split.validation] == ["Korean"]
    assert split.test == []


@pytest.mark.parametrize(
    ("drawers", "validating"), [(12, range(12, 16)), (16, range(16, 20)), (18, range(18, 20)), (20, range(20))]
)
def test_the_first_drawers_train_and_the_next_four_validate_where_there_are_any(background, drawers, validating):
    split = background_split("unused", validation=["Greek"], drawers=drawers)
    for alphabet in split.train:
        assert (64 * alphabet.images[0, :, 0, 0]).tolist() == list(range(drawers))
    assert (64 * split.validation[0].images[0, :, 0, 0]).tolist() == list(validating)


def test_a_validation_alphabet_that_is_not_there_is_an_error_and_not_trained_on(background):
    with pytest.raises(DataError, match="no alphabet called Gaelic"):
        background_split("unused", validation=["Greek", "Gaelic"])


def test_training_on_omniglot_never_sees_the_validation_alphabets(real_data):
    split = background_split(real_data, validation=VALIDATION_ALPHABETS, drawers=12)
    assert len(split.train) == 25
    assert len(split.validation) == 5
    assert names(split.validation) == set(VALIDATION_ALPHABETS)
    assert not names(split.train) & names(split.validation)
    assert {alphabet.drawers for alphabet in split.train} == {12}
    assert {alphabet.drawers for alphabet in split.validation} == {4}


def test_the_mnist_digits_are_one_alphabet_of_ten_characters(real_data):
    digits = mnist_digits(real_data)
    assert digits.characters == 10
    assert digits.drawers > 800
    means = digits.images.mean(axis=1)  # every digit looks like its own mean more than like any other's
    sample = digits.images[:, :50].reshape(500, -1)
    nearest = ((sample[:, None] - means.reshape(1, 10, -1)) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == np.repeat(np.arange(10), 50)) > 0.7
