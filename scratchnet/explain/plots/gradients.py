"""How large the gradients of each layer are over training: whether they vanish or explode on their way back."""

import importlib
from collections.abc import Mapping
from typing import Any

from scratchnet.errors import DataError
from scratchnet.explain.plots.curves import MARKS_A_CURVE, Log, in_whole_epochs
from scratchnet.explain.plots.page import PAPER, WIDTH, Axes, Figure, in_our_style, new_figure, shortened

ACROSS = 3  # panels in a row
LONGEST_NAME = 26  # characters, of a panel
SHADES = (0.0, 0.86)  # the part of viridis that is dark enough for lines


def measured_epochs(name: str, log: Log) -> Log:
    """The records that have the norms of gradients. Raises DataError if none has."""
    if found := [record for record in log if record.get("gradient_norms")]:
        return found
    raise DataError(
        f"the log of {name} has no gradient norms: it is one of scratchnet 0.1 or of --measured-steps 0, train it again"
    )


@in_our_style
def gradient_norms(logs: Mapping[str, Log]) -> Figure:
    """The norm of each layer's gradient in each epoch, of runs by their name, a panel for each run.

    Layers go from dark at the input to light at the output; those of normalisation are dashed, with hollow marks, in
    the colour of the layer before them. Epochs that were not measured are left out. Raises DataError as
    `measured_epochs` does.
    """
    measured = {name: measured_epochs(name, log) for name, log in logs.items()}
    across = min(len(logs), ACROSS)
    down = -(-len(logs) // across)
    layers = list(dict.fromkeys(layer for log in measured.values() for r in log for layer in r["gradient_norms"]))
    epochs = max(record["epoch"] for log in measured.values() for record in log)
    looks = _looks(layers, mark=3.5 if across == 1 else 2.5)
    figure = new_figure(
        WIDTH if across > 1 else 5.6,
        max(0.9 + 2.2 * down, 1.1 + 0.17 * len(layers)),
        title=f"Gradients of {next(iter(logs))}, layer by layer" if len(logs) == 1 else "Gradients, layer by layer",
        note="Mean norm over the measured steps of each epoch, of all parameters of a layer together.",
    )
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes, (name, log) in zip(panels.flat, measured.items(), strict=False):
        for layer in layers:
            points = [(r["epoch"], r["gradient_norms"][layer]) for r in log if layer in r["gradient_norms"]]
            points = [(epoch, norm) for epoch, norm in points if norm > 0]
            if points:
                marked = {"markevery": max(1, round(len(points) / MARKS_A_CURVE))}
                axes.plot(*zip(*points, strict=True), **marked, **looks[layer])
        axes.set(
            title=shortened(name, LONGEST_NAME) if len(logs) > 1 else "",
            xlabel="epoch",
            yscale="log",
            xlim=(0.5, epochs + 0.5),
        )
        in_whole_epochs(axes, epochs)
        axes.grid(axis="y")
    for axes in panels.flat[len(logs) :]:
        axes.axis("off")
    for row in panels:
        row[0].set_ylabel("norm of the gradient")
    _plain_ticks(panels[0, 0])
    handles = [_handle(layer, looks[layer]) for layer in reversed(layers)]  # the output on top, as its lines often are
    figure.legend(handles=handles, loc="outside right upper", handlelength=2.5, title="output on top", alignment="left")
    return figure


def _plain_ticks(axes: Axes) -> None:
    """Numbers such as 0.05, between the powers of ten as well; where there are many of these, such as 1e-05."""
    ticker = importlib.import_module("matplotlib.ticker")
    low, high = axes.get_ylim()
    subs, form = ((1, 2, 5), "g") if high < 300 * low else ((1,), ".0e")
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: format(value, form)))
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def _looks(layers: list[str], mark: float) -> dict[str, dict[str, Any]]:
    """Colour, dashes and marks of each layer's line."""
    viridis = importlib.import_module("matplotlib").colormaps["viridis"]
    weighted = [layer for layer in layers if not _normalises(layer)]
    low, high = SHADES
    shade = low
    looks: dict[str, dict[str, Any]] = {}
    for layer in layers:
        if layer in weighted:
            shade = low + (high - low) * weighted.index(layer) / max(1, len(weighted) - 1)
        look = {"color": viridis(shade), "marker": "o", "markersize": mark}
        if _normalises(layer):
            look |= {"linestyle": (0, (2, 1)), "linewidth": 1.0, "markerfacecolor": PAPER, "markeredgewidth": 0.8}
        looks[layer] = look
    return looks


def _normalises(layer: str) -> bool:
    return layer.rpartition(".")[2].startswith("norm")


def _handle(layer: str, look: Mapping[str, Any]) -> Any:
    line = importlib.import_module("matplotlib.lines").Line2D
    return line([], [], label=layer.removeprefix("encoder."), **look)
