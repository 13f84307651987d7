"""Draw docs/images/layers/: for each layer, which numbers meet.

    python docs/make_layer_pictures.py

Nothing is drawn from what the layers are said to do: they are run. Left, forward: the numbers of x that move one number
of y when they are moved. Right, backward: the numbers of dy that reach one number of dx. Needs matplotlib
(`pip install -e ".[study]"`).
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Sigmoid, WeightedL1

FOLDER = Path(__file__).parent / "images" / "layers"
PAPER, USED, ASKED = "#f3f4f6", "#93c5fd", "#1d4ed8"
MAP = (5, 6, 1, 1)
# name: layer, shape of x, the number of y and the number of dx that are asked about, options of forward
LAYERS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...], tuple[int, ...], dict[str, bool]]] = {
    "linear": (Linear(4, 3), (3, 4), (1, 2), (1, 0), {}),
    "conv2d": (Conv2d(1, 1, 3), MAP, (1, 2, 0, 0), (2, 3, 0, 0), {}),
    "conv2d_stride_2": (Conv2d(1, 1, 3, stride=2, padding=1), MAP, (1, 1, 0, 0), (1, 3, 0, 0), {}),
    "maxpool2d": (MaxPool2d(2), (4, 6, 1, 1), (0, 1, 0, 0), None, {}),
    "relu": (ReLU(), MAP, None, None, {}),
    "sigmoid": (Sigmoid(), MAP, (1, 2, 0, 0), (1, 2, 0, 0), {}),
    "batchnorm2d": (BatchNorm2d(1), (3, 4, 1, 1), (1, 2, 0, 0), (0, 1, 0, 0), {"training": True}),
    "flatten": (Flatten(), (3, 4, 1, 1), (0, 6), (1, 2, 0, 0), {}),
}  # fmt: skip


def moved_by(run: Any, x: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
    """Which numbers of x change `run(x)[place]`, when they are moved a little."""
    used, before = np.zeros(x.shape, bool), run(x)[place]
    for one in np.ndindex(x.shape):
        moved = x.copy()
        moved[one] += 1e-3
        used[one] = run(moved)[place] != before
    return used


def draw(axis: Axes, values: np.ndarray, used: np.ndarray | None, asked: tuple[int, ...] | None, title: str) -> None:
    """An array as a grid of squares: what is used is light blue, what is asked about dark blue."""
    grid = values.reshape(values.shape[:2])
    for (i, j), value in np.ndenumerate(grid):
        place = np.unravel_index(i * grid.shape[1] + j, values.shape)
        colour = ASKED if place == asked else USED if used is not None and used[place] else PAPER
        axis.add_patch(plt.Rectangle((j, i), 0.94, 0.94, facecolor=colour))
        ink = "white" if colour == ASKED else "#1f2430"
        axis.text(
            j + 0.47, i + 0.5, f"{value:.1f}".replace("-0.0", "0.0"), ha="center", va="center", fontsize=8, color=ink
        )
    axis.set_xlim(-0.1, max(grid.shape[1], 6) + 0.1)
    axis.set(aspect="equal", title=title)
    axis.axis("off")


def picture(name: str, layer: Any, shape: tuple[int, ...], of_y: Any, of_dx: Any, options: dict[str, bool]) -> None:
    """The picture of one layer."""
    rng = np.random.default_rng(3)
    params = {key: value.astype(np.float64) for key, value in layer.init(rng).items()}
    x = rng.standard_normal(shape)
    y, cache = layer.forward(params, x, **options)
    dy = rng.standard_normal(y.shape)
    dx, _ = layer.backward(dy, cache)
    of_y = of_y or tuple(int(k) for k in np.argwhere(y > 0)[len(y)])
    of_dx = of_dx or tuple(int(k) for k in np.argwhere(dx)[len(y) + 1])
    into_y = moved_by(lambda x: layer.forward(params, x, **options)[0], x, of_y)
    if name == "maxpool2d":  # the losers of the window are looked at as well
        into_y = np.zeros(shape, bool)
        into_y[2 * of_y[0] : 2 * of_y[0] + 2, 2 * of_y[1] : 2 * of_y[1] + 2] = True
    into_dx = moved_by(lambda dy: layer.backward(dy, cache)[0], dy, of_dx)
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.9))
    draw(axes[0], x, into_y, None, "x: what it looks at")
    draw(axes[1], y, None, of_y, "y: one number")
    draw(axes[2], dy, into_dx, None, "dy: what reaches it")
    draw(axes[3], dx, None, of_dx, "dx: one number")
    save(figure, name)


def picture_of_head() -> None:
    """The head has two inputs."""
    rng = np.random.default_rng(3)
    head, h1, h2 = WeightedL1(4), rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    params = {"weight": rng.standard_normal(4), "bias": np.ones(1)}
    logit, cache = head.forward(params, h1, h2)
    (dh1, _), _ = head.backward(rng.standard_normal(3), cache)
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.9))
    row = np.zeros((3, 4), bool)
    row[1] = True
    draw(axes[0], h1, row, None, "h1: a vector of each pair")
    draw(axes[1], h2, row, None, "h2: the other twin's")
    draw(axes[2], logit[:, None], None, (1, 0), "logit: one pair")
    draw(axes[3], dh1, row, None, "dh1: where its gradient goes")
    save(figure, "weighted_l1")


def picture_of_twins() -> None:
    """What each twin gives to the gradient of a kernel that both use: found by leaving the other twin's out."""
    rng = np.random.default_rng(3)
    encoder, head = Sequential({"conv": Conv2d(1, 1, 3), "flatten": Flatten()}), WeightedL1(9)
    params = {name: value.astype(np.float64) for name, value in encoder.init(rng).items()}
    a = rng.standard_normal((5, 5))
    b = a + 0.5 * rng.standard_normal((5, 5))  # much alike, as two drawings of one character
    h, cache = encoder.forward(params, np.stack([a, b], axis=2)[..., None])
    _, head_cache = head.forward({"weight": rng.standard_normal(9), "bias": np.ones(1)}, h[:1], h[1:])
    (dh1, dh2), _ = head.backward(np.ones(1), head_cache)
    parts = [np.concatenate(pair) for pair in ((dh1, 0 * dh2), (0 * dh1, dh2), (dh1, dh2))]
    kernels = [encoder.backward(dh, cache)[1]["conv.weight"][..., 0, 0] for dh in parts]
    figure, axes = plt.subplots(1, 5, figsize=(12, 2.9))
    titles = ("a", "b", "dweight from a", "dweight from b", "dweight: their sum")
    for axis, array, title in zip(axes, (a, b, *kernels), titles, strict=True):
        draw(axis, array, np.ones(array.shape, bool) if title.startswith("dw") else None, None, title)
    save(figure, "siamese")


def save(figure: Any, name: str) -> None:
    """As a PNG, with all grids at one height."""
    rows = max(len(axis.patches) and max(patch.get_y() for patch in axis.patches) + 1 for axis in figure.axes)
    for axis in figure.axes:
        axis.set_ylim(rows + 0.1, -0.1)
    figure.set_figheight(0.6 + 0.45 * rows)
    FOLDER.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(FOLDER / f"{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    for name, row in LAYERS.items():
        picture(name, *row)
    picture_of_head()
    picture_of_twins()
