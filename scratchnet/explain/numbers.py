"""The arrays that the page holds: for the shown channels every number, for the others of a sum what they add to it.

What the others add is computed here by itself, in float64, and never as the difference between a sum and the terms that
are shown. So the page can add up all terms and say how far that is from the array's own value.

In the names, m is "compare", "batch" or "alone" (the step on a batch, and on this pair alone), i a value: that which
goes into layer i, and comes out of layer i - 1. S stands for the shown channels.

    m/v{i}, m/g{i}              value i and its gradient               (2 twins, S, H, W)
    w{i}, b{i}                  weight and bias of layer i             (S out, S in, kh, kw), (S out,)
    m/dw{i}, m/db{i}            their gradients                        alike
    m/dw{i}/others, m/db{i}/others   what the other images add to these     alike
    m/y{i}/others, m/dx{i}/others    what the other channels add            (2, S, H, W)
    m/norm{i}                   mean, std, weight, bias                (4, S)
    m/dnorm{i}, m/dnorm{i}/others    dbias, dweight; what other images add  (2, S)
    alpha                       the head's weight                      (S,)
    m/dalpha, m/dalpha/others   its gradient; what the other pairs add (S,)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratchnet.backend import to_host
from scratchnet.errors import ScratchnetError
from scratchnet.explain.stages import PRODUCTS, Stage, stages, telling_channels
from scratchnet.layers import BatchNorm2d, WeightedL1, sigmoid
from scratchnet.models.pair_trace import PairTrace, StepTrace
from scratchnet.ops import conv
from scratchnet.ops.accelerated import definition_of

Arrays = dict[str, np.ndarray]
Shown = Sequence[np.ndarray]  # the shown channels of each value


@dataclass(frozen=True)
class Numbers:
    """channels: the shown ones of each value. arrays: by the names above, float32. modes: single numbers by mode."""

    stages: list[Stage]
    channels: list[np.ndarray]
    arrays: Arrays
    modes: dict[str, dict[str, Any]]


def numbers(pair: PairTrace, alone: StepTrace, most: int) -> Numbers:
    """The numbers of a pair's trace, with at most `most` channels of each value.

    Raises ScratchnetError for a head that is no WeightedL1.
    """
    if not isinstance(pair.head.layer, WeightedL1):
        raise ScratchnetError(f"the page explains networks with the head WeightedL1, not {pair.head.layer!r}")
    found = stages(pair.step.encoder)
    shown = [np.arange(found[0].x.shape[3]), *telling_channels(found, (0, pair.step.pairs), most)]
    arrays: Arrays = {"alpha": to_host(pair.head.params["weight"])[shown[-1]]}
    for i, stage in enumerate(found):
        if stage.kind in PRODUCTS:
            arrays[f"w{i}"] = _kernels(stage.params["weight"], shown[i], shown[i + 1])
            arrays[f"b{i}"] = _bias(stage)[shown[i + 1]]
    twins = zip(*(stages(trace) for trace in pair.twins), strict=True)
    arrays |= _forward("compare", [_both(a, b) for a, b in twins], shown, (0, 1))
    modes = {"compare": {"logit": pair.logit, "p": pair.probability} | _head(pair.head, shown[-1])}
    for mode, step in (("batch", pair.step), ("alone", alone)):
        of_step, twin_rows = stages(step.encoder), (0, step.pairs)
        arrays |= _forward(mode, of_step, shown, twin_rows) | _backward(mode, of_step, shown, twin_rows)
        arrays |= _head_gradient(mode, step, shown[-1])
        modes[mode] = _step(step) | _head(step.head, shown[-1])
    return Numbers(found, shown, {name: _packed(value) for name, value in arrays.items()}, modes)


def _both(a: Stage, b: Stage) -> Stage:
    """Two stages of one image each as one of two."""
    return replace(a, x=np.concatenate([a.x, b.x], axis=2), y=np.concatenate([a.y, b.y], axis=2))


def _forward(mode: str, found: Sequence[Stage], shown: Shown, twins: tuple[int, int]) -> Arrays:
    arrays = {f"{mode}/v0": _maps(found[0].x, shown[0], twins)}
    for i, stage in enumerate(found):
        arrays[f"{mode}/v{i + 1}"] = _maps(stage.y, shown[i + 1], twins)
        if stage.kind in PRODUCTS:
            others = _others(stage.x.shape[3], shown[i])
            weight = stage.params["weight"][:, :, others][..., shown[i + 1]]
            y = _convolve(stage, stage.x[:, :, twins][..., others], weight)
            arrays[f"{mode}/y{i}/others"] = y.transpose(2, 3, 0, 1)
        elif isinstance(stage.at.layer, BatchNorm2d):
            cache, bias = stage.at.cache, stage.params["bias"]
            vectors = (to_host(cache.mean), to_host(cache.std), to_host(cache.weight), bias)
            arrays[f"{mode}/norm{i}"] = np.stack(vectors)[:, shown[i]]
    return arrays


def _backward(mode: str, found: Sequence[Stage], shown: Shown, twins: tuple[int, int]) -> Arrays:
    arrays = {f"{mode}/g{len(found)}": _maps(found[-1].dy, shown[-1], twins)}
    for i, stage in enumerate(found):
        arrays[f"{mode}/g{i}"] = _maps(stage.dx, shown[i], twins)
        images = _others(stage.x.shape[2], twins)
        x, dy = stage.x[:, :, images][..., shown[i]], stage.dy[:, :, images][..., shown[i + 1]]
        if stage.kind in PRODUCTS:
            arrays[f"{mode}/dw{i}"] = _kernels(stage.grads["weight"], shown[i], shown[i + 1])
            arrays[f"{mode}/db{i}"] = stage.grads.get("bias", _bias(stage))[shown[i + 1]]
            every = np.arange(len(shown[i + 1]))
            dweight = _conv_backward(stage, x, dy, stage.params["weight"][:, :, shown[i]][..., shown[i + 1]])[1]
            arrays[f"{mode}/dw{i}/others"] = _kernels(dweight, np.arange(len(shown[i])), every)
            arrays[f"{mode}/db{i}/others"] = dy.sum(axis=(0, 1, 2), dtype=np.float64)
            others = _others(stage.y.shape[3], shown[i + 1])
            weight = stage.params["weight"][:, :, shown[i]][..., others]
            pair_x, pair_dy = stage.x[:, :, twins][..., shown[i]], stage.dy[:, :, twins][..., others]
            arrays[f"{mode}/dx{i}/others"] = _conv_backward(stage, pair_x, pair_dy, weight)[0].transpose(2, 3, 0, 1)
        elif isinstance(stage.at.layer, BatchNorm2d):
            z = (x - to_host(stage.at.cache.mean)[shown[i]]) / to_host(stage.at.cache.std)[shown[i]]
            total = [stage.grads[name][shown[i]] for name in ("bias", "weight")]
            arrays[f"{mode}/dnorm{i}"] = np.stack(total)
            sums = [each.sum(axis=(0, 1, 2), dtype=np.float64) for each in (dy, dy * z)]
            arrays[f"{mode}/dnorm{i}/others"] = np.stack(sums)
    return arrays


def _head_gradient(mode: str, step: StepTrace, shown: np.ndarray) -> Arrays:
    h1, h2 = (to_host(h)[1:, shown] for h in step.head.x)
    others = to_host(step.dlogits)[1:].astype(np.float64) @ abs(h1 - h2)
    return {f"{mode}/dalpha": to_host(step.grads["head.weight"])[shown], f"{mode}/dalpha/others": others}


def _head(head: Any, shown: np.ndarray) -> dict[str, Any]:
    """The terms of the logit of the first pair that are not shown: of the other features, and the bias."""
    h1, h2 = (to_host(h)[0].astype(np.float64) for h in head.x)
    others = _others(len(h1), shown)
    weight = to_host(head.params["weight"])
    return {
        "otherFeatures": len(others),
        "logitOthers": float(abs(h1 - h2)[others] @ weight[others]),
        "headBias": float(head.params["bias"][0]),
    }


def _step(step: StepTrace) -> dict[str, Any]:
    logits, labels = to_host(step.logits), to_host(step.labels)
    return {
        "pairs": step.pairs,
        "loss": float(to_host(step.loss)),
        "logit": float(logits[0]),
        "p": float(sigmoid(logits)[0]),
        "label": float(labels[0]),
        "dlogit": float(to_host(step.dlogits)[0]),
        "dlogitOthers": float(to_host(step.dlogits)[1:].astype(np.float64).sum()),
        "dheadBias": float(step.grads["head.bias"][0]),
        "lossOthers": float(_pair_losses(logits, labels)[1:].sum()),
    }


def _pair_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    z = logits.astype(np.float64)
    return np.maximum(z, 0) - z * labels + np.log1p(np.exp(-abs(z)))


def _convolve(stage: Stage, x: np.ndarray, weight: np.ndarray) -> Any:
    x64, weight64 = _doubles(x, weight)
    y, _ = definition_of(conv.forward)(x64, weight64, stage.strides, stage.paddings, "offsets")
    return y


def _conv_backward(stage: Stage, x: np.ndarray, dy: np.ndarray, weight: np.ndarray) -> tuple[Any, Any]:
    dy, x, weight = _doubles(dy, x, weight)
    saved = conv.Saved("offsets")
    return definition_of(conv.backward)(dy, x, weight, saved, stage.strides, stage.paddings, True)


def _doubles(*arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float64) for array in arrays]


def _bias(stage: Stage) -> np.ndarray:
    return stage.params.get("bias", np.zeros(stage.y.shape[3]))


def _others(count: int, shown: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.setdiff1d(np.arange(count), shown)


def _maps(value: Any, channels: np.ndarray, twins: tuple[int, int]) -> np.ndarray:
    """(H, W, N, C) -> (2, S, H, W)."""
    return value[:, :, twins][..., channels].transpose(2, 3, 0, 1)


def _kernels(weight: np.ndarray, channels_in: np.ndarray, channels_out: np.ndarray) -> np.ndarray:
    """(kh, kw, C, O) -> (S out, S in, kh, kw)."""
    return weight[:, :, channels_in][..., channels_out].transpose(3, 2, 0, 1)


def _packed(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value, dtype="<f4")
