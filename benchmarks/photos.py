"""Measure how well a network reads photos: one-shot trials in which the queries are synthetic photos.

    python benchmarks/photos.py MODEL [--data DIR] [--trials N] [--kinds NAME ...] [--align N] [--json]

Random 20-way trials within alphabets that were held out of training, the same for each kind of photo; the supports are
clean drawings. A photo in which no character is found counts as wrong.
"""

import argparse
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageFilter

from scratchnet.backend import to_host
from scratchnet.checkpoint import load_model_with_notes
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.splits import background_split, glyph_split
from scratchnet.errors import DataError, ScratchnetError
from scratchnet.images.frames import find_frame
from scratchnet.images.strokes import thickened
from scratchnet.models.scoring import usual_align
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.tasks import kept_out
from scratchnet.oneshot.trials import Result, Run, count_correct, sample_runs

Colour = tuple[float, float, float]


class Takes(Protocol):
    """Turns a drawing into a picture of it."""

    def take(self, drawing: np.ndarray, rng: np.random.Generator) -> Image.Image: ...


@dataclass(frozen=True)
class Camera:
    """How a drawing becomes a photo. Lengths are in pixels; light and shadow are the shares of light that are lost.

    side: of the drawing in the photo. pen: thickens the strokes by this many pixels of the drawing. room: the margins
    of the photo above, below, to the left and to the right of the drawing. table: the width of a rim of dark wood.
    """

    side: int = 300
    pen: float = 0.0
    ink: Colour = (0.1, 0.1, 0.12)
    paper: Colour = (0.95, 0.94, 0.92)
    room: tuple[int, int, int, int] = (0, 0, 0, 0)
    table: int = 0
    light: float = 0.0
    shadow: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    jpeg: int = 0

    def take(self, drawing: np.ndarray, rng: np.random.Generator) -> Image.Image:
        """A photo of a drawing (H, W) bool; `rng` places light and shadow and adds the noise."""
        ink = np.pad(self._drawn(drawing), (self.room[:2], self.room[2:]))[..., None]
        scene = np.array(self.paper) * (1 - ink) + np.array(self.ink) * ink
        if self.table:
            scene[:, -self.table :] = (0.25, 0.18, 0.12)
        seen = 255 * scene * self._lit(scene.shape[0], scene.shape[1], rng)[..., None]
        photo = Image.fromarray(np.rint(seen).astype(np.uint8)).filter(ImageFilter.GaussianBlur(self.blur))
        noisy = np.asarray(photo) + 255 * self.noise * rng.standard_normal(seen.shape)
        return self._saved(Image.fromarray(np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)))

    def _drawn(self, drawing: np.ndarray) -> np.ndarray:
        """The share of each pixel that ink covers, (side, side) from 0 to 1, with smooth outlines."""
        scale = self.side / len(drawing)
        enlarged = Image.fromarray(np.where(drawing, 255, 0).astype(np.uint8)).resize((self.side, self.side))
        ink = np.asarray(enlarged.filter(ImageFilter.GaussianBlur(max(0.0, scale - 1)))) > 127
        if self.pen == 0:
            return ink.astype(np.float32)
        broader = thickened(ink if self.pen > 0 else ~ink, scale * abs(self.pen) / 2)
        return broader if self.pen > 0 else 1 - broader

    def _lit(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """The light on each pixel (height, width): it fades to one side, and there is a shadow with a wavy edge."""
        y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
        away, across = rng.uniform(0, 2 * np.pi, 2)
        falling = 1 - self.light * (0.5 + (np.cos(away) * x + np.sin(away) * y) / np.sqrt(2))
        into = np.cos(across) * x + np.sin(across) * y + 0.05 * np.sin(8 * x)
        return falling * (1 - self.shadow / (1 + np.exp(-40 * into)))

    def _saved(self, photo: Image.Image) -> Image.Image:
        if not self.jpeg:
            return photo
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=self.jpeg)
        return Image.open(file)


CAMERAS = {
    "as drawn": Camera(side=105, ink=(0, 0, 0), paper=(1, 1, 1)),
    "large": Camera(side=1000),
    "light on dark": Camera(ink=(0.9, 0.9, 0.85), paper=(0.1, 0.2, 0.15)),
    "red on green": Camera(ink=(0.8, 0.15, 0.1), paper=(0.2, 0.55, 0.2)),
    "thick pen": Camera(pen=5),
    "thin pen": Camera(pen=-3.2),
    "uneven light": Camera(light=0.8),
    "shadow": Camera(shadow=0.6),
    "noise": Camera(noise=0.35),
    "blur": Camera(blur=5),
    "JPEG": Camera(side=200, jpeg=8),
    "small and off-centre": Camera(side=100, room=(900, 100, 80, 800)),
    "rim of the table": Camera(room=(0, 0, 0, 50), table=45, light=0.5, noise=0.02),
    "all together": Camera(
        side=200,
        pen=2,
        ink=(0.35, 0.1, 0.4),
        paper=(0.85, 0.8, 0.6),
        room=(100, 60, 20, 130),
        table=20,
        light=0.5,
        shadow=0.4,
        noise=0.05,
        blur=1,
        jpeg=50,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run folder or a weights file")
    parser.add_argument("--data", help="where Omniglot is (default: SCRATCHNET_DATA)")
    parser.add_argument("--trials", type=int, default=400, help="of each kind (default 400)")
    parser.add_argument("--kinds", nargs="+", choices=list(CAMERAS), default=list(CAMERAS), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--align", type=int, help="how many matches (default: as many as `scratchnet evaluate`)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    net, notes = load_model_with_notes(options.model)
    alphabets = unseen_alphabets(notes.get("recipe", {}), options.data)
    runs = sample_runs(alphabets, -(-options.trials // 20), rng=np.random.default_rng(options.seed))
    align = usual_align(net.frame, notes.get("recipe", {})) if options.align is None else options.align
    rows = []
    for kind in options.kinds:
        rng = np.random.default_rng(options.seed)
        rows.append({"photos": kind, **measure(net, runs, CAMERAS[kind], rng, align)})
        if not options.json:
            print_row(rows[-1], header=len(rows) == 1)
    if options.json:
        print(json.dumps({"model": options.model, "frame": net.frame, "align": align, "results": rows}, indent=2))


def unseen_alphabets(recipe: dict[str, Any], data: str | None) -> list[Alphabet]:
    """The alphabets that `recipe` held out of training."""
    if recipe.get("data") == "glyphs":
        return glyph_split(105).test
    kept = kept_out([recipe])
    if not kept:
        raise SystemExit("photos.py: the model was trained on all background alphabets: give a twin that kept some out")
    return background_split(data, validation=kept).validation


def measure(
    net: SiameseNet, runs: Sequence[Run], camera: Takes, rng: np.random.Generator, align: int
) -> dict[str, Any]:
    """The number of queries recognised in photos by `camera`, and of photos in which no character is found.

    align: how many of the best matches of a query.
    """
    fit = find_frame(net.frame).fit
    of_framed = replace(net, frame="page")
    correct = refused = 0
    for run in runs:
        read = [reading(net, camera.take(drawing, rng)) for drawing in run.query]
        found = [i for i, query in enumerate(read) if query is not None]
        refused += len(read) - len(found)
        if found:
            supports = fit(run.support.astype(np.float32), net.image_size)
            scores = of_framed.scores(np.stack([read[i] for i in found]), supports, align=align)
            correct += count_correct(to_host(scores), run.support_labels, run.query_labels[found])
    return {**Result(correct, sum(len(run.query) for run in runs)).as_dict(), "no character found": refused}


def reading(net: SiameseNet, photo: Image.Image) -> np.ndarray | None:
    """The photo as the network sees it, (size, size), or None if no character is found."""
    frame = find_frame(net.frame)
    try:
        return frame.fit(frame.read(photo)[None], net.image_size)[0]
    except DataError:
        return None


def print_row(row: dict[str, Any], header: bool) -> None:
    if header:
        print("| photos of the queries | right | 95 % interval | no character found |\n|---|---|---|---|")
    low, high = row["interval"]
    cells = row["photos"], f"{row['accuracy']:.1%}", f"{low:.1%} - {high:.1%}", str(row["no character found"])
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except ScratchnetError as error:
        sys.exit(f"photos.py: {error}")
