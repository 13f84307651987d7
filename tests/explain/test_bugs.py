"""Planted bugs on the page: the gradient they give, and the checks that miss them."""

import numpy as np
import pytest

from scratchnet.explain import bugs
from scratchnet.explain.bugs import broken


@pytest.fixture(scope="module")
def planted(explained, found):
    return {bug.bug.name: bug for bug in broken(explained.net, explained.pairs, explained.trace.step, found)}


def right(found, bug):
    return found.arrays[f"batch/g{bug.stage}" if bug.gradient == "dx" else f"batch/dw{bug.stage}"]


def test_every_shown_bug_changes_its_gradient(planted, found):
    for bug in planted.values():
        assert bug.wrong.shape == right(found, bug).shape
        assert not np.allclose(bug.wrong, right(found, bug), rtol=1e-3, atol=0), bug.bug.name


def test_of_the_bugs_on_the_page_those_for_a_layer_that_is_there_are_planted(planted, explained):
    has_norm = any("norm" in at.name for at in explained.trace.step.encoder)
    without_norm = set(bugs.SHOWN) - {"batch variance held constant"}
    assert set(planted) == (set(bugs.SHOWN) if has_norm else without_norm)


def test_with_one_twin_left_out_the_gradient_is_that_of_the_first(planted, explained, found):
    if any("norm" in at.name for at in explained.trace.step.encoder):
        pytest.skip("batch norm mixes the twins: one alone has no gradient of its own")
    bug = planted["only one twin counted"]
    stage = found.stages[bug.stage]
    N = explained.trace.step.pairs
    dy = stage.at.dy.copy()
    dy[:, :, N:] = 0
    expected = stage.at.layer.backward(dy, stage.at.cache)[1]["weight"]
    shown_in, shown_out = found.channels[bug.stage], found.channels[bug.stage + 1]
    assert np.allclose(bug.wrong, expected[:, :, shown_in][..., shown_out].transpose(3, 2, 0, 1), rtol=1e-4, atol=1e-9)


def test_what_the_checks_say(planted):
    for bug in planted.values():
        checks = {check: finds for check, finds, _ in bug.checks}
        assert checks["scratchnet gradcheck"]
        assert not checks["The shapes agree"]
        assert list(checks)[-1] == "scratchnet gradcheck"
    ignored = {check: finds for check, finds, _ in planted["cotangent ignored"].checks}
    assert not ignored["A check of y.sum(), where dy is all ones"], "it is right for ones alone"
    assert ignored["All entries, relative tolerance 0.001"]


def test_the_code_of_a_bug_is_read_from_the_source(planted):
    assert planted["channels not transposed"].code[-1] == "return dx, grads"
    assert not any('"""' in line or line.startswith("def ") for bug in planted.values() for line in bug.code)
