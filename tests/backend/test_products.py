"""Matrix products, cut into one piece for each thread."""

import numpy as np
import pytest

from scratchnet import backend


@pytest.mark.parametrize(("m", "k", "n"), [(3, 400, 9_000), (9_000, 400, 3), (2, 3, 4), (0, 3, 4), (1, 10_000_001, 1)])
def test_a_product_in_pieces_equals_the_whole(m, k, n, rng):
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    np.testing.assert_allclose(backend.product(a, b), a @ b, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(backend.product(b.T, a.T), (a @ b).T, rtol=1e-10, atol=1e-10)
