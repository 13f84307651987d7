"""An independent witness: plain central differences, entry by entry, sharing no code with scratchnet.gradcheck."""

import numpy as np
import pytest

from scratchnet.planted.cases import CASES

STEP = 1e-5
CHEAP = {
    name: case for name, case in CASES.items() if "Siamese" not in name and "koch" not in name and "compact" not in name
}
NETWORKS = {name: case for name, case in CASES.items() if name not in CHEAP}


def worst_error(case, entries: int | None, seed: int) -> float:
    """The largest difference of analytic and numeric derivatives, in units of the largest derivative of all.

    entries: how many random entries of each tensor to try; None tries all.
    """
    rng = np.random.default_rng(seed)
    params, inputs = case.draw(rng)
    y, cache = case.layer.forward(params, *inputs, **case.options)
    dy = np.array(rng.standard_normal(y.shape))
    dinputs, grads = case.layer.backward(dy, cache)
    dinputs = dinputs if isinstance(dinputs, tuple) else (dinputs,)
    tensors = [*zip(inputs, dinputs, strict=True), *((params[name], grads[name]) for name in grads)]
    errors, sizes = [], []
    for tensor, gradient in tensors:
        indices = list(np.ndindex(tensor.shape))
        if entries is not None:
            indices = [indices[i] for i in rng.choice(len(indices), min(entries, len(indices)), replace=False)]
        for index in indices:
            value = tensor[index]
            outputs = []
            for moved in (value + STEP, value - STEP):
                tensor[index] = moved
                outputs.append(case.layer.forward(params, *inputs, **case.options)[0])
            tensor[index] = value
            numeric = float((dy * (outputs[0] - outputs[1])).sum()) / (2 * STEP)
            errors.append(abs(numeric - gradient[index]))
            sizes.append(abs(numeric))
    return max(errors) / max(sizes)


@pytest.mark.parametrize("case", CHEAP.values(), ids=CHEAP)
def test_every_entry_of_every_gradient_is_the_slope_of_forward(case):
    assert worst_error(case, entries=None, seed=5) < 1e-6


@pytest.mark.parametrize("case", NETWORKS.values(), ids=NETWORKS)
def test_random_entries_of_the_networks_gradients_are_slopes_of_forward(case):
    assert worst_error(case, entries=6, seed=5) < 1e-6
