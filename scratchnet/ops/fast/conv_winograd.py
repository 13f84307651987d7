"""Convolution with small kernels by Winograd's tiles: fewer products, between cheap transforms.

A tile of m outputs in a row sees n = m + r - 1 pixels through a kernel of r. Toom and Cook's identity finds the m sums
with n products instead of m r (Winograd 1980; Lavin and Gray 2016): with B', G and A' of `winograd.py`,

    y = A' [(G w) . (B' d)]        for pixels d (n,), kernel w (r,) and outputs y (m,),  . element by element.

Along rows and columns, for each tile (i, j) of m x m outputs, with spectra V of the pixels and U of the kernel, one
matrix (N, C) or (C, O) for each of the n n pairs (u, v), equation (1) of `ops/conv.py` becomes

    U = G w G',   V = B' d B,   y = A' [V[u, v] @ U[u, v]] A                                 (1)

and the gradients are the exact adjoints of these steps:

    Z = A dy A',  dU[u, v] = sum over tiles of V[u, v].T @ Z[u, v],  dweight = G' dU G       (2)
    dV[u, v] = Z[u, v] @ U[u, v].T,  dx = the sum of B dV B', where the pixels of tiles overlap     (3)

For 3 x 3 kernels and m = 4 there are 36 products for 16 outputs, 2.25 each instead of 9. Every step is a product of
matrices on views of the arrays, so BLAS does it all, and nothing is transposed. Images go in blocks, and tiles one row
at a time, for what is between the steps to stay in the cache. Rounding errors are three to four times those of the
plain sum and up to twice PyTorch's (docs/speed.md); they grow fast with n, which limits kernel and tile.
"""

from collections.abc import Iterator

from scratchnet.backend import Array, array_module, for_each
from scratchnet.errors import ScratchnetError
from scratchnet.ops.conv import Saved
from scratchnet.ops.fast.small import multiply
from scratchnet.ops.fast.winograd import Axis, between, matrices
from scratchnet.ops.windows import Pair

LARGEST_KERNEL = 4
IMAGES = 20  # of a block
GROUPS = 8  # of blocks: each adds up a dweight of its own, always in the same order, whatever the number of threads


def forward(x: Array, weight: Array, stride: Pair, padding: Pair, algorithm: str = "winograd") -> tuple[Array, Saved]:
    """y (Ho, Wo, N, O). Raises ScratchnetError for a kernel of more than 4 pixels a side."""
    rows, columns = axes(x, weight, padding)
    y, (sh, sw) = convolve(x, spectra(weight, rows, columns), rows, columns), stride
    return (y if sh == sw == 1 else array_module(y).ascontiguousarray(y[::sh, ::sw])), Saved("winograd")


def convolve(x: Array, U: Array, rows: Axis, columns: Axis) -> Array:
    """y (Ho, Wo, N, O) at stride 1, by the `spectra` U of the weight."""
    xp, N, (C, O) = array_module(x, U), x.shape[2], U.shape[1:]
    y = xp.empty((rows.outputs, columns.outputs, N, O), dtype=x.dtype)
    back_rows, back_columns = (matrices(x, axis).A.T for axis in (rows, columns))

    def block(images: slice) -> None:
        T = _along_columns(x[:, :, images], rows, columns)
        here = y[:, :, images]
        out = here.reshape(*here.shape[:2], -1).swapaxes(0, 1)  # (Wo, Ho, N O), a view
        for some, bottom in _rows_of_tiles(rows, here.shape[2]):
            V = _along_rows(T, some, rows, columns)
            M = multiply(V.reshape(rows.n * columns.n, -1, C), U).reshape(rows.n, columns.n, -1, out.shape[2])
            R = (back_columns @ M.swapaxes(1, 2)).reshape(rows.n, len(some), -1, out.shape[2])
            R = R[:, :, : columns.outputs].transpose(2, 1, 0, 3)  # (Wo, rows of tiles, n, N O)
            pixels = out[:, rows.m * some.start : bottom]
            pixels = pixels.reshape(columns.outputs, len(some), -1, out.shape[2])
            xp.matmul(back_rows[: pixels.shape[2]], R, out=pixels)  # (1)

    for_each(block, _blocks(N), like=x)
    return y


def backward(
    dy: Array, x: Array, weight: Array, saved: Saved, stride: Pair, padding: Pair, needs_dx: bool
) -> tuple[Array | None, Array]:
    """dx (H, W, N, C) and dweight (kh, kw, C, O)."""
    xp = array_module(dy, x, weight)
    rows, columns = axes(x, weight, padding)
    (C, O), blocks = weight.shape[2:], _blocks(x.shape[2])
    forth_rows, forth_columns = (matrices(x, axis).A for axis in (rows, columns))
    turned = xp.ascontiguousarray(spectra(weight, rows, columns).swapaxes(1, 2))  # (n n, O, C)
    dx = xp.empty(x.shape, dtype=dy.dtype)
    groups = [blocks[k::GROUPS] for k in range(min(GROUPS, len(blocks)))]
    dU = xp.zeros((max(1, len(groups)), rows.n * columns.n, C, O), dtype=dy.dtype)

    def block(images: slice, dU: Array) -> None:
        T = _along_columns(x[:, :, images], rows, columns)
        S = forth_columns @ _tiles_of(dy[:, :, images], stride, rows, columns)  # (rows, tiles, n, N O)
        overlap = _Overlap(dx[:, :, images], rows, columns) if needs_dx else None
        for i in range(rows.tiles):
            Z = xp.empty((rows.n, columns.n, columns.tiles, S.shape[3]), dtype=dy.dtype)
            xp.matmul(forth_rows, S[rows.m * i : rows.m * (i + 1)].transpose(1, 2, 0, 3), out=Z.transpose(2, 1, 0, 3))
            V = _along_rows(T, range(i, i + 1), rows, columns)
            frequencies = rows.n * columns.n
            dU += V.reshape(frequencies, -1, C).swapaxes(1, 2) @ Z.reshape(frequencies, -1, O)  # (2)
            if overlap:
                overlap.add(i, Z, turned)
        if overlap:
            overlap.write()

    def group(k: int) -> None:
        for images in groups[k]:
            block(images, dU[k])

    for_each(group, range(len(groups)), like=x)
    return dx if needs_dx else None, _weight_gradient(dU.sum(axis=0), rows, columns)


class _Overlap:
    """dx (H, W, N, C) of a block of images, from one row of tiles after the other: equation (3)."""

    def __init__(self, dx: Array, rows: Axis, columns: Axis) -> None:
        xp = array_module(dx)
        H, W, N, C = dx.shape
        self.out = dx.reshape(H, W, N * C).swapaxes(0, 1)  # a view
        self.rows, self.columns, self.C = rows, columns, C
        self.dV = xp.zeros((rows.n, (columns.tiles + 3) * columns.n, N * C), dtype=dx.dtype)  # for `_sum_overlapping`
        self.dT = xp.zeros(((rows.tiles + 3) * rows.n, W, N * C), dtype=dx.dtype)

    def add(self, i: int, Z: Array, turned: Array) -> None:
        """Z (n, n, tiles, N O) of row i, and the spectra of the weight (n n, O, C)."""
        rows, columns, O = self.rows, self.columns, turned.shape[1]
        dV = self.dV.reshape(rows.n, columns.tiles + 3, columns.n, -1, self.C)[:, 1:-2].swapaxes(1, 2)
        kernels = turned.reshape(rows.n, columns.n, 1, O, self.C)
        array_module(Z).matmul(Z.reshape(*dV.shape[:4], O), kernels, out=dV)  # (3)
        _sum_overlapping(self.dV, columns, out=self.dT[rows.n * (i + 1) : rows.n * (i + 2)])

    def write(self) -> None:
        """Write dx, after the last row."""
        _sum_overlapping(self.dT.swapaxes(0, 1), self.rows, out=self.out)


def axes(x: Array, weight: Array, padding: Pair) -> tuple[Axis, Axis]:
    # How the rows and the columns of x are cut.
    kernel_size = weight.shape[:2]
    if max(kernel_size) > LARGEST_KERNEL:
        kh, kw = kernel_size
        raise ScratchnetError(f"algorithm 'winograd' takes kernels of up to {LARGEST_KERNEL} pixels, not {kh} x {kw}")
    rows, columns = (Axis.cut(*sizes) for sizes in zip(x.shape[:2], padding, kernel_size, strict=True))
    return rows, columns


def _blocks(N: int) -> list[slice]:
    """The images of each block."""
    return [slice(start, min(start + IMAGES, N)) for start in range(0, N, IMAGES)]


def _along_columns(x: Array, rows: Axis, columns: Axis) -> Array:
    """d B of every tile: images x (H, W, N, C) to (padded rows, tiles, n, N C)."""
    xp = array_module(x)
    _, _, N, C = x.shape
    height, width = (axis.tiles * axis.m + axis.r - 1 for axis in (rows, columns))
    padded = xp.zeros((height, width, N * C), dtype=x.dtype)
    p, q = rows.padding, columns.padding
    inside = x[: height - p, : width - q]  # where the last pixels are in no window
    padded[p : p + inside.shape[0], q : q + inside.shape[1]] = inside.reshape(*inside.shape[:2], N * C)
    row, column, number = padded.strides
    windows = xp.lib.stride_tricks.as_strided(
        padded, (height, columns.tiles, columns.n, N * C), (row, columns.m * column, column, number)
    )
    return matrices(x, columns).B.T @ windows


def _rows_of_tiles(rows: Axis, N: int) -> Iterator[tuple[range, int]]:
    """Rows of tiles to take together, and the outputs above the next: one row of IMAGES images, or more of fewer."""
    whole, together = rows.outputs // rows.m, max(1, IMAGES // max(1, N))
    for start in range(0, whole, together):
        stop = min(start + together, whole)
        yield range(start, stop), stop * rows.m
    if whole < rows.tiles:
        yield range(whole, rows.tiles), rows.outputs


def _along_rows(T: Array, some: range, rows: Axis, columns: Axis) -> Array:
    """V = B' (d B) of the tiles in some rows: (n, n, rows of tiles, tiles, N C), the spectra of x."""
    xp, (row, *others) = array_module(T), T.strides
    pixels = xp.lib.stride_tricks.as_strided(
        T[rows.m * some.start :], (len(some), rows.n, *T.shape[1:]), (rows.m * row, row, *others)
    )
    V = xp.empty((rows.n, columns.n, len(some), columns.tiles, T.shape[3]), dtype=T.dtype)
    xp.matmul(matrices(T, rows).B.T, pixels.transpose(0, 2, 3, 1, 4), out=V.transpose(2, 3, 1, 0, 4))
    return V


def _tiles_of(dy: Array, stride: Pair, rows: Axis, columns: Axis) -> Array:
    """dy (Ho, Wo, N, O) at stride 1, cut along columns: (rows, tiles, m, N O), with zeros where a tile is not full."""
    *_, N, O = dy.shape
    height, width = rows.tiles * rows.m, columns.tiles * columns.m
    if dy.shape[:2] != (height, width):
        (sh, sw), given = stride, dy
        dy = array_module(given).zeros((height, width, N, O), dtype=given.dtype)
        dy[: rows.outputs : sh, : columns.outputs : sw] = given
    return dy.reshape(height, columns.tiles, columns.m, N * O)


def _sum_overlapping(D: Array, axis: Axis, out: Array) -> None:
    """The sum of B D over the tiles of an axis, each m pixels on from the last: `out` (batch, size, numbers).

    D (batch, (1 + tiles + 2) n, numbers), with tiles of zeros before the first and after the last. A product with
    `between` finds m pixels at a time from the spectra of a tile and of its neighbours, as far as they reach.
    """
    xp = array_module(D)
    shift = min((axis.r - 1) // 2, axis.padding)
    start, matrix = between(D, axis, shift)
    skipped = axis.padding - shift  # pixels of the padding in front of the first of x
    tiles = -(-(skipped + axis.size) // axis.m)
    batch, row, number = D.strides
    windows = xp.lib.stride_tricks.as_strided(
        D[:, start:], (D.shape[0], tiles, matrix.shape[1], D.shape[2]), (batch, axis.n * row, row, number)
    )
    if skipped == 0 and tiles * axis.m == axis.size:
        xp.matmul(matrix, windows, out=out.reshape(out.shape[0], tiles, axis.m, -1))
    else:
        out[...] = (matrix @ windows).reshape(out.shape[0], tiles * axis.m, -1)[:, skipped : skipped + axis.size]


def spectra(weight: Array, rows: Axis, columns: Axis) -> Array:
    """U = G w G' (n n, C, O) of the weight (kh, kw, C, O)."""
    kh, kw, C, O = weight.shape
    G_rows, G_columns = (matrices(weight, axis).G for axis in (rows, columns))
    along_columns = G_columns @ weight.reshape(kh, kw, C * O)  # (kh, n, C O)
    return (G_rows @ along_columns.reshape(kh, -1)).reshape(-1, C, O)


def _weight_gradient(dU: Array, rows: Axis, columns: Axis) -> Array:
    """dweight = G' dU G (kh, kw, C, O): the adjoint of `spectra`."""
    _, C, O = dU.shape
    G_rows, G_columns = (matrices(dU, axis).G for axis in (rows, columns))
    along_columns = G_columns.T @ dU.reshape(rows.n, columns.n, C * O)  # (n, kw, C O)
    return (G_rows.T @ along_columns.reshape(rows.n, -1)).reshape(rows.r, columns.r, C, O)
