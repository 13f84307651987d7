"""How large the gradients of each layer are over training: whether they vanish or explode on their way back."""

import importlib
from collections.abc import Mapping
from typing import Any

from scratchnet.errors import DataError
from scratchnet.explain.plots.curves import MARKED, Log
from scratchnet.explain.plots.page import WIDTH, Axes, Figure, in_our_style, new_figure

ACROSS = 3  # panels in a row
SHADES = (0.0, 0.86)  # the part of viridis that is dark enough for lines


@in_our_style
def gradient_norms(logs: Mapping[str, Log]) -> Figure:
    """The norm of each layer's gradient in each epoch, of runs by their name, a panel for each run.

    Layers go from dark at the input to light at the output; those of normalisation are dashed, in the colour of the
    layer before them. Epochs that were not measured are left out. Raises DataError for a log without any.
    """
    measured = {name: [record for record in log if record.get("gradient_norms")] for name, log in logs.items()}
    for name, log in measured.items():
        if not log:
            raise DataError(
                f"the log of {name} has no gradient norms: `scratchnet train` measures them since 0.2, unless it is "
                "given --measured-steps 0"
            )
    across = min(len(logs), ACROSS)
    down = -(-len(logs) // across)
    layers = list(dict.fromkeys(layer for log in measured.values() for r in log for layer in r["gradient_norms"]))
    looks = _looks(layers)
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
                axes.plot(*zip(*points, strict=True), marker="." if len(log) <= MARKED else None, **looks[layer])
        axes.set(title=name if len(logs) > 1 else "", xlabel="epoch", yscale="log")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y")
        if len(log) == 1:
            axes.set(xlim=(log[0]["epoch"] - 0.5, log[0]["epoch"] + 0.5), xticks=[log[0]["epoch"]])
    for axes in panels.flat[len(logs) :]:
        axes.axis("off")
    for row in panels:
        row[0].set_ylabel("norm of the gradient")
    _plain_ticks(panels[0, 0])
    handles = [_handle(layer, looks[layer]) for layer in reversed(layers)]  # the output on top, as its lines often are
    figure.legend(handles=handles, loc="outside right upper", handlelength=2.5, title="output on top", alignment="left")
    return figure


def _plain_ticks(axes: Axes) -> None:
    """Numbers such as 0.05; between the powers of ten as well where there are few of these."""
    ticker = importlib.import_module("matplotlib.ticker")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def _looks(layers: list[str]) -> dict[str, dict[str, Any]]:
    """Colour and dashes of each layer's line."""
    viridis = importlib.import_module("matplotlib").colormaps["viridis"]
    weighted = [layer for layer in layers if not _normalises(layer)]
    low, high = SHADES
    shade, looks = low, {}
    for layer in layers:
        if layer in weighted:
            shade = low + (high - low) * weighted.index(layer) / max(1, len(weighted) - 1)
        dashed = {"linestyle": (0, (2, 1)), "linewidth": 1.0} if _normalises(layer) else {"linestyle": "-"}
        looks[layer] = {"color": viridis(shade), **dashed}
    return looks


def _normalises(layer: str) -> bool:
    return layer.rpartition(".")[2].startswith("norm")


def _handle(layer: str, look: Mapping[str, Any]) -> Any:
    line = importlib.import_module("matplotlib.lines").Line2D
    return line([], [], label=layer.removeprefix("encoder."), **look)
