"""Strict JSON for the notes in files: bounded in size, of the expected types, no duplicate names, no NaN or infinity.

The kinds that `expect` accepts:

    int, float, bool, str    a value of that type; an integer passes for a float, a bool for neither
    dict                     any object
    [kind]                   a list of values of that kind
    (kind, None)             that kind, or null
    {"name": kind}           an object with at least these fields; "name?" is optional
    {str: kind}              an object whose values are all of that kind
"""

import codecs
import json
import math
from collections import Counter
from typing import Any, NoReturn

from scratchnet.errors import one_line

MAX_BYTES = 1 << 23  # enough for the losses of 400,000 steps; at most 64 MB once parsed
MAX_VALUES = 500_000
MAX_DEPTH = 16
MAX_DIGITS = 40  # of an integer: enough for any seed


def parse(text: bytes) -> Any:
    """Parse `text`, JSON in UTF-8. Raises ValueError for text that exceeds the bounds above, before parsing it."""
    if len(text) > MAX_BYTES or sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise ValueError(f"the notes are too large, {len(text):,} bytes")
    try:
        value = json.loads(
            text.removeprefix(codecs.BOM_UTF8).decode(),
            object_pairs_hook=_each_once,
            parse_constant=_refuse_constant,
            parse_int=_whole_number,
            parse_float=_finite,
        )
    except RecursionError as cause:
        raise ValueError("the notes are nested too deeply") from cause
    _expect_shallow(value)
    return value


def dump(value: Any) -> bytes:
    """Return `value` as JSON that `parse` accepts. Raises ValueError or TypeError if it could not be read back."""
    text = json.dumps(value, allow_nan=False).encode()
    parse(text)
    return text


def expect(value: Any, kind: Any, place: str) -> None:
    """Raise ValueError, with the place in its message, unless `value` is of this kind."""
    if isinstance(kind, tuple):
        if value is not None:
            expect(value, kind[0], place)
    elif isinstance(kind, list):
        _expect_type(value, list, place)
        for i, item in enumerate(value):
            expect(item, kind[0], f"{place}[{i}]")
    elif isinstance(kind, dict) and str in kind:
        _expect_type(value, dict, place)
        for name, item in value.items():
            expect(item, kind[str], f"{place}[{shown(name)}]")
    elif isinstance(kind, dict):
        _expect_type(value, dict, place)
        for name, inner in kind.items():
            field = name.removesuffix("?")
            if field in value:
                expect(value[field], inner, f"{place}.{field}")
            elif field == name:
                raise ValueError(f"{place} has no {field}")
    else:
        _expect_type(value, kind, place)


WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _expect_type(value: Any, kind: type, place: str) -> None:
    types = (int, float) if kind is float else kind
    if not isinstance(value, types) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{place} is {shown(value)}, expected {WORDS[kind]}")


def shown(value: Any) -> str:
    """A value for use in a message: the beginning of its JSON."""
    text = one_line(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{shown(name)} appears twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the notes contain {name}")


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"the notes contain a number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number


def _expect_shallow(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError("the notes are nested too deeply")
