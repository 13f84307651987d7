"""Names of a package that are there from the start and loaded when they are first used (PEP 562)."""

import sys
from importlib import import_module

TYPE_CHECKING = False  # what type checkers take for true; importing typing takes as long as all the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


def lazily(
    package: str, listed: "Iterable[str]", homes: "Mapping[str, str] | None" = None
) -> "tuple[Callable[[str], Any], Callable[[], list[str]]]":
    """`__getattr__` and `__dir__` for the package of this name.

    listed: what dir() shows. homes: for names that are no modules, the module of the package that has each. Every
    module of the package can be reached as an attribute, whether it is listed or not.
    """
    names, homes = sorted(listed), homes or {}

    def find(name: str) -> "Any":
        if name in homes:
            value = getattr(import_module(f"{package}.{homes[name]}"), name)
        else:
            value = None if name.startswith("_") else _module(f"{package}.{name}")
            if value is None:
                raise AttributeError(
                    f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package]
                )
        setattr(sys.modules[package], name, value)
        return value

    return find, lambda: list(names)


def _module(name: str) -> "Any":
    """The module of this name; None where there is none."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # it is there, and something that it needs is not
            raise
        return None
