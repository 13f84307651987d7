"""Layers at values that can be checked on paper."""

import numpy as np

from scratchnet.backend import to_host


def image(*rows):
    """A feature map (H, W, 1, 1) of one image with one channel, from its rows of numbers."""
    return np.array(rows, np.float32)[:, :, None, None]


def forward_and_backward(layer, params, inputs, dy, device, **options):
    """One forward and one backward on `device` in float32.

    Returns y, the tuple of input gradients and the gradients of the parameters by name, all on the host.
    """
    there = {name: device.upload(np.array(value, np.float32)) for name, value in params.items()}
    inputs = [device.upload(np.array(x, np.float32)) for x in inputs]
    y, cache = layer.forward(there, *inputs, **options)
    dinputs, grads = layer.backward(device.upload(np.array(dy, np.float32)), cache)
    dinputs = dinputs if isinstance(dinputs, tuple) else (dinputs,)
    return to_host(y), tuple(map(to_host, dinputs)), {name: to_host(gradient) for name, gradient in grads.items()}


def assert_close(found, expected):
    """Equal but for a few roundings in float32, and of the same shape."""
    expected = np.array(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
