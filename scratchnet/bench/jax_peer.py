"""The same training step in JAX, compiled by XLA. Feature maps are (N, H, W, C), so parameters need no reordering."""

from importlib import import_module
from typing import Any

import numpy as np

from scratchnet.backend import Params, to_host
from scratchnet.bench.peers import Variant
from scratchnet.bench.workload import Training
from scratchnet.errors import ScratchnetError
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, Sigmoid
from scratchnet.layers.protocol import add_prefix, strip_prefix

jax: Any = import_module("jax")  # Any: type checking must work without it
jnp, lax = jax.numpy, jax.lax

PIXELS = (0, 1, 2)  # the axes N, H, W


def variants(device: str) -> list[Variant]:
    """The single variant, compiled by XLA."""
    return [Variant(f"JAX {jax.__version__} float32 NHWC", JaxPeer, "jit, on all cores: XLA has no thread setting")]


class JaxPeer:
    """A network in JAX with our weights. The whole step is one compiled function."""

    def __init__(self, training: Training) -> None:
        assert isinstance(training.net.encoder, Sequential)  # as in all our architectures
        self.layers = dict(training.net.encoder.layers)
        optimiser = training.optimiser
        params = {name: jnp.asarray(to_host(value)) for name, value in training.net.params.items()}
        self.statistics = {name: params.pop(name) for name in list(params) if ".running_" in name}
        self.params, self.velocity = params, {name: jnp.zeros_like(value) for name, value in params.items()}
        self.batch = jnp.asarray(np.concatenate([training.a, training.b])[..., None]), jnp.asarray(training.labels)
        loss_and_gradients = jax.value_and_grad(self._loss, has_aux=True)
        self._gradients = jax.jit(loss_and_gradients)

        def step(params: Any, velocity: Any, statistics: Any, twins: Any, labels: Any) -> Any:
            (loss, statistics), grads = loss_and_gradients(params, statistics, twins, labels)
            updated = {}
            for name, weight in params.items():
                decay = optimiser.weight_decay if name.endswith("weight") else 0.0
                velocity[name] = optimiser.momentum * velocity[name] - optimiser.lr * (grads[name] + decay * weight)
                updated[name] = weight + velocity[name]
            return updated, velocity, statistics, loss

        self._step = jax.jit(step, donate_argnums=(0, 1, 2))

    def step(self) -> float:
        """One compiled step, run to completion; returns the loss before the update."""
        state = self._step(self.params, self.velocity, self.statistics, *self.batch)
        self.params, self.velocity, self.statistics, loss = jax.block_until_ready(state)
        return float(loss)

    def gradients(self) -> tuple[float, Params]:
        """The loss and gradients without an update, as NumPy arrays."""
        (loss, _), grads = self._gradients(self.params, self.statistics, *self.batch)
        return float(loss), {name: np.asarray(value) for name, value in grads.items()}

    def _loss(self, params: Any, statistics: Any, twins: Any, labels: Any) -> Any:
        measured: Params = {}
        x = twins
        for name, layer in self.layers.items():
            prefix = f"encoder.{name}"
            x, new = _forward(layer, strip_prefix(prefix, params), strip_prefix(prefix, statistics), x)
            measured |= add_prefix(prefix, new)
        h1, h2 = jnp.split(x, 2)
        z = jnp.abs(h1 - h2) @ params["head.weight"] + params["head.bias"]
        return jnp.mean(jax.nn.softplus(z) - z * labels), measured


def _forward(layer: Layer, params: Params, statistics: Params, x: Any) -> tuple[Any, Params]:
    """The output of the JAX version of one of our layers, and the new running statistics if it is batch norm."""
    measured: Params = {}
    match layer:
        case Conv2d(strides=strides, paddings=(p, q)):
            layout = "NHWC", "HWIO", "NHWC"
            y = lax.conv_general_dilated(x, params["weight"], strides, ((p, p), (q, q)), dimension_numbers=layout)
            y = y + params["bias"]
        case MaxPool2d(k, stride=stride):
            s = stride or k
            y = lax.reduce_window(x, -jnp.inf, lax.max, (1, k, k, 1), (1, s, s, 1), "VALID")
        case BatchNorm2d(eps=eps, momentum=momentum):
            mean, variance = x.mean(axis=PIXELS), x.var(axis=PIXELS)
            y = params["weight"] * (x - mean) * lax.rsqrt(variance + eps) + params["bias"]
            M = x.size // x.shape[-1]
            new = {"running_mean": mean, "running_var": variance * M / (M - 1)}
            measured = {name: (1 - momentum) * statistics[name] + momentum * value for name, value in new.items()}
        case Linear():
            y = x @ params["weight"] + params["bias"]
        case ReLU():
            y = jax.nn.relu(x)
        case Sigmoid():
            y = jax.nn.sigmoid(x)
        case Flatten():
            y = x.reshape(len(x), -1)
        case _:
            raise ScratchnetError(f"the JAX peer does not support {layer}")
    return y, measured
