"""The passes of batch normalisation over a map (H, W, N, C).

Two sum over the M = H W N pixels of each channel, three give every pixel its new value. mean, scale and the other
vectors are (C,), a number for each channel; layers/batchnorm2d.py has the equations that they stand in.
"""

from scratchnet.backend import Array
from scratchnet.ops.accelerated import accelerated
from scratchnet.ops.pixels import sum_pixels


@accelerated
def statistics(x: Array) -> tuple[Array, Array]:
    """The mean and the variance (C,) of each channel."""
    M = x.size // x.shape[3]
    mean = sum_pixels(x) / M
    return mean, sum_pixels((x - mean) * (x - mean)) / M


@accelerated
def normalise(x: Array, mean: Array, scale: Array, bias: Array) -> Array:
    """y = (x - mean) scale + bias."""
    return (x - mean) * scale + bias


@accelerated
def backward_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """The sums (C,) over all pixels of dy and of dy (x - mean)."""
    return sum_pixels(dy), sum_pixels(dy * (x - mean))


@accelerated
def input_gradient(dy: Array, x: Array, mean: Array, scale: Array, mean_dy: Array, slope: Array) -> Array:
    """dx = (dy - (x - mean) slope - mean_dy) scale, where mean and variance are those of x itself."""
    return (dy - (x - mean) * slope - mean_dy) * scale


@accelerated
def rescale(dy: Array, scale: Array) -> Array:
    """dx = dy scale, where mean and variance are constants."""
    return dy * scale
