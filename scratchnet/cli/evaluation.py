"""`scratchnet evaluate`: one-shot trials and verification, of one network or of several and their ensemble."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scratchnet.backend import get_device
from scratchnet.checkpoint import load_model_with_notes
from scratchnet.cli.options import Commands, add_device, at_least, finish
from scratchnet.common.console import say
from scratchnet.errors import ScratchnetError
from scratchnet.oneshot import tasks as figures
from scratchnet.oneshot import trials as oneshot
from scratchnet.oneshot.baselines import BASELINES
from scratchnet.oneshot.scorers import Embedded, Ensemble, WarpedQueries
from scratchnet.oneshot.tasks import Task, Unseen
from scratchnet.oneshot.trials import Scorer
from scratchnet.oneshot.verification import verify

OURS = "scratchnet"  # the row of a network that stands alone
Networks = Mapping[str, Embedded | Ensemble]  # by the names of their rows


def add_to(commands: Commands) -> None:
    text = "One-shot trials: the official runs, or random ones. Baselines beside it."
    added = commands.add("evaluate", run, text)
    added.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a run folder, a weights file or the name of a bundled network; several are evaluated "
        "one by one and together, by the mean of their scores",
    )
    added.add_argument(
        "--on",
        choices=("official", "background", "evaluation", "glyphs", "mnist"),
        help="Lake's 20 runs; random trials on the background alphabets kept out of training, on the "
        "evaluation set, on generated alphabets or on digits (default: official; glyphs for a "
        "network trained on them)",
    )
    added.add_argument(
        "--figures",
        action="store_true",
        help="all the figures of a card: the official runs, random trials within and across alphabets, "
        f"{figures.TRIALS:,} of each kind, and verification on {figures.PAIRS:,} pairs (--on then "
        "says where the unseen alphabets are from; default: background)",
    )
    added.add_argument("--runs", help="all_runs.zip or its folder (default: found like --data)")
    added.add_argument("--data", metavar="DIR_OR_ZIP", help="where the data are (default: SCRATCHNET_DATA)")
    added.add_argument("--trials", type=at_least(1), help="random trials (default 400)")
    added.add_argument("--way", type=at_least(2), help="characters to choose from (default 20; digits 10)")
    added.add_argument("--shot", type=at_least(1), help="examples of each character (default 1)")
    added.add_argument("--across", action="store_true", help="characters from all alphabets together: an easier task")
    added.add_argument("--pairs", type=at_least(1), help="also the verification accuracy on so many pairs")
    added.add_argument("--seed", type=at_least(0), help="of the random trials and pairs (default 0)")
    added.add_argument(
        "--query-warps",
        type=at_least(1),
        metavar="K",
        help="also with each query seen as it is and through K small affine maps",
    )
    added.add_argument("--no-baselines", action="store_true", help="leave the baselines out")
    add_device(added)


def run(options: argparse.Namespace) -> int:
    device = get_device(options.device)
    loaded = {model: load_model_with_notes(model, device=device) for model in options.models}
    recipes = [figures.recipe_of(net, notes, model=model) for model, (net, notes) in loaded.items()]
    networks = _with_ensemble({model: Embedded(net) for model, (net, _) in loaded.items()})
    found: dict[str, Any] = {"model": options.models[0]} if len(loaded) == 1 else {"models": list(loaded)}
    report = _all_figures if options.figures else _one_figure
    return finish(options, found | report(options, networks, recipes))


def compared(scorers: Mapping[str, Scorer], task: Task, quiet: bool) -> dict[str, dict[str, Any]]:
    """Evaluate the scorers on the same trials, and print a line for each unless `quiet`."""
    if not quiet:
        say(f"{task}, each query judged alone")
    width = max(27, *map(len, scorers))
    results = {}
    for name, scorer in scorers.items():
        results[name] = oneshot.evaluate(scorer, task.runs)
        if not quiet:
            say(f"  {name:{width}} {results[name]}")
    return {name: result.as_dict() for name, result in results.items()}


def _with_ensemble(networks: dict[str, Embedded]) -> Networks:
    """The networks by the names of their rows, and where there are several, all of them together."""
    if len(networks) == 1:
        return dict(zip([OURS], networks.values(), strict=True))
    return {**networks, f"ensemble of {len(networks)}": Ensemble(tuple(networks.values()))}


def _scorers(options: argparse.Namespace, networks: Networks, baselines: bool = True) -> dict[str, Scorer]:
    """All rows of one-shot trials."""
    scorers: dict[str, Scorer] = {**networks}
    if warps := options.query_warps:
        scorers |= {f"{name}, {warps} query warps": WarpedQueries(net, warps) for name, net in networks.items()}
    return scorers | (BASELINES if baselines and not options.no_baselines else {})


def _one_figure(options: argparse.Namespace, networks: Networks, recipes: Sequence[Any]) -> dict[str, Any]:
    on = options.on or ("glyphs" if figures.all_glyphs(recipes) and not options.runs else "official")
    found: dict[str, Any] = {"on": on}
    if on == "official":
        _refuse(
            options,
            "on the official runs: name other data with --on",
            "trials",
            "way",
            "shot",
            "across",
            "pairs",
            "seed",
        )
        task = figures.official_task(options.runs or options.data)
    else:
        way, shot = options.way or (10 if on == "mnist" else 20), options.shot or 1
        alphabets = figures.unseen(on, data=options.data, recipes=recipes)
        trials, seed = options.trials or 400, options.seed or 0
        task = figures.random_task(
            on, alphabets.trials, trials=trials, seed=seed, way=way, shot=shot, across=options.across
        )
        found |= {"way": way, "shot": shot}
        if options.pairs:
            if not alphabets.threshold:
                raise ScratchnetError(f"--pairs needs alphabets to choose a threshold on: {on} has none")
            verified = _verified(options, networks, alphabets, options.pairs)
            found["verification"] = verified.get(OURS, verified)
    return found | {"results": compared(_scorers(options, networks), task, options.json)}


def _all_figures(options: argparse.Namespace, networks: Networks, recipes: Sequence[Any]) -> dict[str, Any]:
    _refuse(options, "with --figures, which has its own", "way", "shot", "across")
    on = options.on or figures.unseen_data(recipes)
    if on == "mnist":
        raise ScratchnetError("--figures takes 20 characters to choose from, mnist has 10: leave --figures out")
    found: dict[str, Any] = {"on": on, "figures": []}
    if on == "official":
        found["note"] = (
            "only the official runs: no alphabets of the background set are left that training has not "
            "seen; --on evaluation takes those of the evaluation set"
        )
        if not options.json:
            say(found["note"])
    alphabets = figures.unseen(on, data=options.data, recipes=recipes)
    trials, seed = options.trials or figures.TRIALS, options.seed or 0
    for task in figures.card_tasks(on, alphabets.trials, runs=options.runs or options.data, trials=trials, seed=seed):
        scorers = _scorers(options, networks, baselines=task.title == figures.OFFICIAL)
        found["figures"].append({**task.as_dict(), "results": compared(scorers, task, options.json)})
    if alphabets.threshold:
        verified = _verified(options, networks, alphabets, options.pairs or figures.PAIRS)
        found["figures"].append({"task": alphabets.verification, "results": verified})
    return found


def _verified(
    options: argparse.Namespace, networks: Networks, alphabets: Unseen, pairs: int
) -> dict[str, dict[str, Any]]:
    """The accuracy of each at telling same from different on the same pairs, with a line for each."""
    results = {}
    for name, net in networks.items():
        rng = np.random.default_rng(options.seed or 0)
        results[name] = verify(net, validation=alphabets.threshold, test=alphabets.pairs, pairs=pairs, rng=rng)
        if not options.json:
            whose = "" if name == OURS else f", {name}"
            say(f"{alphabets.verification}{whose}:  {results[name]}")
    return {name: result.as_dict() for name, result in results.items()}


def _refuse(options: argparse.Namespace, where: str, *names: str) -> None:
    """Raise ScratchnetError for options that are given and leave nothing to choose there."""
    if given := [f"--{name}" for name in names if getattr(options, name)]:
        raise ScratchnetError(f"{', '.join(given)} means nothing {where}")
