"""What a network computes when it only looks: spectra of weights are kept, and winners of poolings are not found."""

from scratchnet.backend import Array, array_module, blocks, for_each
from scratchnet.ops import conv
from scratchnet.ops.fast import conv_cost, conv_winograd
from scratchnet.ops.fast.pixels import each_image
from scratchnet.ops.windows import Pair, output_size, windows

LARGEST_KERNEL = 3  # for which tiles are the fastest whatever the number of images, once the spectra are there


def convolve(x: Array, weight: Array, stride: Pair, padding: Pair, kept: dict[object, Array]) -> Array:
    """As `inference.convolve`; the spectra of a small kernel are kept."""
    kh, kw, C, _ = weight.shape
    if stride != (1, 1) or max(kh, kw) > LARGEST_KERNEL or C <= conv_cost.IMAGE_CHANNELS:
        y, _ = conv.forward(x, weight, stride, padding, "auto")
        return y
    axes = conv_winograd.axes(x, weight, padding)
    if axes not in kept:
        kept[axes] = conv_winograd.spectra(weight, *axes)
    return conv_winograd.convolve(x, kept[axes], *axes)


def pool_scale_bias_relu(z: Array, pooling: Pair, scale: Array | None, bias: Array) -> Array:
    """As `inference.pool_scale_bias_relu`, a few rows of windows at a time."""
    xp, (H, W, N, C), (size, stride) = array_module(z, bias), z.shape, pooling
    Ho, Wo = output_size(H, size, stride), output_size(W, size, stride)
    z = z.reshape(H, W, N * C)
    y = z if size == stride == 1 else xp.empty((Ho, Wo, N * C), dtype=z.dtype)
    scales, biases = (None if vector is None else each_image(vector, N) for vector in (scale, bias))
    zeros = xp.zeros_like(biases)  # NumPy compares with an array four times as fast as with a number

    def compute(rows: slice) -> None:
        out = y[rows]
        if y is not z:
            seen = z[rows.start * stride : (rows.stop - 1) * stride + size]
            first, *others = (pixels for _, _, pixels in windows(seen, (size, size), (stride, stride)))
            out[...] = first
            for pixels in others:
                xp.maximum(out, pixels, out=out)
        if scales is not None:
            out *= scales
        out += biases
        xp.maximum(out, zeros, out=out)

    for_each(compute, blocks(y), like=z)
    return y.reshape(Ho, Wo, N, C)
