"""Names that are nearly right: which one was probably meant."""

from collections.abc import Iterable

LONGEST = 60  # characters of a name that is worth a guess
SHORT = 3  # characters of a name whose first one has to be right: "gpu" is not "cpu"


def closest(given: object, names: Iterable[str]) -> str | None:
    """The one of `names` that is spelt most like `given`; None where none is like it.

    Upper case counts as lower case, hyphens count as underscores, and those in front not at all: "Batch-size" is
    "batch_size", and "help" is "--help". Of a name with dots the end will do: "conv1" is "encoder.conv1".
    """
    from difflib import get_close_matches  # noqa: PLC0415  # takes as long as argparse, and only errors need it

    text = str(given)
    if len(text) > LONGEST:
        return None
    whole = {_plain(name): name for name in reversed(list(names))}  # of two that read alike the first
    ends = {plain.split(".", k)[k]: name for plain, name in whole.items() for k in range(1, plain.count(".") + 1)}
    wanted, known = _plain(text), ends | whole
    if len(wanted) <= SHORT:
        known = {plain: name for plain, name in known.items() if plain[:1] == wanted[:1]}
    found = get_close_matches(wanted, known, n=1)
    return known[found[0]] if found else None


def hint(given: object, names: Iterable[str]) -> str:
    """ " (did you mean 'width'?)" for a message about a name that is not one of `names`; "" without a guess."""
    name = closest(given, names)
    return f" (did you mean {name!r}?)" if name else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").lstrip("_")
