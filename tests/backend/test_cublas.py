"""Products through cuBLAS, on a stand-in that implements its one call: strides, batches, sums."""

import fake_cublas
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strict_array import StrictArray

from scratchnet import backend
from scratchnet.backend import add_product, get_precision, matmul, set_precision, to_host
from scratchnet.backend.cublas import operand
from scratchnet.errors import BackendError

sizes = st.integers(1, 5)


def laid_out(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, way: str) -> np.ndarray:
    """Random matrices of that shape, in memory of their own or cut out of a larger array."""
    *batch, rows, columns = shape
    if way == "transposed":
        return rng.standard_normal((*batch, columns, rows)).astype(dtype).swapaxes(-1, -2)
    if way == "cut out":
        return rng.standard_normal((*batch, 2, rows, columns)).astype(dtype)[..., 1, :, :]
    if way == "wide rows":
        return rng.standard_normal((*batch, rows, columns + 3)).astype(dtype)[..., :columns]
    if way == "gaps":
        return rng.standard_normal((*batch, rows, 2 * columns)).astype(dtype)[..., ::2]
    return rng.standard_normal(shape).astype(dtype)


ways = st.sampled_from(["whole", "transposed", "cut out", "wide rows", "gaps"])


@given(
    batch=st.lists(sizes, max_size=2), shape=st.tuples(sizes, st.integers(0, 4), sizes), way_a=ways, way_b=ways,
    cut=st.booleans(), one_a=st.booleans(), dtype=st.sampled_from(["float32", "float64"]), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("kernels")
def test_products_and_sums_of_products_agree_with_numpy(batch, shape, way_a, way_b, cut, one_a, dtype, seed):
    rng, (M, K, N) = np.random.default_rng(seed), shape
    a = laid_out(rng, (M, K) if one_a else (*batch, M, K), dtype, way_a)
    b = laid_out(rng, (*batch, K, N), dtype, way_b)
    start = laid_out(rng, (*batch, M, N), dtype, "cut out" if cut else "whole")
    out = StrictArray(start.copy() if not cut else start)
    wide_a, wide_b, wide_start = (array.astype(np.longdouble) for array in (a, b, start))
    product, terms = wide_a @ wide_b, abs(wide_a) @ abs(wide_b)  # the terms may cancel, their rounding errors do not
    rounding = (K + 2) * np.finfo(dtype).eps
    add_product(StrictArray(a), StrictArray(b), out, sign=-1.0)
    assert (abs(to_host(out) - (wide_start - product)) <= rounding * (abs(wide_start) + terms)).all()
    out.fill(np.nan)
    matmul(StrictArray(a), StrictArray(b), out)
    assert (abs(to_host(out) - product) <= rounding * terms).all()


def test_transposed_and_cut_out_matrices_are_not_copied():
    x = np.zeros((4, 2, 6, 5), np.float32)
    assert operand(x[:, 1].swapaxes(-1, -2), (4,)) == (True, 5, 60)
    assert operand(x.reshape(8, 6, 5)[:, :, :3], (8,)) == (False, 5, 30)
    assert operand(x[0, 0], (7,)) == (False, 5, 0)
    assert operand(x[..., ::2], (4, 2)) is None


def test_a_batch_without_a_constant_stride_is_refused(kernels):
    a, b, out = (StrictArray(np.zeros(shape)) for shape in [(1, 3, 2, 2), (4, 3, 2, 2), (4, 3, 2, 2)])
    with pytest.raises(ValueError, match=r"the matrices \(1, 3, 2, 2\).* have no single stride"):
        matmul(a, b, out)


@pytest.fixture
def float32_again():
    yield
    set_precision("float32")


@pytest.mark.usefixtures("float32_again")
def test_tf32_is_asked_of_cublas_for_float32_alone(kernels):
    for precision, dtype, expected in [
        ("float32", "float32", fake_cublas.CUBLAS_COMPUTE_32F),
        ("tf32", "float32", fake_cublas.CUBLAS_COMPUTE_32F_FAST_TF32),
        ("tf32", "float64", fake_cublas.CUBLAS_COMPUTE_64F),
    ]:
        set_precision(precision)
        x = StrictArray(np.ones((2, 2), dtype))
        matmul(x, x, kernels.module.empty((2, 2), dtype=dtype))
        assert fake_cublas.compute_types[-1] == expected


def test_an_unknown_precision_is_refused(monkeypatch):
    with pytest.raises(BackendError, match="unknown precision 'fp8': choose one of float32, tf32"):
        set_precision("fp8")
    monkeypatch.setattr(backend.products, "_precision", "half")
    with pytest.raises(BackendError, match="SCRATCHNET_PRECISION=half: choose one of float32, tf32"):
        get_precision()
