"""Lazy loading: the names of a package are available from the start and imported on first use (PEP 562)."""

import sys
from importlib import import_module

TYPE_CHECKING = False  # True to type checkers; importing typing would take as long as everything else
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


def lazily(
    package: str, listed: "Iterable[str]", homes: "Mapping[str, str] | None" = None
) -> "tuple[Callable[[str], Any], Callable[[], list[str]]]":
    """Return `__getattr__` and `__dir__` for the package of this name.

    listed: the names that dir() shows. homes: for each name that is not a module, the module that defines it. Every
    module of the package is available as an attribute, listed or not.
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
    """The module of this name, or None if there is none."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # the module exists, but one of its imports does not
            raise
        return None
