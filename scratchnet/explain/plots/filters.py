"""The filters of the first layer: what each of its channels looks for in a picture."""

import importlib
import math

import numpy as np

from scratchnet.backend import to_host
from scratchnet.errors import DataError
from scratchnet.explain.plots.page import BLUE, GREY, PAPER, RED, Figure, in_our_style, new_figure
from scratchnet.models.siamese import SiameseNet


def first_kernels(net: SiameseNet) -> np.ndarray:
    """The kernels (O, kh, kw) of the first convolution. Raises DataError unless it looks at one input channel."""
    weight = next((value for value in net.params.values() if value.ndim == 4), None)
    if weight is None or weight.shape[2] != 1:
        raise DataError("the network does not begin with a convolution of one input channel: it has no filters to show")
    return np.ascontiguousarray(to_host(weight)[:, :, 0].transpose(2, 0, 1))


@in_our_style
def filters(kernels: np.ndarray, *, name: str) -> Figure:
    """Kernels (O, kh, kw) as pictures, all on one scale: red for positive weights, blue for negative ones."""
    O, kh, kw = kernels.shape
    across = min(O, max(4, math.ceil(math.sqrt(1.6 * O))))
    down = -(-O // across)
    cell = min(0.75, 6.0 / across)
    figure = new_figure(
        max(4.5, across * cell + 1.1),
        down * (cell + 0.04) + 0.85,
        title=f"First layer of {name}: {O} filters of {kh} x {kw}",
        note="Ink on red weights excites the channel, ink on blue ones inhibits it.",
    )
    panels = figure.subplots(down, across, squeeze=False)
    colours = importlib.import_module("matplotlib.colors")
    scale = colours.LinearSegmentedColormap.from_list("weights", [BLUE, PAPER, RED])
    largest = float(np.abs(kernels).max()) or 1.0
    for axes in panels.flat[O:]:
        axes.axis("off")
    for number, (axes, kernel) in enumerate(zip(panels.flat, kernels, strict=False)):
        shown = axes.imshow(kernel, cmap=scale, vmin=-largest, vmax=largest, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(str(number), fontsize=6, color=GREY, loc="center", pad=2)
        for spine in axes.spines.values():
            spine.set(visible=True, color=GREY, linewidth=0.5)
    bar = figure.colorbar(shown, ax=panels, shrink=min(1.0, 1.6 / (down * cell)), aspect=14, pad=0.02)
    bar.set_label("weight")
    bar.outline.set_visible(False)
    return figure
