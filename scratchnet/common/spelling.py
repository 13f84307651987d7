"""Suggestions for misspelt names."""

from collections.abc import Iterable

LONGEST = 60  # characters; longer names get no suggestion
SHORT = 3  # characters; in names this short the first one must match: "gpu" is not "cpu"


def closest(given: object, names: Iterable[str]) -> str | None:
    """The one of `names` that is spelt most like `given`, or None if none is close.

    Case is ignored, hyphens count as underscores, and leading ones are dropped: "Batch-size" matches "batch_size", and
    "help" matches "--help". The end of a dotted name is enough: "conv1" matches "encoder.conv1".
    """
    from difflib import get_close_matches  # noqa: PLC0415  # as slow to import as argparse, and only needed for errors

    text = str(given)
    if len(text) > LONGEST:
        return None
    whole = {_plain(name): name for name in reversed(list(names))}  # the first of two that read alike
    ends = {plain.split(".", k)[k]: name for plain, name in whole.items() for k in range(1, plain.count(".") + 1)}
    wanted, known = _plain(text), ends | whole
    if len(wanted) <= SHORT:
        known = {plain: name for plain, name in known.items() if plain[:1] == wanted[:1]}
    matches = get_close_matches(wanted, known, n=1)
    return known[matches[0]] if matches else None


def hint(given: object, names: Iterable[str]) -> str:
    """Return " (did you mean 'width'?)" for a message about a name that is not one of `names`; "" without a match."""
    name = closest(given, names)
    return f" (did you mean {name!r}?)" if name else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").lstrip("_")
