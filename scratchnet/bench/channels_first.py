"""Parameters in the orders of libraries whose feature maps are (N, C, H, W).

A kernel is (O, C, kh, kw) there; and Flatten puts the channel first, so the rows of the dense layer behind it change
places. Dense weights stay (C, O).
"""

from scratchnet.backend import Array, Params
from scratchnet.layers import Conv2d, Flatten, Linear, MaxPool2d, Sequential
from scratchnet.models.siamese import SiameseNet
from scratchnet.ops.conv import from_torch, to_torch
from scratchnet.ops.windows import output_size


def to_channels_first(net: SiameseNet, params: Params) -> Params:
    """Our parameters or gradients in their orders, copied."""
    maps = _flattened_maps(net)

    def reordered(name: str, value: Array) -> Array:
        if value.ndim == 4:
            return to_torch(value)
        if name in maps:
            H, W, C = maps[name]
            return value.reshape(H, W, C, -1).transpose(2, 0, 1, 3).reshape(value.shape)
        return value

    return {name: reordered(name, value).copy(order="C") for name, value in params.items()}


def from_channels_first(net: SiameseNet, params: Params) -> Params:
    """Their parameters or gradients in our orders."""
    maps = _flattened_maps(net)

    def reordered(name: str, value: Array) -> Array:
        if value.ndim == 4:
            return from_torch(value)
        if name in maps:
            H, W, C = maps[name]
            return value.reshape(C, H, W, -1).transpose(1, 2, 0, 3).reshape(value.shape)
        return value

    return {name: reordered(name, value) for name, value in params.items()}


def _flattened_maps(net: SiameseNet) -> dict[str, tuple[int, int, int]]:
    """The weights that see a flattened feature map, with the (H, W, C) that it had."""
    assert isinstance(net.encoder, Sequential)  # as in every architecture of models.py
    H = W = net.image_size
    C, flattened, found = 1, False, {}
    for name, layer in net.encoder.layers.items():
        if isinstance(layer, Conv2d):
            (kh, kw, _, C), (s, t), (p, q) = layer.weight_shape, layer.strides, layer.paddings
            H, W = output_size(H + 2 * p, kh, s), output_size(W + 2 * q, kw, t)
        elif isinstance(layer, MaxPool2d):
            H, W = (output_size(size, layer.kernel_size, layer.stride or layer.kernel_size) for size in (H, W))
        elif isinstance(layer, Flatten):
            flattened = True
        elif isinstance(layer, Linear) and flattened:
            found[f"encoder.{name}.weight"] = (H, W, C)
            flattened = False
    return found
