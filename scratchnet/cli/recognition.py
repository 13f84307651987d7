"""`scratchnet compare` and `scratchnet classify`: apply a network to images."""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

from scratchnet.backend import to_host
from scratchnet.cli.options import Commands, add_device, add_model, chosen_model, finish
from scratchnet.common.console import note, say
from scratchnet.errors import DataError, NonFiniteError
from scratchnet.images.pictures import FORMATS
from scratchnet.layers import sigmoid

PICTURES = tuple(f".{name.lower()}" for name in (*FORMATS, "jpg"))


def add_to(commands: Commands) -> None:
    """Add `compare` and `classify`."""
    added = commands.add("compare", compare, "Estimate the probability that two images show the same character.")
    added.add_argument("images", nargs=2, metavar="IMAGE")
    add_model(added)
    add_device(added)

    text = "Find the image in a folder that shows the same character as the query."
    added = commands.add("classify", classify, text)
    added.add_argument("query", metavar="QUERY")
    added.add_argument(
        "--support", type=Path, required=True, metavar="DIR", help="folder with one image per class, named after it"
    )
    add_model(added)
    add_device(added)


def compare(options: argparse.Namespace) -> int:
    """Print the probability that two images show the same character; exit code 0.

    Raises NonFiniteError if that is a NaN.
    """
    net = chosen_model(options)
    a, b = options.images
    probability = float(_finite(to_host(net.similarity([a], [b])))[0])
    if not options.json:
        say(f"{probability:.1%} that {a} and {b} show the same character")
    return finish(options, {"a": a, "b": b, "probability": probability})


def classify(options: argparse.Namespace) -> int:
    """Rank the supports by score and print the best five; exit code 0. Raises DataError as `find_supports` does."""
    net = chosen_model(options)
    supports = find_supports(options.support)
    scores = _finite(to_host(net.scores([options.query], supports)))[0]
    probabilities = sigmoid(scores)
    ranking = [
        {"class": supports[i].stem, "probability": float(probabilities[i]), "score": float(scores[i])}
        for i in np.argsort(-scores, kind="stable")
    ]
    if not options.json:
        say(f"{options.query} best matches {ranking[0]['class']}; probability of the same character:")
        for match in ranking[:5]:
            say(f"  {match['probability']:6.1%}  {match['class']}")
    return finish(options, {"query": options.query, "ranking": ranking})


def _finite(scores: np.ndarray) -> np.ndarray:
    if np.isfinite(scores).all():
        return scores
    raise NonFiniteError("the network answers with a NaN or an infinity: its parameters are too large or damaged")


def find_supports(folder: Path) -> list[Path]:
    """The images in a folder, one per class, sorted by name. Reports ignored files on stderr.

    Raises DataError if `folder` is not a folder, has no images, or has two of the same class.
    """
    if not folder.is_dir():
        raise DataError(f"--support {folder} is not a folder: expected one with an image for each class")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    supports = [path for path in files if path.suffix.lower() in PICTURES]
    known = ", ".join(PICTURES)
    if not supports:
        raise DataError(f"--support {folder} has no images: expected one per class, {known}")
    for one, other in pairwise(sorted(supports, key=lambda path: path.stem)):
        if one.stem == other.stem:
            raise DataError(
                f"--support {folder} has two images of class {one.stem}, {one.name} and {other.name}: "
                "expected one per class"
            )
    if others := [path.name for path in files if path not in supports]:
        note(f"scratchnet: ignored {', '.join(others)}: expected one of {known}")
    return supports
