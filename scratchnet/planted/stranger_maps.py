"""Bugs in strangers' layers on images and vectors: convolutions, resizing, lookups."""

import numpy as np

from scratchnet.backend import Array
from scratchnet.planted.bug import STRANGERS, ForwardPass, edited, planted_in
from scratchnet.planted.parts import BackwardResult
from scratchnet.planted.stranger_layers import Conv, TransposedConv
from scratchnet.planted.stranger_losses import Embedding, Resize

IMAGES = (2, 4, 6, 6)
in_grouped = planted_in(Conv(groups=2), IMAGES, catalogue=STRANGERS)
in_padded = planted_in(Conv(padding=1, groups=2), IMAGES, catalogue=STRANGERS)
in_dilated = planted_in(Conv(dilation=2), IMAGES, catalogue=STRANGERS)
in_strided = planted_in(Conv(stride=2, groups=4, padding=1), IMAGES, catalogue=STRANGERS)
in_transposed = planted_in(TransposedConv(Conv(stride=2), (7, 7)), (2, 4, 3, 3), catalogue=STRANGERS)
in_resize = planted_in(Resize(), (2, 2, 4, 4), catalogue=STRANGERS)
in_embedding = planted_in(Embedding(), catalogue=STRANGERS)


@in_grouped
def groups_exchanged(dy: Array, at: ForwardPass) -> BackwardResult:
    """Each group of inputs gets the gradient of the other group."""
    dx, grads = at.backward(dy)
    return np.roll(dx, 2, axis=1), grads


@in_grouped
def one_group_trained(dy: Array, at: ForwardPass) -> BackwardResult:
    """dw is filled for the first group of outputs only."""
    dx, grads = at.backward(dy)
    return dx, grads | {"w": edited(grads["w"], slice(2, None), 0.0)}


@in_grouped
def channels_interleaved(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward takes every second channel for a group, forward blocks of channels."""
    order = [0, 2, 1, 3]
    dx, grads = at.layer.backward(dy[:, order], at.cache)
    return dx, grads | {"b": at.backward(dy)[1]["b"]}


@in_grouped
def kernel_turned_in_backward(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is computed with the kernel rotated by half a turn, which full convolution has done already."""
    padded, w, shape = at.cache
    return at.layer.backward(dy, (padded, w[..., ::-1, ::-1], shape))[0], at.backward(dy)[1]


@in_padded
def padding_left_at_one_side(dy: Array, at: ForwardPass) -> BackwardResult:
    """The padding is cut off at the end alone, so dx is shifted by a pixel."""
    dx, grads = at.backward(dy)
    return np.roll(dx, 1, axis=2), grads


@in_padded
def border_written_once(dy: Array, at: ForwardPass) -> BackwardResult:
    """The first row and column of dx stay zero: loops that start at 1."""
    dx, grads = at.backward(dy)
    return edited(edited(dx, (slice(None), slice(None), 0), 0.0), (..., 0), 0.0), grads


@in_padded
def bias_averaged_over_pixels(dy: Array, at: ForwardPass) -> BackwardResult:
    """db is the mean over the pixels and the sum over samples."""
    dx, grads = at.backward(dy)
    return dx, grads | {"b": dy.mean(axis=(2, 3)).sum(axis=0)}


@in_dilated
def dilation_forgotten_for_the_kernel(dy: Array, at: ForwardPass) -> BackwardResult:
    """dw is taken with neighbouring pixels instead of every second one."""
    dx, grads = at.backward(dy)
    return dx, grads | {"w": Conv().backward(dy, at.cache)[1]["w"]}


@in_dilated
def dilation_forgotten_for_the_image(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is spread over neighbouring pixels instead of every second one."""
    return Conv().backward(dy, at.cache)[0], at.backward(dy)[1]


@in_dilated
def kernel_transposed(dy: Array, at: ForwardPass) -> BackwardResult:
    """Rows and columns of dw are exchanged; the kernel is square."""
    dx, grads = at.backward(dy)
    return dx, grads | {"w": grads["w"].swapaxes(2, 3).copy()}


@in_strided
def every_second_pixel_shifted(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradient is spread from the pixel next to where the stride begins."""
    dx, grads = at.backward(dy)
    return np.roll(dx, 1, axis=3), grads


@in_strided
def depthwise_kernel_of_the_first_sample(dy: Array, at: ForwardPass) -> BackwardResult:
    """dw is assigned sample by sample, so that of the last one is left."""
    padded, w, shape = at.cache
    dx, grads = at.backward(dy)
    return dx, grads | {"w": at.layer.backward(dy[-1:], (padded[-1:], w, (1, *shape[1:])))[1]["w"]}


@in_transposed
def channels_of_the_kernel_exchanged(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is computed with inputs and outputs of the kernel exchanged; there are as many of each."""
    params, x = at.cache
    return at.layer.backward(dy, ({"w": params["w"].swapaxes(0, 1)}, x))[0], at.backward(dy)[1]


@in_transposed
def image_and_cotangent_exchanged(dy: Array, at: ForwardPass) -> BackwardResult:
    """dw is flipped: x and dy have changed places in the correlation."""
    dx, grads = at.backward(dy)
    return dx, {"w": grads["w"][..., ::-1, ::-1].copy()}


@in_transposed
def stride_counted_in_dw(dy: Array, at: ForwardPass) -> BackwardResult:
    """dw is divided by the stride squared, the number of zeros between the pixels."""
    dx, grads = at.backward(dy)
    return dx, {"w": grads["w"] / 4}


@in_resize
def nearest_in_backward(dy: Array, at: ForwardPass) -> BackwardResult:
    """forward interpolates, backward gives each pixel to its nearest neighbour."""
    rows, columns = (np.where(w == w.max(axis=1, keepdims=True), 1.0, 0.0) for w in at.cache)
    return at.layer.backward(dy, (rows, columns))


@in_resize
def corners_aligned_in_backward(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward aligns the corners of the images, forward their edges."""
    centres = np.linspace(0, at.x.shape[2] - 1, at.layer.size)
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(at.x.shape[2])))
    return at.layer.backward(dy, (weights, weights))


@in_resize
def edges_counted_twice(dy: Array, at: ForwardPass) -> BackwardResult:
    """At the edge both neighbours are the same pixel, and it gets the gradient of one of them again."""
    dx, grads = at.backward(dy)
    return edited(dx, (slice(None), slice(None), 0), 2 * dx[:, :, 0]), grads


@in_resize
def scaled_by_the_area(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is divided by the growth of the area, as for a mean."""
    dx, grads = at.backward(dy)
    return dx * dx[0, 0].size / dy[0, 0].size, grads


@in_embedding
def repeated_rows_overwritten(dy: Array, at: ForwardPass) -> BackwardResult:
    """dtable[indices] += dy, which counts a row once that occurs three times."""
    dtable = np.zeros(at.params["table"].shape)
    dtable[list(at.layer.indices)] += dy
    return (), {"table": dtable}


@in_embedding
def divided_by_the_number_of_places(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradient of a row is the mean over its places."""
    counts = np.bincount(at.layer.indices, minlength=at.layer.rows)
    return (), {"table": at.backward(dy)[1]["table"] / np.maximum(1, counts)[:, None]}


@in_embedding
def rows_off_by_one(dy: Array, at: ForwardPass) -> BackwardResult:
    """Row 0 is taken for padding in backward, so that all rows move by one."""
    return (), {"table": np.roll(at.backward(dy)[1]["table"], 1, axis=0)}


@in_embedding
def first_row_taken_for_padding(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradient of row 0 is set to zero, though forward looks it up."""
    return (), {"table": edited(at.backward(dy)[1]["table"], 0, 0.0)}
