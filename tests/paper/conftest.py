"""The paper in miniature: networks of a few channels, generated alphabets, and epochs of two steps."""

import functools

import pytest

from scratchnet.backend import get_device
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import Split
from scratchnet.oneshot.tasks import random_task
from scratchnet.paper import cells, judge, reproduce
from scratchnet.paper.method import Material
from scratchnet.paper.scales import Scale

TINY = Scale(
    "tiny",
    65,
    epochs=2,
    epoch_pairs=256,
    ramp_epochs=1,
    short_epochs=1,
    trial_epochs=2,
    first_steps=21,
    channels=(2, 2, 2, 2),
    features=4,
)


@functools.cache
def tiny_material() -> Material:
    """Three alphabets to train on, one to validate and one to test on; runs of few trials."""
    alphabets = generate_alphabets(5, characters=20, drawers=12, image_size=35, seed=4)
    found = Material()
    digits = Alphabet("digits", alphabets[4].images[:10])
    vars(found).update(  # instead of what is read from files
        split=Split(alphabets[:3], alphabets[3:4], alphabets[4:]),
        official=random_task("official", alphabets[4:], trials=20, seed=0).runs,
        random=random_task("random", alphabets[4:], trials=40, seed=1).runs,
        mnist=random_task("mnist", [digits], way=10, trials=20, seed=0).runs,
    )
    return found


def begin_tiny(*wanted, out, **options):
    """Begins a reproduction, or goes on with it."""
    options = {"device": get_device("cpu"), "quiet": True} | options
    return reproduce.Reproduction.begin(wanted, out, options.pop("scale", TINY), tiny_material(), **options)


@pytest.fixture(scope="module", autouse=True)
def little():
    """Few pairs, and two seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "SETS", (130, 150, 200))
        patch.setattr(cells, "SEEDS", 2)
        patch.setattr(judge, "PAIRS", 50)
        yield


@pytest.fixture
def material() -> Material:
    return tiny_material()


@pytest.fixture
def tiny() -> Scale:
    return TINY


@pytest.fixture
def begin(tmp_path):
    """Begins a reproduction in the folder out, or goes on with it."""
    return functools.partial(begin_tiny, out=tmp_path / "out")


@pytest.fixture(scope="module")
def whole(little, tmp_path_factory):
    """The folder of the paper's tables, made without a stop."""
    out = tmp_path_factory.mktemp("whole")
    assert begin_tiny(*reproduce.ALL, out=out).run()
    return out
