"""What a network computes when it only looks at images: nothing is left for a backward pass."""

from scratchnet.backend import Array
from scratchnet.ops import conv, pool
from scratchnet.ops.accelerated import accelerated
from scratchnet.ops.windows import Pair


@accelerated
def convolve(x: Array, weight: Array, stride: Pair, padding: Pair, kept: dict[object, Array]) -> Array:
    """Equation (1) of `conv.py`: y (Ho, Wo, N, O).

    kept: a dictionary for this weight alone, in which a faster way keeps from call to call what it makes of it.
    """
    y, _ = conv.forward(x, weight, stride, padding, "auto")
    return y


@accelerated
def pool_scale_bias_relu(z: Array, pooling: Pair, scale: Array | None, bias: Array) -> Array:
    """y = max(0, pool(z) scale + bias), for z (H, W, N, C) and vectors (C,).

    pooling: the window and its stride; (1, 1) for none, and then y takes the place of z. scale: None for 1.
    """
    if pooling != (1, 1):
        z, _ = pool.forward(z, *pooling)
    if scale is not None:
        z *= scale
    z += bias
    z *= z.real > 0
    return z
