"""`scratchnet train`."""

import argparse
import itertools
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.checkpoint import load_model
from scratchnet.cli.evaluation import evaluate_scorers
from scratchnet.cli.options import Commands, add_device, add_pictures, at_least, finish, over_zero, read_own_data
from scratchnet.common.console import note, say
from scratchnet.data.locate import is_own
from scratchnet.data.splits import Split
from scratchnet.errors import InUseError, ScratchnetError
from scratchnet.models.networks import ARCHITECTURES
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot import trials as oneshot
from scratchnet.oneshot.baselines import BASELINES
from scratchnet.oneshot.tasks import Task
from scratchnet.parallel.comm import Comm
from scratchnet.parallel.job import device_of_rank, job
from scratchnet.train import RECIPE, SAVE_EVERY, Interrupted, load_split, own_split, read_log, train
from scratchnet.train.norms import MEASURED_STEPS, MOST_STEPS
from scratchnet.train.progress import best_of
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import RECIPES, find_recipe
from scratchnet.train.settings import override, setting_names
from scratchnet.train.tuning import Comparison, keep_the_better


def add_to(commands: Commands) -> None:
    """Add `train`."""
    text = "Train a network, by default on generated alphabets, which need no download. " + (
        "`mpiexec -n K scratchnet train ...` trains it by K processes together (extra mpi, docs/scale.md)."
    )
    added = commands.add("train", run, text)
    added.add_argument(
        "--recipe",
        help=f"one of {', '.join(RECIPES)} (default: glyphs; with --data, own for pictures of your own, else quick)",
    )
    added.add_argument(
        "--data",
        metavar="DIR_OR_ZIP",
        help="a folder of your own pictures, with a folder for each class, or the location of Omniglot (default: "
        "SCRATCHNET_DATA, else the cache folder)",
    )
    added.add_argument(
        "--from",
        dest="start",
        metavar="MODEL",
        help="fine-tune this network, a run folder, a weights file or the name of a bundled one, on your own pictures",
    )
    add_pictures(added)
    added.add_argument(
        "--out", type=Path, metavar="DIR", help="run folder (default: runs/RECIPE, numbered if it exists)"
    )
    added.add_argument("--resume", action="store_true", help="continue the run in --out")
    added.add_argument(
        "--minutes", type=over_zero, metavar="M", help="stop at the end of the epoch that passes this time"
    )
    added.add_argument(
        "--save-every",
        type=over_zero,
        metavar="MINUTES",
        default=SAVE_EVERY,
        help="how often to save the state within an epoch, the most that a kill or a power cut can lose "
        f"(default: {SAVE_EVERY:g})",
    )
    added.add_argument(
        "--memory",
        type=over_zero,
        metavar="GIB",
        help="approximate memory limit of each process, met by taking batches in pieces; the result is the same to "
        "rounding, and the limit may change on --resume",
    )
    added.add_argument(
        "--measured-steps",
        type=at_least(0),
        metavar="N",
        default=MEASURED_STEPS,
        help="steps of each epoch whose gradients are measured for the log, for `scratchnet plot`; the network is the "
        f"same either way (0 to {MOST_STEPS}, default: {MEASURED_STEPS})",
    )
    added.add_argument(
        "--seed",
        type=at_least(0),
        metavar="N",
        help="seed for weights, batches and distortions (default: that of the recipe)",
    )
    added.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        type=_name_and_value,
        help="change a setting of the recipe, such as lr=0.02 or architecture.width=16",
    )
    add_device(added)
    added.settings = sorted({setting for architecture in ARCHITECTURES for setting in setting_names(architecture)})


def run(options: argparse.Namespace) -> int:
    """Train, then test on `split.test` if any; exit code 0. Raises ScratchnetError for --resume without --out.

    The processes that mpiexec starts with this command train one network together.
    """
    with job() as ranks:
        return _run(options, ranks)


def _run(options: argparse.Namespace, ranks: Comm) -> int:
    recipe, own = _recipe(options), None
    if is_own(options.data):
        own = read_own_data(options, recipe.architecture.get("frame", "page"))
        recipe, split, what = own_split(recipe, own)
        if not options.json:
            note(what)
    else:
        split = load_split(recipe, options.data)
    start = _start(options, recipe)
    out, net = _trained(options, recipe, split, start, ranks)
    if ranks.rank:
        return 0
    compared = keep_the_better(recipe, split, out, start, net) if start else None
    log = read_log(out)
    best = best_of(log) if recipe.keep == "best" else None
    figures: dict[str, Any] = {"run": str(out), "recipe": recipe.name, "epochs": len(log), "best": best}
    figures["ranks"] = ranks.size
    if own:
        figures["data"] = own.as_dict()
    if not options.json:
        say(f"{'best' if best else 'last'} {_outcome(best or log[-1])}; weights in {out}")
        if compared and compared.before:
            _print_comparison(recipe.start, compared)
    if compared and compared.before and compared.after:
        figures |= {"before": compared.before.as_dict(), "after": compared.after.as_dict(), "worse": compared.worse}
    if split.test:
        runs = oneshot.sample_runs(split.test, 40, rng=np.random.default_rng(0))
        scorers = {"scratchnet": net, **BASELINES}
        task = Task("unseen generated alphabets", runs)
        figures["test"] = evaluate_scorers(scorers, task, quiet=options.json)
    return finish(options, figures)


def _start(options: argparse.Namespace, recipe: Recipe) -> SiameseNet | None:
    """The network to begin with, reading pictures as the recipe says; None for a new one."""
    if not recipe.start:
        return None
    frame = recipe.architecture.get("frame", "page")
    return replace(load_model(recipe.start, device=options.device), frame=frame, architecture=recipe.architecture)


def _trained(
    options: argparse.Namespace, recipe: Recipe, split: Split, start: SiameseNet | None, ranks: Comm
) -> tuple[Path, SiameseNet]:
    """The run folder and the trained network. Without --out, skips folders that another run has just claimed."""
    for out in [options.out] if options.out else _fresh_folders(recipe.name, ranks):
        try:
            return out, train(
                recipe,
                split,
                out,
                start=start,
                device=device_of_rank(options.device, ranks),
                max_minutes=options.minutes,
                resume=options.resume,
                quiet=options.json,
                memory_gib=options.memory,
                save_every=options.save_every,
                measured_steps=options.measured_steps,
                ranks=ranks,
            )
        except InUseError:
            if options.out:
                raise
        except Interrupted as stop:
            raise Interrupted(f"{stop}; to continue: {_resume_command(options, out, ranks)}", stop.number) from stop
    raise AssertionError("there is always another folder")


def _print_comparison(start: str, compared: Comparison) -> None:
    say("on what was kept out of training:")
    say(f"  {start:15} {compared.before}")
    say(f"  {'fine-tuned':15} {compared.after}")
    if compared.worse:
        say(f"it became worse, so the weights are those of {start}, as they were")


def _outcome(epoch: Mapping[str, Any]) -> str:
    if epoch["validation"] is None:
        return f"epoch {epoch['epoch']}, without validation"
    return f"epoch {epoch['epoch']}: {epoch['validation']:.1%} of validation trials correct"


def _resume_command(options: argparse.Namespace, out: Path, ranks: Comm) -> str:
    again = ["mpiexec", "-n", str(ranks.size)] if ranks.size > 1 else []
    again += ["scratchnet", "train", "--resume", "--out", str(out)]
    again += ["--data", options.data] if options.data else []
    again += ["--writers", options.writers] if options.writers else []
    again += ["--skip-damaged"] if options.skip_damaged else []
    again += ["--device", options.device] if options.device else []
    again += ["--memory", f"{options.memory:g}"] if options.memory else []
    again += ["--save-every", f"{options.save_every:g}"] if options.save_every != SAVE_EVERY else []
    again += ["--measured-steps", str(options.measured_steps)] if options.measured_steps != MEASURED_STEPS else []
    return shlex.join(again)


def _recipe(options: argparse.Namespace) -> Recipe:
    """The recipe from the options, or with --resume that of the run."""
    settings = dict(options.settings)
    if options.seed is not None:
        settings["seed"] = str(options.seed)
    if options.resume and options.out is None:
        raise ScratchnetError("--resume requires --out, the run folder to continue")
    if options.pictures:
        settings["architecture.frame"] = options.pictures
    if options.resume and not options.recipe:
        return override(Recipe.read(options.out / RECIPE), settings)
    if options.start:
        if not is_own(options.data):
            raise ScratchnetError("--from fine-tunes on pictures of your own: give their folder with --data")
        net = load_model(options.start)
        recipe = find_recipe(options.recipe or "tune")
        recipe = replace(recipe, architecture=dict(net.architecture), start=options.start)
        return override(recipe, settings)
    if options.recipe == "tune":
        raise ScratchnetError("tune is for fine-tuning: name the network with --from")
    usual = "own" if is_own(options.data) else "quick" if options.data else "glyphs"
    return override(find_recipe(options.recipe or usual), settings)


def _name_and_value(text: str) -> tuple[str, str]:
    """The argparse type of --set."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=VALUE without spaces, such as {name or 'lr'}=0.02")
    return name, value


def _fresh_folders(name: str, ranks: Comm) -> Iterator[Path]:
    """Those of runs/NAME, runs/NAME-2, runs/NAME-3, ... that do not exist yet, as rank 0 finds them."""
    number = 0
    while True:
        number = next(n for n in itertools.count(number + 1) if not _numbered(name, n).exists())
        number = int(ranks.broadcast(np.array(number)).item())
        yield _numbered(name, number)


def _numbered(name: str, number: int) -> Path:
    return Path("runs") / (name if number == 1 else f"{name}-{number}")
