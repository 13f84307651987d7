"""Lines are printed whole, in characters that the stream has, and nothing fails without a stream."""

import io
import sys

import pytest

from scratchnet.common import console


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_each_argument_is_one_printable_line(capsys):
    console.say("two\nlines", 3)
    console.note("\x1b[31mred")
    said = capsys.readouterr()
    assert said.out == "two\\nlines\n3\n"
    assert said.err == "\\x1b[31mred\n"


def test_characters_that_the_encoding_lacks_are_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console.write(stream, "漢 é\n")
    assert stream.buffer.getvalue() == b"\\u6f22 \\xe9\n"


@pytest.mark.parametrize("closed", [True, False])
def test_without_a_stream_nothing_is_printed_and_nothing_fails(closed, monkeypatch):
    stream = io.StringIO() if closed else None
    if closed:
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    console.say("lost")
    assert not console.is_terminal(stream)


def test_what_cannot_be_said_is_an_error_and_what_cannot_be_noted_is_not(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", Full())
    with pytest.raises(OSError, match="No space left") as refusal:
        console.say("lost")
    assert refusal.value.filename == "stdout"
    console.note("lost")
