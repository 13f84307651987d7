"""What is done to every number of an array, in blocks that stay in a processor's cache, on all threads."""

from scratchnet.backend import Array, array_module, blocks, for_each, map_blocks, sum_blocks


def add_bias(y: Array, bias: Array) -> Array:
    """As `pixels.add_bias`."""

    def add(rows: slice) -> None:
        y[rows] += bias

    for_each(add, blocks(y), like=y)
    return y


def sum_pixels(dy: Array) -> Array:
    """As `pixels.sum_pixels`."""
    Ho, Wo, N, O = dy.shape
    return sum_blocks(lambda dy: dy, dy.reshape(Ho * Wo, N * O)).reshape(N, O).sum(axis=0)


def relu(x: Array) -> Array:
    """As `pixels.relu`."""
    return relu_backward(x, x)


def relu_backward(dy: Array, y: Array) -> Array:
    """As `pixels.relu_backward`."""
    multiply = array_module(dy, y).multiply
    flat = map_blocks(lambda out, dy, y: multiply(dy, y > 0, out=out), dy.reshape(-1), y.reshape(-1))
    return flat.reshape(dy.shape)
