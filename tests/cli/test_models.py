"""Models that cannot be read."""

import numpy as np
import pytest

from scratchnet.checkpoint import WEIGHTS, load_arrays, save_arrays


def resaved(change):
    """Spoils the network in the folder `run` inside an intact file."""

    def spoil(folder):
        arrays, description = load_arrays(folder / WEIGHTS)
        del description["version"]
        change(arrays, description)
        save_arrays(folder / WEIGHTS, arrays, description)

    return spoil


def set_nan(arrays, _description):
    arrays["head.weight"][3] = np.nan


def widen(_arrays, description):
    description["architecture"]["width"] = 3


def forget(arrays, _description):
    del arrays["head.bias"]


def flip(folder):
    damaged = bytearray((folder / WEIGHTS).read_bytes())
    damaged[len(damaged) // 2] ^= 16
    (folder / WEIGHTS).write_bytes(damaged)


def truncate(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-40])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (resaved(set_nan), "has a NaN or an infinity in head.weight"),
        (resaved(widen), "it belongs to a different architecture"),
        (resaved(forget), "has no head.bias"),
        (flip, "use another copy"),
        (truncate, "use another copy"),
        (lambda folder: (folder / WEIGHTS).write_text("weights\n"), "use another copy"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b""), "use another copy"),
        (lambda folder: (folder / WEIGHTS).unlink(), "does not exist: expected a saved network or a run folder"),
    ],
    ids=["NaN", "wider", "missing array", "flipped byte", "truncated", "text", "empty", "missing"],
)
@pytest.mark.parametrize("command", ["evaluate", "compare", "classify"])
def test_a_model_that_cannot_be_read_is_one_line_with_its_name(command, spoil, message, finished, glyphs, refused):
    support, query = glyphs
    spoil(finished)
    arguments = {
        "evaluate": [finished],
        "compare": [query, query, "--model", finished],
        "classify": [query, "--support", support, "--model", finished],
    }
    line = refused(command, *arguments[command])
    assert f"{finished / WEIGHTS} " in line
    assert message in line
