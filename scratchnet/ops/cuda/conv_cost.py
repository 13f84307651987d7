"""What each convolution algorithm costs on a GPU, in seconds in float32 on one NVIDIA H200.

`python benchmarks/gpu.py --only convolutions` measures both for a dozen shapes.
"""

from scratchnet.ops.fast.conv_cost import Problem

# Of an NVIDIA H200 with CuPy 14.2.0, 2026-11-27, from the tables of benchmarks/gpu.md; the model knows of no TF32.
MULTIPLY_ADDS = 25e12  # a second, in float32, in a large product
IN_SMALL_PRODUCTS = 16e12  # in a batch of smaller ones
IN_ONE_CHANNEL = 7e12  # in the kernels for a layer of one channel
BYTES = 4.2e12  # a second, read or written
BYTES_OF_COLUMNS = 2e12  # of columns
# Seconds of Python to queue one pass: y, dweight or dx. The GPU computes meanwhile, so the longer of the two counts.
QUEUE_IM2COL = 0.6e-3
QUEUE_DFT = 1.2e-3


def costs(problem: Problem) -> dict[str, float]:
    """The cost of the two algorithms that suit a GPU, by their names in `choose.CONVOLUTIONS`."""
    return {"im2col": im2col(problem), "dft": dft(problem)}


def im2col(p: Problem) -> float:
    """Two products or three, and columns that are written and read for each; those of one channel never are."""
    passes = 3 if p.needs_dx else 2
    multiply_adds = passes * p.pixels * p.window * p.O
    if p.C == 1:
        busy = multiply_adds / IN_ONE_CHANNEL
    else:
        columns, maps = passes * 2 * 4 * p.pixels * p.window, 4 * (passes - 1) * p.pixels * p.O
        busy = multiply_adds / MULTIPLY_ADDS + columns / BYTES_OF_COLUMNS + maps / BYTES
    return max(busy, passes * QUEUE_IM2COL)


def dft(p: Problem) -> float:
    """Transforms by matrix products, and four batches of small ones for each of the three products of spectra."""
    U, V = (p.H + p.padding[0]) // 2 + 1, p.W + p.padding[1]  # frequencies of ops/cuda/dft.py
    Ho, Wo = p.padded[0] - p.kh + 1, p.padded[1] - p.kw + 1

    def transform(h: int, w: int, numbers: int) -> float:
        multiply_adds = 2 * U * h * w * numbers + U * 4 * V * w * numbers
        moved = 4 * numbers * (h * w + 2 * 2 * U * w + 2 * U * V)
        return multiply_adds / MULTIPLY_ADDS + moved / BYTES

    def multiply(n: int, c: int, o: int) -> float:
        moved = 4 * 4 * U * V * (n * c + c * o + 1.5 * n * o)
        return 4 * U * V * n * c * o / IN_SMALL_PRODUCTS + moved / BYTES

    x, weight, y = (transform(*size) for size in ((p.H, p.W, p.N * p.C), (p.kh, p.kw, p.C * p.O), (Ho, Wo, p.N * p.O)))
    forward = x + weight + multiply(p.N, p.C, p.O) + y
    busy = forward + y + multiply(p.C, p.N, p.O) + weight + p.needs_dx * (multiply(p.N, p.O, p.C) + x)
    return max(busy, (3 if p.needs_dx else 2) * QUEUE_DFT)
