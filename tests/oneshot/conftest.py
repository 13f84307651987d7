"""The official runs, and small generated alphabets."""

import pytest

from scratchnet.data.alphabets import Alphabet
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import find_data
from scratchnet.oneshot.trials import Run, official_runs


@pytest.fixture(scope="module")
def official(real_data) -> list[Run]:
    return official_runs(find_data(real_data, "all_runs.zip", "all_runs"))


@pytest.fixture(scope="module")
def generated() -> list[Alphabet]:
    return generate_alphabets(3, characters=8, drawers=6, image_size=16, seed=4)
