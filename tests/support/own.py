"""Folders of pictures of one's own: unequal classes, mixed sizes, colours and formats."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from scratchnet.data.glyphs import generate_alphabets

LOOKS = (((255, 255, 255), (0, 0, 0)), ((20, 40, 30), (240, 240, 220)), ((250, 240, 220), (30, 30, 120)))
SUFFIXES = (".png", ".jpg", ".tif", ".bmp", ".webp", ".ppm")


def write_own(folder: Path, counts: Mapping[str, int], seed: int = 0) -> Path:
    """Write a folder for each class, "a" or "alphabet/a", with so many pictures, drawn by w0, w1, w2 ..."""
    (alphabet,) = generate_alphabets(
        1, characters=len(counts), drawers=max(counts.values()), image_size=60, seed=50 + seed
    )
    for character, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for drawer in range(count):
            number = character + 7 * drawer
            paper, ink = (np.array(colour, np.uint8) for colour in LOOKS[number % len(LOOKS)])
            picture = Image.fromarray(np.where(alphabet.images[character, drawer][..., None], ink, paper))
            picture = picture.resize((60 + 5 * (number % 9), 60 + 4 * (number % 7)))
            picture.save(folder / name / f"w{drawer}{SUFFIXES[number % len(SUFFIXES)]}")
    return folder
