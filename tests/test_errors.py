"""The text of an error is one line that can be printed, whatever file or name it speaks of."""

import pytest

from scratchnet import errors
from scratchnet.errors import LONGEST, ScratchnetError, one_line

FAMILY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ScratchnetError)]


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_is_one_printable_line(kind):
    text = str(kind("a\nb\x1b[31m\x9b\u2028\udc80\u202e é 漢: do this"))
    assert text == "a\\nb\\x1b[31m\\x9b\\u2028\\udc80\\u202e é 漢: do this"
    assert text.isprintable()


def test_of_a_long_text_the_ends_stay():
    text = one_line("start " + "x" * 10**7 + " end")
    assert len(text) < LONGEST + 10
    assert text.startswith("start x")
    assert text.endswith("x end")
