"""The launcher that runs kernels on the host catches what would go wrong on a GPU: kernels with one mistake each."""

import host_cuda
import numpy as np
import pytest
from strict_array import StrictArray

pytestmark = pytest.mark.skipif(host_cuda.COMPILER is None, reason="needs g++, to run CUDA kernels on the host")

# Each block of 64 threads reverses its part of x through shared memory.
REVERSE = """
extern "C" __global__ void reverse(const Real* __restrict__ x, Real* __restrict__ y, long long count)
{
    __shared__ Real part[64];
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t < count) part[threadIdx.x] = x[t];
    __syncthreads();
    if (t < count) y[t] = part[63 - threadIdx.x];
}
"""


@pytest.fixture
def reverse(tmp_path):
    """Runs REVERSE, or a changed copy, on 128 numbers, and returns them with the result."""

    def run(old="", new="", x=None, y=None, count=128):
        assert old in REVERSE
        source = tmp_path / f"reverse_{abs(hash((old, new)))}.cu"
        source.write_text(REVERSE.replace(old, new) if old else REVERSE)
        x = np.random.default_rng(0).standard_normal(128) if x is None else x
        y = StrictArray(np.full(128, np.nan)) if y is None else y
        host_cuda.launch(source, "reverse", "double", (2,), 64, [StrictArray(x), y, np.asarray(count)[()]])
        return x, y._array

    return run


def test_a_correct_kernel_gives_its_result(reverse):
    x, y = reverse()
    np.testing.assert_array_equal(y, x.reshape(2, 64)[:, ::-1].reshape(-1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("__syncthreads();", ";", "differs between forward and"),
        ("if (t < count) y[t]", "y[t + 1]", "writes outside of argument 1"),
        ("y[t] =", "((Real*)x)[t] =", "writes into argument 0, a pointer to const"),
        ("part[threadIdx.x] = x[t]", "part[0] = x[t]", "differs between forward and"),
        ("__syncthreads();", "if (threadIdx.x < 9) return; __syncthreads();", "some threads end where others wait"),
    ],
)
def test_a_mistake_is_caught(reverse, old, new, message):
    with pytest.raises(AssertionError, match=message):
        reverse(old, new)


def test_shared_memory_that_nobody_wrote_is_nan(reverse):
    _, y = reverse("if (t < count) part[threadIdx.x] = x[t];", "if (t % 2) part[threadIdx.x] = x[t];")
    assert np.isnan(y).sum() == 64


def test_what_lies_behind_an_array_is_nan(reverse):
    _, y = reverse("= x[t];", "= x[t + 1];")
    assert np.isnan(y).sum() == 1


def test_arguments_are_checked(reverse):
    x = np.zeros(128)
    with pytest.raises(TypeError, match="argument 0 is not contiguous"):
        reverse(x=np.zeros((2, 128))[:, ::2].reshape(2, 64).T)
    with pytest.raises(TypeError, match="two arguments share memory"):
        reverse(x=x, y=StrictArray(x))
    with pytest.raises(TypeError, match="argument 1 is a int64, expected an array"):
        reverse(y=np.int64(3))
    with pytest.raises(TypeError, match="argument 2 is a float32, expected 8 bytes"):
        reverse(count=np.float32(1))


def test_a_source_that_does_not_compile_says_where(reverse):
    with pytest.raises(RuntimeError, match=r"does not compile on the host[\s\S]*tt"):
        reverse("y[t] =", "y[tt] =")
