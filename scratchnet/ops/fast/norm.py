"""The passes of batch normalisation in blocks that stay in a processor's cache, on all threads."""

from collections.abc import Callable

from scratchnet.backend import Array, array_module, map_blocks, sum_blocks
from scratchnet.ops.fast.pixels import each_image, rows


def statistics(x: Array) -> tuple[Array, Array]:
    """As `norm.statistics`."""
    H, W, N, _ = x.shape
    M = H * W * N
    mean = sum_pixels(lambda x: x, x) / M
    centre = each_image(mean, N)
    return mean, sum_pixels(lambda x: array_module(x).square(x - centre), x) / M


def normalise(x: Array, mean: Array, scale: Array, bias: Array) -> Array:
    """As `norm.normalise`."""
    xp = array_module(x, mean, scale, bias)
    centre, factor, shift = (each_image(vector, x.shape[2]) for vector in (mean, scale, bias))

    def compute(out: Array, x: Array) -> None:
        xp.subtract(x, centre, out=out)
        out *= factor
        out += shift

    return map_blocks(compute, rows(x)).reshape(x.shape)


def backward_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """As `norm.backward_sums`."""
    centre = each_image(mean, x.shape[2])
    return sum_pixels(lambda dy: dy, dy), sum_pixels(lambda dy, x: dy * (x - centre), dy, x)


def input_gradient(dy: Array, x: Array, mean: Array, scale: Array, mean_dy: Array, slope: Array) -> Array:
    """As `norm.input_gradient`."""
    xp = array_module(dy, x, mean, scale, mean_dy, slope)
    centre, factor, shift, slopes = (each_image(vector, x.shape[2]) for vector in (mean, scale, mean_dy, slope))

    def compute(out: Array, dy: Array, x: Array) -> None:
        xp.subtract(x, centre, out=out)
        out *= slopes
        xp.subtract(dy, out, out=out)
        out -= shift
        out *= factor

    return map_blocks(compute, rows(dy), rows(x)).reshape(x.shape)


def rescale(dy: Array, scale: Array) -> Array:
    """As `norm.rescale`."""
    xp, factor = array_module(dy, scale), each_image(scale, dy.shape[2])
    return map_blocks(lambda out, dy: xp.multiply(dy, factor, out=out), rows(dy)).reshape(dy.shape)


def sum_pixels(terms: Callable[..., Array], *maps: Array) -> Array:
    """The sum of terms(*maps) over pixels and images, for each channel (C,).

    Blank paper adds the same number tens of thousands of times; added one by one in float32, the sum loses a bit each
    time it doubles. Sums of pixels, of blocks and of images, one within the other, stay short and keep them.
    """
    N, C = maps[0].shape[2:]
    return sum_blocks(terms, *(rows(x) for x in maps)).reshape(N, C).sum(axis=0)
