"""Draw docs/images/official_run.png, the picture at the top of the README, with the bundled network.

    python docs/make_picture.py

Left: the first query of Lake's first official run and the 20 characters to choose from, each with the probability
that it shows the same character. Right: these probabilities for all 20 queries. Needs matplotlib
(`pip install -e ".[study]"`).
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from PIL import Image

import scratchnet as sn

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "official_run.png"
WIDTH, HEIGHT, SCALE = 900, 424, 2  # pixels on the page; the file has SCALE times as many, for dense screens
INK, GREY, LINE, GREEN = "#1f2430", "#6b7280", "#d1d5db", "#0b7a53"


def crop(ink: np.ndarray) -> np.ndarray:
    """The smallest square around the ink, with a margin of 3 pixels: (H, W) -> (S, S)."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    side = max(height, width) + 6
    square = np.zeros((side, side))
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return square


def draw_character(page: Axes, ink: np.ndarray, x: float, y: float, size: float) -> None:
    """Draw `ink` (H, W) as a square of `size` pixels whose upper left corner is at (x, y)."""
    rgba = np.empty((*ink.shape, 4))
    rgba[..., :3] = to_rgb(INK)
    rgba[..., 3] = ink
    page.imshow(rgba, extent=(x, x + size, y + size, y), interpolation="antialiased", aspect="auto", zorder=3)


def draw_choice(page: Axes, query: np.ndarray, supports: np.ndarray, probabilities: np.ndarray) -> None:
    """Draw one query (H, W) and its 20 supports (20, H, W) with their probabilities (20,)."""
    page.text(24, 32, "Twenty new characters, one example of each", color=INK, size=10.5, weight="bold")
    page.text(24, 50, "from an alphabet the network has never seen", color=GREY, size=9)
    page.add_patch(Rectangle((24, 164), 112, 112, facecolor="none", edgecolor=INK, linewidth=1.2))
    draw_character(page, query, 30, 170, 100)
    page.text(80, 295, "Which is this?", color=INK, size=9.5, weight="bold", ha="center")
    page.text(80, 311, "in another hand", color=GREY, size=8, ha="center")
    for k, probability in enumerate(probabilities):
        x, y, size = 166 + 66 * (k % 5), 74 + 85 * (k // 5), 56
        chosen = k == probabilities.argmax()
        colour, weight = (GREEN, "bold") if chosen else (GREY, "normal")
        frame = {"edgecolor": GREEN, "linewidth": 2.2} if chosen else {"edgecolor": LINE, "linewidth": 0.8}
        page.add_patch(Rectangle((x, y), size, size, facecolor="none", **frame))
        draw_character(page, supports[k], x + 3, y + 3, size - 6)
        page.add_patch(Rectangle((x, y + size + 5), size, 4, facecolor="#e5e7eb", linewidth=0))
        page.add_patch(Rectangle((x, y + size + 5), size * probability, 4, facecolor=colour, linewidth=0))
        page.text(x + size / 2, y + size + 20, f"{probability:.2f}", color=colour, size=8, weight=weight, ha="center")


def draw_matrix(page: Axes, queries: np.ndarray, supports: np.ndarray, probabilities: np.ndarray) -> None:
    """Draw queries (20, H, W) beside the rows and supports (20, H, W) above the columns of probabilities (20, 20)."""
    left, top, cell = 563, 97, 15.4
    right_answers = int((probabilities.argmax(axis=1) == np.arange(20)).sum())
    page.text(left - 24, 32, f"All 20 queries: {right_answers} right", color=INK, size=10.5, weight="bold")
    page.text(left - 24, 50, "each row peaks on the diagonal", color=GREY, size=9)
    for i in range(20):
        draw_character(page, crop(supports[i]), left + cell * i + 1, top - 20, cell - 3)
        draw_character(page, crop(queries[i]), left - 20, top + cell * i + 1, cell - 3)
        for j, probability in enumerate(probabilities[i]):
            corner = (left + cell * j, top + cell * i)
            shade = 0.04 + 0.96 * float(probability)
            page.add_patch(Rectangle(corner, cell - 1, cell - 1, facecolor=GREEN, alpha=shade, linewidth=0))


def main() -> None:
    (run,) = sn.oneshot.official_runs(ROOT / "examples" / "omniglot")
    net = sn.load_model("omniglot", device="cpu")
    scores = net.scores(run.query, run.support).astype(np.float64)  # (queries, supports), logits
    probabilities = 1 / (1 + np.exp(-scores))
    diagonal = np.argsort(run.query_labels)  # the queries in the order of their supports

    plt.rcParams["font.family"] = "DejaVu Sans"  # it comes with matplotlib
    figure = plt.figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100 * SCALE, facecolor="white")
    page = figure.add_axes((0, 0, 1, 1))
    page.axis("off")
    draw_choice(page, run.query[0], run.support, probabilities[0])
    draw_matrix(page, run.query[diagonal], run.support, probabilities[diagonal])
    page.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))

    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE)
    with Image.open(PICTURE) as picture:
        picture.convert("RGB").quantize(192).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
