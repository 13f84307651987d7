"""`scratchnet compare` and `scratchnet classify`: a network at work."""

import argparse
from pathlib import Path

import numpy as np

from scratchnet.backend import to_host
from scratchnet.cli.options import Commands, add_device, add_model, chosen_model, finish
from scratchnet.errors import DataError
from scratchnet.images import FORMATS

PICTURES = {f".{name.lower()}" for name in (*FORMATS, "jpg")}


def add_to(commands: Commands) -> None:
    added = commands.add("compare", compare, "The probability that two images show the same character.")
    added.add_argument("images", nargs=2, metavar="IMAGE")
    add_model(added)
    add_device(added)

    added = commands.add("classify", classify, "Which of the images in a folder shows the same character as the query.")
    added.add_argument("query", metavar="QUERY")
    added.add_argument("--support", type=Path, required=True, metavar="DIR", help="one image a class, named after it")
    add_model(added)
    add_device(added)


def compare(options: argparse.Namespace) -> int:
    net = chosen_model(options)
    a, b = options.images
    probability = float(to_host(net.similarity([a], [b]))[0])
    if not options.json:
        print(f"{probability:.1%} that {a} and {b} show the same character")
    return finish(options, {"a": a, "b": b, "probability": probability})


def classify(options: argparse.Namespace) -> int:
    net = chosen_model(options)
    if not options.support.is_dir():
        raise DataError(f"--support {options.support} is no folder: expected one with an image for each class")
    supports = sorted(path for path in options.support.iterdir() if path.suffix.lower() in PICTURES)
    if not supports:
        raise DataError(f"--support {options.support} has no images: expected one a class, {', '.join(PICTURES)}")
    scores = to_host(net.scores([options.query], supports))[0]
    ranking = [{"class": supports[i].stem, "score": float(scores[i])} for i in np.argsort(-scores, kind="stable")]
    if not options.json:
        print(f"{options.query} fits best to {ranking[0]['class']}")
        for place in ranking[:5]:
            print(f"  {place['score']:8.3f}  {place['class']}")
    return finish(options, {"query": options.query, "ranking": ranking})
