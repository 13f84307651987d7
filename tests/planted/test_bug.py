"""The catalogue of planted bugs: what it holds, and the points at which a bug shows."""

from dataclasses import replace

import numpy as np
import pytest

from scratchnet import planted
from scratchnet.errors import ScratchnetError
from scratchnet.layers import Linear, ReLU
from scratchnet.planted import CATALOGUE, bug
from scratchnet.planted.cases import Case


def test_the_catalogue_is_long_and_every_bug_has_a_different_story():
    assert len(CATALOGUE) >= 40
    stories = {bug.story for bug in CATALOGUE.values()}
    assert len(stories) == len(CATALOGUE)
    assert all(story and "\n" not in story and story.endswith(".") for story in stories)
    assert all(bug.name == name for name, bug in CATALOGUE.items())


def one_call(case, seed=0):
    """The arrays that a first backward returns."""
    rng = np.random.default_rng(seed)
    params, inputs = case.draw(rng)
    y, cache = case.layer.forward(params, *inputs, **case.options)
    dinputs, grads = case.layer.backward(np.asarray(rng.standard_normal(y.shape)), cache)
    return [*(dinputs if isinstance(dinputs, tuple) else (dinputs,)), *grads.values()]


CONTRACT = {name: bug for name, bug in CATALOGUE.items() if bug.contract}


@pytest.mark.parametrize("bug", CONTRACT.values(), ids=CONTRACT)
def test_a_bug_of_contract_returns_the_right_gradients_at_first(bug):
    for wrong, right in zip(one_call(bug.broken_case()), one_call(bug.case), strict=True):
        np.testing.assert_allclose(wrong, right, rtol=1e-12, atol=1e-14)


def test_a_point_at_which_a_bug_changes_nothing_is_drawn_again():
    negative = replace(
        CATALOGUE["relu mask missing"],
        case=Case(ReLU(), ((1, 1),)),  # one pixel: positive at about every second point, where no mask is right
    )
    found = [negative.visible_seed(seed) for seed in range(20)]
    assert all(redraws > 0 or drawn == seed for seed, (drawn, redraws) in enumerate(found))
    assert 0 < sum(redraws > 0 for _, redraws in found) < 20
    assert planted.hunt(negative, range(20)).redraws == sum(redraws for _, redraws in found)


def test_a_bug_that_changes_nothing_anywhere_is_no_bug():
    none = replace(CATALOGUE["bias averaged"], plant=lambda layer: layer)
    with pytest.raises(ScratchnetError, match="bias averaged changes no gradient at any of 100 points"):
        none.visible_seed(0)


def test_two_bugs_of_one_name_are_refused():
    def bias_averaged(dy, at):
        """Another story."""

    with pytest.raises(ScratchnetError, match="two planted bugs are called 'bias averaged'"):
        bug.planted_in(Linear(2, 2), (3, 2))(bias_averaged)
