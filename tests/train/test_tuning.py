"""Fine-tuning: how good the network was and is, and which of the two is kept."""

from dataclasses import replace

import numpy as np
import pytest
from short_runs import RUN, tiny_split

from scratchnet.checkpoint import load_model, load_model_with_notes
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import Split
from scratchnet.data.uneven import uneven
from scratchnet.train import own_split, train
from scratchnet.train.tuning import keep_the_better


@pytest.fixture
def split():
    return tiny_split()


@pytest.fixture
def start(split, tmp_path):
    return train(RUN, split, tmp_path / "start", quiet=True)


def noise(net):
    """The same network with nothing learned."""
    rng = np.random.default_rng(1)
    return replace(net, params={n: np.zeros_like(v) + rng.random(v.shape, v.dtype) for n, v in net.params.items()})


def test_a_network_that_became_worse_gives_way_to_the_one_it_began_with(start, split, tmp_path):
    out = tmp_path / "run"
    train(RUN, split, out, start=start, quiet=True)
    compared = keep_the_better(RUN, split, out, start, noise(start))
    assert compared.worse
    assert compared.after.correct < compared.before.correct
    kept, notes = load_model_with_notes(out)
    for name, value in start.params.items():
        np.testing.assert_array_equal(kept.params[name], value)
    assert notes["kept"] == "the network to start from, which was better"
    assert notes["recipe"] == RUN.as_dict()


def test_a_network_that_became_no_worse_stays(start, split, tmp_path):
    out = tmp_path / "run"
    net = train(RUN, split, out, start=noise(start), quiet=True)
    before = (out / "weights.npz").read_bytes()
    assert not keep_the_better(RUN, split, out, noise(start), net).worse
    assert not keep_the_better(RUN, split, out, net, net).worse
    assert (out / "weights.npz").read_bytes() == before


def test_without_anything_kept_out_the_new_one_stays_and_nothing_is_compared(start, split, tmp_path):
    recipe = replace(RUN, data="own", keep_out="none")
    out = tmp_path / "run"
    train(recipe, Split(split.train, []), out, start=start, quiet=True)
    compared = keep_the_better(recipe, Split(split.train, []), out, start, noise(start))
    assert (compared.before, compared.after, compared.worse) == (None, None, False)
    assert load_model_with_notes(out)[1]["recipe"]["keep_out"] == "none"


@pytest.mark.parametrize(("classes", "count"), [(2, 3), (3, 2), (5, 4), (26, 2)])
def test_few_classes_and_few_pictures_fine_tune(classes, count, start, tmp_path):
    (alphabet,) = generate_alphabets(1, characters=classes, drawers=count, image_size=16, seed=9)
    own = type("Own", (), {"alphabets": [uneven(alphabet)]})
    recipe, split, _ = own_split(replace(RUN, epochs=1, hands=2, n_way=20), own)
    assert recipe.n_way <= classes
    train(recipe, split, tmp_path / "few", start=start, quiet=True)
    assert load_model(tmp_path / "few").params.keys() == start.params.keys()
