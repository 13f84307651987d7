"""Parameters in the layout of libraries whose feature maps are (N, C, H, W).

Their kernels are (O, C, kh, kw), and their Flatten puts channels first, which permutes the rows of the dense layer that
follows. Dense weights stay (C, O).
"""

from scratchnet.backend import Array, Params
from scratchnet.layers import Conv2d, Flatten, Linear, MaxPool2d, Sequential
from scratchnet.models.siamese import SiameseNet
from scratchnet.ops.windows import output_size


def channels_first(net: SiameseNet, params: Params, *, inverse: bool = False) -> Params:
    """Copies of our parameters or gradients in their layout; with inverse=True, of theirs in ours."""
    maps = _flattened_maps(net)

    def reorder(name: str, value: Array) -> Array:
        if value.ndim == 4:
            return from_torch(value) if inverse else to_torch(value)
        if name not in maps:
            return value
        H, W, C = maps[name]
        split, order = ((C, H, W), (1, 2, 0, 3)) if inverse else ((H, W, C), (2, 0, 1, 3))
        return value.reshape(*split, -1).transpose(order).reshape(value.shape)

    return {name: reorder(name, value).copy(order="C") for name, value in params.items()}


def _flattened_maps(net: SiameseNet) -> dict[str, tuple[int, int, int]]:
    """Weights whose input is a flattened feature map, with its shape (H, W, C)."""
    assert isinstance(net.encoder, Sequential)  # as in all our architectures
    H = W = net.image_size
    C, flattened, maps = 1, False, {}
    for name, layer in net.encoder.layers.items():
        if isinstance(layer, Conv2d):
            (kh, kw, _, C), (s, t), (p, q) = layer.weight_shape, layer.strides, layer.paddings
            H, W = output_size(H + 2 * p, kh, s), output_size(W + 2 * q, kw, t)
        elif isinstance(layer, MaxPool2d):
            H, W = (output_size(size, layer.kernel_size, layer.stride or layer.kernel_size) for size in (H, W))
        elif isinstance(layer, Flatten):
            flattened = True
        elif isinstance(layer, Linear) and flattened:
            maps[f"encoder.{name}.weight"] = (H, W, C)
            flattened = False
    return maps


def to_torch(weight: Array) -> Array:
    """(kh, kw, C, O) in PyTorch's order (O, C, kh, kw)."""
    return weight.transpose(3, 2, 0, 1)


def from_torch(weight: Array) -> Array:
    """PyTorch's (O, C, kh, kw) in our order (kh, kw, C, O)."""
    return weight.transpose(2, 3, 1, 0)
