"""What each convolution algorithm costs on the CPU: what "auto" compares.

Each cost counts what the algorithm's file does in forward and backward: products of matrices, numbers copied or added
up besides, and calls of NumPy. The unit is one multiply-add of a large product: divide a cost by 9e10 for seconds on
two cores. `benchmarks/conv.py` measures how well it chooses.
"""

from math import inf
from typing import NamedTuple

from scratchnet.backend import thread_count
from scratchnet.ops.fast.conv_im2col import COLUMN_BYTES
from scratchnet.ops.fast.conv_winograd import IMAGES, LARGEST_KERNEL
from scratchnet.ops.fast.winograd import Axis
from scratchnet.ops.windows import Pair, output_size

# Fitted to benchmarks/conv.json, of two cores with AVX-512; only their proportions matter.
PACK = 3  # one number read or written by a product
MOVE = 4  # one number copied or added up
RUN = 300  # to begin copying a contiguous run of numbers
CALL = 400_000  # one call of NumPy, of which Python makes one at a time
IMAGE_CHANNELS = 3  # a layer with this few channels is taken for the first of a network, which finds no dx


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
    def frequencies(self) -> Pair:
        """U, V of ops/fast/dft.py."""
        return (self.H + self.padding[0]) // 2 + 1, self.W + self.padding[1]

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


def costs(problem: Problem) -> dict[str, float]:
    """The cost of each algorithm, by its name in `choose.CONVOLUTIONS`."""
    return {
        "offsets": offsets(problem), "im2col": im2col(problem), "bands": bands(problem), "dft": dft(problem),
        "winograd": winograd(problem),
    }  # fmt: skip


def offsets(p: Problem) -> float:
    """Small products and sums, on one thread however many there are."""
    (Ho, Wo), count = p.output, p.kh * p.kw
    forward = _products(Ho * Wo, p.N, p.C, p.O) + _moves(p.pixels * p.O * (count - 1) / count, p.N * p.O)
    dweight = _products(1, p.C, p.pixels, p.O) + _moves(p.pixels * (p.C + p.O), p.N * p.C)
    dx = _products(Ho * Wo, p.N, p.O, p.C) + _moves(p.pixels * p.C, p.N * p.C)
    return count * (thread_count() * (forward + dweight + p.needs_dx * dx) + 12 * CALL)


def im2col(p: Problem) -> float:
    """Three large products, and the columns written twice, in blocks; dx is added up on one thread."""
    columns = _moves(p.pixels * p.window, p.C)
    blocks = max(1, min(p.output[0], 4 * p.pixels * p.window // COLUMN_BYTES))
    calls = blocks * (p.kh * p.kw + 6)
    idle = thread_count() / min(thread_count(), blocks)
    cost = 2 * idle * columns + _products(1, p.pixels, p.window, p.O) + _products(1, p.window, p.pixels, p.O)
    if p.needs_dx:
        cost += thread_count() * columns + _products(1, p.pixels, p.O, p.window) + calls * CALL
    return cost + 2 * calls * CALL


def bands(p: Problem) -> float:
    """A product for each output pixel, those for dweight added up; dx is one more convolution."""
    (Ho, Wo), band = p.output, p.padded[1] * p.kh * p.N * p.C
    cost = _bands_forward(p)
    cost += Ho * (_moves(band, p.N * p.C) + 9 * CALL) + _products(Ho * Wo, p.window, p.N, p.O)
    cost += _moves(Ho * Wo * p.window * p.O, p.O)
    if p.needs_dx:
        spread = Problem(p.H + p.kh - 1, p.W + p.kw - 1, p.N, p.O, p.kh, p.kw, p.C, (1, 1), (0, 0))
        cost += _moves(2 * spread.H * spread.W * p.N * p.O, p.O) + _bands_forward(spread)
    return cost


def _bands_forward(p: Problem) -> float:
    Ho, Wo = p.output
    images_last = _moves(p.H * p.W * p.N * p.C, 1) if p.C > 1 else 0
    band = _moves(p.padded[1] * p.kh * p.N * p.C, p.N * p.C)
    return images_last + Ho * (band + 8 * CALL) + _products(Ho * Wo, p.N, p.window, p.O)


def dft(p: Problem) -> float:
    """Transforms of x, the weight, y and their gradients, and a product for each frequency. Strides save it nothing."""
    U, V = p.frequencies
    Ho, Wo = p.padded[0] - p.kh + 1, p.padded[1] - p.kw + 1

    def transform(h: int, w: int, numbers: int) -> float:
        return _products(1, 2 * U, h, w * numbers) + _products(U, 2 * V, 2 * w, numbers)

    def multiply(n: int, c: int, o: int) -> float:
        return _products(4 * U * V, n, c, o) + _moves(6 * U * V * n * o, n * o)

    x, weight, y = transform(p.H, p.W, p.N * p.C), transform(p.kh, p.kw, p.C * p.O), transform(Ho, Wo, p.N * p.O)
    forward = x + weight + multiply(p.N, p.C, p.O) + y
    backward = y + multiply(p.C, p.N, p.O) + weight + p.needs_dx * (multiply(p.N, p.O, p.C) + x)
    return forward + backward + 50 * U * CALL


def winograd(p: Problem) -> float:
    """A product for each pair of spectra, and transforms in two steps. Strides save it nothing."""
    if max(p.kh, p.kw) > LARGEST_KERNEL:
        return inf
    (H, W), (kh, kw), (ph, pw) = (p.H, p.W), (p.kh, p.kw), p.padding
    rows, columns = Axis.cut(H, ph, kh), Axis.cut(W, pw, kw)

    def transform(numbers: int) -> float:
        along_columns = _products(rows.tiles * rows.m * columns.tiles, columns.n, columns.n, p.N * numbers)
        return along_columns + _products(rows.tiles * columns.tiles * columns.n, rows.n, rows.n, p.N * numbers)

    def multiply(c: int, o: int) -> float:
        return _products(rows.n * columns.n, rows.tiles * columns.tiles * p.N, c, o)

    calls = rows.tiles * -(-p.N // IMAGES)
    forward = transform(p.C) + multiply(p.C, p.O) + transform(p.O) + 8 * calls * CALL
    backward = transform(p.C) + multiply(p.C, p.O) + transform(p.O) + 12 * calls * CALL
    return forward + backward + p.needs_dx * (multiply(p.O, p.C) + transform(p.C))


def _products(count: int, m: int, k: int, n: int) -> float:
    """`count` products of (m, k) and (k, n) matrices, which BLAS reads and writes besides."""
    return count * (m * k * n + PACK * (m * k + k * n + m * n))


def _moves(numbers: float, run: int) -> float:
    """`numbers` copied or added up, in contiguous runs of `run`."""
    return numbers * (MOVE + RUN / max(1, run))
