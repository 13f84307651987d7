"""`scratchnet evaluate`: one-shot trials and verification, for one network or for several and their ensemble."""

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import get_device
from scratchnet.checkpoint import load_model_with_notes
from scratchnet.cli.options import (
    Commands,
    add_device,
    add_pictures,
    add_scoring,
    at_least,
    chosen_ways,
    expect_picture,
    finish,
    in_words,
    read_own_data,
)
from scratchnet.common.console import say
from scratchnet.data.locate import is_own
from scratchnet.errors import ScratchnetError
from scratchnet.explain.plots.atlas import atlas, survey
from scratchnet.explain.plots.page import save, shortened
from scratchnet.oneshot import tasks, trials
from scratchnet.oneshot.baselines import BASELINES, HAUSDORFF
from scratchnet.oneshot.scorers import Embedded, Ensemble, Recorded, WarpedQueries
from scratchnet.oneshot.tasks import Task, Unseen
from scratchnet.oneshot.trials import Scorer
from scratchnet.oneshot.verification import verify

OURS = "scratchnet"  # the row of a single network
Networks = Mapping[str, Embedded | Ensemble]  # by row name


def add_to(commands: Commands) -> None:
    """Add `evaluate`."""
    text = "Evaluate networks on one-shot trials, official or random, alongside baselines."
    added = commands.add("evaluate", run, text)
    added.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a run folder, a weights file or the name of a bundled network; several are evaluated one by one and as "
        "an ensemble, by the mean of their scores",
    )
    added.add_argument(
        "--on",
        choices=("official", "background", "evaluation", "glyphs", "mnist"),
        help="Lake's 20 official runs; or random trials on the background alphabets held out from training, on the "
        "evaluation set, on generated alphabets or on digits (default: official; glyphs for a network trained on "
        "those)",
    )
    added.add_argument(
        "--figures",
        action="store_true",
        help="all the figures of a model card: the official runs, random trials within and across alphabets, "
        f"{tasks.TRIALS:,} of each kind, and verification on {tasks.PAIRS:,} pairs; --on then selects the unseen "
        "alphabets (default: background)",
    )
    added.add_argument(
        "--runs", metavar="DIR_OR_ZIP", help="all_runs.zip or the unpacked folder (default: searched for like --data)"
    )
    added.add_argument(
        "--data",
        metavar="DIR_OR_ZIP",
        help="a folder of your own pictures, with a folder for each class; or the location of the other data (default: "
        "SCRATCHNET_DATA, else the cache folder)",
    )
    add_pictures(added)
    added.add_argument("--trials", type=at_least(1), metavar="N", help="number of random trials (default: 400)")
    added.add_argument(
        "--way",
        type=at_least(2),
        metavar="N",
        help="characters to choose from (default: 20; for digits, 10; of your own, 20 or all if they are fewer)",
    )
    added.add_argument("--shot", type=at_least(1), metavar="K", help="examples of each character (default: 1)")
    added.add_argument(
        "--across", action="store_true", help="draw characters from all alphabets together, an easier task"
    )
    added.add_argument(
        "--pairs", type=at_least(1), metavar="N", help="also measure verification accuracy, on N random pairs"
    )
    added.add_argument(
        "--seed", type=at_least(0), metavar="N", help="seed for the random trials and pairs (default: 0)"
    )
    added.add_argument(
        "--query-warps",
        type=at_least(1),
        metavar="K",
        help="also evaluate with scores averaged over each query and K small affine distortions of it",
    )
    add_scoring(added)
    added.add_argument(
        "--atlas",
        type=Path,
        metavar="FILE",
        help="draw the most confused pairs of characters and the clearest mistakes of these trials, by the network, or "
        "by the ensemble of several, as .png or .svg",
    )
    added.add_argument("--no-baselines", action="store_true", help="skip the baselines")
    add_device(added)


def run(options: argparse.Namespace) -> int:
    """Evaluate the networks; exit code 0. Raises ScratchnetError if options clash."""
    if options.atlas:
        if options.figures:
            raise ScratchnetError("--atlas draws the trials of one kind: leave --figures out")
        expect_picture(options.atlas)
    device = get_device(options.device)
    loaded = {model: load_model_with_notes(model, device=device) for model in options.models}
    if options.pictures:
        loaded = {model: (replace(net, frame=options.pictures), notes) for model, (net, notes) in loaded.items()}
    ways = chosen_ways(options, loaded)
    embedded = {model: Embedded(net, **ways) for model, (net, _) in loaded.items()}
    networks = _with_ensemble(embedded, in_words(ways))
    figures: dict[str, Any] = {"model": options.models[0]} if len(loaded) == 1 else {"models": list(loaded)}
    figures |= ways
    if options.on is None and is_own(options.data):
        return finish(options, figures | _own_figure(options, networks, {net.frame for net, _ in loaded.values()}))
    recipes = [tasks.recipe_of(net, notes, model=model) for model, (net, notes) in loaded.items()]
    evaluate = _all_figures if options.figures else _one_figure
    return finish(options, figures | evaluate(options, networks, recipes))


def _evaluate_with_atlas(
    options: argparse.Namespace, scorers: dict[str, Scorer], networks: Networks, task: Task
) -> dict[str, Any]:
    """`evaluate_scorers`, and the atlas of the network's errors if it is asked for: "results" and "atlas"."""
    if not options.atlas:
        return {"results": evaluate_scorers(scorers, task, quiet=options.json)}
    name, net = list(networks.items())[-1]  # of several, the ensemble
    record = Recorded(net)
    results = evaluate_scorers(scorers | {name: record}, task, quiet=options.json)
    found = survey(record.given, task.runs)
    frame = (net if isinstance(net, Embedded) else net.members[0]).net.frame
    title = options.models[0] + name.removeprefix(OURS) if len(networks) == 1 else name
    save(atlas(found, name=shortened(title, 50), task=f"{task}", frame=frame), options.atlas)
    if not options.json:
        say(options.atlas)
    return {"results": results, "atlas": {"picture": str(options.atlas), **found.as_dict()}}


def evaluate_scorers(scorers: Mapping[str, Scorer], task: Task, *, quiet: bool) -> dict[str, dict[str, Any]]:
    """Evaluate the scorers on the same trials; prints a line for each unless `quiet`. Returns figures by row name."""
    if not quiet:
        say(f"{task}, each query judged on its own")
    width = max(27, *map(len, scorers))
    results = {}
    for name, scorer in scorers.items():
        results[name] = trials.evaluate(scorer, task.runs)
        if not quiet:
            say(f"  {name:{width}} {results[name]}")
    return {name: result.as_dict() for name, result in results.items()}


def _with_ensemble(networks: dict[str, Embedded], words: str) -> Networks:
    """The networks by row name, which says how they score, with their ensemble if there are several."""
    members = tuple(networks.values())
    several: dict[str, Embedded | Ensemble] = {**networks, f"ensemble of {len(networks)}": Ensemble(members)}
    rows: Networks = several if len(networks) > 1 else {OURS: members[0]}
    return {f"{name}, {words}" if words else name: scorer for name, scorer in rows.items()}


def _scorers(options: argparse.Namespace, networks: Networks, baselines: bool = True) -> dict[str, Scorer]:
    """The scorers of all rows for one-shot trials."""
    scorers: dict[str, Scorer] = {**networks}
    if warps := options.query_warps:
        scorers |= {f"{name}, {warps} query warps": WarpedQueries(net, warps) for name, net in networks.items()}
    return scorers | (BASELINES if baselines and not options.no_baselines else {})


def _one_figure(options: argparse.Namespace, networks: Networks, recipes: Sequence[Any]) -> dict[str, Any]:
    on = options.on or ("glyphs" if tasks.all_glyphs(recipes) and not options.runs else "official")
    figures: dict[str, Any] = {"on": on}
    if on == "official":
        where = "to the official runs; choose other data with --on"
        _refuse(options, where, "trials", "way", "shot", "across", "pairs", "seed")
        task = tasks.official_task(options.runs or options.data)
    else:
        way, shot = options.way or (10 if on == "mnist" else 20), options.shot or 1
        alphabets = tasks.unseen(on, data=options.data, recipes=recipes)
        count, seed = options.trials or 400, options.seed or 0
        task = tasks.random_task(
            on, alphabets.trials, trials=count, seed=seed, way=way, shot=shot, across=options.across
        )
        figures |= {"way": way, "shot": shot}
        if options.pairs:
            if not alphabets.threshold:
                raise ScratchnetError(f"--pairs needs alphabets to choose a threshold on, which {on} does not have")
            accuracies = _verify_networks(options, networks, alphabets, options.pairs)
            figures["verification"] = accuracies if len(accuracies) > 1 else next(iter(accuracies.values()))
    return figures | _evaluate_with_atlas(options, _scorers(options, networks), networks, task)


def _own_figure(options: argparse.Namespace, networks: Networks, frames: Collection[str]) -> dict[str, Any]:
    """Random trials on pictures of one's own, read as the networks read theirs."""
    if options.figures or options.pairs:
        raise ScratchnetError("--figures and --pairs do not apply to pictures of your own: leave them out")
    if len(frames) > 1:
        raise ScratchnetError(
            f"these networks read pictures as {' and '.join(sorted(frames))}: evaluate them one by one"
        )
    (frame,) = frames
    own = read_own_data(options, frame)
    way, shot = options.way or min(20, own.characters), options.shot or 1
    task = tasks.random_task(
        own.found.folder.resolve().name,
        own.alphabets,
        trials=options.trials or 400,
        seed=options.seed or 0,
        way=way,
        shot=shot,
        across=options.across,
    )
    scorers = _scorers(options, networks)
    if frame == "grey":  # of which no pixel is ink
        scorers.pop(HAUSDORFF, None)
    figures = {"on": "own", "data": own.as_dict(), "way": way, "shot": shot}
    return figures | _evaluate_with_atlas(options, scorers, networks, task)


def _all_figures(options: argparse.Namespace, networks: Networks, recipes: Sequence[Any]) -> dict[str, Any]:
    _refuse(options, "to --figures, which sets its own", "way", "shot", "across")
    on = options.on or tasks.unseen_data(recipes)
    if on == "mnist":
        raise ScratchnetError("--figures needs 20 characters to choose from, but mnist has 10: leave --figures out")
    figures: dict[str, Any] = {"on": on, "figures": []}
    if on == "official":
        figures["note"] = (
            "official runs only: training has seen every alphabet of the background set; "
            "--on evaluation uses those of the evaluation set"
        )
        if not options.json:
            say(figures["note"])
    alphabets = tasks.unseen(on, data=options.data, recipes=recipes)
    count, seed = options.trials or tasks.TRIALS, options.seed or 0
    for task in tasks.card_tasks(on, alphabets.trials, runs=options.runs or options.data, trials=count, seed=seed):
        scorers = _scorers(options, networks, baselines=task.title == tasks.OFFICIAL)
        results = evaluate_scorers(scorers, task, quiet=options.json)
        figures["figures"].append({**task.as_dict(), "results": results})
    if alphabets.threshold:
        results = _verify_networks(options, networks, alphabets, options.pairs or tasks.PAIRS)
        figures["figures"].append({"task": alphabets.verification, "results": results})
    return figures


def _verify_networks(
    options: argparse.Namespace, networks: Networks, alphabets: Unseen, pairs: int
) -> dict[str, dict[str, Any]]:
    """Each network's accuracy at same-or-different on the same pairs; prints a line for each. Figures by row name."""
    results = {}
    for name, net in networks.items():
        rng = np.random.default_rng(options.seed or 0)
        results[name] = verify(net, validation=alphabets.threshold, test=alphabets.pairs, pairs=pairs, rng=rng)
        if not options.json:
            whose = "" if name == OURS else f", {name}"
            say(f"{alphabets.verification}{whose}:  {results[name]}")
    return {name: result.as_dict() for name, result in results.items()}


def _refuse(options: argparse.Namespace, where: str, *names: str) -> None:
    """Raises ScratchnetError if any of these options is given."""
    if given := [f"--{name}" for name in names if getattr(options, name)]:
        raise ScratchnetError(f"{', '.join(given)} does not apply {where}")
