"""The same training step in DeZero, the NumPy autograd framework of the book "Deep Learning from Scratch 3".

DeZero turns Python numbers into int64 arrays, and NumPy 2 then promotes float32 to float64: `InFloat32` in front of
every layer converts gradients back, or backward would take twice as long. On import, DeZero modules that are not used
here refer to np.int, which NumPy has removed.
"""

from dataclasses import replace
from importlib import import_module, metadata
from typing import Any
from unittest import mock

import numpy as np

from scratchnet.backend import Params, to_host
from scratchnet.bench.peers import Variant
from scratchnet.bench.workload import Training
from scratchnet.errors import ScratchnetError
from scratchnet.exchange.channels_first import channels_first
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, Sigmoid

with mock.patch.object(np, "int", int, create=True):
    dezero: Any = import_module("dezero")  # Any: type checking must work without it
F: Any = import_module("dezero.functions")


def variants(device: str) -> list[Variant]:
    """The single variant, which runs on the CPU."""
    return [Variant(f"DeZero {metadata.version('dezero')} float32 NCHW", DezeroPeer, "pure NumPy, im2col")]


class InFloat32(dezero.Function):  # type: ignore[misc]  # its base is Any
    """The identity, with a backward that casts the gradient to float32."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x, unchanged."""
        return x

    def backward(self, gy: Any) -> Any:
        """gy, with its data in float32."""
        gy.data = gy.data.astype(np.float32, copy=False)
        return gy


class DezeroPeer:
    """A network in DeZero with our weights."""

    def __init__(self, training: Training) -> None:
        net, optimiser = training.net, training.optimiser
        assert isinstance(net.encoder, Sequential)  # as in all our architectures
        self.layers = dict(net.encoder.layers)
        self.net = replace(net, params={})  # for its shapes
        params = channels_first(net, {name: to_host(value) for name, value in net.params.items()})
        self.statistics = {name: params.pop(name) for name in list(params) if ".running_" in name}
        self.params = {name: dezero.Parameter(value, name) for name, value in params.items()}
        self.twins, self.labels = np.concatenate([training.a, training.b])[:, None], training.labels
        self.optimiser = dezero.optimizers.MomentumSGD(optimiser.lr, optimiser.momentum).setup(self.model)
        decay = dezero.optimizers.WeightDecay(optimiser.weight_decay)
        self.optimiser.add_hook(lambda params: decay([p for p in params if p.name.endswith("weight")]))

    @property
    def model(self) -> Any:
        """All parameters in the form that DeZero's optimisers take."""
        model = dezero.Layer()
        for name, parameter in self.params.items():
            setattr(model, name, parameter)
        return model

    def step(self) -> float:
        """Forward, backward and update; returns the loss before the update."""
        value = self._backward()
        self.optimiser.update()
        return value

    def gradients(self) -> tuple[float, Params]:
        """The loss and gradients without an update, with channels moved back to where ours are."""
        value = self._backward()
        grads = {name: parameter.grad.data for name, parameter in self.params.items()}
        return value, channels_first(self.net, grads, inverse=True)

    def _backward(self) -> float:
        for parameter in self.params.values():
            parameter.cleargrad()
        x: Any = self.twins
        for name, layer in self.layers.items():
            x = self._forward(layer, f"encoder.{name}.", InFloat32()(x))
        x = InFloat32()(x)
        pairs = len(self.labels)
        difference = x[:pairs] - x[pairs:]
        distance = F.relu(difference) + F.relu(-difference)  # DeZero has no abs
        logits = F.matmul(distance, F.reshape(self.params["head.weight"], (-1, 1))) + self.params["head.bias"]
        loss = F.sigmoid_cross_entropy(logits, self.labels)
        loss.backward()
        return float(loss.data)

    def _forward(self, layer: Layer, prefix: str, x: Any) -> Any:
        params, statistics = self.params, self.statistics
        match layer:
            case Conv2d(stride=stride, padding=padding):
                y = F.conv2d(x, params[prefix + "weight"], params[prefix + "bias"], stride, padding)
            case MaxPool2d(kernel_size, stride=stride):
                y = F.pooling(x, kernel_size, stride or kernel_size)
            case BatchNorm2d(eps=eps, momentum=momentum):
                y = F.batch_nrom(
                    x,
                    params[prefix + "weight"],
                    params[prefix + "bias"],
                    statistics[prefix + "running_mean"],
                    statistics[prefix + "running_var"],
                    1 - momentum,
                    eps,
                )
            case Linear():
                y = F.linear(x, params[prefix + "weight"], params[prefix + "bias"])
            case ReLU() | Sigmoid() | Flatten():
                y = {ReLU: F.relu, Sigmoid: F.sigmoid, Flatten: F.flatten}[type(layer)](x)
            case _:
                raise ScratchnetError(f"the DeZero peer does not support {layer}")
        return y
