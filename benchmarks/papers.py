"""Measure how well characters are read on ruled, squared, boxed and framed paper, and what it costs clean drawings.

    python benchmarks/papers.py MODEL [--data DIR] [--trials N] [--drawings N] [--align N] [--json] [--card]

Random 20-way trials within generated alphabets, which no network trained on Omniglot has seen. The same queries are
drawn on each kind of paper; the supports are clean. A picture in which no character is found counts as wrong. Then
clean drawings are read, in equal shares from Omniglot's background set, from generated alphabets, and of boxes, bars
and crosses; without Omniglot, from the other two. --card adds the results to the card of a bundled network.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from photos import measure, print_row
from PIL import Image, ImageDraw, ImageFilter

from scratchnet import pretrained
from scratchnet.bench.machine import Machine
from scratchnet.checkpoint import load_model_with_notes
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import glyph_split
from scratchnet.errors import DataError, ScratchnetError
from scratchnet.files.atomic import write_bytes
from scratchnet.images.contrast import best_contrast, ink_above_noise
from scratchnet.images.photo import read_character, to_working_size, without_edges
from scratchnet.images.pictures import read_colours
from scratchnet.images.ruling import without_ruling
from scratchnet.images.strokes import parts
from scratchnet.models.scoring import usual_align
from scratchnet.oneshot.trials import sample_runs

SIDE = 400  # pixels of a picture
ROOM = 30  # margin of the paper on every side, in pixels of a drawing of 105
PAPER, INK = 245, 20
TASK = "generated alphabets, queries on "


@dataclass(frozen=True)
class Paper:
    """The print on the paper under a drawing. Lengths are in pixels of the picture.

    rows, columns: the distance between lines, 0 for none. box: its distance from the ink; frame: from the border. dash:
    the lengths of a dash and a gap. The width and darkness of the lines vary from picture to picture, and every other
    picture is slanted; noise is the standard deviation of its grey levels.
    """

    rows: int = 0
    columns: int = 0
    below: bool = False
    box: int | None = None
    frame: int | None = None
    dash: tuple[int, int] | None = None
    noise: float = 0.0

    def take(self, drawing: np.ndarray, rng: np.random.Generator) -> Image.Image:
        """A picture of a drawing (105, 105) bool on this paper."""
        sheet = np.where(np.pad(drawing, ROOM), INK, PAPER).astype(np.uint8)
        ink = Image.fromarray(sheet).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        lines = Image.new("L", (SIDE, SIDE), PAPER)
        gray, width = int(rng.integers(INK, 130)), int(rng.integers(2, 7))
        draw = ImageDraw.Draw(lines)
        for start, end in self._lines(np.asarray(ink) < 128, rng):
            for dash_start, dash_end in self._dashes(start, end):
                draw.line((*dash_start, *dash_end), fill=gray, width=width)
        slant = float(rng.uniform(-2.5, 2.5)) * int(rng.integers(2))
        picture = np.minimum(np.asarray(ink), np.asarray(lines)).astype(np.float32)
        turned = Image.fromarray(np.rint(picture).astype(np.uint8)).rotate(
            slant, Image.Resampling.BICUBIC, fillcolor=PAPER
        )
        rim = 10 if slant and self.frame is None else 0  # where the rotated sheet would end
        turned = turned.crop((rim, rim, SIDE - rim, SIDE - rim)).filter(ImageFilter.GaussianBlur(0.7))
        noisy = np.asarray(turned) + self.noise * rng.standard_normal(turned.size[::-1])
        return Image.fromarray(np.rint(np.clip(noisy, 0, 255)).astype(np.uint8))

    def _lines(self, ink: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """The start and end (x, y) of every line."""
        (top, left), (bottom, right) = np.argwhere(ink).min(axis=0).tolist(), np.argwhere(ink).max(axis=0).tolist()
        rows = range(int(rng.integers(self.rows)), SIDE, self.rows) if self.rows else []
        columns = range(int(rng.integers(self.columns)), SIDE, self.columns) if self.columns else []
        if self.below:
            rows = [min(bottom + int(rng.integers(-4, 30)), SIDE - 12)]
        yield from (((0, y), (SIDE, y)) for y in rows)
        yield from (((x, 0), (x, SIDE)) for x in columns)
        if self.box is not None:
            yield from _sides(left - self.box, top - self.box, right + self.box, bottom + self.box)
        if self.frame is not None:
            yield from _sides(self.frame, self.frame, SIDE - 1 - self.frame, SIDE - 1 - self.frame)

    def _dashes(self, start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[tuple[int, int], ...]]:
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        dash, gap = self.dash or (length, 1)
        for at in range(0, length, dash + gap):
            to = min(at + dash, length)
            yield tuple(
                tuple(round(s + (e - s) * part / length) for s, e in zip(start, end, strict=True)) for part in (at, to)
            )


def _sides(left: int, top: int, right: int, bottom: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    yield from zip(corners, [*corners[1:], corners[0]], strict=True)


PAPERS = {
    "blank paper": Paper(),
    "a line below": Paper(below=True),
    "ruled paper": Paper(rows=80),
    "narrowly ruled paper": Paper(rows=35),
    "squared paper": Paper(rows=60, columns=60),
    "narrowly squared paper": Paper(rows=30, columns=30),
    "dashed lines": Paper(rows=80, dash=(10, 7)),
    "squared paper with noise": Paper(rows=60, columns=60, noise=12),
    "paper with a box": Paper(box=25),
    "paper with a frame": Paper(frame=14),
}


def box(draw: ImageDraw.ImageDraw, rng: np.random.Generator, pen: int) -> None:
    low, high = rng.integers(8, 35, 2), rng.integers(65, 97, 2)
    draw.rectangle((*low.tolist(), *high.tolist()), outline=255, width=pen)


def bars(draw: ImageDraw.ImageDraw, rng: np.random.Generator, pen: int) -> None:
    turned = rng.integers(2)
    for at in rng.choice(np.arange(15, 90, 15), int(rng.integers(1, 4)), replace=False).tolist():
        low, high = int(rng.integers(5, 30)), int(rng.integers(70, 100))
        draw.line((at, low, at, high) if turned else (low, at, high, at), fill=255, width=pen)


def cross(draw: ImageDraw.ImageDraw, rng: np.random.Generator, pen: int) -> None:
    x, y, tilt = *rng.integers(30, 75, 2).tolist(), int(rng.integers(-4, 5))
    draw.line((x - tilt, 8, x + tilt, 97), fill=255, width=pen)
    draw.line((8, y + tilt, 97, y - tilt), fill=255, width=pen)


def divided_box(draw: ImageDraw.ImageDraw, rng: np.random.Generator, pen: int) -> None:
    draw.rectangle((15, 15, 90, 90), outline=255, width=pen)
    middle = int(rng.integers(35, 70))
    draw.line((15, middle, 90, middle), fill=255, width=pen)
    if rng.integers(2):
        draw.line((middle, 15, middle, 90), fill=255, width=pen)


SHAPES: list[Callable[[ImageDraw.ImageDraw, np.random.Generator, int], None]] = [box, bars, cross, divided_box]


def shapes(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Characters that are boxes, bars and crosses, (105, 105) bool; some are cropped to their ink if paper remains."""
    for number in range(count):
        canvas = Image.new("L", (105, 105))
        SHAPES[number % len(SHAPES)](ImageDraw.Draw(canvas), rng, int(rng.integers(2, 7)))
        ink = np.asarray(canvas) > 0
        if number // len(SHAPES) % 4 == 3:
            (top, left), (bottom, right) = np.argwhere(ink).min(axis=0), np.argwhere(ink).max(axis=0) + 1
            if not ink[top:bottom, left:right].all():
                ink = ink[top:bottom, left:right]
        yield ink


def clean_drawings(count: int, data: str | None) -> Iterator[tuple[str, np.ndarray]]:
    """`count` clean drawings, each with the name of its source."""
    rng = np.random.default_rng(0)
    sources: dict[str, Iterator[np.ndarray]] = {}
    try:
        found = load_omniglot(find_data(data, "images_background.zip", "images_background"))
        omniglot = np.concatenate([alphabet.images.reshape(-1, *alphabet.images.shape[2:]) for alphabet in found])
        sources["Omniglot's background set"] = iter(rng.permutation(omniglot))
    except DataError as missing:
        print(f"papers.py: without Omniglot, {missing}", file=sys.stderr)
    glyphs = np.concatenate([a.images.reshape(-1, 105, 105) for a in generate_alphabets(10, image_size=105, seed=1)])
    sources["generated"] = iter(rng.permutation(glyphs))
    sources["boxes, bars and crosses"] = shapes(count, rng)
    for number in range(count):
        name = list(sources)[number % len(sources)]
        yield name, next(sources[name])


def clean_figures(count: int, data: str | None) -> dict[str, dict[str, Any]]:
    """By source, the number of clean drawings, of those refused, and of those that lose over 1 % of their ink.

    The loss is to the search for lines and edges.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, ink in clean_drawings(count, data):
        figures = found.setdefault(name, {"drawings": 0, "refused": 0, "lost": 0})
        figures["drawings"] += 1
        picture = Image.fromarray(~ink)
        try:
            read_character(picture)
        except DataError:
            figures["refused"] += 1
        else:
            figures["lost"] += int(ink_left(picture) < 0.99)
    return found


def ink_left(picture: Image.Image) -> float:
    """The share of the ink of a picture that remains once lines and edges are removed."""
    contrast = best_contrast(to_working_size(read_colours(picture)))
    ink = ink_above_noise(contrast)
    left = without_edges(parts(without_ruling(ink, contrast.is_faint_ink)))
    return np.count_nonzero(left) / np.count_nonzero(ink)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the name of a bundled network, a run folder or a weights file")
    parser.add_argument("--data", help="where Omniglot is (default: SCRATCHNET_DATA)")
    parser.add_argument("--trials", type=int, default=400, help="on each paper (default 400)")
    parser.add_argument("--drawings", type=int, default=5000, help="clean ones (default 5000)")
    parser.add_argument("--align", type=int, help="how many matches (default: as many as `scratchnet evaluate`)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--card", action="store_true", help="put the figures on the card of the bundled network")
    options = parser.parse_args()
    net, notes = load_model_with_notes(options.model)
    runs = sample_runs(glyph_split(105).test, -(-options.trials // 20), rng=np.random.default_rng(0))
    align = usual_align(net.frame, notes.get("recipe", {})) if options.align is None else options.align
    rows = []
    for name, paper in PAPERS.items():
        rows.append({"photos": name, "align": align, **measure(net, runs, paper, np.random.default_rng(0), align)})
        if not options.json:
            print_row(rows[-1], header=len(rows) == 1)
    clean = clean_figures(options.drawings, options.data)
    print(json.dumps({"papers": rows, "clean": clean}, indent=2) if options.json else json.dumps(clean, indent=2))
    if options.card:
        write_card(options, rows, clean)


def write_card(options: argparse.Namespace, rows: list[dict[str, Any]], clean: dict[str, dict[str, Any]]) -> None:
    """Replace the results of an earlier measurement on the card."""
    card, machine = pretrained.card(options.model), Machine.this()
    command = f"python benchmarks/papers.py {options.model} --trials {options.trials} --card --data DIR"
    figures = [
        {
            "task": f"{TASK}{row['photos']} ({row['no character found']} refused)",
            "way": 20,
            "shot": 1,
            "scope": "within one alphabet",
        }
        | {key: row[key] for key in ("align", "correct", "trials", "accuracy", "interval")}
        for row in rows
    ]
    kinds = "; ".join(
        f"{each['drawings']:,} ({name}), {each['refused']} refused, {each['lost']} with more than 1 % of the ink lost"
        for name, each in clean.items()
    )
    limit = (
        f"Lines that are no character, such as ruled lines and boxes, are taken away. Figures of {machine.date}, "
        f"on {machine.processor} ({machine.threads} of its threads), by `{command}`; clean drawings: {kinds}."
    )
    limits = [each for each in card.limits if not each.startswith(limit[:28])]
    kept = [each for each in card.figures if not each["task"].startswith(TASK)]
    commands = [each for each in card.commands if "benchmarks/papers.py" not in each]
    card = replace(card, figures=kept + figures, limits=[*limits, limit], commands=[*commands, command])
    folder = Path(str(pretrained.FOLDER))
    write_bytes(folder / f"{card.name}.json", card.as_json().encode())
    write_bytes(folder / f"{card.name}.md", card.as_markdown().encode())


if __name__ == "__main__":
    try:
        main()
    except ScratchnetError as error:
        sys.exit(f"papers.py: {error}")
