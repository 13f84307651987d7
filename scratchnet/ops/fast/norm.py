"""The passes of batch normalisation in blocks that stay in a processor's cache, on all threads.

Maps are worked on as (H W, N C): long rows, on which NumPy is faster than on C numbers at a time.
"""

from collections.abc import Callable

from scratchnet.backend import Array, array_module, map_blocks, sum_blocks


def statistics(x: Array) -> tuple[Array, Array]:
    """As `norm.statistics`."""
    H, W, N, _ = x.shape
    M = H * W * N
    mean = _sum_pixels(lambda x: x, x) / M
    centre = _each_image(mean, N)
    return mean, _sum_pixels(lambda x: (x - centre) * (x - centre), x) / M


def normalise(x: Array, mean: Array, scale: Array, bias: Array) -> Array:
    """As `norm.normalise`."""
    xp = array_module(x, mean, scale, bias)
    centre, factor, shift = (_each_image(vector, x.shape[2]) for vector in (mean, scale, bias))

    def compute(out: Array, x: Array) -> None:
        xp.subtract(x, centre, out=out)
        out *= factor
        out += shift

    return map_blocks(compute, _rows(x)).reshape(x.shape)


def backward_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """As `norm.backward_sums`."""
    centre = _each_image(mean, x.shape[2])
    return _sum_pixels(lambda dy: dy, dy), _sum_pixels(lambda dy, x: dy * (x - centre), dy, x)


def input_gradient(dy: Array, x: Array, mean: Array, scale: Array, mean_dy: Array, slope: Array) -> Array:
    """As `norm.input_gradient`."""
    xp = array_module(dy, x, mean, scale, mean_dy, slope)
    centre, factor, shift, slopes = (_each_image(vector, x.shape[2]) for vector in (mean, scale, mean_dy, slope))

    def compute(out: Array, dy: Array, x: Array) -> None:
        xp.subtract(x, centre, out=out)
        out *= slopes
        xp.subtract(dy, out, out=out)
        out -= shift
        out *= factor

    return map_blocks(compute, _rows(dy), _rows(x)).reshape(x.shape)


def rescale(dy: Array, scale: Array) -> Array:
    """As `norm.rescale`."""
    xp, factor = array_module(dy, scale), _each_image(scale, dy.shape[2])
    return map_blocks(lambda out, dy: xp.multiply(dy, factor, out=out), _rows(dy)).reshape(dy.shape)


def _rows(x: Array) -> Array:
    """(H, W, N, C) as (H W, N C)."""
    H, W, N, C = x.shape
    return x.reshape(H * W, N * C)


def _each_image(vector: Array, N: int) -> Array:
    """A number for each channel (C,) repeated for each image, (N C,), to go with `_rows`."""
    return array_module(vector).broadcast_to(vector, (N, *vector.shape)).reshape(-1)


def _sum_pixels(terms: Callable[..., Array], *maps: Array) -> Array:
    """The sum of terms(*maps) over pixels and images, for each channel (C,).

    Blank paper adds the same number tens of thousands of times; added one by one in float32, the sum loses a bit each
    time it doubles. Sums of pixels, of blocks and of images, one within the other, stay short and keep them.
    """
    N, C = maps[0].shape[2:]
    return sum_blocks(terms, *(_rows(x) for x in maps)).reshape(N, C).sum(axis=0)
