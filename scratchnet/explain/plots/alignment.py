"""How a query is aligned: the field that warps it onto each of its best matches, and what the score is made of."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scratchnet.backend import to_host
from scratchnet.explain.plots.page import (
    BLUE,
    GREEN,
    GREY,
    RED,
    WIDTH,
    Axes,
    Figure,
    coloured,
    in_our_style,
    new_figure,
    shortened,
    show_ink,
)
from scratchnet.images.align import basis_at, warped
from scratchnet.models.scoring import Look
from scratchnet.models.siamese import SiameseNet

LINES = 13  # of the grid, along each axis
FINE = 97  # points along a line


class Fitted(NamedTuple):
    """A query (S, S) fitted onto a support (S, S): what it becomes, its field (2, K), and the parts of the score."""

    name: str
    query: np.ndarray
    support: np.ndarray
    warped: np.ndarray
    field: np.ndarray
    score: float
    logit: float
    warped_logit: float
    residual: float
    energy: float


def fitted(net: SiameseNet, query: Look, supports: Look, names: Sequence[str], count: int) -> list[Fitted]:
    """The `count` supports that match one query best, as the network sees them, the best after aligning first.

    query and supports: of `net.look(..., keep=True)`, or ScratchnetError is raised. names: of all supports.
    """
    best = np.argsort(-to_host(net.match(query, supports))[0])[:count]
    repeated, chosen = query.rows(net.device.upload(0 * best)), supports.rows(net.device.upload(best))
    made = net.align_pairs(repeated, chosen)
    pictures = repeated.kept, chosen.kept, warped(repeated.kept, made.forth.field), made.forth.field
    arrays = [to_host(each) for each in (*pictures, *made[:5])]
    fits = [
        Fitted(names[number], *(array[n] for array in arrays[:4]), *(float(array[n]) for array in arrays[4:]))
        for n, number in enumerate(best)
    ]
    return sorted(fits, key=lambda fit: -fit.score)


@in_our_style
def alignment(fits: Sequence[Fitted], *, query: str) -> Figure:
    """A row for each fit: the query under the grid that its field reads it by, the query warped, the support, both."""
    figure = new_figure(
        WIDTH,
        0.85 + 1.32 * len(fits),
        title=f"{shortened(query, 60)}, aligned with its best matches",
        note="The grid shows where on the query each point of the warped query is read. T is the logit before, W after "
        "warping (both ways, each onto the other), r what is left of the difference, e how much the fields bend. "
        "The score rises with T and W, and falls with r and e.",
    )
    panels = figure.subplots(len(fits), 5, squeeze=False, width_ratios=[1, 1, 1, 1, 1.15])
    for row, (axes, fit) in enumerate(zip(panels, fits, strict=True)):
        show_ink(axes[0], fit.query)
        _draw_grid(axes[0], fit.field, len(fit.query))
        show_ink(axes[1], fit.warped, BLUE)
        show_ink(axes[2], fit.support, RED)
        show_ink(axes[3], fit.support, RED)
        axes[3].imshow(coloured(fit.warped, BLUE), interpolation="antialiased", alpha=0.6)
        _describe(axes[4], fit, GREEN if row == 0 else GREY)
        for panel, title in zip(axes, ("query, its grid", "query, warped", "support", "both"), strict=False):
            panel.set_title(title if row == 0 else "", fontsize=8, color=GREY)
    return figure


def _draw_grid(axes: Axes, field: np.ndarray, side: int) -> None:
    """The lines of a regular grid on the support, drawn where the field reads them on the query."""
    places = np.linspace(-1, 1, LINES)
    along = np.linspace(-1, 1, FINE)
    for place in places:
        for x, y in ((along, np.full(FINE, place)), (np.full(FINE, place), along)):
            u = field @ basis_at(x, y).T
            axes.plot(
                (x + u[0] + 1) * side / 2 - 0.5, (y + u[1] + 1) * side / 2 - 0.5, color=BLUE, linewidth=0.5, alpha=0.7
            )
    axes.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5))


def _describe(axes: Axes, fit: Fitted, colour: str) -> None:
    axes.axis("off")
    lines = [f"T {fit.logit:+.1f}   W {fit.warped_logit:+.1f}", f"r {fit.residual:.3f}   e {fit.energy:.1f}"]
    axes.text(0, 0.78, shortened(fit.name, 22), transform=axes.transAxes, fontsize=9, weight="bold", color=colour)
    axes.text(0, 0.58, f"score {fit.score:+.2f}", transform=axes.transAxes, fontsize=9, color=colour)
    axes.text(0, 0.24, "\n".join(lines), transform=axes.transAxes, fontsize=8, color=GREY, linespacing=1.5)
