"""Batch normalisation and ReLU in one: the map between them is never written."""

from scratchnet.backend import Array
from scratchnet.ops import norm, pixels
from scratchnet.ops.accelerated import accelerated


@accelerated
def forward(x: Array, mean: Array, scale: Array, bias: Array) -> Array:
    """y = max(0, (x - mean) scale + bias), for x, y (H, W, N, C) and vectors (C,)."""
    return pixels.relu(norm.normalise(x, mean, scale, bias))


@accelerated
def backward(dy: Array, y: Array, x: Array, mean: Array, std: Array, weight: Array) -> tuple[Array, Array, Array]:
    """dx, dweight and dbias where mean and std are those of x itself, and scale is weight / std."""
    dz = pixels.relu_backward(dy, y)
    dbias, dscale = norm.backward_sums(dz, x, mean)
    dweight, M = dscale / std, x.size // x.shape[3]
    return norm.input_gradient(dz, x, mean, weight / std, dbias / M, dweight / std / M), dweight, dbias
