"""Random batches for both objectives, and their losses."""

import numpy as np
import pytest

from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy

SIZE = 65
LOSSES = {"pairs": PairCrossEntropy(), "episodes": NWayCrossEntropy()}
both_kinds = pytest.mark.parametrize("kind", LOSSES)


def batch(rng, kind, N, dtype=np.float32, size=SIZE):
    """N pairs, or N episodes of three queries and two supports: a, b and target."""
    if kind == "pairs":
        a, b = rng.random((2, N, size, size)).astype(dtype)
        return a, b, (np.arange(N) % 2).astype(dtype)
    a, b = rng.random((N, 3, 1, size, size)).astype(dtype), rng.random((N, 1, 2, size, size)).astype(dtype)
    return a, b, np.eye(2, dtype=dtype)[rng.integers(0, 2, (N, 3))]
