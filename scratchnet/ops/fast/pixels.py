"""What is done to every number of an array, in blocks that stay in a processor's cache, on all threads.

Maps are worked on as (H W, N C): long rows, on which NumPy is faster than on C numbers at a time.
"""

from scratchnet.backend import Array, array_module, blocks, for_each, map_blocks, sum_blocks


def add_bias(y: Array, bias: Array) -> Array:
    """As `pixels.add_bias`."""
    if not y.flags.c_contiguous:
        y += bias
        return y
    flat, biases = rows(y), each_image(bias, y.shape[2])

    def add(some: slice) -> None:
        flat[some] += biases

    for_each(add, blocks(flat), like=y)
    return y


def sum_pixels(dy: Array) -> Array:
    """As `pixels.sum_pixels`."""
    return sum_blocks(lambda dy: dy, rows(dy)).reshape(dy.shape[2:]).sum(axis=0)


def relu(x: Array) -> Array:
    """As `pixels.relu`."""
    return relu_backward(x, x)


def relu_backward(dy: Array, y: Array) -> Array:
    """As `pixels.relu_backward`."""
    multiply = array_module(dy, y).multiply
    flat = map_blocks(lambda out, dy, y: multiply(dy, y > 0, out=out), dy.reshape(-1), y.reshape(-1))
    return flat.reshape(dy.shape)


def rows(x: Array) -> Array:
    """(H, W, N, C) as (H W, N C)."""
    H, W, N, C = x.shape
    return x.reshape(H * W, N * C)


def each_image(vector: Array, N: int) -> Array:
    """A number for each channel (C,) repeated for each image, (N C,), to go with `rows`."""
    return array_module(vector).broadcast_to(vector, (N, *vector.shape)).reshape(-1)
