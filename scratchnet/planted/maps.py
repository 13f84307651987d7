"""Bugs of layers on feature maps: convolution, pooling, batch norm, flattening."""

from dataclasses import replace

import numpy as np

from scratchnet.backend import Array
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, MaxPool2d
from scratchnet.ops.conv import pad
from scratchnet.ops.windows import windows
from scratchnet.planted.bug import Point, edited, planted_in
from scratchnet.planted.parts import DilatedConv2d, Gradients

PIXELS = (0, 1, 2)
MAPS = (4, 5, 3, 2)  # (H, W, N, C): not square, no two axes alike
CONV = Conv2d(2, 4, (2, 3), algorithm="offsets")
SQUARE = Conv2d(2, 4, 3, algorithm="offsets")  # for mistakes that other shapes would give away


@planted_in(CONV, MAPS)
def kernel_not_flipped(dy: Array, at: Point) -> Gradients:
    """dx slides the kernel over dy as it is; it should be turned round by half a turn."""
    _, grads = at.backward(dy)
    dx, _ = at.layer.backward(dy, at.cache._replace(weight=at.cache.weight[::-1, ::-1]))
    return dx, grads


@planted_in(CONV, MAPS)
def weight_gradient_flipped(dy: Array, at: Point) -> Gradients:
    """dweight is turned round by half a turn: a true convolution where forward is a cross-correlation."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"][::-1, ::-1].copy()}


@planted_in(SQUARE, MAPS)
def weight_gradient_transposed_in_space(dy: Array, at: Point) -> Gradients:
    """dweight has its rows and columns swapped; the kernel is square, so no shape complains."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"].transpose(1, 0, 2, 3).copy()}


@planted_in(Conv2d(3, 3, (2, 3), algorithm="offsets"), (4, 5, 2, 3))
def channels_not_transposed(dy: Array, at: Point) -> Gradients:
    """dx takes weight[a, b] instead of its transpose; there are as many channels in as out."""
    _, grads = at.backward(dy)
    dx, _ = at.layer.backward(dy, at.cache._replace(weight=at.cache.weight.transpose(0, 1, 3, 2)))
    return dx, grads


@planted_in(CONV, MAPS)
def columns_in_another_order(dy: Array, at: Point) -> Gradients:
    """The columns of im2col were written (C, kh, kw) and dweight reads them as (kh, kw, C)."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"].transpose(2, 0, 1, 3).reshape(grads["weight"].shape)}


@planted_in(CONV, MAPS)
def weight_gradient_in_fortran_order(dy: Array, at: Point) -> Gradients:
    """dweight is unpacked with order="F", which comes from a port of MATLAB code."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": grads["weight"].reshape(-1).reshape(grads["weight"].shape, order="F")}


@planted_in(CONV, MAPS)
def last_sample_lost(dy: Array, at: Point) -> Gradients:
    """The loop over the batch that sums dweight ends one image early."""
    dx, grads = at.backward(dy)
    without_it = edited(dy, np.s_[:, :, -1], 0.0)
    return dx, grads | {"weight": at.backward(without_it)[1]["weight"]}


@planted_in(CONV, MAPS)
def one_weight_gradient_lost(dy: Array, at: Point) -> Gradients:
    """One element of dweight is never written, so it is zero."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": edited(grads["weight"], (1, 2, 0, 3), 0.0)}


@planted_in(CONV, MAPS)
def bias_averaged(dy: Array, at: Point) -> Gradients:
    """dbias is the mean over the pixels instead of the sum."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy.mean(axis=PIXELS)}


@planted_in(CONV, MAPS)
def bias_of_one_sample(dy: Array, at: Point) -> Gradients:
    """dbias sums over the pixels of the first image only."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": dy[:, :, 0].sum(axis=(0, 1))}


@planted_in(CONV, MAPS)
def bias_forgotten(dy: Array, at: Point) -> Gradients:
    """dbias was left at the zeros that it was made of."""
    dx, grads = at.backward(dy)
    return dx, grads | {"bias": np.zeros_like(grads["bias"])}


@planted_in(CONV, MAPS)
def last_row_lost(dy: Array, at: Point) -> Gradients:
    """The loop over the rows of dx ends one row early."""
    dx, grads = at.backward(dy)
    return edited(dx, -1, 0.0), grads


@planted_in(CONV, MAPS)
def last_column_lost(dy: Array, at: Point) -> Gradients:
    """The loop over the columns of dx ends one column early."""
    dx, grads = at.backward(dy)
    return edited(dx, np.s_[:, -1], 0.0), grads


@planted_in(CONV, MAPS)
def one_corner_pixel_lost(dy: Array, at: Point) -> Gradients:
    """The last corner of dx, in one image and one channel, is never reached."""
    dx, grads = at.backward(dy)
    return edited(dx, (-1, -1, -1, -1), 0.0), grads


@planted_in(CONV, MAPS)
def index_wraps_round(dy: Array, at: Point) -> Gradients:
    """dx is written one column too far to the left, where index -1 means the last column."""
    dx, grads = at.backward(dy)
    return np.roll(dx, -1, axis=1), grads


@planted_in(CONV, MAPS)
def channels_of_one_sample_swapped(dy: Array, at: Point) -> Gradients:
    """dx of the second image has its channels in reverse order."""
    dx, grads = at.backward(dy)
    return edited(dx, np.s_[:, :, 1], dx[:, :, 1, ::-1]), grads


@planted_in(SQUARE, (4, 4, 3, 2))
def rows_and_columns_swapped(dy: Array, at: Point) -> Gradients:
    """dx reads dy as (W, H, N, O); the map is square, so no shape complains."""
    _, grads = at.backward(dy)
    return at.backward(dy.transpose(1, 0, 2, 3))[0], grads


@planted_in(CONV, MAPS)
def windows_overwrite(dy: Array, at: Point) -> Gradients:
    """Windows that overlap are written into dx with = where += is needed."""
    weight, dx = at.params["weight"], np.zeros_like(at.x)
    for a, b, dx_ab in windows(dx, weight.shape[:2], at.layer.strides):
        dx_ab[...] = dy @ weight[a, b].T
    return dx, at.backward(dy)[1]


@planted_in(Conv2d(2, 4, 2, stride=2, algorithm="offsets"), MAPS)
def stride_forgotten(dy: Array, at: Point) -> Gradients:
    """dx adds to pixel i + a where forward looked at 2 i + a."""
    weight, dx, (Ho, Wo) = at.params["weight"], np.zeros_like(at.x), dy.shape[:2]
    for a, b, _ in windows(dx, weight.shape[:2], at.layer.strides):
        dx[a : a + Ho, b : b + Wo] += dy @ weight[a, b].T
    return dx, at.backward(dy)[1]


@planted_in(Conv2d(2, 3, (2, 3), padding=1, algorithm="offsets"), MAPS)
def padding_cut_on_one_side(dy: Array, at: Point) -> Gradients:
    """The padding of dx is cut twice at the bottom and right, and stays at the top and left."""
    _, grads = at.backward(dy)
    padded, _ = replace(at.layer, padding=0).backward(dy, at.cache._replace(x=pad(at.x, (1, 1))))
    return padded[:-2, :-2].copy(), grads


@planted_in(DilatedConv2d(Conv2d(2, 3, 2)), MAPS)
def dilation_ignored(dy: Array, at: Point) -> Gradients:
    """dweight is taken from neighbouring pixels, as if the kernel had no gaps."""
    dx, grads = at.backward(dy)
    wide, wide_cache = at.cache
    kh, kw = grads["weight"].shape[:2]
    return dx, grads | {"weight": wide.backward(dy, wide_cache)[1]["weight"][:kh, :kw].copy()}


@planted_in(CONV, MAPS)
def gradient_a_little_too_small(dy: Array, at: Point) -> Gradients:
    """dx is 0.05 % too small, which the usual relative tolerance of 0.1 % lets pass."""
    dx, grads = at.backward(dy)
    return 0.9995 * dx, grads


@planted_in(MaxPool2d(2), MAPS)
def pool_shares_evenly(dy: Array, at: Point) -> Gradients:
    """Every pixel of a window takes a quarter of the gradient, as in average pooling."""
    dx = np.zeros_like(at.x)
    for _, _, dx_ab in windows(dx, (2, 2), (2, 2)):
        dx_ab[...] = dy / 4
    return dx, {}


@planted_in(MaxPool2d(2), MAPS)
def pool_first_pixel_wins(dy: Array, at: Point) -> Gradients:
    """The gradient goes to the first pixel of each window, whichever was the largest."""
    dx = np.zeros_like(at.x)
    _, _, first = next(windows(dx, (2, 2), (2, 2)))
    first[...] = dy
    return dx, {}


@planted_in(MaxPool2d(3, stride=1), MAPS)
def pool_overwrites(dy: Array, at: Point) -> Gradients:
    """A pixel that wins in several windows keeps the gradient of the last one: = where += is needed."""
    dx = np.zeros_like(at.x)
    for (_, _, x_ab), (_, _, dx_ab) in zip(windows(at.x, (3, 3), (1, 1)), windows(dx, (3, 3), (1, 1)), strict=True):
        np.copyto(dx_ab, dy, where=x_ab == at.y)
    return dx, {}


@planted_in(MaxPool2d(2, stride=3), (5, 8, 3, 2))
def pool_stride_is_the_window(dy: Array, at: Point) -> Gradients:
    """backward steps by the size of the window; forward has a stride of its own."""
    dx, (Ho, Wo) = np.zeros_like(at.x), dy.shape[:2]
    for a, b, x_ab in windows(at.x, (2, 2), (3, 3)):
        dx[a : a + 2 * Ho : 2, b : b + 2 * Wo : 2] += dy * (x_ab == at.y)
    return dx, {}


@planted_in(BatchNorm2d(2), MAPS, training=True)
def batch_statistics_held_constant(dy: Array, at: Point) -> Gradients:
    """dx forgets that the mean and the variance of the batch depend on x."""
    _, grads = at.backward(dy)
    return dy * (at.params["weight"] / at.cache.std), grads


@planted_in(BatchNorm2d(2), MAPS, training=True)
def batch_variance_held_constant(dy: Array, at: Point) -> Gradients:
    """dx goes through the mean of the batch and forgets its variance."""
    _, grads = at.backward(dy)
    return (dy - dy.mean(axis=PIXELS)) * (at.params["weight"] / at.cache.std), grads


@planted_in(BatchNorm2d(2), MAPS, training=True)
def batch_norm_divides_by_images(dy: Array, at: Point) -> Gradients:
    """dx divides by the number of images N; a channel is normalised over H W N pixels."""
    _, grads = at.backward(dy)
    N, z = dy.shape[2], (at.x - at.cache.mean) / at.cache.std
    dx = (dy - grads["bias"] / N - z * (grads["weight"] / N)) * (at.params["weight"] / at.cache.std)
    return dx, grads


@planted_in(BatchNorm2d(2), MAPS, training=True)
def batch_norm_scale_of_raw_pixels(dy: Array, at: Point) -> Gradients:
    """dweight sums dy x, where it should sum dy times the normalised x."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": (dy * at.x).sum(axis=PIXELS)}


@planted_in(Flatten(), MAPS)
def flatten_in_fortran_order(dy: Array, at: Point) -> Gradients:
    """dy is unpacked with order="F"."""
    return dy.reshape(at.x.shape, order="F").copy(), {}


@planted_in(Flatten(), MAPS)
def flatten_channels_first(dy: Array, at: Point) -> Gradients:
    """dy is unpacked as (N, C, H, W), the order of another library."""
    H, W, N, C = at.x.shape
    return dy.reshape(N, C, H, W).transpose(2, 3, 0, 1).copy(), {}
