"""The penalty on the weights in the loss of the paper, whose gradient SGD adds as weight decay."""

from collections.abc import Mapping

from scratchnet.backend import Array, Params


def l2_penalty(params: Mapping[str, Array], strengths: Mapping[str, float]) -> tuple[Array | float, Params]:
    """The layer-wise L2 term of the paper's loss, sum over j of lambda_j |w_j|^2 (section 3.2), and its gradient.

    strengths: lambda_j by parameter name. The gradient is 2 lambda_j w_j: SGD adds the same with
    weight_decay = 2 lambda_j.
    """
    penalty = sum((strength * (params[name] * params[name]).sum() for name, strength in strengths.items()), 0.0)
    return penalty, {name: 2 * strength * params[name] for name, strength in strengths.items()}
