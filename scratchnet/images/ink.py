"""Checks of arrays of drawings before they are used: ink 1, paper 0, or values in between.

Drawings are arrays (..., H, W) of bool or floats. Values outside 0 to 1 by more than SLACK, NaN and infinity are
refused, with a message of one line that names the drawing; so are integer arrays, with the expression that converts
them, and negatives, which have paper 1 and ink 0. A drawing counts as a negative if more than half of all its pixels,
and more than RIM of its outermost pixels, are above one half: strokes seldom cover that much of the rim, paper does.
Of 48,080 drawings, from Omniglot and generated ones, whole or cropped to their ink, none is mistaken for a negative; of
their negatives, at most 1 in 4,000 is missed. A drawing cropped so tightly that its ink fills the rim needs a margin.
Images of fewer than JUDGED pixels a side are never taken for negatives.

A batch of `train_step` is checked for negatives as a whole, because a distortion may leave one image nearly all ink.

On the host, the checks cost a few passes over the images. On a device that computes asynchronously, nothing waits for
it: there `expect_ink` checks the dtype only, `is_wrong` marks the images whose result must become NaN, and `BatchLook`
reads its findings together with the loss.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, array_module, device_of, to_host
from scratchnet.errors import DataError, ShapeError

SLACK = 1e-3  # allowed for resampling and float16
RIM = 3 / 4  # of the outermost pixels
JUDGED = 8  # pixels a side; smaller images are nearly all rim
WHITES = (255, 1023, 4095, 16383, 65535)  # for 8, 10, 12, 14 and 16 bits
CHANNELS = (1, 3, 4)
EXPECTED = "ink 1 and paper 0"


class Look(NamedTuple):
    """The lowest and highest values of drawings, and whether they are negatives: (N,), or () for all together."""

    low: Array
    high: Array
    is_negative: Array

    def out_of_range(self) -> Array:
        """Whether values lie outside 0 to 1; True for NaN as well."""
        return ~((self.low >= -SLACK) & (self.high <= 1 + SLACK))

    def is_wrong(self) -> Array:
        """Whether the drawings are out of range or negatives."""
        return self.out_of_range() | self.is_negative


def look(images: Array, together: bool = False) -> Look:
    """Inspect images (N, H, W): one result for each, (N,), or () for all of them together."""
    xp = array_module(images)
    over = images if images.dtype.kind == "b" else images > 0.5
    rim = xp.concatenate([over[:, 0], over[:, -1], over[:, :, 0], over[:, :, -1]], axis=1)
    flat, over = (each.reshape(len(images), -1) for each in (images, over))
    axis = None if together else 1
    if images.dtype.kind == "b":
        flat = flat[:, :1]  # only False and True are possible
    is_negative = _covered(over, 1 / 2, axis) & _covered(rim, RIM, axis) & (min(images.shape[1:]) >= JUDGED)
    return Look(xp.min(flat, axis=axis), xp.max(flat, axis=axis), is_negative)


def expect_ink(name: str, images: Array, place: Callable[..., str] | None = None) -> None:
    """Raise DataError unless the images (..., H, W) are ink 1 and paper 0, and ShapeError for a dtype that cannot be.

    place(*index): how to refer to the image at an index of the leading axes, by default "name[index]".
    """
    expect_ink_dtype(name, images)
    if not images.size or device_of(images).asynchronous:
        return
    seen = _read(look(images.reshape(-1, *images.shape[-2:])))
    wrong = seen.is_wrong()
    if wrong.any():
        raise _refusal(name, images, seen, int(wrong.argmax()), place)


def expect_ink_dtype(name: str, images: Array) -> None:
    """Raise ShapeError, with the expression that converts them, unless the images are bool or float."""
    kind = images.dtype.kind
    if kind in "bf":
        return
    advice = "convert each image first"
    if kind in "iu":
        advice = f"scale it, write {_conversion(name, to_host(images))}"
    elif kind == "c":
        advice = f"write {_variable(name)}.real if that is the drawing"
    raise ShapeError(f"{name} is {images.dtype}, expected bool or float, {EXPECTED}: {advice}")


def expect_floats(name: str, images: Array) -> None:
    """Raise ShapeError, with the expression that converts them, unless the images are float, as arithmetic needs."""
    expect_ink_dtype(name, images)
    if images.dtype.kind == "b":
        raise ShapeError(f"{name} is bool, expected float, {EXPECTED}: write {_variable(name)}.astype('float32')")


def expect_images(name: str, images: Array) -> None:
    """`expect_ink` for a stack (N, H, W). A ShapeError also names the layout if the shape gives it away."""
    expect_ink_dtype(name, images)
    shape, variable = tuple(images.shape), _variable(name)
    if len(shape) == 3 and 0 not in shape[1:]:
        expect_ink(name, images)
        return
    advice = "stack images of one size"
    if len(shape) == 2:
        advice = f"a single image is {variable}[None]"
    elif len(shape) == 4 and shape[3] in CHANNELS:
        advice = f"(N, H, W, C) loses its channels as {variable}" + ("[..., 0]" if shape[3] == 1 else ".mean(axis=3)")
    elif len(shape) == 4 and shape[1] in CHANNELS:
        advice = f"(N, C, H, W) loses its channels as {variable}" + ("[:, 0]" if shape[1] == 1 else ".mean(axis=1)")
    raise ShapeError(f"{name} has shape {shape}, expected (N, H, W): {advice}")


def is_wrong(images: Array) -> Array:
    """Which of the images (N, H, W) `expect_ink` would refuse: (N,) bool, without waiting for the device."""
    return look(images).is_wrong()


class BatchLook:
    """Checks the images a and b (..., H, W) of a training batch: at once on the host, with the loss on a device.

    Raises as `expect_ink` does, but decides on negatives by all images of a and all of b, and leaves NaN and infinity
    to the training step, which looks for them everywhere.
    """

    def __init__(self, a: Array, b: Array) -> None:
        self.twins = {"a": a, "b": b}
        for name, images in self.twins.items():
            expect_ink_dtype(name, images)
        self.seen: list[Look] = []
        if any(images.ndim < 3 or not images.size for images in (a, b)):
            return  # the network reports wrong shapes
        self.seen = [look(images.reshape(-1, *images.shape[-2:]), together=True) for images in (a, b)]
        if not device_of(a).asynchronous:
            self._expect([_read(seen) for seen in self.seen])
            self.seen = []

    def read(self, *scalars: Array) -> list[float]:
        """Transfer the scalars () to the host, together with the findings about the images, which may raise."""
        first = scalars[0]
        figures = [figure.astype(first.dtype) for seen in self.seen for figure in seen]
        numbers = to_host(array_module(first).stack([*scalars, *figures]))
        of_images = numbers[len(scalars) :].reshape(-1, 3)
        self._expect([Look(low, high, is_negative > 0) for low, high, is_negative in of_images])
        return numbers[: len(scalars)].tolist()

    def _expect(self, seen: list[Look]) -> None:
        for (name, images), of_all in zip(self.twins.items(), seen, strict=False):
            if not np.isfinite(of_all.low) or not np.isfinite(of_all.high):
                continue
            if of_all.out_of_range():
                single = _read(look(images.reshape(-1, *images.shape[-2:])))
                raise _refusal(name, images, single, int(single.out_of_range().argmax()), None)
            if of_all.is_negative:
                raise DataError(
                    f"{name} is mostly ink, as if its paper were 1, expected {EXPECTED}: write {_negated(name, images)}"
                )


def _read(seen: Look) -> Look:
    """The same on the host."""
    return Look(*map(to_host, seen))


def _covered(over: Array, share: float, axis: int | None) -> Array:
    """Whether more than `share` of `over` (N, pixels) is True."""
    xp = array_module(over)
    pixels = over.size if axis is None else over.shape[1]
    return xp.asarray(xp.count_nonzero(over, axis=axis)) > share * pixels  # NumPy 2.0 returns an int of Python


def _refusal(name: str, images: Array, seen: Look, number: int, place: Callable[..., str] | None) -> DataError:
    """The error that says why the image of this number is refused, and what to do about all of them."""
    index = [int(i) for i in np.unravel_index(number, images.shape[:-2])]
    which = place(*index) if place else f"{name}[{', '.join(map(str, index))}]"
    low, high = float(seen.low[number]), float(seen.high[number])
    if not (np.isfinite(low) and np.isfinite(high)):
        return DataError(f"{which} has a NaN or an infinity, expected {EXPECTED}: leave it out")
    if seen.is_negative[number] and not seen.out_of_range()[number]:
        return DataError(
            f"{which} has paper 1 and ink 0, expected {EXPECTED}: write {_negated(name, images)}; "
            "a drawing that is mostly ink needs a margin of paper"
        )
    return DataError(
        f"{which} has values from {low:.4g} to {high:.4g}, expected {EXPECTED}: write {_scaling(name, images)}"
    )


def _negated(name: str, images: Array) -> str:
    return f"~{_variable(name)}" if images.dtype.kind == "b" else f"1 - {_variable(name)}"


def _scaling(name: str, images: Array) -> str:
    """The expression that scales floats of another range to 0 to 1."""
    variable, values = _variable(name), to_host(images)
    values = values[np.isfinite(values)]
    low, high = values.min(), values.max()
    if low >= -0.25 and high <= 1.25:  # overshoot of resampling
        return f"{variable}.clip(0, 1)"
    if low >= -1 - SLACK and high <= 1 + SLACK:
        return f"({variable} + 1) / 2"
    if low >= -SLACK and high <= WHITES[-1]:
        return _scaled(variable, values)
    return f"({variable} - {variable}.min()) / np.ptp({variable})"


def _conversion(name: str, numbers: np.ndarray) -> str:
    """The expression that converts integers to ink."""
    variable, low, high = _variable(name), numbers.min(initial=0), numbers.max(initial=1)
    if low < 0:
        return f"({variable}.astype('float32') + {-int(low)}) / {int(high) - int(low)}"
    if high == 1:
        return f"{variable}.astype(bool)" if 2 * np.count_nonzero(numbers) <= numbers.size else f"{variable} == 0"
    return _scaled(f"{variable}.astype('float32')", numbers)


def _scaled(variable: str, values: np.ndarray) -> str:
    """The expression that scales from 0 to white. Most pixels are paper: if they are white, it also inverts."""
    high = int(np.ceil(values.max()))
    white = next((white for white in WHITES if high <= white), high)
    is_negative = 2 * np.count_nonzero(values > white / 2) > values.size
    return f"1 - {variable} / {white}" if is_negative else f"{variable} / {white}"


def _variable(name: str) -> str:
    """The name of the array in an expression, if it is an identifier."""
    return name if name.isidentifier() else "images"
