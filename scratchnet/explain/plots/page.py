"""What all pictures share: colours, type, and how a figure is made and saved.

The colours are those of Okabe and Ito (2008, "Color Universal Design"), which people with any kind of colour vision can
tell apart, without their yellow, which is too light for a line on paper. Lines also differ in dashes and marks, for
print in black and white.
"""

import importlib
import io
import textwrap
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np

from scratchnet.errors import ScratchnetError, install_extra
from scratchnet.files.atomic import write_bytes

Figure = Any  # matplotlib.figure.Figure
Axes = Any  # matplotlib.axes.Axes
P = ParamSpec("P")

BLUE, RED, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
BLACK, GREY, LIGHT, PAPER = "#000000", "#666666", "#D9D9D9", "#FFFFFF"
COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
FORMATS = ("png", "svg")
DPI = 200
WIDTH = 7.2  # inches, the text of a printed page
STYLE = {
    "font.family": "DejaVu Sans",  # it comes with matplotlib
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.labelcolor": BLACK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": BLACK,
    "ytick.labelcolor": BLACK,
    "grid.color": LIGHT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.0,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "text.parse_math": False,  # a name may hold a $
    "svg.hashsalt": "scratchnet",  # the same picture is the same file
}


def expect_matplotlib() -> None:
    """Raise ScratchnetError, which says what to install, unless matplotlib can be imported."""
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError as cause:
        raise ScratchnetError(
            f"pictures are drawn with matplotlib, which is not installed; {install_extra('study')}"
        ) from cause


def in_our_style(function: Callable[P, Any]) -> Callable[P, Any]:
    """Let a function draw or save in STYLE; it raises ScratchnetError without matplotlib."""

    @wraps(function)
    def styled(*arguments: P.args, **options: P.kwargs) -> Any:
        expect_matplotlib()
        matplotlib = importlib.import_module("matplotlib")
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            return function(*arguments, **options)

    return styled


def new_figure(width: float, height: float, *, title: str, note: str = "") -> Figure:
    """An empty figure of so many inches, with what it shows above it and how to read it, in grey, below."""
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.07, h_pad=0.05)
    left = {"x": 0.07 / width, "ha": "left"}
    figure.suptitle("\n".join(textwrap.wrap(title, width=int(11 * width))), fontsize=10.5, weight="bold", **left)
    if note:
        lines = textwrap.wrap(note, width=int(16.5 * width))
        figure.supxlabel("\n".join(lines), fontsize=8, color=GREY, linespacing=1.3, **left)
    return figure


@in_our_style
def save(figure: Figure, path: Path | str) -> None:
    """Write a figure as PNG or SVG, by the suffix of `path`; the file is written whole or not at all.

    Raises ScratchnetError for another suffix, and OSError if the file cannot be written.
    """
    kind = expect_format(path)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # it draws a box, which is good enough
        figure.savefig(picture, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else {})
    write_bytes(path, picture.getvalue())


def expect_format(path: Path | str) -> str:
    """The format of a picture's file, by its suffix. Raises ScratchnetError for one that is not written."""
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ScratchnetError(f"{path}: pictures are written as .{' or .'.join(FORMATS)}")
    return kind


def shortened(name: str, most: int) -> str:
    """The name, or the end of it, which tells paths apart, in `most` characters; none is hidden for beginning with _,
    as matplotlib's labels are."""
    name = name if len(name) <= most else f"...{name[3 - most :]}"
    return f" {name}" if name.startswith("_") else name


def show_ink(axes: Axes, ink: np.ndarray, colour: str = BLACK, *, frame: str = LIGHT, **options: Any) -> None:
    """Show a drawing (H, W), ink 1 and paper 0, in this colour on nothing; without ticks, in a thin frame."""
    axes.imshow(coloured(ink, colour), interpolation="antialiased", **options)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=frame, linewidth=0.8)


def coloured(ink: np.ndarray, colour: str) -> np.ndarray:
    """A drawing (H, W) as (H, W, 4): the colour, as opaque as there is ink."""
    rgba = np.empty((*ink.shape, 4))
    rgba[..., :3] = importlib.import_module("matplotlib.colors").to_rgb(colour)
    rgba[..., 3] = np.clip(ink, 0, 1)
    return rgba
