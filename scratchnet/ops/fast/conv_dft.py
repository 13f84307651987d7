"""Convolution as a product of spectra, in real numbers.

Let x (H, W, N, C) stand on a grid of pixels whose DFT wraps around, and the kernel on another, moved back by the
padding. With X for the spectrum of x and K for the conjugate of that of the kernel,

    X[u, v] @ K[u, v]   is the spectrum of   y[i, j] = sum over a, b of x[i + a - p, j + b - q] @ weight[a, b],

equation (1) of `ops/conv.py`, with the rows and columns of x counted around the grid. It has H + p rows or more, so
rows -p .. -1 are zeros, as the padding is, and likewise columns. All of it is done in real numbers: let F be the real
transform of `dft.py`, along rows from the left, along columns from the right, and B, E and C the matrices of
`spectra.py`, with which three real products do for a complex one. Then

    V = B (F x F'),   U = E (F w F'),   y = F' C (V . U) F,                                  (1)

where the dot is one product of an (N, C) and a (C, O) matrix for each number of a spectrum, and the gradients are the
exact adjoints of these steps:

    Z = C' (F dy F'),   dU = V' . Z,   dweight = F' E' dU F,                                 (2)
    dV = Z . U',   dx = F' B' dV F.                                                          (3)

The direct sum costs kh kw matrix products for each pixel of y. Here it is 1.5 for each of the grid, whatever the size
of the kernel. Whole maps are transformed along columns, then one frequency v after the other along rows, so that its
spectra never leave the cache; nothing is kept for backward.
"""

from scratchnet.backend import Array, array_module, for_each
from scratchnet.ops.conv import Saved
from scratchnet.ops.fast.dft import from_components
from scratchnet.ops.fast.small import multiply
from scratchnet.ops.fast.spectra import Grid, along_columns, back_along_columns, combine, scratch, separate, transposed
from scratchnet.ops.windows import Pair


def forward(x: Array, weight: Array, stride: Pair, padding: Pair, algorithm: str = "dft") -> tuple[Array, Saved]:
    """y (Ho, Wo, N, O)."""
    xp = array_module(x, weight)
    grid, Ho, Wo = _grid(x, weight, padding)
    N, (C, O) = x.shape[2], weight.shape[2:]
    columns_of_x, columns_of_weight = along_columns(x, grid.columns), _along_columns(weight, grid)
    columns_of_y = scratch((grid.columns.n, Ho, N * O), like=x)

    def frequency(v: slice) -> None:
        X, K = grid.along_rows(columns_of_x[v]), grid.kernel_along_rows(columns_of_weight[v])
        Y = scratch((*X.shape[:2], N * O), like=x)
        for u, components in grid.row_frequencies:
            size = components * X.shape[1]
            V, U = combine(X[u], size, grid.B), combine(K[u], size, grid.E)
            separate(multiply(V.reshape(-1, N, C), U.reshape(-1, C, O)), size, grid.C, out=Y[u])  # (1)
        from_components(Y.swapaxes(0, 1), grid.rows, out=columns_of_y[v])

    for_each(frequency, grid.column_frequencies, like=x)
    y = xp.empty((Ho, Wo, N, O), dtype=x.dtype)
    back_along_columns(columns_of_y, grid.columns, out=y)
    sh, sw = stride
    return (y if sh == sw == 1 else xp.ascontiguousarray(y[::sh, ::sw])), Saved("dft")


def backward(
    dy: Array, x: Array, weight: Array, saved: Saved, stride: Pair, padding: Pair, needs_dx: bool
) -> tuple[Array | None, Array]:
    """dx (H, W, N, C) and dweight (kh, kw, C, O)."""
    xp = array_module(dy, x, weight)
    grid, Ho, Wo = _grid(x, weight, padding)
    (H, _, N, C), (kh, kw, _, O), (sh, sw) = x.shape, weight.shape, stride
    if stride != (1, 1):
        sparse, dy = dy, xp.zeros((Ho, Wo, N, O), dtype=dy.dtype)
        dy[::sh, ::sw] = sparse
    columns_of_x, columns_of_dy = along_columns(x, grid.columns), along_columns(dy, grid.columns)
    columns_of_turned = _along_columns(weight.swapaxes(2, 3), grid)  # the kernel transposed, (n, kh, O C)
    columns_of_dx = scratch((grid.columns.n, H, N * C * needs_dx), like=dy)
    columns_of_dweight = xp.empty((grid.columns.n, kh, C * O), dtype=dy.dtype)
    B, E, C_back = transposed(grid.B), transposed(grid.E), transposed(grid.C)

    def frequency(v: slice) -> None:
        X, dY = grid.along_rows(columns_of_x[v]), grid.along_rows(columns_of_dy[v])
        K = grid.kernel_along_rows(columns_of_turned[v])
        dX, dK = scratch(X.shape, like=dy), scratch(K.shape, like=dy)
        for u, components in grid.row_frequencies:
            size = components * X.shape[1]
            V = combine(X[u], size, grid.B).reshape(-1, N, C)
            Z = combine(dY[u], size, C_back).reshape(-1, N, O)
            separate(multiply(V.swapaxes(1, 2), Z), size, E, out=dK[u])  # (2)
            if needs_dx:
                turned = combine(K[u], size, grid.E).reshape(-1, O, C)
                separate(multiply(Z, turned), size, B, out=dX[u])  # (3)
        xp.matmul(grid.kernel_rows.T, dK.swapaxes(0, 1), out=columns_of_dweight[v])
        if needs_dx:
            from_components(dX.swapaxes(0, 1), grid.rows, out=columns_of_dx[v])

    for_each(frequency, grid.column_frequencies, like=dy)
    dweight = grid.kernel_columns.T @ columns_of_dweight.reshape(grid.columns.n, -1)
    dweight = xp.ascontiguousarray(dweight.reshape(kw, kh, C, O).swapaxes(0, 1))
    if not needs_dx:
        return None, dweight
    dx = xp.empty(x.shape, dtype=dy.dtype)
    back_along_columns(columns_of_dx, grid.columns, out=dx)
    return dx, dweight


def _grid(x: Array, weight: Array, padding: Pair) -> tuple[Grid, int, int]:
    """The grid, and Ho, Wo at stride 1."""
    (H, W), (kh, kw), (p, q) = x.shape[:2], weight.shape[:2], padding
    return Grid.of(x, weight, padding), H + 2 * p - kh + 1, W + 2 * q - kw + 1


def _along_columns(weight: Array, grid: Grid) -> Array:
    """w F' for a weight (kh, kw, C, O): (n, kh, C O)."""
    kh, kw, C, O = weight.shape
    columns = grid.kernel_columns @ weight.swapaxes(0, 1).reshape(kw, -1)
    return columns.reshape(-1, kh, C * O)
