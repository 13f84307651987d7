"""The text of an error is one printable line, and errors are caught by the builtin exceptions that fit them."""

import pickle

import numpy as np
import pytest

from scratchnet import errors
from scratchnet.backend import memory_errors
from scratchnet.errors import LONGEST, BackendError, OutOfMemoryError, ScratchnetError, ShapeError, one_line
from scratchnet.layers import Linear

FAMILY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ScratchnetError)]


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_is_one_printable_line(kind):
    text = str(kind("a\nb\x1b[31m\x9b\u2028\udc80\u202e é 漢: do this"))
    assert text == "a\\nb\\x1b[31m\\x9b\\u2028\\udc80\\u202e é 漢: do this"
    assert text.isprintable()


def test_a_wrong_shape_is_a_value_error():
    layer = Linear(3, 2)
    with pytest.raises(ValueError, match="Linear: x has shape") as refusal:
        layer.forward(layer.init(np.random.default_rng(0)), np.zeros((4, 5), np.float32))
    assert type(refusal.value) is ShapeError


def test_running_out_of_memory_is_a_memory_error_and_an_error_of_the_backend():
    with pytest.raises(MemoryError) as refusal, memory_errors(lambda: "take less"):
        raise MemoryError("no room")
    assert isinstance(refusal.value, BackendError)
    assert str(refusal.value) == "out of memory (no room): take less"


def test_the_innermost_advice_on_memory_is_the_one_that_counts():
    with (
        pytest.raises(OutOfMemoryError, match=r"^out of memory: lower embed_batch$"),
        memory_errors(lambda: "lower batch_size"),
        memory_errors(lambda: "lower embed_batch"),
    ):
        raise MemoryError


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_survives_the_way_from_another_process(kind):
    error = pickle.loads(pickle.dumps(kind("it broke\nhere: mend it")))
    assert type(error) is kind
    assert str(error) == "it broke\\nhere: mend it"


def test_of_a_long_text_the_ends_stay():
    text = one_line("start " + "x" * 10**7 + " end")
    assert len(text) < LONGEST + 10
    assert text.startswith("start x")
    assert text.endswith("x end")
