"""The passes of batch normalisation over a map (H, W, N, C).

Two sum over the H W N pixels of each channel, two give every pixel its new value. mean, scale and the other vectors are
(C,), a number for each channel; layers/batchnorm2d.py has the equations that they stand in.
"""

from collections.abc import Callable

from scratchnet.backend import Array, array_module, map_blocks, sum_blocks
from scratchnet.ops import cuda
from scratchnet.ops.cuda import batchnorm as cuda_batchnorm


def statistics(x: Array) -> tuple[Array, Array]:
    """The mean and the variance (C,) of each channel."""
    if cuda.usable(x):
        return cuda_batchnorm.statistics(x)
    H, W, N, _ = x.shape
    M = H * W * N
    mean = _sum_pixels(lambda x: x, x) / M
    centre = _each_image(mean, N)
    return mean, _sum_pixels(lambda x: (x - centre) * (x - centre), x) / M


def normalise(x: Array, mean: Array, scale: Array, bias: Array) -> Array:
    """y = (x - mean) scale + bias."""
    if cuda.usable(x, mean, scale, bias):
        return cuda_batchnorm.normalise(x, mean, scale, bias)
    xp = array_module(x, mean, scale, bias)
    centre, factor, shift = (_each_image(vector, x.shape[2]) for vector in (mean, scale, bias))

    def compute(out: Array, x: Array) -> None:
        xp.subtract(x, centre, out=out)
        out *= factor
        out += shift

    return map_blocks(compute, _pixels(x)).reshape(x.shape)


def backward_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """The sums (C,) over all pixels of dy and of dy (x - mean)."""
    if cuda.usable(dy, x, mean):
        return cuda_batchnorm.backward_sums(dy, x, mean)
    centre = _each_image(mean, x.shape[2])
    return _sum_pixels(lambda dy: dy, dy), _sum_pixels(lambda dy, x: dy * (x - centre), dy, x)


def pull_back(dy: Array, x: Array, mean: Array, scale: Array, dmean: Array, dslope: Array) -> Array:
    """dx = (dy - (x - mean) dslope - dmean) scale, where mean and variance are those of x itself."""
    if cuda.usable(dy, x, mean, scale, dmean, dslope):
        return cuda_batchnorm.pull_back(dy, x, mean, scale, dmean, dslope)
    xp = array_module(dy, x, mean, scale, dmean, dslope)
    centre, factor, shift, slope = (_each_image(vector, x.shape[2]) for vector in (mean, scale, dmean, dslope))

    def compute(out: Array, dy: Array, x: Array) -> None:
        xp.subtract(x, centre, out=out)
        out *= slope
        xp.subtract(dy, out, out=out)
        out -= shift
        out *= factor

    return map_blocks(compute, _pixels(dy), _pixels(x)).reshape(x.shape)


def rescale(dy: Array, scale: Array) -> Array:
    """dx = dy scale, where mean and variance are constants."""
    xp, factor = array_module(dy, scale), _each_image(scale, dy.shape[2])
    return map_blocks(lambda out, dy: xp.multiply(dy, factor, out=out), _pixels(dy)).reshape(dy.shape)


def _pixels(x: Array) -> Array:
    """(H, W, N, C) as (H W, N C): long rows, which NumPy works on faster than on C numbers at a time."""
    H, W, N, C = x.shape
    return x.reshape(H * W, N * C)


def _each_image(vector: Array, N: int) -> Array:
    """A number for each channel (C,) repeated for each image, (N C,), to go with `_pixels`."""
    return array_module(vector).broadcast_to(vector, (N, *vector.shape)).reshape(-1)


def _sum_pixels(terms: Callable[..., Array], *maps: Array) -> Array:
    """The sum of terms(*maps) over pixels and images, for each channel (C,).

    Blank paper adds the same number tens of thousands of times, which float32 forgets bit by bit when it adds one
    after the other; the sums of pixels, blocks and images, one within the other, keep it.
    """
    N, C = maps[0].shape[2:]
    return sum_blocks(terms, *(_pixels(x) for x in maps)).reshape(N, C).sum(axis=0)
