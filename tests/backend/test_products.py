"""Matrix products, cut into one piece for each thread."""

import numpy as np
import pytest

from scratchnet import backend


@pytest.mark.parametrize(("m", "k", "n"), [(3, 400, 9_000), (9_000, 400, 3), (2, 3, 4), (0, 3, 4), (1, 10_000_001, 1)])
def test_a_product_in_pieces_equals_the_whole(m, k, n, rng):
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    np.testing.assert_allclose(backend.product(a, b), a @ b, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(backend.product(b.T, a.T), (a @ b).T, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_a_product_is_added_on_every_device(dtype, device):
    # [[1, 2], [3, 4]] @ [[5], [6]] = [[17], [39]]
    a, b, out = (device.upload(np.array(values, dtype)) for values in ([[1, 2], [3, 4]], [[5], [6]], [[100], [100]]))
    backend.add_product(a, b, out)
    np.testing.assert_array_equal(backend.to_host(out), [[117], [139]])
    backend.add_product(a, b, out, sign=-1.0)
    backend.add_product(a, b, out, sign=-1.0)
    np.testing.assert_array_equal(backend.to_host(out), [[83], [61]])
