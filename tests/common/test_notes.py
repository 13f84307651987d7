"""Notes are JSON of bounded size and of the expected types; anything else is a ValueError."""

import tracemalloc

import pytest

from scratchnet.common.notes import MAX_BYTES, dump, expect, parse

KIND = {
    "epoch": int,
    "loss": float,
    "name?": str,
    "best": (float, None),
    "losses": [float],
    "more?": {"on": bool},
    "norms?": {str: float},
}
NOTES = {
    "epoch": 3,
    "loss": 1,
    "best": None,
    "losses": [0.5, 1],
    "more": {"on": True},
    "norms": {"a": 1, "b": 0.5},
    "another": [{}],
}


def test_notes_come_back_as_they_were():
    assert parse(dump(NOTES)) == NOTES
    expect(NOTES, KIND, "the state")
    assert parse(b"\xef\xbb\xbf" + '{"a": "ä"}'.encode()) == {"a": "ä"}  # as Notepad saves it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b'"\xff"', "invalid start byte"),
        (b"NaN", "the notes contain NaN"),
        (b"[-Infinity]", "the notes contain -Infinity"),
        (b"1e999", "1e999 is too large a number"),
        (b"1" * 41, "a number of 41 digits"),
        (b'{"a": 1, "b": 2, "a": 3}', '"a" appears twice'),
        (b"[" * 17 + b"]" * 17, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b" " * (MAX_BYTES + 1), "too large"),
        (b"[" + b"0," * 600_000 + b"0]", "too large"),
    ],
)
def test_what_is_no_sound_json_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 2_000_000 + b"[]]",
        b"[" + b'{"a":1},' * 900_000 + b"1]",
        b"[" * 1_000_000,
        b"[" + b"1e9," * 2_000_000 + b"1]",
        b'{"' + b'a":{},"b' * 800_000 + b'":1}',
        b'["' + b'","' * 2_000_000 + b'"]',
    ],
)
def test_no_json_takes_much_more_memory_than_it_has_bytes(text):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too"):
            parse(text)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [{"a": float("nan")}, [float("inf")], [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]], 10**40])
def test_what_could_not_be_read_again_is_not_written(value):
    with pytest.raises(ValueError, match=r"JSON compliant|nested|digits"):
        dump(value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": True}, "the state.epoch is true, expected a whole number"),
        ({"epoch": 3.0}, "the state.epoch is 3.0, expected a whole number"),
        ({"loss": "low"}, 'the state.loss is "low", expected a number'),
        ({"loss": None}, "the state.loss is null"),
        ({"best": []}, "the state.best is [], expected a number"),
        ({"losses": {"0": 1}}, 'the state.losses is {"0": 1}, expected a list'),
        ({"losses": [1, "x"]}, 'the state.losses[1] is "x", expected a number'),
        ({"name": 3}, "the state.name is 3, expected a string"),
        ({"more": {"on": 1}}, "the state.more.on is 1, expected true or false"),
        ({"more": {}}, "the state.more has no on"),
        ({"norms": {"a": 1, "b": "big"}}, 'the state.norms["b"] is "big", expected a number'),
        ({"norms": [1]}, "the state.norms is [1], expected an object"),
        ({"norms": {"\n\x1b[31m" * 100: None}}, "expected a number"),
        ({"more": {"on": "\n\x1b[31m" * 100}}, "expected true or false"),
    ],
)
def test_another_type_is_refused_with_its_place(change, message):
    with pytest.raises(ValueError, match="the state") as refusal:
        expect(NOTES | change, KIND, "the state")
    assert message in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 200


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="the state has no losses"):
        expect({"epoch": 3, "loss": 1, "best": 0.5}, KIND, "the state")
    with pytest.raises(ValueError, match="the state is 3, expected an object"):
        expect(3, KIND, "the state")
