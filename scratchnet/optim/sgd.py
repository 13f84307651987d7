"""Stochastic gradient descent with momentum, weight decay, and settings for each layer."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from itertools import accumulate
from typing import Any

from scratchnet.backend import Array, Params, array_module
from scratchnet.backend.expect import expect
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.ops.update import Settings, Update, flag_sgd, sgd
from scratchnet.optim.schedules import CONSTANT, MomentumRise, Schedule

SETTINGS = Settings._fields


@dataclass
class SGD:
    """The update of the paper (section 3.2), parameter by parameter:

        v <- momentum v - lr (g + weight_decay w)
        w <- w + v

    weight_decay means what it does in PyTorch: weight_decay w is the gradient of weight_decay / 2 |w|^2, so the
    paper's penalty lambda |w|^2 (`optim.l2_penalty`) is weight_decay = 2 lambda. The decay is coupled: it passes
    through the momentum and is scaled by the learning rate. (The paper prints + 2 lambda |w|, with the wrong sign and
    unscaled.) It applies to the parameters called "weight", batch norm's among them, and never to biases.

    per_layer: settings for some parameters, {"encoder.conv1": {"lr": 0.01}}; for each setting the longest prefix that
    matches a parameter's name wins. lr_schedule: the factor of every learning rate in an epoch. momentum_rise: raises
    every momentum to its value over the first epochs. `start_epoch` sets the epoch of both. velocity: v by parameter
    name, from its first step on.

    Raises ScratchnetError for a setting in per_layer that does not exist.
    """

    lr: float
    _: KW_ONLY
    momentum: float = 0.9
    weight_decay: float = 0.0
    per_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    lr_schedule: Schedule = CONSTANT
    momentum_rise: MomentumRise | None = None
    epoch: int = 0
    velocity: Params = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.lr, Mapping):
            raise ScratchnetError("SGD(lr) takes no parameters: they go to step")
        unknown = {name for settings in self.per_layer.values() for name in settings} - set(SETTINGS)
        if unknown:
            raise ScratchnetError(
                f"per_layer sets {', '.join(sorted(unknown))}{hint(min(unknown), SETTINGS)}: "
                f"it can set {', '.join(SETTINGS)}"
            )

    def start_epoch(self, epoch: int) -> None:
        """From now on, learning rates and momentum are those of this epoch, counted from 0."""
        self.epoch = epoch

    def step(self, params: Params, grads: Params, *, failed: Array | None = None) -> None:
        """One update of `params`, in place, for every parameter that has a gradient.

        failed: a flag () int32 of ops/finite.py on the parameters' device; once it is raised, nothing changes.
        Raises, before anything changes, ShapeError or BackendError when a gradient does not match its parameter, and
        ScratchnetError when a prefix in per_layer matches no parameter.
        """
        self.expect_prefixes_to_match(params)
        _expect_to_match(params, grads)
        for name, gradient in grads.items():
            velocity = self.velocity[name] = self._velocity(name, params[name])
            sgd(params[name], velocity, gradient, self.settings(name), failed)

    def flag(self, params: Params, grads: Params, failed: Array) -> None:
        """Raise the flag `failed` (see ops/finite.py) where `step` would leave a NaN or an infinity in `params`.

        Changes nothing else. Raises ShapeError or BackendError when a gradient does not match its parameter.
        """
        _expect_to_match(params, grads)
        updates = [
            Update(params[name], self._velocity(name, params[name]), gradient, self.settings(name))
            for name, gradient in grads.items()
        ]
        flag_sgd(updates, failed)

    def expect_prefixes_to_match(self, names: Iterable[str]) -> None:
        """Raise ScratchnetError unless every prefix in `per_layer` matches one of the parameters called `names`."""
        names = list(names)
        for prefix in self.per_layer:
            if not any(_matches(prefix, name) for name in names):
                parts = [part for name in names for part in accumulate(name.split("."), "{}.{}".format)]
                raise ScratchnetError(
                    f"per_layer sets {prefix}, which is no part of the network{hint(prefix, parts)}: {', '.join(names)}"
                )

    @property
    def rate(self) -> float:
        """The learning rate of the current epoch, of all layers without a learning rate of their own."""
        return self.lr * self.lr_schedule(self.epoch)

    def settings(self, name: str) -> Settings:
        """Learning rate, momentum and weight decay of the parameter `name` in the current epoch."""
        lr, momentum, weight_decay = (self._setting(setting, name) for setting in SETTINGS)
        if name.rpartition(".")[2] != "weight":
            weight_decay = 0.0
        if self.momentum_rise:
            momentum = self.momentum_rise(self.epoch, momentum)
        return Settings(lr * self.lr_schedule(self.epoch), momentum, weight_decay)

    def _velocity(self, name: str, weight: Array) -> Array:
        return self.velocity[name] if name in self.velocity else array_module(weight).zeros_like(weight)

    def _setting(self, setting: str, name: str) -> Any:
        """The value that the longest matching prefix gives; without one, that of all layers."""
        matching = [prefix for prefix, own in self.per_layer.items() if setting in own and _matches(prefix, name)]
        return self.per_layer[max(matching, key=len)][setting] if matching else getattr(self, setting)


def _expect_to_match(params: Params, grads: Params) -> None:
    for name, gradient in grads.items():
        if name not in params:
            raise ScratchnetError(f"a gradient of {name}, which is no parameter{hint(name, params)}")
        expect("SGD", f"{name}: *shape, the gradient of {name}: *shape", params[name], gradient)


def _matches(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")
