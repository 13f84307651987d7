"""Generated alphabets: invented scripts with the structure of Omniglot, so that everything runs without a download.

An alphabet has a style: a few primitive strokes, their roundness, and the average number of strokes in a character. A
character places some of the primitives in a square of side 1. Each drawer distorts every character in a consistent way,
and no two drawings by one drawer are quite the same. The amount of variation is set so that baselines do about as well
as on Omniglot: given one drawing of each of 20 characters, the nearest in pixels is right about once in four, and the
nearest by Hausdorff distance two times in three.

Letters in shapes: P primitives, M strokes of a character, K control points of a stroke, T points drawn along it,
D drawers. The last axis of points is (x, y), with y pointing down.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from scratchnet.data.alphabets import Alphabet
from scratchnet.errors import DataError

SMALLEST_IMAGE = 16  # pixels; in smaller images the strokes run together
CONTROLS = 7  # K; a stroke passes through all but the first and last, which set its direction at the ends
SAMPLES = 25  # T
SUPERSAMPLING = 4
COVERED = 0.35  # the share of a pixel that the pen must cover to ink it
ALIKE = 0.12  # characters closer than this, in sides of the square, would look the same to a reader

# How far the pen turns at each of the K - 2 inner control points, in units of the bend of the stroke.
TURNS = np.array([
    [0, 0, 0, 0, 0],  # line
    [1, 1, 1, 1, 1],  # arc
    [2, 2, 2, 2, 2],  # loop
    [0, 0, 1, 2, 2],  # hook
    [0, 0, 3, 0, 0],  # corner
    [1, 1, 0, -1, -1],  # wave
    [0, 3, 0, -3, 0],  # zigzag
])  # fmt: skip


@dataclass(frozen=True)
class Style:
    """The common properties of the characters of one alphabet.

    primitives: (P, K, 2) control points of strokes, each in the square of side 1 around 0.
    strokes: the average number in a character.
    roundness: 0 for corners, 1 for curves.
    """

    primitives: np.ndarray
    strokes: float
    roundness: float


@dataclass(frozen=True)
class Hands:
    """The handwriting of each drawer; lengths are in sides of the image.

    bend: (D, 2, 2) slant, rotation and scale as one matrix.
    offset: (D, 2) position of the character relative to the middle of the image.
    roundness: (D,) added to that of the style.
    pen: (D,) width of the pen.
    wobble: (D,) how far a drawing deviates from the character.
    """

    bend: np.ndarray
    offset: np.ndarray
    roundness: np.ndarray
    pen: np.ndarray
    wobble: np.ndarray


def generate_alphabets(
    count: int, *, characters: int = 20, drawers: int = 12, image_size: int = 35, seed: int = 0
) -> list[Alphabet]:
    """`count` alphabets of random characters, with images (characters, drawers, image_size, image_size) bool, ink True.

    The same seed gives the same bits. Alphabet k does not depend on `count`, and image_size only sets the resolution.
    Names are unique. Raises DataError for an image_size below 16, a negative seed, or any other number below 1.
    """
    for name, value, least in [
        ("count", count, 1),
        ("characters", characters, 1),
        ("drawers", drawers, 1),
        ("image_size", image_size, SMALLEST_IMAGE),
        ("seed", seed, 0),
    ]:
        if value < least:
            raise DataError(f"generated alphabets: {name} is {value}, expected {least} or more")
    seeds = np.random.SeedSequence(seed).spawn(count)
    rngs = [np.random.default_rng(child) for child in seeds]
    return [_alphabet(number, characters, drawers, image_size, rng) for number, rng in enumerate(rngs, start=1)]


def _alphabet(number: int, characters: int, drawers: int, image_size: int, rng: np.random.Generator) -> Alphabet:
    name = f"{_word(rng)}-{number}"  # words may repeat, numbers do not
    style = _style(rng)
    shapes = _characters(characters, style, rng)
    hands = _hands(drawers, rng)
    images = np.empty((characters, drawers, image_size, image_size), dtype=bool)
    for shape, row in zip(shapes, images, strict=True):
        drawings = _draw(shape, style, hands, rng)
        for image, drawing, pen in zip(row, drawings, hands.pen, strict=True):
            image[:] = _render(drawing, pen, image_size)
    return Alphabet(name, images)


def _word(rng: np.random.Generator) -> str:
    """A pronounceable name such as Tubeso."""
    syllables = [rng.choice(list("bdfgklmnprstvz")) + rng.choice(list("aeiou")) for _ in range(3)]
    return "".join(syllables).capitalize()


def _style(rng: np.random.Generator) -> Style:
    turns = rng.choice(TURNS, size=rng.integers(4, 7), replace=False)
    bend = rng.uniform(0.4, 0.8) * rng.choice([-1, 1], size=len(turns))
    return Style(
        primitives=np.stack([_stroke(turn, rng) for turn in turns * bend[:, None]]),
        strokes=rng.uniform(1.8, 3.2),
        roundness=rng.choice([0.1, 0.9, 1.0]),  # one script in three is angular
    )


def _stroke(turns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Control points (K, 2) of a pen that starts in one of eight directions and turns by `turns` (K - 2,)."""
    heading = rng.integers(8) * np.pi / 4 + np.cumsum(np.append(0, turns))
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return _fitted(np.cumsum(np.vstack([np.zeros(2), steps]), axis=0))


def _fitted(points: np.ndarray) -> np.ndarray:
    """Points (..., K, 2) moved and scaled to fill the square of side 1 around 0, keeping their proportions."""
    drawn = points[..., 1:-1, :].reshape(-1, 2)
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    fitted: np.ndarray = (points - (low + high) / 2) / (high - low).max()
    return fitted


def _characters(count: int, style: Style, rng: np.random.Generator) -> list[np.ndarray]:
    """`count` characters (M, K, 2), no two of them alike."""
    accepted: list[np.ndarray] = []
    alike = ALIKE
    while len(accepted) < count:
        candidate = _character(style, rng)
        if all(_distance(candidate, other) > alike for other in accepted):
            accepted.append(candidate)
        else:
            alike *= 0.995  # no style has room for arbitrarily many characters: accept a little less distance
    return accepted


def _character(style: Style, rng: np.random.Generator) -> np.ndarray:
    """One character: control points (M, K, 2) in the square of side 1 around 0."""
    strokes: list[np.ndarray] = []
    for _ in range(max(1, round(rng.normal(style.strokes, 0.7)))):
        mirrored = rng.choice([1, 1, 1, -1], size=2)  # sometimes, left to right or top to bottom
        stroke = rng.choice(style.primitives) * rng.uniform(0.5, 1.0) * mirrored
        if strokes and rng.random() < 0.7:  # start on an earlier stroke, as most strokes of real characters do
            place = rng.choice(rng.choice(strokes)[1:-1]) - stroke[1]
        else:
            place = rng.uniform(-0.4, 0.4, size=2)
        strokes.append(stroke + place)
    return _fitted(np.stack(strokes))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """The modified Hausdorff distance of two characters (M, K, 2): the mean distance of one from the other."""
    a, b = a[:, 1:-1].reshape(-1, 1, 2), b[:, 1:-1].reshape(1, -1, 2)
    apart = np.linalg.norm(a - b, axis=2)  # between every point of a and every point of b
    return float(max(apart.min(axis=0).mean(), apart.min(axis=1).mean()))


def _hands(drawers: int, rng: np.random.Generator) -> Hands:
    return Hands(
        bend=np.eye(2) * 0.62 + rng.normal(0, 0.09, size=(drawers, 2, 2)),
        offset=rng.normal(0, 0.03, size=(drawers, 2)),
        roundness=rng.normal(0, 0.15, size=drawers),
        pen=rng.uniform(0.03, 0.06, size=drawers),
        wobble=rng.uniform(0.01, 0.04, size=drawers),
    )


def _draw(character: np.ndarray, style: Style, hands: Hands, rng: np.random.Generator) -> np.ndarray:
    """The character (M, K, 2) as drawn by each drawer: points (D, M, T, 2) in an image of side 1."""
    drawers, strokes = len(hands.pen), len(character)
    wobble = hands.wobble[:, None, None, None]
    centre = character[:, 1:-1].mean(axis=1, keepdims=True)  # (M, 1, 2)
    # Every stroke is slightly bent and displaced, and every point of it slightly off.
    bend = np.eye(2) + 4 * wobble * rng.normal(size=(drawers, strokes, 2, 2))
    controls = (character - centre) @ bend + centre
    controls += 1.5 * wobble * rng.normal(size=(drawers, strokes, 1, 2))
    controls += 0.5 * wobble * rng.normal(size=(drawers, strokes, CONTROLS, 2))
    blend = _blend(style.roundness + hands.roundness)
    points = blend[:, None] @ controls  # (D, 1, T, K) @ (D, M, K, 2) -> (D, M, T, 2)
    hand = hands.bend + rng.normal(0, 0.04, size=hands.bend.shape)
    offset = hands.offset + rng.normal(0, 0.02, size=hands.offset.shape)
    drawn: np.ndarray = points @ hand[:, None] + offset[:, None, None] + 0.5
    return drawn


def _blend(roundness: np.ndarray) -> np.ndarray:
    """Weights (D, T, K) of the control points in each point: roundness 0 gives a polygon, 1 a smooth curve."""
    along = np.linspace(1, CONTROLS - 2, SAMPLES)
    x = np.abs(along[:, None] - np.arange(CONTROLS))  # (T, K) distance along the stroke from each control point
    polygon = np.maximum(1 - x, 0)
    near, far = 1 - 2.5 * x**2 + 1.5 * x**3, 2 - 4 * x + 2.5 * x**2 - 0.5 * x**3
    curve = np.select([x < 1, x < 2], [near, far])  # Catmull-Rom: through the control points
    weights: np.ndarray = polygon + np.clip(roundness, 0, 1)[:, None, None] * (curve - polygon)
    return weights


def _render(strokes: np.ndarray, pen: float, image_size: int) -> np.ndarray:
    """Draw strokes (M, T, 2) in an image of side 1 with a pen of width `pen`: (image_size, image_size) bool."""
    side = image_size * SUPERSAMPLING
    canvas = Image.new("L", (side, side))
    draw = ImageDraw.Draw(canvas)
    width = max(round(pen * side), SUPERSAMPLING)  # at least one pixel
    inside = np.clip(strokes, 1 / image_size, 1 - 1 / image_size)
    for stroke in np.rint(inside * side).astype(int).reshape(len(strokes), -1).tolist():  # x, y, x, y, ...
        draw.line(stroke, fill=255, width=width)
    return np.asarray(canvas.reduce(SUPERSAMPLING)) > 255 * COVERED
