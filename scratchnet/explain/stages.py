"""The layers of a trace in one form: every value a map (H, W, N, C), every sum of products a convolution.

A vector (N, D) is a map of one pixel with D channels, the output of Flatten is still the map that went in, and a dense
layer is a convolution whose kernel covers its whole map. So one picture and one explanation serve them all.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Params, to_host
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sigmoid
from scratchnet.layers.trace import LayerTrace, Trace

KINDS = {
    Conv2d: "conv", Linear: "dense", MaxPool2d: "pool", BatchNorm2d: "norm", ReLU: "relu", Sigmoid: "sigmoid",
    Flatten: "flatten",
}  # fmt: skip
PRODUCTS = ("conv", "dense")


@dataclass(frozen=True)
class Stage:
    """A layer: x and y are maps (H, W, N, C) on the host; dy and dx too, or None in a trace that did not go back.

    kind: a value of KINDS, or "other" for a layer of somebody's own. params, grads: those of the layer, where a weight
    of a conv or dense stage is (kh, kw, C, O).
    """

    kind: str
    at: LayerTrace
    x: np.ndarray
    y: np.ndarray
    dy: Any
    dx: Any
    params: Params
    grads: Params

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.at.name

    @property
    def strides(self) -> tuple[int, int]:
        """Of a conv stage; (1, 1) for a dense one."""
        return self.at.layer.strides if self.kind == "conv" else (1, 1)

    @property
    def paddings(self) -> tuple[int, int]:
        """Of a conv stage; (0, 0) for a dense one."""
        return self.at.layer.paddings if self.kind == "conv" else (0, 0)


def stages(trace: Trace) -> list[Stage]:
    """The layers of a trace as stages."""
    found: list[Stage] = []
    map_shape: tuple[int, ...] | None = None  # of the map that was flattened, as long as nothing has changed it
    for at in trace:
        kind = next((kind for layer, kind in KINDS.items() if isinstance(at.layer, layer)), "other")
        if kind == "flatten":
            map_shape = at.x.shape
        after = map_shape if kind in ("flatten", "relu", "sigmoid") else None
        x, dx = _as_map(at.x, map_shape), _as_map(at.dx, map_shape)
        y, dy = _as_map(at.y, after), _as_map(at.dy, after)
        params, grads = ({name: to_host(value) for name, value in of.items()} for of in (at.params, at.grads or {}))
        if kind == "dense":
            params, grads = (_as_kernel(of, x.shape) for of in (params, grads))
        found.append(Stage(kind, at, x, y, dy, dx, params, grads))
        map_shape = after
    return found


def _as_map(value: Any, flattened: tuple[int, ...] | None) -> Any:
    """An array (H, W, N, C), or (N, D) that may be a flattened map of that shape, as a map (H, W, N, C)."""
    if value is None:
        return None
    value = to_host(value)
    if value.ndim == 4:
        return value
    if flattened:
        H, W, _, C = flattened
        return value.reshape(-1, H, W, C).transpose(1, 2, 0, 3)
    return value.reshape(1, 1, value.shape[0], -1)


def _as_kernel(params: Params, x_shape: tuple[int, ...]) -> Params:
    """The weight (H W C, O) of a dense layer as a kernel (H, W, C, O) over the map that it takes."""
    H, W, _, C = x_shape
    return {name: value.reshape(H, W, C, -1) if name == "weight" else value for name, value in params.items()}


def telling_channels(found: list[Stage], images: tuple[int, ...], most: int) -> list[np.ndarray]:
    """The channels to show of each stage's output, at most `most`, sorted; of those of the given images.

    The telling ones have the largest sum over pixels of |y dy|, with y dy summed over the images: to first order, what
    the loss would feel if the channel were lost. Of the last layer these are the features in which the twins differ
    most, times their weight. Layers that leave channels apart show those of the layer before; the last of them decides.
    """
    chosen: list[np.ndarray] = []
    pending = 0
    for number, stage in enumerate(found):
        following = found[number + 1].kind if number + 1 < len(found) else "other"
        pending += 1
        if following in (*PRODUCTS, "other"):  # the next layer mixes channels
            effect = (stage.y[:, :, images] * stage.dy[:, :, images]).sum(axis=2)  # (H, W, C)
            first = np.argsort(-abs(effect).sum(axis=(0, 1)), kind="stable")[:most]
            chosen += [np.sort(first)] * pending
            pending = 0
    return chosen
