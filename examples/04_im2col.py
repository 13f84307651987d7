"""
04. im2col, and why it is the same sum
======================================

Lesson 03 adds up one small product of matrices for each offset of the kernel. A computer is faster with one large one.
im2col copies every window into a row of a matrix, so that the whole convolution is a single product.
"""

import numpy as np

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# Windows as rows
# ---------------
# One image, one channel: 3 x 3 pixels, a kernel of 2 x 2, so four windows of four pixels. Pixel 4, the middle one, is
# in all four windows, each time in another column.

x = np.arange(9).reshape(3, 3)
columns = np.array([x[i : i + 2, j : j + 2].ravel() for i in range(2) for j in range(2)])
print(columns)

kernel = np.array([[1, 2], [3, 4]])
print("one product:", columns @ kernel.ravel())
print("window by window:", [int((x[i : i + 2, j : j + 2] * kernel).sum()) for i in range(2) for j in range(2)])

# %%
# The sum over the pixels of a window is the sum in a product of matrices, so both lines are the same sum. What changes
# is that a library for matrices does the work, at the price of memory: each pixel is copied as often as there are
# windows that see it.

if plt:
    _, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2))
    for axis, array, title in ((left, x, "x"), (right, columns, "columns: one window per row")):
        axis.imshow(array == 4, cmap="Blues", vmax=2)
        for (i, j), value in np.ndenumerate(array):
            axis.text(j, i, value, ha="center", va="center", fontsize=13)
        axis.set(title=title, xticks=[], yticks=[])
    plt.tight_layout()
    plt.show()

# %%
# With channels and many images
# -----------------------------
# A row for each output pixel of each image, a column for each offset and channel: in the order (a, b, c), which is
# that of ``weight.reshape(kh * kw * C, O)``.


def im2col(x, kh, kw):
    """x (H, W, N, C) to columns (Ho * Wo * N, kh * kw * C)."""
    H, W, N, C = x.shape
    Ho, Wo = H - kh + 1, W - kw + 1
    pixels = [x[a : a + Ho, b : b + Wo] for a in range(kh) for b in range(kw)]  # (Ho, Wo, N, C) each
    windows = np.stack(pixels, axis=3)  # (Ho, Wo, N, kh kw, C)
    return windows.reshape(Ho * Wo * N, kh * kw * C)


rng = np.random.default_rng(0)
x, weight = rng.standard_normal((6, 5, 2, 3)), rng.standard_normal((3, 2, 3, 4))
y = (im2col(x, 3, 2) @ weight.reshape(-1, 4)).reshape(4, 4, 2, 4)
by_offsets = sum(x[a : a + 4, b : b + 4] @ weight[a, b] for a in range(3) for b in range(2))
print("largest difference to lesson 03:", abs(y - by_offsets).max())
print(f"numbers in x: {x.size}, in columns: {im2col(x, 3, 2).size}")

# %%
# Backward is lesson 02 again: ``dweight = columns.T @ dy`` and ``dcolumns = dy @ weight.T``. Then every copy in a row
# of ``dcolumns`` goes back to the pixel it came from. That is col2im.
#
# Exercise
# --------
# Write col2im, the way back of im2col.


def col2im(dcolumns, shape, kh, kw):
    """dcolumns (Ho * Wo * N, kh * kw * C) to dx, whose shape is (H, W, N, C)."""
    H, W, N, C = shape
    Ho, Wo = H - kh + 1, W - kw + 1
    ### BEGIN SOLUTION
    dwindows = dcolumns.reshape(Ho, Wo, N, kh, kw, C)
    dx = np.zeros(shape)
    for a, b in np.ndindex(kh, kw):
        dx[a : a + Ho, b : b + Wo] += dwindows[:, :, :, a, b]
    return dx
    ### END SOLUTION


def col2im_backward(dx, dcolumns, shape, kh, kw):
    """The way back of col2im, so that a gradient checker can check that as well."""
    return im2col(dx, kh, kw)


def check(col2im):
    """Says whether an answer is right, and if not, what is wrong."""
    shape, kh, kw = (4, 5, 2, 3), 3, 2
    where = im2col(np.arange(np.prod(shape)).reshape(shape), kh, kw)  # the pixel that each copy came from
    dcolumns = np.random.default_rng(0).standard_normal(where.shape)
    copies = np.bincount(where.ravel()).reshape(shape)
    right = np.bincount(where.ravel(), dcolumns.ravel()).reshape(shape)
    got = col2im(dcolumns, shape, kh, kw)
    if np.shape(got) != shape:
        return f"refused: dx has shape {np.shape(got)}, but x has {shape}"
    if np.allclose(got, right):
        return "right"
    if np.allclose(got * copies, right):
        return "refused: the copies of a pixel are averaged; each of them counts in full"
    if np.allclose(got[copies == 1], right[copies == 1]):
        return "refused: a pixel with one copy is right, others are not: their copies have to be added up"
    return "refused: a gradient goes to another pixel than the one its copy came from: the order is (a, b, c)"


print("your answer:", check(col2im))


### BEGIN HIDDEN TESTS
def overwrites(dcolumns, shape, kh, kw):
    Ho, Wo, dx = shape[0] - kh + 1, shape[1] - kw + 1, np.zeros(shape)
    for a, b in np.ndindex(kh, kw):
        dx[a : a + Ho, b : b + Wo] = dcolumns.reshape(Ho, Wo, shape[2], kh, kw, shape[3])[:, :, :, a, b]
    return dx


def averages(dcolumns, shape, kh, kw):
    return col2im(dcolumns, shape, kh, kw) / col2im(np.ones_like(dcolumns), shape, kh, kw)


def channels_first(dcolumns, shape, kh, kw):
    Ho, Wo, dx = shape[0] - kh + 1, shape[1] - kw + 1, np.zeros(shape)
    for a, b in np.ndindex(kh, kw):
        dx[a : a + Ho, b : b + Wo] += dcolumns.reshape(Ho, Wo, shape[2], shape[3], kh, kw)[..., a, b]
    return dx


MISTAKES = [overwrites, averages, channels_first]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(f"{mistake.__name__}: {check(mistake)}")
### END HIDDEN TESTS
