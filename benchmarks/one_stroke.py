"""Characters one stroke apart: an Omniglot with near misses of its own characters, to train on as hard negatives.

    python benchmarks/one_stroke.py OUT [--data DIR] [--edits remove shorten move add] [--seed N] [--picture FILE]

The strokes of each drawing are traced from its image: its middle line, cut where lines meet, and joined again where
they go straight on. Of each character of the training alphabets, one edit makes a new character: a stroke is removed,
shortened, moved or added, the same one in the drawings of all drawers, as far as it is found there. The new characters
stand in the same alphabet, so that an episode often asks to tell them from what they were made of. OUT then holds an
images_background.zip, for `scratchnet train --data OUT`; alphabets kept out of training are as they were.

benchmarks/training_ideas.py trains on it and on the characters alone, and compares the networks.
"""

import argparse
import io
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from scratchnet.data.alphabets import Alphabet
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import BACKGROUND_FILES, CONFIRMATION_ALPHABETS, VALIDATION_ALPHABETS
from scratchnet.errors import ScratchnetError
from scratchnet.explain.plots.page import BLUE, ORANGE, WIDTH, new_figure, save, show_ink
from scratchnet.files.atomic import write_bytes
from scratchnet.images.strokes import grown, middle_lines, neighbours, parts, pruned, stroke_width, thickened

SPUR = 4  # pixels of a branch that thinning leaves where an outline is rough
SHORTEST = 6  # pixels of a stroke
STRAIGHT = -0.8  # cosine between the directions of two pieces that go straight on
SHARE = (0.08, 0.5)  # of all the ink, that the edited stroke may have: a small difference, and not the whole character
FAR = 0.6  # in spreads of the ink: a stroke further away than this, in another drawing, is not the same one
ENOUGH = 0.7  # of the drawers in whose drawings the stroke is found
EDITS = ("remove", "shorten", "move", "add")


@dataclass(frozen=True)
class Stroke:
    """A traced stroke: its points (n, 2), row and column, in order; and whether each of its ends is free."""

    points: np.ndarray
    free: tuple[bool, bool]

    def along(self, count: int = 9) -> np.ndarray:
        """Points (count, 2) at equal distances along the stroke."""
        return self.points[np.linspace(0, len(self.points) - 1, count).round().astype(int)]


def traced(ink: np.ndarray) -> list[Stroke]:
    """The strokes of a drawing (H, W) bool."""
    lines = pruned(middle_lines(np.pad(ink, 1)), SPUR)[1:-1, 1:-1]
    joints = lines & (neighbours(lines).sum(axis=0) >= 3) & (_branches(lines) >= 3)
    pieces = [_walked(lines_of) for lines_of in _each(lines & ~grown(joints))]
    near = grown(joints, 3)
    ends = [[bool(near[tuple(end)]) for end in (piece[0], piece[-1])] for piece in pieces]
    return _joined(pieces, ends, parts(grown(joints, 2)))


def _branches(lines: np.ndarray) -> np.ndarray:
    """How often a line begins, once around each pixel."""
    around = neighbours(lines)
    return (~around & np.roll(around, -1, axis=0)).sum(axis=0)


def _each(lines: np.ndarray) -> list[np.ndarray]:
    numbers = parts(lines)
    return [numbers == number for number in range(1, numbers.max() + 1)]


def _walked(piece: np.ndarray) -> np.ndarray:
    """The pixels of a line without branches in order (n, 2), from an end of it."""
    left = [tuple(point) for point in np.argwhere(piece)]
    counts = neighbours(piece).sum(axis=0)
    path = [min(left, key=lambda point: counts[point])]
    left.remove(path[0])
    while left:
        here = np.array(path[-1])
        nearest = min(left, key=lambda point: abs(np.array(point) - here).sum())
        if max(abs(np.array(nearest) - here)) > 2:
            break
        path.append(nearest)
        left.remove(nearest)
    return np.array(path)


def _joined(pieces: list[np.ndarray], ends: list[list[bool]], joints: np.ndarray) -> list[Stroke]:
    """Pieces that go straight on at a joint are one stroke."""
    while True:
        best = None
        for i in range(len(pieces)):
            for j in range(i + 1, len(pieces)):
                for a in (0, -1):
                    for b in (0, -1):
                        if not (ends[i][a] and ends[j][b]) or not _meet(pieces[i][a], pieces[j][b]):
                            continue
                        turn = float(_leaving(pieces[i], a) @ _leaving(pieces[j], b))
                        if turn < STRAIGHT and (best is None or turn < best[0]):
                            best = (turn, i, j, a, b)
        if best is None:
            return [
                Stroke(piece, (not end[0], not end[1]))
                for piece, end in zip(pieces, ends, strict=True)
                if len(piece) >= SHORTEST
            ]
        _, i, j, a, b = best
        first = pieces[i] if a == -1 else pieces[i][::-1]
        second = pieces[j] if b == 0 else pieces[j][::-1]
        merged = [ends[i][0 if a == -1 else 1], ends[j][1 if b == 0 else 0]]
        keep = [k for k in range(len(pieces)) if k not in (i, j)]
        pieces = [pieces[k] for k in keep] + [np.concatenate([first, second])]
        ends = [ends[k] for k in keep] + [merged]


def _meet(one: np.ndarray, other: np.ndarray) -> bool:
    return float(np.hypot(*(one - other))) < 9


def _leaving(piece: np.ndarray, end: int) -> np.ndarray:
    """The direction (2,) of a piece where it leaves one of its ends."""
    inward = piece[:6] if end == 0 else piece[::-1][:6]
    direction = (inward[-1] - inward[0]).astype(float)
    return direction / max(float(np.hypot(*direction)), 1e-9)


@dataclass(frozen=True)
class Traced:
    """A drawing with its strokes, the width of its pen, and centre (2,) and spread of its ink."""

    ink: np.ndarray
    strokes: list[Stroke]
    pen: float
    centre: np.ndarray
    spread: float

    @classmethod
    def of(cls, ink: np.ndarray) -> "Traced":
        points = np.argwhere(ink)
        centre = points.mean(axis=0)
        spread = float(np.sqrt(np.square(points - centre).sum(axis=1).mean()))
        return cls(ink, traced(ink), stroke_width(ink), centre, max(spread, 1.0))

    def placed(self, stroke: Stroke) -> np.ndarray:
        """Points along a stroke, in spreads from the centre."""
        return (stroke.along() - self.centre) / self.spread

    def like(self, wanted: np.ndarray) -> tuple[Stroke | None, float]:
        """The stroke that lies most like `wanted`, in its direction, and how far off it is on average, in spreads."""
        best: tuple[Stroke | None, float] = None, np.inf
        for stroke in self.strokes:
            for turned in (stroke, Stroke(stroke.points[::-1], stroke.free[::-1])):
                off = float(np.hypot(*(self.placed(turned) - wanted).T).mean())
                if off < best[1]:
                    best = turned, off
        return best

    def without(self, points: np.ndarray) -> np.ndarray:
        """The ink (H, W) without that of these points of a stroke; what other strokes cover stays."""
        gone = self._drawn(points, 0.75 * self.pen + 1)
        kept = [stroke.points for stroke in self.strokes]
        mine = {tuple(point) for point in points}
        others = [point for each in kept for point in each if tuple(point) not in mine]
        left = self.ink & (~gone | self._drawn(np.array(others, np.int64).reshape(-1, 2), 0.55 * self.pen))
        numbers, least = parts(left), int(self.pen**2)
        sizes = np.bincount(numbers.ravel())
        specks = (sizes < least)[numbers] & ~(np.bincount(parts(self.ink).ravel()) < least)[parts(self.ink)]
        return left & ~specks  # which are rims of what was taken away

    def _drawn(self, points: np.ndarray, radius: float) -> np.ndarray:
        line = np.zeros(self.ink.shape, bool)
        inside = ((points >= 0) & (points < self.ink.shape)).all(axis=1)
        line[tuple(points[inside].T)] = True
        return thickened(line, radius) >= 0.5

    def edited(self, edit: str, stroke: Stroke, amount: np.ndarray) -> np.ndarray:
        """The drawing with one stroke removed, shortened at its end, moved, or a copy of it added; amount: (2,)."""
        points = stroke.points
        if edit == "remove":
            return self.without(points)
        if edit == "shorten":
            return self.without(points[int(len(points) * (0.45 + 0.2 * abs(amount[0]))) :])
        moved = _line(points + np.rint(amount * self.spread).astype(int))
        copy = self._drawn(moved, self.pen / 2)
        return (self.without(points) if edit == "move" else self.ink) | copy


def _line(points: np.ndarray) -> np.ndarray:
    """Points with those between neighbours filled in."""
    middles = (points[:-1] + points[1:]) // 2
    return np.concatenate([points, middles])


def near_miss(seen: Sequence[Traced], edit: str, rng: np.random.Generator) -> list[np.ndarray] | None:
    """Drawings (H, W) bool of one character, each with the same edit; None where no stroke of it serves."""
    model = seen[int(rng.integers(len(seen)))]
    total = sum(len(stroke.points) for stroke in model.strokes)
    usable = [
        stroke
        for stroke in model.strokes
        if SHARE[0] <= len(stroke.points) / total <= SHARE[1] and (edit != "shorten" or any(stroke.free))
    ]
    if not usable or len(model.strokes) < 2:
        return None
    stroke = usable[int(rng.integers(len(usable)))]
    if edit == "shorten" and not stroke.free[1]:
        stroke = Stroke(stroke.points[::-1], stroke.free[::-1])
    wanted = model.placed(stroke)
    angle = rng.uniform(0, 2 * np.pi)
    amount = rng.uniform(0.5, 0.8) * np.array([np.sin(angle), np.cos(angle)])
    found = [each.like(wanted) for each in seen]
    if np.mean([off < FAR for _, off in found]) < ENOUGH:
        return None
    changed = [
        each.ink if match is None else each.edited(edit, match, amount)
        for each, (match, _) in zip(seen, found, strict=True)
    ]
    differs = [
        np.count_nonzero(new != each.ink) / np.count_nonzero(each.ink) for new, each in zip(changed, seen, strict=True)
    ]
    left = [np.count_nonzero(new) / np.count_nonzero(each.ink) for new, each in zip(changed, seen, strict=True)]
    return changed if np.median(differs) > 0.04 and min(left) > 0.2 else None


def with_near_misses(alphabet: Alphabet, edits: Sequence[str], rng: np.random.Generator) -> Alphabet:
    """The alphabet with a near miss of each of its characters, as far as an edit is found for it, after them."""
    added = []
    for drawings in alphabet.images:
        seen = [Traced.of(ink) for ink in drawings]
        for edit in rng.permutation(list(edits)):
            if (made := near_miss(seen, str(edit), rng)) is not None:
                added.append(np.stack(made))
                break
    return Alphabet(
        alphabet.name, np.concatenate([alphabet.images, np.array(added).reshape(-1, *alphabet.images.shape[1:])])
    )


def write_set(path: Path, alphabets: Sequence[Alphabet]) -> None:
    """Write alphabets as Omniglot's images_background.zip."""
    held, number = io.BytesIO(), 0
    with zipfile.ZipFile(held, "w") as archive:
        for alphabet in alphabets:
            for character, drawings in enumerate(alphabet.images, 1):
                number += 1
                for drawer, ink in enumerate(drawings, 1):
                    png = io.BytesIO()
                    Image.fromarray(~ink).save(png, "PNG")
                    name = f"{alphabet.name}/character{character:02}/{number:04}_{drawer:02}.png"
                    archive.writestr(f"images_background/{name}", png.getvalue())
    write_bytes(path, held.getvalue())


def picture(made: Sequence[tuple[str, np.ndarray, np.ndarray]], path: Path) -> None:
    """Draw characters by six drawers each, and their near misses below them."""
    figure = new_figure(
        WIDTH, 0.5 + 1.15 * len(made), title="Characters, and their near misses by one stroke below them"
    )
    boxes = np.atleast_1d(figure.subfigures(len(made), 1))
    for box, (edit, before, after) in zip(boxes, made, strict=True):
        panels = box.subplots(2, 12)
        for column in range(12):
            for row, drawings, colour in ((0, before, BLUE), (1, after, ORANGE)):
                show_ink(panels[row, column], drawings[column].astype(float), frame=colour)
        panels[0, 0].set_ylabel(edit, fontsize=7)
    save(figure, path)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make an Omniglot with near misses of its characters.")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--data")
    parser.add_argument("--edits", nargs="+", choices=EDITS, default=EDITS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        alphabets = load_omniglot(find_data(options.data, *BACKGROUND_FILES))
    except ScratchnetError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    kept_out = {*VALIDATION_ALPHABETS, *CONFIRMATION_ALPHABETS}
    rng = np.random.default_rng(options.seed)
    if options.picture:
        some = [alphabet for alphabet in alphabets if alphabet.name not in kept_out]
        made = []
        for number in range(12):
            alphabet, edit = some[number % len(some)], options.edits[number % len(options.edits)]
            for drawings in rng.permutation(alphabet.images):
                if (after := near_miss([Traced.of(ink) for ink in drawings], edit, rng)) is not None:
                    made.append((edit, drawings, np.stack(after)))
                    break
        picture(made, options.picture)
    enriched = []
    for alphabet in alphabets:
        enriched.append(alphabet if alphabet.name in kept_out else with_near_misses(alphabet, options.edits, rng))
        print(
            f"{alphabet.name}: {alphabet.characters} characters, {enriched[-1].characters} with near misses", flush=True
        )
    options.out.mkdir(parents=True, exist_ok=True)
    write_set(options.out / "images_background.zip", enriched)
    return 0


if __name__ == "__main__":
    sys.exit(main())
