"""What to say about wrong questions, and about layers that raise."""

import traceback
from collections.abc import Collection, Mapping
from typing import Any

from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError


def expect_tensor(point: Any, name: str) -> None:
    """Raises ScratchnetError unless the point has a tensor of that name."""
    if name not in point.tensors:
        known = ", ".join(point.tensors)
        raise ScratchnetError(f"no tensor is called {name}{hint(name, point.tensors)}: choose from {known}")


def tolerance_of(name: str, tolerance: Mapping[str, float], point: Any) -> float:
    """The tolerance of one tensor; 0 if it is not named. Raises ScratchnetError for names of none."""
    names = point.named(tolerance)
    for other in names:
        expect_tensor(point, other)
    return dict(zip(names, tolerance.values(), strict=True)).get(name, 0.0)


def switched_off(given: Any, rules: Collection[str]) -> set[str]:
    """The rules that a dictionary sets to False. Raises ScratchnetError for anything else, or a rule that is none."""
    if not isinstance(given, Mapping):
        raise ScratchnetError(f"contract is {given!r}, expected True, False or rules such as {{'views': False}}")
    for name in given:
        if name not in rules:
            raise ScratchnetError(f"the contract has no rule {name!r}{hint(name, rules)}: it has {', '.join(rules)}")
    return {name for name, wanted in given.items() if not wanted}


def no_layer(layer: Any) -> str:
    """What to do with a class, or with something that has no forward and backward."""
    name = getattr(layer, "__name__", type(layer).__name__)
    if isinstance(layer, type):
        return f"{name} is a class, expected a layer: check({name}(...), params, x)"
    return (
        f"{name} has no forward and backward; two functions are checked by check(from_functions(f, gradient), {{}}, x)"
    )


def raised(what: str, error: Exception, kind: type[ScratchnetError]) -> Exception:
    """What to raise for an exception in forward or backward: its message, and the line of code that raised it."""
    if isinstance(error, ScratchnetError | MemoryError):
        return error
    if (
        isinstance(error, AttributeError)
        and error.name in ("forward", "backward")
        and not hasattr(error.obj, error.name)
    ):
        return ScratchnetError(no_layer(error.obj))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())[:200]
    return kind(f"{what} raised {type(error).__name__}: {said} ({frame.filename}, line {frame.lineno})")
