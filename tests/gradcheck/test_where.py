"""The report says where the wrong entries of a gradient lie."""

import numpy as np
import pytest
from wrong_layers import EVERY, Convolution, lost, report_of

from scratchnet.gradcheck import check, from_functions
from scratchnet.gradcheck.where import describe

PLACES = {
    "the last index (6) of axis 1": lost(EVERY, -1),
    "the first index (0) of axis 0": lost(0),
    "index 2 of axis 3": lost(EVERY, EVERY, EVERY, 2),
    "the last index (1) of axis 2": lost(EVERY, EVERY, 1),
    "every second index of axis 1, from 1": lost(EVERY, slice(1, None, 2)),
    "every third index of axis 0, from 0": lost(slice(None, None, 3)),
    "only this entry of 6x7x2x4": lost(1, 2, 0, 3),
    "everywhere": lambda dx, grads: (0.9 * dx, grads),
    "scattered": lost([1, 2, 4], [0, 3, 5], [0, 1, 1], [3, 2, 0]),
}


@pytest.mark.parametrize(("place", "mistake"), PLACES.items(), ids=PLACES)
def test_the_report_says_where_the_wrong_entries_lie(place, mistake):
    (failed,) = report_of(Convolution(mistake)).failed
    assert failed.mismatch.where == place


def test_a_block_of_neighbours_is_named_with_which_of_equal_blocks_it_is():
    indices = np.argwhere(np.ones((3, 16)))

    def place(first, last):
        off = (indices[:, 1] >= first) & (indices[:, 1] <= last)
        return describe(indices, off, np.ones(len(indices), bool), (3, 16))

    assert place(4, 7) == "indices 4 to 7 of axis 1: the second of 4 equal blocks (a gate, a head, a group)"
    assert place(8, 15) == "indices 8 to 15 of axis 1: the second of 2 equal blocks (a gate, a head, a group)"
    assert place(3, 7) == "indices 3 to 7 of axis 1"
    assert place(0, 15) == "everywhere"


def test_rows_that_occur_more_than_once_are_recognised(rng):
    class Embedding:
        def forward(self, params, indices):
            return params["table"][indices], (indices, params["table"].shape)

        def backward(self, dy, cache):
            dtable = np.zeros(cache[1])
            dtable[cache[0]] += dy
            return None, {"table": dtable}

    report = check(Embedding(), {"table": rng.standard_normal((7, 4))}, np.array([3, 0, 3, 5, 1, 3]))
    assert "the rows that indices has more than once: add them up with np.add.at" in str(report)


def test_a_gradient_that_was_not_summed_over_broadcast_axes_is_told_to_be():
    unsummed = from_functions(lambda a, b: a + b, lambda dy, a, b: (1 * dy, 1 * dy))
    report = check(unsummed, {}, np.ones((4, 3)), np.ones((1, 3)))
    assert "db has shape (4, 3), expected an array of shape (1, 3): sum over the axes that were broadcast" in str(
        report
    )


def test_a_wrong_border_is_called_that():
    def frame(dx, grads):
        dx = dx.copy()
        dx[[0, -1]] *= 2
        dx[1:-1, [0, -1]] *= 2
        return dx, grads

    (failed,) = report_of(Convolution(frame)).failed
    assert failed.mismatch.where == "the border of axes 0 and 1"
    assert failed.mismatch.hint == "factor 2: counted twice"


def test_a_place_is_named_with_how_much_of_it_is_wrong():
    indices = np.argwhere(np.ones((4, 5)))
    off = (indices[:, 1] == 3) & (indices[:, 0] % 2 == 0) & (indices[:, 0] < 4)
    assert describe(indices, off, np.ones(20, bool), (4, 5)) == "in index 3 of axis 1, 50% of it"


def test_entries_that_are_right_one_by_one_lie_nowhere():
    indices = np.argwhere(np.ones((4, 5)))
    assert describe(indices, np.zeros(20, bool), np.ones(20, bool), (4, 5)) == "no single entry"
