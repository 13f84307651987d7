"""`scratchnet compare` and `scratchnet classify`: apply a network to images."""

import argparse
import csv
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import Array, to_host
from scratchnet.cli.options import (
    Commands,
    Loaded,
    add_device,
    add_model,
    add_pictures,
    add_scoring,
    chosen_model,
    chosen_ways,
    expect_picture,
    finish,
    share,
)
from scratchnet.common.console import note, say, write
from scratchnet.data.folders import Found, find_pictures, pictures_in
from scratchnet.errors import NonFiniteError, ScratchnetError
from scratchnet.explain.plots.alignment import alignment, fitted
from scratchnet.explain.plots.page import save
from scratchnet.layers import sigmoid
from scratchnet.models.scoring import Look
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.rejection import SHARE, Rejection, choose_rejection
from scratchnet.oneshot.trials import class_scores
from scratchnet.pretrained import DEFAULT

COLUMNS = ("query", "class", "probability", "score", "next", "next_score")  # of --csv


def add_to(commands: Commands) -> None:
    """Add `compare` and `classify`."""
    added = commands.add("compare", compare, "Estimate the probability that two images show the same character.")
    added.add_argument("images", nargs=2, metavar="IMAGE")
    add_model(added)
    add_pictures(added, folder=False)
    add_device(added)

    text = "Find the class, among those in a folder, whose examples show the same character as a query."
    added = commands.add("classify", classify, text)
    added.add_argument(
        "operands",
        nargs="+",
        metavar="QUERY... FOLDER",
        help="pictures, or folders of pictures; and last, without --support, the folder of the classes",
    )
    added.usage = "%(prog)s [options] QUERY... FOLDER"
    added.add_argument(
        "--support",
        type=Path,
        metavar="DIR",
        help="the folder of the classes: a folder with examples for each, or one image for each, named after it",
    )
    added.add_argument(
        "--reject",
        action="store_true",
        help="say so when no class fits, by a threshold chosen on the examples with their own class kept out",
    )
    added.add_argument(
        "--wrongly-accepted",
        type=share,
        metavar="SHARE",
        help=f"with --reject: the largest share of pictures of other classes to accept (default: {SHARE:g}, or the "
        "least that your number of classes allows)",
    )
    added.add_argument("--csv", action="store_true", help="print a table with a line for each query")
    add_scoring(added)
    added.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="for one query that is aligned: draw how it was warped onto its best matches, as .png or .svg",
    )
    add_model(added)
    add_pictures(added, folder=False)
    add_device(added)


def compare(options: argparse.Namespace) -> int:
    """Print the probability that two images show the same character; exit code 0.

    Raises NonFiniteError if that is a NaN.
    """
    net, _ = _network(options)
    a, b = options.images
    probability = float(_finite(net.similarity([a], [b]))[0])
    if not options.json:
        say(f"{probability:.1%} that {a} and {b} show the same character")
    return finish(options, {"a": a, "b": b, "probability": probability})


def classify(options: argparse.Namespace) -> int:
    """Rank the classes by score for each query; exit code 0.

    Raises ScratchnetError for options that clash; DataError if the folder holds no classes (`find_pictures`), a picture
    cannot be read, or there are too few for --reject.
    """
    if options.json and options.csv:
        raise ScratchnetError("--json and --csv are two ways to print the same: give one")
    *queries, last = [*options.operands, options.support] if options.support else options.operands
    if not queries:
        raise ScratchnetError(f"{last} is all there is: give queries, and last the folder of the classes")
    one = len(queries) == 1 and not Path(queries[0]).is_dir()
    net, notes = _network(options)
    ways = chosen_ways(options, {options.model or DEFAULT: (net, notes)})
    align = ways["align"]
    if options.plot:
        if not (align and one):
            raise ScratchnetError("--plot draws how one query is aligned: give --align 5 and a single query")
        expect_picture(options.plot)
    found = find_pictures(last, flat=True)
    if found.others:
        note(f"scratchnet: left out {found.left_out()}")
    asked = [path for query in queries for path in (pictures_in(Path(query)) if Path(query).is_dir() else [query])]
    labels, names = _labels(found), _names(found)
    how: dict[str, Any] = {"views": ways["views"], "keep": align > 0}
    seen = net.look(asked, **how)  # first, since they are fewer, and a fault in them then takes less time to find
    kept = net.look([picture.file for picture in found.pictures], **how)
    scores = class_scores(_finite(net.match(seen, kept, align=align)), labels)
    answers = [_answer(str(query), names, own) for query, own in zip(asked, scores, strict=True)]
    figures: dict[str, Any] = {**ways}
    rejection = _rejection(options, net, kept, labels, align) if options.reject else None
    if rejection:
        figures["rejection"] = rejection.as_dict()
        for answer in answers:
            answer["accepted"] = answer["ranking"][0]["score"] > rejection.threshold
    if options.plot:
        fits = fitted(net, seen, kept, [names[label] for label in labels], align)
        save(alignment(fits, query=Path(asked[0]).name), options.plot)
        figures["picture"] = str(options.plot)
    if options.csv:
        write(sys.stdout, _table(answers))
    elif not options.json:
        _show(answers, rejection, in_full=one)
        if options.plot:
            say(options.plot)
    return finish(options, figures | (answers[0] if one else {"queries": answers}))


def _rejection(options: argparse.Namespace, net: SiameseNet, kept: Look, labels: np.ndarray, align: int) -> Rejection:
    """The threshold, chosen on the examples as a query is scored: the best matches in other classes are aligned too."""
    own = int(np.bincount(labels).max()) if align else 0
    scores = _finite(net.match(kept, kept, align=align + own))
    return choose_rejection(scores, labels, share=options.wrongly_accepted)


def _network(options: argparse.Namespace) -> Loaded:
    """The network, as --pictures says to look at pictures, and its notes."""
    net, notes = chosen_model(options)
    return replace(net, frame=options.pictures) if options.pictures else net, notes


def _labels(found: Found) -> np.ndarray:
    """The number of the class (P,) of each picture."""
    return np.repeat(np.arange(len(found.classes)), [len(own) for own in found.classes.values()])


def _names(found: Found) -> list[str]:
    """The names of the classes, with those of their alphabets if there are several."""
    several = len({alphabet for alphabet, _ in found.classes}) > 1
    return [f"{alphabet}/{label}" if several else label for alphabet, label in found.classes]


def _answer(query: str, names: list[str], scores: np.ndarray) -> dict[str, Any]:
    """The classes for one query, the best first, as a JSON object."""
    probabilities = sigmoid(scores)
    ranking = [
        {"class": names[i], "probability": float(probabilities[i]), "score": float(scores[i])}
        for i in np.argsort(-scores, kind="stable")
    ]
    return {"query": query, "ranking": ranking}


def _show(answers: list[dict[str, Any]], rejection: Rejection | None, in_full: bool) -> None:
    if rejection:
        least = sigmoid(np.array(rejection.threshold)).item()
        say(f"no class fits below {least:.1%}: {rejection}")
    for answer in answers:
        best, accepted = answer["ranking"][0], answer.get("accepted", True)
        if not in_full:
            say(f"{best['probability']:6.1%}  {best['class'] if accepted else 'no class'}  {answer['query']}")
            continue
        fits = f"best matches {best['class']}" if accepted else "shows none of the classes"
        say(f"{answer['query']} {fits}; probability of the same character:")
        for match in answer["ranking"][:5]:
            say(f"  {match['probability']:6.1%}  {match['class']}")


def _table(answers: list[dict[str, Any]]) -> str:
    """The answers as CSV; the class is empty where none fits."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for answer in answers:
        best, *others = answer["ranking"]
        after = [others[0]["class"], others[0]["score"]] if others else ["", ""]
        label = best["class"] if answer.get("accepted", True) else ""
        table.writerow([answer["query"], label, best["probability"], best["score"], *after])
    return text.getvalue()


def _finite(scores: Array) -> np.ndarray:
    found = to_host(scores)
    if np.isfinite(found).all():
        return found
    raise NonFiniteError("the network answers with a NaN or an infinity: its parameters are too large or damaged")
