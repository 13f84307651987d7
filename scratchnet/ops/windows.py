"""The windows that a kernel or a pool slides over a feature map."""

from collections.abc import Iterator

from scratchnet.backend import Array


def output_size(size: int, kernel_size: int, stride: int) -> int:
    """How many windows of `kernel_size` fit into `size` pixels, `stride` apart."""
    return (size - kernel_size) // stride + 1


def windows(x: Array, kernel_size: tuple[int, int], stride: int) -> Iterator[tuple[int, int, Array]]:
    """For each offset (a, b) of a window, row by row: the pixels there, a view (Ho, Wo, N, C) of x (H, W, N, C)."""
    kh, kw = kernel_size
    rows = (output_size(x.shape[0], kh, stride) - 1) * stride + 1
    columns = (output_size(x.shape[1], kw, stride) - 1) * stride + 1
    for a in range(kh):
        for b in range(kw):
            yield a, b, x[a : a + rows : stride, b : b + columns : stride]
