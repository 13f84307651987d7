"""Stochastic gradient descent with momentum, and settings for each layer."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any

from scratchnet.backend import CPU, Array, Params, array_module, blocks, device_of, for_each
from scratchnet.backend.expect import expect
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.ops.cuda import sgd as cuda_sgd
from scratchnet.ops.finite import flag_unless, unless

SETTINGS = ("lr", "momentum", "weight_decay")
SCHEDULES = ("decay", "cosine")
SMALL = 1e38  # a number that float32 can still double


@dataclass
class SGD:
    """The paper's update (section 3.2), parameter by parameter:

        v <- momentum v - lr (g + 2 weight_decay w)
        w <- w + v

    2 weight_decay w is the gradient of the L2 term weight_decay |w|^2, so the decay is coupled: it passes through the
    momentum and is scaled by the learning rate. (The paper prints + 2 lambda |w|, with the wrong sign and unscaled.)
    It applies to the parameters called "weight", batch norm's among them, and never to biases.

    per_layer: settings for some parameters, {"encoder.conv1": {"lr": 0.01}}; the longest prefix that fits a
    parameter's name wins, setting by setting. Raises ScratchnetError for a setting that does not exist, at the
    first step for a prefix that fits no parameter, and for schedules that contradict each other.

    Schedules, by `epoch`, which the training loop sets: momentum rises linearly from initial_momentum at epoch 0 to
    its final value at epoch momentum_epochs, and every learning rate is multiplied by

        lr_decay^epoch                        schedule "decay" (the paper: 0.99)
        (1 + cos(pi epoch / epochs)) / 2      schedule "cosine" (Loshchilov and Hutter 2017, without restarts)

    and before epoch warm_up_epochs by (epoch + 1) / (warm_up_epochs + 1) on top.
    """

    lr: float
    momentum: float = 0.9
    weight_decay: float = 0.0
    per_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    lr_decay: float = 1.0
    initial_momentum: float | None = None
    momentum_epochs: int = 1
    schedule: str = "decay"
    epochs: int = 0  # of the cosine
    warm_up_epochs: int = 0
    epoch: int = 0
    velocity: Params = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        unknown = {name for settings in self.per_layer.values() for name in settings} - set(SETTINGS)
        if unknown:
            raise ScratchnetError(
                f"per_layer sets {', '.join(sorted(unknown))}{hint(min(unknown), SETTINGS)}: "
                f"it can set {', '.join(SETTINGS)}"
            )
        if self.schedule not in SCHEDULES:
            raise ScratchnetError(
                f"schedule={self.schedule} is none of {', '.join(SCHEDULES)}"
                f"{hint(self.schedule, SCHEDULES)}: choose one"
            )
        if self.schedule == "cosine" and self.lr_decay != 1:
            raise ScratchnetError(f"lr_decay={self.lr_decay} goes with schedule=decay: with the cosine, set it to 1")
        if self.schedule == "cosine" and not self.warm_up_epochs < self.epochs:
            raise ScratchnetError(
                f"warm_up_epochs={self.warm_up_epochs} leave nothing of a cosine over "
                f"epochs={self.epochs}: give fewer, or more epochs"
            )

    def step(self, params: Params, grads: Params, failed: Array | None = None) -> None:
        """One update of `params`, in place, for every parameter that has a gradient.

        failed: a flag of ops/finite.py, on a device that nobody waits for; once it is raised, nothing changes.
        Raises ShapeError or BackendError, before anything is changed, when a gradient does not fit its parameter.
        """
        self.expect_prefixes_to_fit(grads)
        _expect_to_fit(params, grads)
        for name, gradient in grads.items():
            weight = params[name]
            if name not in self.velocity:
                self.velocity[name] = array_module(weight).zeros_like(weight)
            update = partial(_update, weight, self.velocity[name], gradient, *self.settings(name), failed)
            for_each(update, blocks(weight), like=weight)

    def flag(self, params: Params, grads: Params, failed: Array) -> None:
        """Raise the flag `failed` (see ops/finite.py) where `step` would leave a NaN or an infinity in `params`.

        Changes nothing else. Raises ShapeError or BackendError when a gradient does not fit its parameter.
        """
        _expect_to_fit(params, grads)
        entries: list[cuda_sgd.Entry] = []
        verdicts: list[Array] = []
        for name, gradient in grads.items():
            weight, velocity = params[name], self.velocity.get(name)
            if velocity is None:
                velocity = array_module(weight).zeros_like(weight)
            if cuda_sgd.usable(weight, velocity, gradient):
                entries.append(cuda_sgd.Entry(weight, velocity, gradient, *self.settings(name)))
            else:
                judge = partial(_judge, weight, velocity, gradient, *self.settings(name), verdicts)
                for_each(judge, blocks(weight), like=weight)
        cuda_sgd.flag(entries, failed)
        flag_unless(verdicts, failed)

    def expect_prefixes_to_fit(self, names: Iterable[str]) -> None:
        """Raise ScratchnetError unless every prefix of `per_layer` fits one of the parameters called `names`."""
        names = list(names)
        for prefix in self.per_layer:
            if not any(_fits(prefix, name) for name in names):
                parts = [part for name in names for part in accumulate(name.split("."), "{}.{}".format)]
                raise ScratchnetError(
                    f"per_layer sets {prefix}, which is no part of the network{hint(prefix, parts)}: {', '.join(names)}"
                )

    @property
    def rate(self) -> float:
        """The learning rate of the current epoch, where no layer has its own."""
        return self.lr * self._scheduled_share

    def settings(self, name: str) -> tuple[float, float, float]:
        """Learning rate, momentum and weight decay of the parameter `name` in the current epoch."""
        lr, momentum, weight_decay = (self._setting(setting, name) for setting in SETTINGS)
        if not name.endswith("weight"):
            weight_decay = 0.0
        if self.initial_momentum is not None:
            progress = min(1.0, self.epoch / self.momentum_epochs)
            momentum = self.initial_momentum + progress * (momentum - self.initial_momentum)
        return lr * self._scheduled_share, momentum, weight_decay

    @property
    def _scheduled_share(self) -> float:
        """What every learning rate is multiplied by in the current epoch."""
        warmth = min(1.0, (self.epoch + 1) / (self.warm_up_epochs + 1))
        if self.schedule == "cosine":
            return warmth * (1 + math.cos(math.pi * min(1.0, self.epoch / self.epochs))) / 2
        return warmth * self.lr_decay**self.epoch

    def _setting(self, setting: str, name: str) -> Any:
        fitting = [prefix for prefix, settings in self.per_layer.items() if setting in settings and _fits(prefix, name)]
        return self.per_layer[max(fitting, key=len)][setting] if fitting else getattr(self, setting)


def _expect_to_fit(params: Params, grads: Params) -> None:
    for name, gradient in grads.items():
        expect("SGD", f"{name}: *shape, the gradient of {name}: *shape", params[name], gradient)


def _update(
    weight: Array,
    velocity: Array,
    gradient: Array,
    lr: float,
    momentum: float,
    weight_decay: float,
    failed: Array | None,
    rows: slice,
) -> None:
    """The update of some rows, in place: a few at a time, so that they stay in the cache from step to step."""
    v, w, g = velocity[rows], weight[rows], gradient[rows]
    if cuda_sgd.usable(w, v, g):
        cuda_sgd.update(w, v, g, lr, momentum, weight_decay, failed)
    elif failed is None:
        _accelerate(v, w, g, lr, momentum, weight_decay, out=v)
        w += v
    else:
        new = _accelerate(v, w, g, lr, momentum, weight_decay)
        v[...], w[...] = unless(failed, v, new), unless(failed, w, w + new)


def _judge(
    weight: Array,
    velocity: Array,
    gradient: Array,
    lr: float,
    momentum: float,
    weight_decay: float,
    verdicts: list[Array],
    rows: slice,
) -> None:
    """Add to the verdicts whether the update of some rows leaves them finite, unless that is sure."""
    v, w, g = velocity[rows], weight[rows], gradient[rows]
    if device_of(w) is CPU and _surely_finite(v, w, g, lr, momentum, weight_decay):
        return
    new = _accelerate(v, w, g, lr, momentum, weight_decay)
    new += w
    verdicts.append(array_module(new).isfinite(new).all())


def _surely_finite(v: Array, w: Array, g: Array, lr: float, momentum: float, weight_decay: float) -> bool:
    """Whether no number of the update can overflow: none is larger than the norm of its array, which is soon found."""
    v_norm, w_norm, g_norm = (math.sqrt(flat @ flat) for flat in (x.reshape(-1) for x in (v, w, g)))
    return abs(momentum) * v_norm + abs(lr) * (g_norm + 2 * weight_decay * w_norm) + w_norm < SMALL  # False for NaN


def _accelerate(
    v: Array, w: Array, g: Array, lr: float, momentum: float, weight_decay: float, out: Array | None = None
) -> Array:
    """momentum v - lr (g + 2 weight_decay w)."""
    new = array_module(v).multiply(v, momentum, out=out)
    new -= lr * g
    if weight_decay:
        new -= (2 * lr * weight_decay) * w
    return new


def _fits(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")
