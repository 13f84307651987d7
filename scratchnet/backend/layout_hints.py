"""What to add to an error about a shape: arrays in the layouts of other libraries, and the line that turns them."""

from collections.abc import Mapping
from typing import Any

MAP = ("H", "W", "N", "C")
CHANNELS_ELSEWHERE = {  # the layouts of other libraries, by the place of their channels
    1: ("(N, C, H, W)", (2, 3, 0, 1)),
    0: ("(C, H, W, N)", (1, 2, 3, 0)),
    2: ("(H, W, C, N)", (0, 1, 3, 2)),
}


def of_shape(name: str, shape: tuple[int, ...], axes: tuple[str, ...], known: Mapping[str, Any]) -> str:
    """What to do about an array of this shape where these axes, with the sizes that are known, were expected."""
    return _of_map(name, shape, known.get("C")) if axes == MAP else _of_images(name, shape, axes, known)


def of_images_first(shape: tuple[int, ...], kh: int, kw: int) -> str:
    """What to add about a map (H, W, N, C) smaller than a window, if it is large enough read as (N, H, W, C)."""
    if shape[1] < kh or shape[2] < kw:
        return ""
    return "; images first, (N, H, W, C), become x.transpose(1, 2, 0, 3)"


def _of_map(x: str, shape: tuple[int, ...], C: int | None) -> str:
    """What to do about a map whose channels are in the place of another axis, or that has no axis for the only one."""
    if len(shape) == 3 and C in (1, None):
        return f": images (N, H, W) become {x}.transpose(1, 2, 0)[..., None]"
    if len(shape) == 4 and C is not None:
        for axis, (layout, axes) in CHANNELS_ELSEWHERE.items():
            if shape[axis] == C:
                return f": it looks like {layout}, which becomes {x}.transpose{axes}"
    return ""


def _of_images(name: str, shape: tuple[int, ...], axes: tuple[str, ...], known: Mapping[str, Any]) -> str:
    """What to do about images (..., H, W) in a layout of other libraries."""
    size = known.get("H"), known.get("W")
    if axes[-2:] == ("H", "W") and len(shape) == 3 and shape[:2] == size:
        return f": it looks like (H, W, N), which becomes {name}.transpose(2, 0, 1)"
    if axes[-2:] == ("H", "W") and len(shape) > 3 and shape[-3:] == (*size, 1):
        return f": the channel goes as {name}[..., 0]"
    return ""
