"""Bugs in layers on feature maps: convolution, pooling, batch norm and flattening."""

from dataclasses import replace

import numpy as np

from scratchnet.backend import Array
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, MaxPool2d
from scratchnet.ops.conv import pad
from scratchnet.ops.windows import windows
from scratchnet.planted.bug import ForwardPass, edited, planted_in
from scratchnet.planted.parts import BackwardResult, DilatedConv2d

PIXELS = (0, 1, 2)
MAPS = (4, 5, 3, 2)  # (H, W, N, C): no two axes of the same length
CONV = Conv2d(2, 4, (2, 3), algorithm="offsets")
SQUARE = Conv2d(2, 4, 3, algorithm="offsets")  # for mistakes that other shapes would turn into errors


@planted_in(CONV, MAPS)
def kernel_not_flipped(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx slides the kernel over dy as it is, without rotating it by 180 degrees."""
    _, grads = at.backward(dy)
    dx, _ = at.layer.backward(dy, at.cache._replace(weight=at.cache.weight[::-1, ::-1]))
    return dx, grads


@planted_in(CONV, MAPS)
def weight_gradient_flipped(dy: Array, at: ForwardPass) -> BackwardResult:
    """dweight is rotated by 180 degrees: that of a true convolution, while forward is a cross-correlation."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"][::-1, ::-1].copy()}


@planted_in(SQUARE, MAPS)
def weight_gradient_transposed_in_space(dy: Array, at: ForwardPass) -> BackwardResult:
    """dweight has rows and columns swapped; the kernel is square, so the shapes still match."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"].transpose(1, 0, 2, 3).copy()}


@planted_in(Conv2d(3, 3, (2, 3), algorithm="offsets"), (4, 5, 2, 3))
def channels_not_transposed(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx uses weight[a, b] instead of its transpose; C equals O, so the shapes still match."""
    _, grads = at.backward(dy)
    dx, _ = at.layer.backward(dy, at.cache._replace(weight=at.cache.weight.transpose(0, 1, 3, 2)))
    return dx, grads


@planted_in(CONV, MAPS)
def columns_in_another_order(dy: Array, at: ForwardPass) -> BackwardResult:
    """im2col stores its columns as (C, kh, kw), but dweight reads them as (kh, kw, C)."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"].transpose(2, 0, 1, 3).reshape(grads["weight"].shape)}


@planted_in(CONV, MAPS)
def weight_gradient_in_fortran_order(dy: Array, at: ForwardPass) -> BackwardResult:
    """dweight is unpacked with order="F", a leftover from MATLAB code."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"].reshape(-1).reshape(grads["weight"].shape, order="F")}


@planted_in(CONV, MAPS)
def last_sample_lost(dy: Array, at: ForwardPass) -> BackwardResult:
    """The loop that sums dweight over the batch stops one image early."""
    dx, grads = at.backward(dy)
    without_it = edited(dy, np.s_[:, :, -1], 0.0)
    return dx, grads | {"weight": at.backward(without_it)[1]["weight"]}


@planted_in(CONV, MAPS)
def one_weight_gradient_lost(dy: Array, at: ForwardPass) -> BackwardResult:
    """One element of dweight is never written, so it is zero."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": edited(grads["weight"], (1, 2, 0, 3), 0.0)}


@planted_in(CONV, MAPS)
def bias_averaged(dy: Array, at: ForwardPass) -> BackwardResult:
    """dbias is the mean over pixels instead of the sum."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy.mean(axis=PIXELS)}


@planted_in(CONV, MAPS)
def bias_of_one_sample(dy: Array, at: ForwardPass) -> BackwardResult:
    """dbias sums over the pixels of the first image only."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy[:, :, 0].sum(axis=(0, 1))}


@planted_in(CONV, MAPS)
def bias_forgotten(dy: Array, at: ForwardPass) -> BackwardResult:
    """dbias is initialised to zeros and never filled in."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": np.zeros_like(grads["bias"])}


@planted_in(CONV, MAPS)
def last_row_lost(dy: Array, at: ForwardPass) -> BackwardResult:
    """The loop over the rows of dx stops one row early."""
    dx, grads = at.backward(dy)
    return edited(dx, -1, 0.0), grads


@planted_in(CONV, MAPS)
def last_column_lost(dy: Array, at: ForwardPass) -> BackwardResult:
    """The loop over the columns of dx stops one column early."""
    dx, grads = at.backward(dy)
    return edited(dx, np.s_[:, -1], 0.0), grads


@planted_in(CONV, MAPS)
def one_corner_pixel_lost(dy: Array, at: ForwardPass) -> BackwardResult:
    """The last corner of dx, in one image and one channel, is never written."""
    dx, grads = at.backward(dy)
    return edited(dx, (-1, -1, -1, -1), 0.0), grads


@planted_in(CONV, MAPS)
def index_wraps_round(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is written one column too far to the left, and index -1 wraps to the last column."""
    dx, grads = at.backward(dy)
    return np.roll(dx, -1, axis=1), grads


@planted_in(CONV, MAPS)
def channels_of_one_sample_swapped(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx of the second image has its channels in reverse order."""
    dx, grads = at.backward(dy)
    return edited(dx, np.s_[:, :, 1], dx[:, :, 1, ::-1]), grads


@planted_in(SQUARE, (4, 4, 3, 2))
def rows_and_columns_swapped(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx reads dy as (W, H, N, O); the map is square, so the shapes still match."""
    _, grads = at.backward(dy)
    return at.backward(dy.transpose(1, 0, 2, 3))[0], grads


@planted_in(CONV, MAPS)
def windows_overwrite(dy: Array, at: ForwardPass) -> BackwardResult:
    """Overlapping windows are written into dx with = instead of +=."""
    weight, dx = at.params["weight"], np.zeros_like(at.x)
    for a, b, dx_ab in windows(dx, weight.shape[:2], at.layer.strides):
        dx_ab[...] = dy @ weight[a, b].T
    return dx, at.backward(dy)[1]


@planted_in(Conv2d(2, 4, 2, stride=2, algorithm="offsets"), MAPS)
def stride_forgotten(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx adds to pixel i + a, but forward read pixel 2 i + a."""
    weight, dx, (Ho, Wo) = at.params["weight"], np.zeros_like(at.x), dy.shape[:2]
    for a, b, _ in windows(dx, weight.shape[:2], at.layer.strides):
        dx[a : a + Ho, b : b + Wo] += dy @ weight[a, b].T
    return dx, at.backward(dy)[1]


@planted_in(Conv2d(2, 3, (2, 3), padding=1, algorithm="offsets"), MAPS)
def padding_cut_on_one_side(dy: Array, at: ForwardPass) -> BackwardResult:
    """The padding of dx is cropped twice at the bottom and right, and not at the top and left."""
    _, grads = at.backward(dy)
    padded, _ = replace(at.layer, padding=0).backward(dy, at.cache._replace(x=pad(at.x, (1, 1))))
    return padded[:-2, :-2].copy(), grads


@planted_in(DilatedConv2d(Conv2d(2, 3, 2)), MAPS)
def dilation_ignored(dy: Array, at: ForwardPass) -> BackwardResult:
    """dweight uses adjacent pixels, as if the kernel had no gaps."""
    dx, grads = at.backward(dy)
    wide, wide_cache = at.cache
    kh, kw = grads["weight"].shape[:2]
    return dx, grads | {"weight": wide.backward(dy, wide_cache)[1]["weight"][:kh, :kw].copy()}


@planted_in(CONV, MAPS)
def gradient_a_little_too_small(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is 0.05 % too small, which passes the usual relative tolerance of 0.1 %."""
    dx, grads = at.backward(dy)
    return 0.9995 * dx, grads


@planted_in(MaxPool2d(2), MAPS)
def pool_shares_evenly(dy: Array, at: ForwardPass) -> BackwardResult:
    """Every pixel of a window gets a quarter of the gradient, as in average pooling."""
    dx = np.zeros_like(at.x)
    for _, _, dx_ab in windows(dx, (2, 2), (2, 2)):
        dx_ab[...] = dy / 4
    return dx, {}


@planted_in(MaxPool2d(2), MAPS)
def pool_first_pixel_wins(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradient goes to the first pixel of each window, not to the largest."""
    dx = np.zeros_like(at.x)
    _, _, first = next(windows(dx, (2, 2), (2, 2)))
    first[...] = dy
    return dx, {}


@planted_in(MaxPool2d(3, stride=1), MAPS)
def pool_overwrites(dy: Array, at: ForwardPass) -> BackwardResult:
    """A pixel that wins several windows gets the gradient of the last one only: = instead of +=."""
    dx = np.zeros_like(at.x)
    for (_, _, x_ab), (_, _, dx_ab) in zip(windows(at.x, (3, 3), (1, 1)), windows(dx, (3, 3), (1, 1)), strict=True):
        np.copyto(np.asarray(dx_ab), dy, where=x_ab == at.y)
    return dx, {}


@planted_in(MaxPool2d(2, stride=3), (5, 8, 3, 2))
def pool_stride_is_the_window(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward steps by the window size instead of the stride."""
    dx, (Ho, Wo) = np.zeros_like(at.x), dy.shape[:2]
    for a, b, x_ab in windows(at.x, (2, 2), (3, 3)):
        dx[a : a + 2 * Ho : 2, b : b + 2 * Wo : 2] += dy * (x_ab == at.y)
    return dx, {}


@planted_in(BatchNorm2d(2), MAPS, training=True)
def batch_statistics_held_constant(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx ignores that the batch mean and variance depend on x."""
    _, grads = at.backward(dy)
    return dy * (at.params["weight"] / at.cache.std), grads


@planted_in(BatchNorm2d(2), MAPS, training=True)
def batch_variance_held_constant(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx accounts for the batch mean but not for its variance."""
    _, grads = at.backward(dy)
    return (dy - dy.mean(axis=PIXELS)) * (at.params["weight"] / at.cache.std), grads


@planted_in(BatchNorm2d(2), MAPS, training=True)
def batch_norm_divides_by_images(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx divides by the number of images N, but a channel is normalised over H W N pixels."""
    _, grads = at.backward(dy)
    N, z = dy.shape[2], (at.x - at.cache.mean) / at.cache.std
    dx = (dy - grads["bias"] / N - z * (grads["weight"] / N)) * (at.params["weight"] / at.cache.std)
    return dx, grads


@planted_in(BatchNorm2d(2), MAPS, training=True)
def batch_norm_scale_of_raw_pixels(dy: Array, at: ForwardPass) -> BackwardResult:
    """dweight sums dy times x instead of dy times the normalised x."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": (dy * at.x).sum(axis=PIXELS)}


@planted_in(Flatten(), MAPS)
def flatten_in_fortran_order(dy: Array, at: ForwardPass) -> BackwardResult:
    """dy is unpacked with order="F"."""
    return dy.reshape(at.x.shape, order="F").copy(), {}


@planted_in(Flatten(), MAPS)
def flatten_channels_first(dy: Array, at: ForwardPass) -> BackwardResult:
    """dy is unpacked as (N, C, H, W), the layout of another library."""
    H, W, N, C = at.x.shape
    return dy.reshape(N, C, H, W).transpose(2, 3, 0, 1).copy(), {}
