"""What is done to every pixel of a map, or to every number of an array."""

from scratchnet.backend import Array
from scratchnet.ops.accelerated import accelerated


@accelerated
def add_bias(y: Array, bias: Array) -> Array:
    """y (H, W, N, C) plus bias (C,), in place."""
    y += bias
    return y


@accelerated
def sum_pixels(dy: Array) -> Array:
    """The backward of `add_bias`: the sum (C,) of dy (H, W, N, C); first over pixels, then over images.

    In two sums because the terms of each are fewer: a long one in float32 loses a bit each time that it doubles.
    """
    return dy.sum(axis=(0, 1)).sum(axis=0)


@accelerated
def relu(x: Array) -> Array:
    """max(x, 0) as x times the mask of its positive real parts, true to a complex step; -inf gives NaN."""
    return x * (x.real > 0)


@accelerated
def relu_backward(dy: Array, y: Array) -> Array:
    """dx = dy where y > 0, else 0."""
    return dy * (y.real > 0)
