"""What each convolution algorithm costs on the CPU: what "auto" compares.

The cost of an algorithm is a sum of what its file does in forward and backward, each part counted and multiplied by the
seconds that one of it takes. `benchmarks/conv.py` measures how well that chooses, and `--fit` finds the seconds.
"""

from math import ceil
from typing import NamedTuple

from scratchnet.ops.fast import conv_im2col, conv_winograd
from scratchnet.ops.fast.dft import good_size
from scratchnet.ops.fast.winograd import Axis
from scratchnet.ops.windows import Pair, output_size

# Fitted to benchmarks/conv.json, in float32 with AVX-512; only their proportions matter.
SECONDS = {
    "im2col": (9.8e-12, 3.6e-10, 3.6e-10, 3.0e-10, 1.6e-06, 1.4e-05),
    "bands": (9.0e-12, 1.1e-10, 5.6e-11, 3.2e-10, 1.6e-11, 0.0e00, 1.6e-07, 9.5e-06),
    "dft": (2.1e-11, 3.5e-10, 5.2e-11, 1.9e-06, 5.6e-05),
    "winograd": (1.0e-11, 2.4e-10, 4.1e-10, 2.9e-10, 1.3e-04),
}
IMAGE_CHANNELS = 3  # a layer with this few channels is taken for the first of a network, which finds no dx
FEWEST_IMAGES = 8  # for products with the images in rows


class Problem(NamedTuple):
    """A convolution of x (H, W, N, C) by (kh, kw, C, O)."""

    H: int
    W: int
    N: int
    C: int
    kh: int
    kw: int
    O: int
    stride: Pair
    padding: Pair

    @classmethod
    def of(cls, x_shape: tuple[int, ...], weight_shape: tuple[int, ...], stride: Pair, padding: Pair) -> "Problem":
        """The problem of x (H, W, N, C) and a weight (kh, kw, C, O)."""
        (H, W, N, C), (kh, kw, _, O) = x_shape, weight_shape
        return cls(H, W, N, C, kh, kw, O, stride, padding)

    @property
    def padded(self) -> Pair:
        """Height and width of x with its padding."""
        return self.H + 2 * self.padding[0], self.W + 2 * self.padding[1]

    @property
    def output(self) -> Pair:
        """Ho, Wo of y."""
        (height, width), (sh, sw) = self.padded, self.stride
        return output_size(height, self.kh, sh), output_size(width, self.kw, sw)

    @property
    def pixels(self) -> int:
        """Ho Wo N, the pixels of y."""
        return self.output[0] * self.output[1] * self.N

    @property
    def window(self) -> int:
        """kh kw C, the numbers in a window of x."""
        return self.kh * self.kw * self.C

    @property
    def needs_dx(self) -> bool:
        """Whether dx is computed: not for IMAGE_CHANNELS or fewer, as in a first layer."""
        return self.C > IMAGE_CHANNELS

    @property
    def passes(self) -> int:
        """How many of y, dweight and dx are computed."""
        return 2 + self.needs_dx


def costs(problem: Problem, threads: int) -> dict[str, float]:
    """The seconds of each algorithm that suits the problem, by its name in `choose.CONVOLUTIONS`.

    "offsets", the definition, is nowhere the fastest by much.
    """
    return {
        name: sum(count * seconds for count, seconds in zip(counts, SECONDS[name], strict=True))
        for name, counts in counted(problem, threads).items()
    }


def counted(problem: Problem, threads: int) -> dict[str, tuple[float, ...]]:
    """What each algorithm does, in the order of SECONDS: its work on each of the threads."""
    counts = {"im2col": _im2col(problem, threads), "dft": _dft(problem, threads)}
    if problem.N >= FEWEST_IMAGES:
        counts["bands"] = _bands(problem, threads)
    if max(problem.kh, problem.kw) <= conv_winograd.LARGEST_KERNEL:
        counts["winograd"] = _winograd(problem, threads)
    return counts


def _im2col(p: Problem, threads: int) -> tuple[float, ...]:
    """Multiply-adds; columns and runs of them, copied twice; columns added up for dx, on one thread; calls; once."""
    columns, runs = p.pixels * p.window, p.pixels * p.kh * p.kw
    blocks = max(1, min(p.output[0], 4 * columns // conv_im2col.COLUMN_BYTES))
    busy = min(threads, blocks)
    multiply_adds, calls = p.passes * columns * p.O, p.passes * blocks * (p.kh * p.kw + 6)
    return multiply_adds / threads, 2 * columns / busy, 2 * runs / busy, p.needs_dx * columns, calls, 1


def _bands(p: Problem, threads: int) -> tuple[float, ...]:
    """Multiply-adds, bands, sums of products; for dx, the map spread out, multiply-adds, bands; calls, and rows."""
    Ho, Wo = p.output
    y = (2 * p.pixels * p.window * p.O, 2 * Ho * p.padded[1] * p.kh * p.N * p.C, Ho * Wo * p.window * p.O)
    spread = (p.H + p.kh - 1) * (p.W + p.kw - 1) * p.N * p.O
    dx = (spread + p.pixels * p.O, p.H * p.W * p.N * p.kh * p.kw * p.O * p.C, p.kh * spread)
    calls, rows = Ho * Wo + p.needs_dx * p.H * p.W, 2 * Ho + p.needs_dx * p.H
    return *(count / threads for count in y), *(p.needs_dx * count / threads for count in dx), calls, rows


def _dft(p: Problem, threads: int) -> tuple[float, ...]:
    """Multiply-adds of the products, numbers transformed, those of the kernel; calls, and rows."""
    (height, width), (p_rows, p_columns) = p.padded, p.padding
    Ho, Wo = height - p.kh + 1, width - p.kw + 1  # at stride 1
    U, V = good_size(max(p.H + p_rows, Ho)), good_size(max(p.W + p_columns, Wo))
    transformed = V * (p.H + U) * p.N * p.C * (2 + p.needs_dx) + V * (Ho + U) * p.N * p.O * 2
    kernel = V * (p.kh + U) * p.C * p.O * (2 + p.needs_dx)
    products = 1.5 * U * V * p.N * p.C * p.O * p.passes
    calls = (V // 2 + 1) * (U // 8 + 1) * 4 * (1 + p.passes)
    return *(n / threads for n in (products, transformed, kernel * p.kh)), calls, 3 * p.H + 1


def _winograd(p: Problem, threads: int) -> tuple[float, ...]:
    """Multiply-adds of the products, numbers transformed, dU added up, U, and once."""
    (H, W), (kh, kw), (ph, pw) = (p.H, p.W), (p.kh, p.kw), p.padding
    rows, columns = Axis.cut(H, ph, kh), Axis.cut(W, pw, kw)
    blocks = max(1, ceil(p.N / conv_winograd.IMAGES))
    forward, backward = min(threads, blocks), min(threads, blocks, conv_winograd.GROUPS)
    spectrum, tiles = rows.n * columns.n, rows.tiles * columns.tiles
    product = spectrum * tiles * p.N * p.C * p.O
    pixels = (rows.tiles * rows.m * columns.tiles + tiles * columns.n) * columns.n * p.N
    transformed = pixels * (p.C + p.O) / forward + pixels * (p.C + p.O + p.needs_dx * p.C) / backward
    return (
        product / forward + product * (p.passes - 1) / backward,
        transformed,
        spectrum * p.C * p.O * rows.tiles * blocks / backward,
        2 * spectrum * p.C * p.O,
        1,
    )
