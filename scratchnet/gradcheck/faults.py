"""What to say about wrong questions, and about layers that raise."""

import traceback
from collections.abc import Mapping

from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.contract import RULES
from scratchnet.gradcheck.point import Point


def expect_tensor(point: Point, name: str) -> None:
    """Raises ScratchnetError unless the point has a tensor of that name."""
    if name not in point.tensors:
        known = ", ".join(point.tensors)
        raise ScratchnetError(f"no tensor is called {name}{hint(name, point.tensors)}: choose from {known}")


def expect_rules(given: bool | Mapping[str, bool]) -> None:
    """Raises ScratchnetError unless `given` is a truth value or a dictionary from RULES to truth values."""
    names = {} if isinstance(given, bool) else given
    if not isinstance(names, Mapping):
        raise ScratchnetError(f"contract is {given!r}, expected True, False or rules such as {{'views': False}}")
    for name in names:
        if name not in RULES:
            raise ScratchnetError(f"the contract has no rule {name!r}{hint(name, RULES)}: it has {', '.join(RULES)}")


def raised(what: str, error: Exception, kind: type[ScratchnetError]) -> Exception:
    """What to raise for an exception in forward or backward: its message, and the line of code that raised it."""
    if isinstance(error, ScratchnetError | MemoryError):
        return error
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())[:200]
    return kind(f"{what} raised {type(error).__name__}: {said} ({frame.filename}, line {frame.lineno})")
