"""A grid of warps: what training makes of each drawing before the network sees it."""

from collections.abc import Sequence

import numpy as np

from scratchnet.backend import CPU, to_host
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.drawings import Drawings
from scratchnet.explain.plots.page import BLUE, GREY, WIDTH, Figure, in_our_style, new_figure, show_ink
from scratchnet.images.frames import find_frame
from scratchnet.train.batches import distorted
from scratchnet.train.recipe import Recipe

DRAWINGS, COPIES = 5, 8


def warped(recipe: Recipe, alphabets: Sequence[Alphabet]) -> tuple[np.ndarray, np.ndarray]:
    """Drawings (K, S, S) of different alphabets, and copies (K, M, S, S) as this recipe distorts them for training."""
    frame = str(recipe.architecture.get("frame", "page"))
    find_frame(frame)
    chosen = [Alphabet(alphabet.name, alphabet.images[:1, :1]) for alphabet in alphabets[:DRAWINGS]]
    drawings = Drawings.of(chosen, recipe.image_size, frame=frame)
    plain = to_host(drawings.ink(np.arange(len(chosen)), CPU))
    copies = to_host(distorted(recipe, 0, 0, plain.repeat(COPIES, axis=0)))
    return plain, copies.reshape(len(chosen), COPIES, *plain.shape[1:])


def described(recipe: Recipe) -> str:
    """The distortions of a recipe in words."""
    parts = ["affine distortions"] if recipe.distort else []
    parts += [f"elastic warps of up to {100 * recipe.elastic:g} % of the side"] if recipe.elastic else []
    parts += [f"thicker and thinner strokes, up to {100 * recipe.stroke:g} %"] if recipe.stroke else []
    turned = ". Whole episodes are also turned and mirrored, which is not shown" if recipe.symmetries else ""
    return (", ".join(parts).capitalize() or "Nothing: drawings are seen as they are") + turned + "."


@in_our_style
def warps(drawings: np.ndarray, copies: np.ndarray, *, title: str, note: str = "") -> Figure:
    """Drawings (K, S, S) in the first column, and beside each its warped copies (K, M, S, S)."""
    K, M = copies.shape[:2]
    figure = new_figure(WIDTH, 0.95 + 0.76 * K, title=title, note=note)
    panels = figure.subplots(K, M + 2, squeeze=False, width_ratios=[1, 0.15, *[1] * M])
    for row, drawing, warped_copies in zip(panels, drawings, copies, strict=True):
        row[1].axis("off")
        show_ink(row[0], drawing, frame=BLUE)
        for axes, copy in zip(row[2:], warped_copies, strict=True):
            show_ink(axes, copy)
    panels[0, 0].set_title("drawn", fontsize=8, color=BLUE)
    panels[0, 2].set_title("as training sees it", fontsize=8, color=GREY)
    return figure
