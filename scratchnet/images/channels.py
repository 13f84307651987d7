"""Convert Pillow images of any mode to grey values or colours, scaled by mode so that white stays white.

On a transparent background the pen may have any colour, even white. There, whatever is opaque counts as ink.
"""

import numpy as np
from PIL import Image, ImageCms

from scratchnet.images.strokes import extent, stroke_width

DEEP = ("I", "F")  # prefixes of modes with more than 8 bits per channel and no fixed range
WHITES = {"I": (1, 255, 1023, 4095, 16383, 65535), "F": (1, 255, 65535)}  # values in use for white
OVERSHOOT = 0.25  # of white, or of the lightest value: how far resampling may leave the range
HIDDEN = 26  # of 255 levels of alpha: less is invisible, and an alpha that varies by less hides nothing
LOOK = 400  # pixels: longer side of the copy used to decide what the alpha channel means
ONE_COLOUR = 48  # of 255 levels: the most that ink of one colour varies
STROKE = 0.2  # of the longer side: visible parts thinner than this are strokes, broader ones a cut-out sheet


def grey_values(image: Image.Image) -> np.ndarray:
    """The grey values (H, W), float32 from 0 for black to 1 for white, of an image of any mode.

    Transparent pixels are white. Raises ValueError if a mode has no fixed range and the values match none in use.
    """
    if image.mode.startswith(DEEP) and not image.has_transparency_data:
        return _scaled(image)
    values = np.array(_opaque(image).convert("L"), np.float32)
    values /= 255
    return values


def colours(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB, otherwise like `grey_values`; a cut-out sheet is laid on paper of its colour."""
    return _opaque(image).convert("RGB")


def _opaque(image: Image.Image) -> Image.Image:
    """The image in 8 bits per channel, without transparency.

    Ink on a transparent background becomes black on white; a cut-out sheet is laid on paper of its own colour.
    """
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
    """The paper colour of a cut-out sheet, or None if the visible part, up to an alpha of `most`, is ink.

    Ink has a single colour, or it is thin.
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
    """The image in a mode of 8 bits per channel that Pillow can convert to any other."""
    if image.mode.startswith(DEEP):
        grey = Image.fromarray(np.rint(255 * _scaled(image)).astype(np.uint8))
        if image.has_transparency_data:  # of a single value
            grey.putalpha(Image.fromarray(np.asarray(image) != image.info["transparency"]).convert("L"))
        return grey
    if image.mode == "La":  # grey, premultiplied by alpha
        return image.convert("LA")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB")) or image
    return image


def _scaled(image: Image.Image) -> np.ndarray:
    """The values (H, W), float32 from 0 to 1, of an image in a mode without a fixed range.

    White is the smallest value in use that covers them all: 16 bits may hold the 8 or 12 of a scanner.
    """
    values = np.asarray(image, np.float32)
    low, high = float(values.min()), float(values.max())
    whites = WHITES[image.mode[0]]
    for white in whites:
        if -OVERSHOOT * high <= low and high <= (1 + OVERSHOOT) * white:
            return np.clip(values / np.float32(white), 0, 1)
    known = ", ".join(map(str, whites[:-1]))
    raise ValueError(
        f"its values in mode {image.mode} range from {low:g} to {high:g}, expected 0 for black and {known} or "
        f"{whites[-1]} for white: scale them"
    )
