"""A map of embeddings: drawings that the network takes for the same character lie close together."""

from dataclasses import dataclass

import numpy as np

from scratchnet.backend import to_host
from scratchnet.data.alphabets import Alphabet
from scratchnet.errors import DataError
from scratchnet.explain.plots.page import COLOURS, Figure, coloured, in_our_style, new_figure
from scratchnet.images.frames import find_frame
from scratchnet.models.siamese import SiameseNet

CHARACTERS = len(COLOURS)  # at most, each in its colour
DRAWERS = 20  # at most
SIZE = 0.048  # of a drawing, in widths of the map


@dataclass(frozen=True)
class EmbeddedDrawings:
    """Drawings (N, S, S) as the network sees them, which character each shows (N,), and their embeddings (N, D)."""

    drawings: np.ndarray
    characters: np.ndarray
    embeddings: np.ndarray


def embedded(net: SiameseNet, alphabet: Alphabet) -> EmbeddedDrawings:
    """The first characters of an alphabet, embedded by a network; as many as there are colours."""
    images = alphabet.images[:CHARACTERS, :DRAWERS]
    characters, drawers = images.shape[:2]
    flat = images.reshape(-1, *images.shape[2:]).astype(np.float32)
    drawings = to_host(find_frame(net.frame).fit(flat, net.image_size))
    embeddings = to_host(net.embed(net.device.upload(flat.astype(net.dtype))))
    return EmbeddedDrawings(drawings, np.arange(characters).repeat(drawers), embeddings)


def principal_plane(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two principal components (N, 2) of embeddings (N, D), and their shares (2,) of the variance.

    Raises DataError for fewer than three embeddings, and for embeddings that are all the same.
    """
    if len(embeddings) < 3 or embeddings.shape[1] < 2:
        raise DataError(f"embeddings of shape {embeddings.shape} span no plane: give three drawings or more")
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    if not s[0] > 0:
        raise DataError("the network embeds all these drawings alike: there is no map to draw")
    return u[:, :2] * s[:2], s[:2] ** 2 / (s**2).sum()


@in_our_style
def embedding_map(shown: EmbeddedDrawings, *, title: str, note: str = "") -> Figure:
    """The drawings at their place in the plane of the first two principal components, a colour for each character."""
    points, shares = principal_plane(shown.embeddings)
    figure = new_figure(6.2, 6.6, title=title, note=note)
    axes = figure.subplots()
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max()) * (1 + 2 * SIZE)
    half = side * SIZE / 2
    for (x, y), ink, character in zip(points, shown.drawings, shown.characters, strict=True):
        picture = coloured(ink, COLOURS[character % len(COLOURS)])
        axes.imshow(picture, extent=(x - half, x + half, y - half, y + half), interpolation="antialiased")
    centre = (low + high) / 2
    axes.set(xlim=(centre[0] - side / 2, centre[0] + side / 2), ylim=(centre[1] - side / 2, centre[1] + side / 2))
    first, second = (f"{100 * share:.0f} % of the variance" for share in shares)
    axes.set(xlabel=f"first principal component, {first}", ylabel=f"second principal component, {second}")
    return figure
