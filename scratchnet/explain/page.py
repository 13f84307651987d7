"""The page: one HTML file with a pair's numbers, the style and the script, which needs nothing else to open."""

import base64
import gzip
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.errors import ScratchnetError
from scratchnet.explain import initialisation
from scratchnet.explain.bugs import Broken, broken
from scratchnet.explain.examples import Example
from scratchnet.explain.numbers import Arrays, Numbers, numbers
from scratchnet.explain.one_step import steps
from scratchnet.explain.proofs import proofs
from scratchnet.explain.stages import PRODUCTS
from scratchnet.files.atomic import write_bytes

CHANNELS = 8
MOST_CHANNELS = 32  # a page of more takes a browser too long to open
FOLDER = files("scratchnet.explain") / "web"


def write_page(path: Path | str, example: Example, channels: int = CHANNELS) -> None:
    """Write the page about a pair of images. channels: how many of each layer are shown.

    Raises ScratchnetError for a network that cannot be traced and for a number of channels out of range, and OSError
    if the file cannot be written.
    """
    write_bytes(path, page(example, channels).encode())


def page(example: Example, channels: int = CHANNELS) -> str:
    """The page about a pair of images, as HTML. Raises as `write_page` does."""
    if not 1 <= channels <= MOST_CHANNELS:
        raise ScratchnetError(f"{channels} channels: give 1 to {MOST_CHANNELS}, or the page is too large to open")
    found = numbers(example.trace, example.alone, channels)
    bugs = broken(example.net, example.pairs, example.trace.step, found)
    arrays = found.arrays | {f"bug{number}": bug.wrong.astype("<f4") for number, bug in enumerate(bugs)}
    contents, layout = _packed(arrays)
    facts = {
        "model": example.model,
        "names": list(example.names),
        "same": example.same,
        "channels": [shown.tolist() for shown in found.channels],
        "layers": _layers(found),
        "modes": found.modes,
        "head": _head(example),
        "proofs": {name: vars(proof) for name, proof in proofs().items()},
        "steps": steps(example.net, *example.images, example.pairs, example.trace.step),
        "bugs": [_bug(bug) for bug in bugs],
        "initialisation": initialisation.recorded(),
        "layout": layout,
    }
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    parts = {
        "style": (FOLDER / "page.css").read_text(encoding="utf-8"),
        "script": (FOLDER / "page.js").read_text(encoding="utf-8"),
        "facts": _json(facts),
        "arrays": contents,
    }
    for name, part in parts.items():
        template = template.replace(f"<!-- {name} -->", part)
    return template


def _packed(arrays: Arrays) -> tuple[str, dict[str, Any]]:
    """All arrays as one text, gzip and base64 of float32, and where each begins: [offset in numbers, shape]."""
    layout, offset = {}, 0
    for name, array in arrays.items():
        layout[name] = [offset, list(array.shape)]
        offset += array.size
    raw = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode(), layout


def _layers(found: Numbers) -> list[dict[str, Any]]:
    layers = []
    for stage in found.stages:
        at = stage.at
        fact: dict[str, Any] = {
            "name": stage.name,
            "kind": stage.kind,
            "type": type(at.layer).__name__,
            "shape": at.shape,
            "channels": stage.y.shape[3],
            "parameters": at.parameters,
            "flops": at.flops and at.flops // stage.y.shape[2],
            "ms": 1e3 * at.seconds,
            "backwardMs": 1e3 * (at.backward_seconds or 0),
            "spread": at.spread,
            "dead": at.dead,
            "saturated": at.saturated,
            "dy": float(np.linalg.norm(stage.dy)),
        }
        if stage.kind in PRODUCTS:
            fact |= {"stride": stage.strides, "padding": stage.paddings}
        if stage.kind == "pool":
            fact |= {"window": at.layer.sizes[0], "stride": [at.layer.sizes[1]] * 2}
        if stage.kind == "norm":
            fact |= {"eps": at.layer.eps, "pixels": stage.x.shape[0] * stage.x.shape[1]}
        layers.append(fact)
    return layers


def _head(example: Example) -> dict[str, Any]:
    head = example.trace.step.head
    return {
        "type": type(head.layer).__name__,
        "parameters": head.parameters,
        "features": head.x[0].shape[-1],
        "ms": 1e3 * head.seconds,
        "backwardMs": 1e3 * (head.backward_seconds or 0),
    }


def _bug(bug: Broken) -> dict[str, Any]:
    return {
        "name": bug.bug.name,
        "story": bug.bug.story,
        "layer": bug.stage,
        "gradient": bug.gradient,
        "code": bug.code,
        "place": bug.place,
        "line": bug.line,
        "checks": [{"check": check, "finds": finds, "saw": saw} for check, finds, saw in bug.checks],
    }


def _json(facts: Mapping[str, Any]) -> str:
    """JSON that may stand in a script element: no number in it is NaN, and nothing ends the element."""
    return json.dumps(_finite(facts)).replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    """The value with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
