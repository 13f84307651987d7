"""Learning curves: the loss of each epoch, and the validation with its 95 % interval."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from scratchnet.errors import DataError
from scratchnet.explain.plots.page import (
    COLOURS,
    DASHES,
    GREY,
    MARKS,
    WIDTH,
    Axes,
    Figure,
    in_our_style,
    new_figure,
    shortened,
)

Log = Sequence[Mapping[str, Any]]  # a record for each epoch, as `train.read_log` gives them
MARKS_A_CURVE = 12  # about, however many epochs it has
LONGEST_NAME = 60  # characters
WITH_INTERVALS = 3  # runs at most whose intervals are drawn: more would hide each other


def _epochs(log: Log) -> list[float]:
    return [record["epoch"] for record in log]


def _thousand_images(log: Log) -> list[float]:
    return list(accumulate(record["seconds"] * record["images_per_second"] / 1000 for record in log))


def _minutes(log: Log) -> list[float]:
    return list(accumulate(record["seconds"] / 60 for record in log))


AGAINST: dict[str, tuple[str, Callable[[Log], list[float]]]] = {  # the label of the axis, and its values
    "epochs": ("epoch", _epochs),
    "images": ("images seen, thousands", _thousand_images),
    "minutes": ("training time, minutes", _minutes),
}


def expect_curve(name: str, log: Log, *, against: str = "epochs") -> None:
    """Raise DataError for a log without epochs, and for one without times that is to be drawn against any."""
    if not log:
        raise DataError(f"the log of {name} has no epoch yet: wait until the first has ended")
    if against != "epochs" and any("seconds" not in record for record in log):
        raise DataError(f"the log of {name} has no times: draw it against epochs")


@in_our_style
def curves(logs: Mapping[str, Log], *, against: str = "epochs", kept: Mapping[str, int] | None = None) -> Figure:
    """The learning curves of runs by their name; against: a key of AGAINST.

    kept: the number of the epoch whose network a run keeps, which gets a ring. A run without a validation has a curve
    of its loss alone; if no run has one, there is no second panel. Raises DataError as `expect_curve` does.
    """
    for name, log in logs.items():
        expect_curve(name, log, against=against)
    validated = any(record["validation"] is not None for log in logs.values() for record in log)
    intervals = len(logs) <= WITH_INTERVALS and any(record.get("interval") for log in logs.values() for record in log)
    notes = ["Band: 95 % interval of the validation."] if intervals else []
    notes += ["Ring: the epoch whose network is kept."] if validated and kept else []
    labels = [shortened(name, LONGEST_NAME) for name in logs]
    columns = min(len(logs), max(1, 84 // (max(map(len, labels)) + 8)), 3)
    figure = new_figure(
        WIDTH if validated else 5.0,
        3.2 + (0.18 * -(-len(logs) // columns) if len(logs) > 1 else 0),
        title=f"Learning curves of {next(iter(logs)) if len(logs) == 1 else f'{len(logs)} runs'}",
        note=" ".join(notes) if len(logs) == 1 else "",
    )
    panels = figure.subplots(1, 2 if validated else 1, squeeze=False)[0]
    label, values = AGAINST[against]
    for number, (name, log) in enumerate(logs.items()):
        x, line = values(log), _line(number, len(log), labels[number])
        panels[0].plot(x, [record["loss"] for record in log], **line)
        if validated:
            _validation(panels[1], x, log, line, intervals, (kept or {}).get(name))
    panels[0].set(title="Training loss", ylabel="cross-entropy, nats")
    panels[0].set_ylim(bottom=0)
    if validated:
        panels[1].set(title="One-shot validation", ylabel="right choices, %")
        low, high = panels[1].get_ylim()
        panels[1].set_ylim(low, min(high, 100))
    for axes in panels:
        axes.set_xlabel(label)
        axes.grid(axis="y")
        if against == "epochs":
            in_whole_epochs(axes, max(len(log) for log in logs.values()))
    if len(logs) > 1:
        place = {"loc": "outside lower left", "ncols": columns, "handlelength": 3, "alignment": "left"}
        legend = figure.legend(*panels[0].get_legend_handles_labels(), title=" ".join(notes) or None, **place)
        legend.get_title().set(fontsize=8, color=GREY)
    return figure


def _line(number: int, epochs: int, name: str) -> dict[str, Any]:
    """The looks of a run's curve: no two of the first 32 are alike, and the first 8 differ in colour and marks."""
    return {
        "label": name,
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[(number + number // len(COLOURS)) % len(DASHES)],
        "marker": MARKS[number % len(MARKS)],
        "markevery": max(1, round(epochs / MARKS_A_CURVE)),
    }


def _validation(
    axes: Axes, x: Sequence[float], log: Log, line: Mapping[str, Any], intervals: bool, kept: int | None
) -> None:
    shown = [(at, record) for at, record in zip(x, log, strict=True) if record["validation"] is not None]
    axes.plot([at for at, _ in shown], [100 * record["validation"] for _, record in shown], **line)
    bands = [(at, record["interval"]) for at, record in shown if record.get("interval")]
    if intervals and bands:
        low, high = ([100 * interval[end] for _, interval in bands] for end in (0, -1))
        if len(bands) > 1:
            axes.fill_between([at for at, _ in bands], low, high, color=line["color"], alpha=0.15, linewidth=0)
        else:
            axes.vlines([at for at, _ in bands], low, high, color=line["color"], alpha=0.5)
    for at, record in shown:
        if record["epoch"] == kept:
            ring = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgecolor": line["color"]}
            axes.plot([at], [100 * record["validation"]], **ring)


def in_whole_epochs(axes: Axes, epochs: int) -> None:
    """Mark the x axis at whole epochs only; `epochs` is the last one."""
    axes.xaxis.get_major_locator().set_params(integer=True)
    if epochs == 1:
        axes.set(xlim=(0.5, 1.5), xticks=[1])
