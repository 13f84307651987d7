"""How the paper's network starts: its initialisation as printed, corrected, and everything between the two.

The corrected initialisation differs in three parts: the biases (0 for N(0.5, 0.01)), the convolutions (He for
N(0, 0.01)) and the dense weights (Glorot for N(0, 0.2)). Each of the eight combinations takes the same first steps, so
that the smallest change that trains can be read off.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.common.notes import parse
from scratchnet.data.alphabets import Alphabet
from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.explain.initialisation import EVERY, PAIRS, replay
from scratchnet.explain.plots.page import (
    COLOURS,
    DASHES,
    GREY,
    WIDTH,
    Figure,
    expect_matplotlib,
    in_our_style,
    new_figure,
    save,
)
from scratchnet.files.atomic import write_bytes
from scratchnet.files.reading import read_file, reason
from scratchnet.models.networks import build
from scratchnet.models.siamese import SiameseNet
from scratchnet.paper.scales import Scale

NAME = "initialisation"
PARTS: Mapping[str, Callable[[str], bool]] = {
    "biases": lambda name: name.endswith(".bias"),
    "convolutions": lambda name: ".conv" in name and name.endswith(".weight"),
    "dense": lambda name: name in ("encoder.linear.weight", "head.weight"),
}
PRINTED = "as printed"
INITS = [
    " and ".join(parts) or PRINTED
    for parts in chain.from_iterable(combinations(PARTS, count) for count in range(len(PARTS) + 1))
]
WINDOW, LEARNT = 20, 0.65  # nats: training has left 0.693 once the mean loss of so many steps is below this
MAX_BYTES = 1 << 20
Row = dict[str, Any]


def network(seed: int, init: str, *, architecture: Mapping[str, Any]) -> SiameseNet:
    """The network with some parts corrected, "biases and dense" for instance, and the others as printed."""
    corrected = build(architecture, seed=seed)
    printed = build({**architecture, "init": "literal"}, seed=seed)
    parts = [] if init == PRINTED else init.split(" and ")
    corrected.params = {
        name: value if any(PARTS[part](name) for part in parts) else printed.params[name]
        for name, value in corrected.params.items()
    }
    return corrected


def study(folder: Path, scale: Scale, alphabets: Sequence[Alphabet], seed: int, check: Callable[[], None]) -> None:
    """Take the first steps from every initialisation; each has a file in `folder`, and is not repeated.

    check: called before each; what it raises ends the study. Draws the picture at the end, if matplotlib is there.
    """
    folder.mkdir(exist_ok=True)
    for init in INITS:
        path = _path(folder, init)
        if not path.exists():
            check()
            make = partial(network, architecture=scale.architecture)
            record = replay(alphabets, seed, steps=scale.first_steps, network=make, inits=[init])
            write_bytes(path, json.dumps(record[init]).encode())
    draw(folder)


def draw(folder: Path) -> None:
    """Write the picture of a study, if matplotlib is there."""
    try:
        expect_matplotlib()
    except ScratchnetError:
        return
    save(picture(_records(folder)), folder / f"{NAME}.png")


def _path(folder: Path, init: str) -> Path:
    return folder / f"{init.replace(' ', '-')}.json"


def _records(folder: Path) -> dict[str, dict[str, list[float]]]:
    """What there is of a study, by initialisation. Raises CheckpointError where a file is damaged."""
    found = {}
    for init in INITS:
        path = _path(folder, init)
        try:
            found[init] = parse(read_file(path, MAX_BYTES))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as cause:
            raise CheckpointError(f"{path} is damaged ({reason(cause)}): remove it to make it again") from cause
    return found


def smoothed(loss: Sequence[float]) -> np.ndarray:
    """The mean loss of each WINDOW steps in a row."""
    return np.convolve(loss, np.full(WINDOW, 1 / WINDOW), mode="valid")


def learnt_at(loss: Sequence[float]) -> int | None:
    """The step by which the mean loss of the last WINDOW steps is below LEARNT; None if it never is."""
    below = np.flatnonzero(smoothed(loss) < LEARNT)
    return int(below[0]) + WINDOW if len(below) else None


def rows(folder: Path) -> list[Row]:
    """The table of a study as JSON objects."""
    return [
        {
            "corrected": init,
            "saturated": record["saturated"][0],
            "same": record["same"][0],
            "different": record["different"][0],
            "learnt_at": learnt_at(record["loss"]),
            "steps": len(record["loss"]),
            "last_loss": round(float(np.mean(record["loss"][-WINDOW:])), 3),
        }
        for init, record in _records(folder).items()
    ]


def markdown(study: Sequence[Row]) -> list[str]:
    """The lines of the table in Markdown."""
    lines = [
        "## Initialisation: which part of it stops learning?",
        "",
        f"{PAIRS} pairs a step. Twin distance: the mean of |h1 - h2| over the features, of pairs that do not train. It",
        f"has learnt once the mean loss of {WINDOW} steps is below {LEARNT}; guessing is 0.693.",
        "",
        "| corrected | saturated at the start | twin distance, same | different | has learnt at step | last loss |",
        "|---|---|---|---|---|---|",
    ]
    for row in study:
        learnt = row["learnt_at"] or f"not in {row['steps']}"
        lines.append(
            f"| {row['corrected']} | {row['saturated']:.1%} | {row['same']:.4f} | {row['different']:.4f} | {learnt} | "
            f"{row['last_loss']:.3f} |"
        )
    return [*lines, ""]


@in_our_style
def picture(records: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Loss, saturation and twin distance over the first steps, a line for each initialisation."""
    figure = new_figure(WIDTH, 4.3, title="The paper's initialisation, and which part of it stops learning")
    panels = figure.subplots(1, 3)
    for number, (init, record) in enumerate(records.items()):
        line = {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}
        label = {PRINTED: PRINTED, INITS[-1]: "all three corrected"}.get(init, f"{init} corrected")
        loss = smoothed(record["loss"])
        panels[0].plot(np.arange(len(loss)) + WINDOW, loss, label=label, **line)
        looks = EVERY * np.arange(len(record["saturated"]))
        panels[1].plot(looks, 100 * np.array(record["saturated"]), **line)
        panels[2].plot(looks, record["different"], **line)
    panels[0].axhline(np.log(2), color="black", linestyle=":", linewidth=0.8)
    panels[2].set_yscale("log")
    panels[2].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for axes, title in zip(panels, ("loss", "saturated sigmoids, %", "twin distance"), strict=True):
        axes.set(title=title, xlabel="step")
        axes.grid(axis="y")
    note = (
        f"Loss: the mean of {WINDOW} steps; dotted: guessing, 0.693. Saturated: sigmoids with an input beyond 4.\n"
        "Twin distance: the mean of |h1 - h2| over the features, of pairs of different characters."
    )
    legend = figure.legend(loc="outside lower left", ncols=2, handlelength=3, title=note, alignment="left")
    legend.get_title().set(fontsize=8, color=GREY)
    return figure
