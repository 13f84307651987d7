"""What a cache reports about the forward that made it, found by name in caches within caches."""

from typing import Any


def gathered(cache: Any, name: str) -> dict[str, Any]:
    """The attribute `name` of a cache and of all caches in it, by dotted name; empty where none has it.

    Caches lie in dictionaries, tuples and lists. What a value holds by name counts as several: of
    {"norm1": BatchNorm2dCache(..., running_statistics={"running_mean": m})} the running_statistics are
    {"norm1.running_mean": m}.
    """
    found: dict[str, Any] = {}
    if hasattr(cache, name):
        own = getattr(cache, name)
        found = dict(own) if isinstance(own, dict) else {name: own}
    for part, value in _parts(cache):
        found |= {f"{part}.{inner}": value for inner, value in gathered(value, name).items()}
    return found


def _parts(cache: Any) -> list[tuple[str, Any]]:
    if isinstance(cache, dict):
        return list(cache.items())
    if hasattr(cache, "_fields"):  # a NamedTuple
        return list(zip(cache._fields, cache, strict=True))
    return [(str(i), value) for i, value in enumerate(cache)] if isinstance(cache, tuple | list) else []
