"""Every test of a picture needs matplotlib, an extra; logs as a run writes them."""

import numpy as np
import pytest

from scratchnet.errors import install_extra


@pytest.fixture(autouse=True)
def matplotlib():
    return pytest.importorskip("matplotlib", reason=f"draws with matplotlib, an extra; {install_extra('study')}")


@pytest.fixture
def log_of(rng):
    """Makes the log of a run of so many epochs, of random figures."""

    def make(epochs, validated=True, norms=("encoder.conv1", "encoder.norm1", "encoder.linear", "head")):
        records = []
        for epoch in range(1, epochs + 1):
            right = rng.uniform(0.5, 0.9)
            records.append(
                {
                    "epoch": epoch,
                    "loss": rng.uniform(0.1, 2),
                    "validation": right if validated else None,
                    "interval": [right - 0.03, right + 0.04] if validated else None,
                    "seconds": rng.uniform(1, 100),
                    "images_per_second": rng.uniform(10, 1000),
                    "gradient_norms": {name: rng.uniform(0.01, 10) for name in norms} or None,
                }
            )
        return records

    return make


@pytest.fixture
def drawings(rng):
    """Random ink (N, 12, 12)."""
    return lambda count: (rng.random((count, 12, 12)) < 0.3).astype(np.float32)
