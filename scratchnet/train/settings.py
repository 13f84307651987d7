"""Settings of a recipe as `--set NAME=VALUE` gives them: names and values are checked, and a mistake gets a hint."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from scratchnet.common.notes import parse
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.models.networks import ARCHITECTURES, options_of
from scratchnet.train.recipe import Recipe

WORDS = {bool: "true or false", int: "a whole number", tuple: "a list", str: "a text"}


def setting_names(architecture: str) -> list[str]:
    """The names that `override` takes: the fields of a recipe, and the options of its architecture."""
    names = [f.name for f in fields(Recipe) if f.name != "name"]
    return [*names, "architecture.name", *(f"architecture.{option}" for option in options_of(architecture))]


def override(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """The recipe with some fields changed: {"lr": "0.1", "architecture.width": "16"}, the values written as JSON.

    Raises ScratchnetError for a field that does not exist, a value of another type, and what Recipe refuses.
    """
    changes: dict[str, Any] = {}
    for name, text in settings.items():
        field_name, _, key = name.partition(".")
        known = setting_names(recipe.architecture["name"])
        if field_name not in known:
            names = ", ".join(known_name for known_name in known if "." not in known_name)
            raise ScratchnetError(f"the recipe has no setting {field_name!r}{hint(name, known)}: there are {names}")
        old, new = changes.get(field_name, getattr(recipe, field_name)), _parse(text)
        if key:
            if not isinstance(old, Mapping):
                raise ScratchnetError(f"{field_name} has no parts such as {name!r}: write {field_name}={text}")
            _expect_like(old.get(key, new), name, new, text)
            changes[field_name] = {**old, key: new}
        else:
            changes[field_name] = tuple(map(str, new)) if isinstance(old, tuple) and isinstance(new, list) else new
            _expect_like(old, name, changes[field_name], text)
    if "architecture" in changes:
        _expect_architecture(changes["architecture"])
    return replace(recipe, **changes)


def _expect_architecture(architecture: Mapping[str, Any]) -> None:
    """Raise ScratchnetError unless the architecture exists and has these options."""
    name = architecture.get("name")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise ScratchnetError(
            f"architecture.name={name} is none of {', '.join(ARCHITECTURES)}{hint(name, ARCHITECTURES)}: choose one"
        )
    for option in architecture.keys() - {"name", *options_of(name)}:
        raise ScratchnetError(
            f"architecture.{option} is no option of {name}{hint(option, options_of(name))}: "
            f"there are {', '.join(options_of(name))}"
        )


def _parse(text: str) -> Any:
    """The JSON value that `text` holds, or the text itself."""
    try:
        return parse(text.encode())
    except ValueError:
        return text


def _expect_like(old: Any, name: str, new: Any, text: str) -> None:
    """Raise ScratchnetError unless `new`, written as `text`, has the type of `old`; an int will do for a float."""
    is_number = old is None or isinstance(old, float)
    kind = (int, float) if is_number else type(old)
    if isinstance(new, kind) and isinstance(new, bool) == isinstance(old, bool):
        return
    word = "a number" if is_number else WORDS.get(type(old), "a JSON object")
    example = ""
    if is_number and isinstance(_parse(with_point := text.replace(",", ".")), int | float):
        example = f", write {with_point}"
    elif isinstance(old, tuple):
        example = ', write a list such as ["Korean", "Latin"]'
    raise ScratchnetError(f"{name}={new} is not {word}: the recipe has {name}={json.dumps(old)}{example}")
