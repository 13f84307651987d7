"""The paper's penalty on the weights: its gradient, which SGD adds as weight decay, and the update as printed."""

from collections.abc import Mapping
from dataclasses import dataclass

from scratchnet.backend import Array, Params
from scratchnet.ops.finite import unless
from scratchnet.optim.sgd import SGD


def l2_penalty(params: Mapping[str, Array], strengths: Mapping[str, float]) -> tuple[Array | float, Params]:
    """The layer-wise L2 term of the paper's loss, sum over j of lambda_j |w_j|^2 (section 3.2), and its gradient.

    strengths: lambda_j by parameter name. The gradient is 2 lambda_j w_j: SGD adds the same with
    weight_decay = 2 lambda_j.
    """
    penalty = sum((strength * (params[name] * params[name]).sum() for name, strength in strengths.items()), 0.0)
    return penalty, {name: 2 * strength * params[name] for name, strength in strengths.items()}


@dataclass
class PrintedSGD(SGD):
    """The update with the penalty as section 3.2 prints it, to see what it does:

        v <- momentum v - lr g
        w <- w + v + weight_decay |w|

    with weight_decay = 2 lambda. The term does not pass through the momentum, is not scaled by the learning rate, and
    pushes every weight upwards: a positive one grows by the factor 1 + weight_decay each step. SGD has the gradient of
    the paper's loss instead.
    """

    def step(self, params: Params, grads: Params, *, failed: Array | None = None) -> None:
        """As in SGD."""
        decay = {name: self.settings(name).weight_decay for name in grads}
        pushes = {name: share * abs(params[name]) for name, share in decay.items() if share and name in params}
        undecayed = SGD(**vars(self) | {"weight_decay": 0.0, "per_layer": _without_decay(self.per_layer)})
        undecayed.step(params, grads, failed=failed)
        for name, push in pushes.items():
            params[name][...] = unless(failed, params[name], params[name] + push)


def _without_decay(per_layer: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {prefix: {**own, "weight_decay": 0.0} for prefix, own in per_layer.items()}
