"""Pillow images of any mode as grey values or colours: scaled by their mode, so that white stays white.

On a transparent sheet a pen of any colour may have drawn, white among them. There the ink is what is opaque.
"""

import numpy as np
from PIL import Image, ImageCms

from scratchnet.images.strokes import extent, stroke_width

DEEP = ("I", "F")  # how the names of modes begin that have more than 8 bits a channel, and no fixed range
WHITES = {"I": (1, 255, 1023, 4095, 16383, 65535), "F": (1, 255, 65535)}  # levels of white in use
OVERSHOOT = 0.25  # of white, or of what is lightest: by how much resampling leaves the range
HIDDEN = 26  # levels of 255: what is less opaque cannot be seen, and an alpha that varies by less hides nothing
LOOK = 400  # pixels of the longer side of the copy on which it is decided what the alpha means
ONE_COLOUR = 48  # levels of 255 by which ink of one colour varies at most
STROKE = 0.2  # of the longer side: what is visible and thinner was drawn; what is broader is a sheet, cut out


def grey_values(image: Image.Image) -> np.ndarray:
    """The grey values of an image of any mode, (H, W) float32 from 0, black, to 1, white.

    What is transparent is white. Raises ValueError where the values of a mode without a fixed range fit none in use.
    """
    if image.mode.startswith(DEEP) and not image.has_transparency_data:
        return _scaled(image)
    values = np.array(_opaque(image).convert("L"), np.float32)
    values /= 255
    return values


def colours(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB, otherwise as `grey_values`: a sheet that was cut out lies on more of its paper."""
    return _opaque(image).convert("RGB")


def _opaque(image: Image.Image) -> Image.Image:
    """The image in 8 bits a channel and without transparency: ink on a transparent sheet as black on white, a sheet
    that was cut out on more of its own paper."""
    image = _in_8_bits(image)
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    levels = np.flatnonzero(alpha.histogram())
    least, most = int(levels[0]), int(levels[-1])
    if most < HIDDEN:
        return Image.new("L", image.size, "white")
    if most - least < HIDDEN:
        return image.convert("RGB")
    paper = _paper_of_sheet(image, most)
    if paper is None:
        return Image.eval(alpha, lambda level: 255 - level)
    return Image.alpha_composite(Image.new("RGBA", image.size, paper), image)


def _paper_of_sheet(image: Image.Image, most: int) -> tuple[int, int, int] | None:
    """The colour of the paper that was cut out; None where what is visible, up to an alpha of `most`, is ink.

    Ink is of one colour, or thin.
    """
    scale = min(1.0, LOOK / max(image.size))
    size = [max(1, round(scale * length)) for length in image.size]
    pixels = np.asarray(image.resize((size[0], size[1]), Image.Resampling.NEAREST), np.int16)  # (H, W, 4)
    visible = pixels[..., 3] > most / 2
    seen = pixels[pixels[..., 3] > 0.9 * most, :3]
    if not len(seen):
        return None
    paper = np.median(seen, axis=0)
    if np.abs(seen - paper).max() < ONE_COLOUR or stroke_width(visible) < STROKE * max(extent(visible)[1]):
        return None
    red, green, blue = paper.astype(int).tolist()
    return red, green, blue


def _in_8_bits(image: Image.Image) -> Image.Image:
    """The image in a mode of 8 bits a channel that Pillow converts to any other."""
    if image.mode.startswith(DEEP):
        grey = Image.fromarray(np.rint(255 * _scaled(image)).astype(np.uint8))
        if image.has_transparency_data:  # of one value
            grey.putalpha(Image.fromarray(np.asarray(image) != image.info["transparency"]).convert("L"))
        return grey
    if image.mode == "La":  # grey, multiplied by its alpha
        return image.convert("LA")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB")) or image
    return image


def _scaled(image: Image.Image) -> np.ndarray:
    """The values of a mode without a fixed range, (H, W) float32 from 0 to 1.

    White is the least level in use that holds them all: the 8 or 12 bits of a scanner may lie in 16.
    """
    values = np.asarray(image, np.float32)
    low, high = float(values.min()), float(values.max())
    whites = WHITES[image.mode[0]]
    for white in whites:
        if -OVERSHOOT * high <= low and high <= (1 + OVERSHOOT) * white:
            return np.clip(values / np.float32(white), 0, 1)
    known = ", ".join(map(str, whites[:-1]))
    raise ValueError(
        f"its values in mode {image.mode} go from {low:g} to {high:g}, expected 0 for black and {known} or "
        f"{whites[-1]} for white: scale them"
    )
