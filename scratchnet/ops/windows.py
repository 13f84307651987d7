"""The windows that a kernel or a pool slides over a feature map."""

from collections.abc import Iterator

from scratchnet.backend import Array

Pair = tuple[int, int]  # along rows and along columns


def output_size(size: int, kernel_size: int, stride: int) -> int:
    """How many windows of `kernel_size` fit into `size` pixels, `stride` apart."""
    return (size - kernel_size) // stride + 1


def windows(x: Array, kernel_size: Pair, stride: Pair) -> Iterator[tuple[int, int, Array]]:
    """For each offset (a, b) of a window, row by row: the pixels there, a view (Ho, Wo, N, C) of x (H, W, N, C)."""
    (kh, kw), (sh, sw) = kernel_size, stride
    rows = (output_size(x.shape[0], kh, sh) - 1) * sh + 1
    columns = (output_size(x.shape[1], kw, sw) - 1) * sw + 1
    for a in range(kh):
        for b in range(kw):
            yield a, b, x[a : a + rows : sh, b : b + columns : sw]
