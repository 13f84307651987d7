"""How the paper's network starts, recorded and replayed."""

from functools import partial

import pytest

from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import BACKGROUND_FILES
from scratchnet.explain.initialisation import EVERY, INITS, STEPS, recorded, replay
from scratchnet.models.networks import koch2015

SMALL = partial(koch2015, image_size=65, channels=(2, 3, 3, 4), features=16)


def test_a_replay_is_the_same_again():
    alphabets = generate_alphabets(2, characters=6, drawers=4, image_size=65)
    first, second = (replay(alphabets, steps=EVERY + 1, network=SMALL) for _ in range(2))
    assert first == second
    for init in INITS:
        assert len(first[init]["loss"]) == EVERY + 1
        assert len(first[init]["saturated"]) == 2  # before step 0 and before step 10
        assert sum(first[init]["sigmoids"][0]) == 2 * 16 * 16  # of 16 pairs, all features
    assert replay(alphabets, seed=1, steps=1, network=SMALL) != replay(alphabets, seed=0, steps=1, network=SMALL)


def test_the_record_shows_what_the_page_says_of_it():
    record = recorded()
    literal, corrected = record["literal"], record["corrected"]
    assert record["network"] == {
        "name": "koch2015",
        "image_size": 105,
        "channels": [64, 128, 128, 256],
        "features": 4096,
    }
    assert len(literal["loss"]) == len(corrected["loss"]) == record["steps"] == STEPS
    assert literal["saturated"][0] > 0.6
    assert corrected["saturated"][0] < 0.01
    assert literal["different"][0] < corrected["different"][0] / 20, "as printed, the twins look alike"


def test_the_record_is_replayed_from_its_seed(real_data):
    alphabets = load_omniglot(find_data(real_data, *BACKGROUND_FILES))
    again, record = replay(alphabets, steps=1), recorded()
    for init in INITS:
        assert again[init]["loss"][0] == pytest.approx(record[init]["loss"][0], abs=1e-3)
        assert again[init]["saturated"][0] == pytest.approx(record[init]["saturated"][0], abs=1e-3)
        assert again[init]["same"][0] == pytest.approx(record[init]["same"][0], rel=1e-2)
