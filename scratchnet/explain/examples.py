"""What `explain` explains: a network, two pictures, and the batch that they lead."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import array_module
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.images.frames import find_frame
from scratchnet.models.pair_trace import Pairs, PairTrace, StepTrace
from scratchnet.models.siamese import SiameseNet

SIZE = 105  # pixels of a generated drawing, as in Omniglot
CHARACTER, DRAWERS = 2, (3, 4)  # two drawings that the bundled network calls the same, but not without doubt
OTHERS = 7


@dataclass(frozen=True)
class Example:
    """A pair of images and all that the page and the table say about it.

    names: what the images are called. images: as `net.similarity` takes them. trace: of the pair, with a step on
    `pairs`, which it leads; alone: a step on the pair alone.
    """

    net: SiameseNet
    model: str
    names: tuple[str, str]
    images: tuple[Any, Any]
    same: bool
    pairs: Pairs
    trace: PairTrace
    alone: StepTrace


def example(
    net: SiameseNet, files: tuple[str | Path, str | Path] | None = None, *, model: str = "", same: bool = True
) -> Example:
    """The example of two picture files or, without files, of two generated drawings.

    same: the label of the pair in the training step; without files, the drawings are of one character or of two
    accordingly. The batch is filled with generated drawings. The arrays are the host's. Raises DataError for files
    that are no pictures.
    """
    net = net.to_device("cpu")
    images: tuple[Any, Any] = files or example_pair(same)
    names = (str(Path(files[0]).name), str(Path(files[1]).name)) if files else ("drawing 1", "drawing 2")
    others = other_pairs(net, OTHERS)
    for _ in range(2):  # the first time, everything is slower
        trace = net.trace(*images, same=same, others=others)
    alone = net.trace(*images, same=same).step
    first, second = (twin.layers[0].x[..., 0].transpose(2, 0, 1) for twin in trace.twins)
    xp = array_module(first)
    pairs = Pairs(xp.concatenate([first, others.a]), xp.concatenate([second, others.b]), trace.step.labels)
    return Example(net, model, names, images, same, pairs, trace, alone)


def example_pair(same: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Two drawings (105, 105) of one character of a generated alphabet or, if not `same`, of two characters; bool."""
    images = generate_alphabets(1, characters=12, drawers=6, image_size=SIZE, seed=0)[0].images
    first, second = DRAWERS
    return images[CHARACTER, first], images[CHARACTER if same else CHARACTER + 1, second]


def other_pairs(net: SiameseNet, count: int) -> Pairs:
    """`count` more pairs for a batch, as the encoder takes images: the first different, the next the same, in turns."""
    images = generate_alphabets(1, characters=count + 1, drawers=2, image_size=SIZE, seed=1)[0].images
    same = np.arange(count) % 2
    first = images[np.arange(count), 0]
    second = images[np.arange(count) + 1 - same, 1]
    fit = find_frame(net.frame).fit
    a, b = (fit(each.astype(net.dtype), net.image_size) for each in (first, second))
    return Pairs(a, b, same.astype(net.dtype))
