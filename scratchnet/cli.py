"""The command line: `scratchnet COMMAND`, or `python -m scratchnet COMMAND`.

Exit codes: 0; 1 when a check failed; 2 for bad usage or input, with one line on stderr; 130 when interrupted.
"""

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from tqdm import tqdm

from scratchnet import gradcases, oneshot, planted
from scratchnet.backend import get_device, thread_count, to_host
from scratchnet.bench import machine, measure, peers, report
from scratchnet.bench.workload import Workload
from scratchnet.checkpoint import load_model, load_model_with_notes
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.download import ARCHIVES, download
from scratchnet.data.locate import cache_folder, find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import background_split, glyph_split, mnist_digits
from scratchnet.errors import BackendError, DataError, ScratchnetError
from scratchnet.gradcheck.check import METHODS
from scratchnet.images import FORMATS
from scratchnet.models import ARCHITECTURES
from scratchnet.progress import best_of
from scratchnet.recipes import RECIPES, VALIDATION_ALPHABETS, Recipe, find_recipe, override
from scratchnet.train import LOG, RECIPE, Interrupted, load_split, train
from scratchnet.version import VERSION

PICTURES = {f".{name.lower()}" for name in (*FORMATS, "jpg")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except Interrupted as stop:
        again = ["scratchnet", "train", "--resume", "--out", str(options.out)]
        again += ["--data", options.data] if options.data else []
        again += ["--device", options.device] if options.device else []
        again += ["--memory", f"{options.memory:g}"] if options.memory else []
        return _say(f"{stop}; go on with: {shlex.join(again)}", 130)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except ScratchnetError as error:
        return _say(str(error), 2)
    except OSError as error:
        place = error.filename or "a file"
        return _say(f"{place}: {error.strerror or error}, check the path, its permissions and the disk", 2)
    except MemoryError as error:
        return _say(f"out of memory ({error}): use a smaller batch, --set batch_size=N or --pairs N", 2)


def _say(message: str, code: int) -> int:
    print(f"scratchnet: {message}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _at_least(least: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number, `least` or more."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too small, give {least} or more")
        return value

    return number


def _over_zero(text: str) -> float:
    """The type of an option that takes a time or a size."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is too small or no number, give a number over 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="scratchnet", description="One-shot image recognition with a Siamese network from scratch.")
    parser.add_argument("--version", action="version", version=f"scratchnet {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        if name != "download":
            added.add_argument("--json", action="store_true", help="print the figures as JSON")
        return added

    def device(added: argparse.ArgumentParser) -> None:
        added.add_argument("--device", help="cpu or cuda (default: SCRATCHNET_DEVICE, else cpu)")

    added = command("train", _train, "Train a network; with no arguments on generated alphabets, offline.")
    added.add_argument("--recipe", help=f"one of {', '.join(RECIPES)} (default: glyphs; with --data, quick)")
    added.add_argument("--data", metavar="DIR_OR_ZIP", help="where Omniglot is (default: SCRATCHNET_DATA)")
    added.add_argument("--out", type=Path, help="the run folder (default: runs/RECIPE, numbered)")
    added.add_argument("--resume", action="store_true", help="go on with the run in --out")
    added.add_argument("--minutes", type=_over_zero, help="stop after the epoch during which they have passed")
    added.add_argument("--memory", type=_over_zero, metavar="GIB",
                       help="keep to about so much memory: batches in pieces, one after the other, the same result to "
                            "rounding; another cap is fine on --resume")
    added.add_argument("--seed", type=_at_least(0), help="of weights, batches and distortions (default: the recipe's)")
    added.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
                       help="change a setting of the recipe, such as lr=0.02 or architecture.width=16")
    device(added)

    added = command("evaluate", _evaluate, "One-shot trials: the official runs, or random ones. Baselines beside it.")
    added.add_argument("model", help="a run folder or a weights file")
    added.add_argument("--on", choices=("official", "background", "evaluation", "glyphs", "mnist"),
                       help="Lake's 20 runs; random trials on the background alphabets kept out of training, on the "
                            "evaluation set, on generated alphabets or on digits (default: official; glyphs for a "
                            "network trained on them)")
    added.add_argument("--runs", help="all_runs.zip or its folder (default: found like --data)")
    added.add_argument("--data", metavar="DIR_OR_ZIP", help="where the data are (default: SCRATCHNET_DATA)")
    added.add_argument("--trials", type=_at_least(1), help="random trials (default 400)")
    added.add_argument("--way", type=_at_least(2), help="characters to choose from (default 20; digits 10)")
    added.add_argument("--shot", type=_at_least(1), help="examples of each character (default 1)")
    added.add_argument("--across", action="store_true", help="characters from all alphabets together: an easier task")
    added.add_argument("--pairs", type=_at_least(1), help="also the verification accuracy on so many pairs")
    added.add_argument("--seed", type=_at_least(0), help="of the random trials (default 0)")
    added.add_argument("--no-baselines", action="store_true", help="leave the baselines out")
    device(added)

    added = command("compare", _compare, "The probability that two images show the same character.")
    added.add_argument("images", nargs=2, metavar="IMAGE")
    added.add_argument("--model", required=True, help="a run folder or a weights file")
    device(added)

    added = command("classify", _classify, "Which of the images in a folder shows the same character as the query.")
    added.add_argument("query", metavar="QUERY")
    added.add_argument("--support", type=Path, required=True, metavar="DIR", help="one image a class, named after it")
    added.add_argument("--model", required=True, help="a run folder or a weights file")
    device(added)

    added = command("gradcheck", _gradcheck, "Check the gradients of every layer, loss and network.")
    _add_gradcheck_options(added)

    device(_bench_options(command("bench", _bench, "Time a training step and its layers, beside other libraries.")))

    added = command("download", _download, "Fetch Omniglot from its public home, verified; run again to resume.")
    added.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="where to (default: the cache folder)")
    added.add_argument("--only", nargs="+", choices=sorted(ARCHIVES), metavar="ZIP", help="some of the archives")

    command("info", _info, "Version, backend, device, threads, data, recipes.")
    return parser


def _add_gradcheck_options(added: argparse.ArgumentParser) -> None:
    added.add_argument("--method", choices=METHODS, default="auto",
                       help="complex step, central differences of order 2 or 4, or whichever applies (default: auto)")
    added.add_argument("--seed", type=_at_least(0), help="of points and directions (default 0; of a quiz, any)")
    instead = added.add_mutually_exclusive_group()
    instead.add_argument("--network", choices=list(ARCHITECTURES),
                         help="check this network in its full size, all parameters of it")
    instead.add_argument("--self-test", action="store_true",
                         help="check the checker: plant bugs and count how many it catches")
    instead.add_argument("--quiz", action="store_true", help="plant one bug, and guess it from the report")
    added.add_argument("--seeds", type=_at_least(1), metavar="N",
                       help="points for each planted bug and each correct layer of the self-test (default 3)")
    added.add_argument("--answer", action="store_true", help="tell the answer of the quiz of --seed")


def _train(options: argparse.Namespace) -> int:
    recipe = _recipe(options)
    out = options.out or _fresh_folder(recipe.name)
    options.out = out  # what to resume when interrupted
    split = load_split(recipe, options.data)
    net = train(recipe, split, out, options.device, options.minutes, options.resume, options.json, options.memory)
    log = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    best = best_of(log)
    figures: dict[str, Any] = {"run": str(out), "recipe": recipe.name, "epochs": len(log), "best": best}
    if not options.json:
        chosen = (f"best epoch {best['epoch']}: {best['validation']:.1%} of the validation trials right" if best
                  else f"last epoch {len(log)}, with no validation to choose another by")
        print(f"{chosen}; weights in {out}")
    if split.test:
        runs = oneshot.sample_runs(split.test, 40, np.random.default_rng(0))
        figures["test"] = _compared(net, runs, "unseen generated alphabets", options.json)
    return _finish(options, figures)


def _recipe(options: argparse.Namespace) -> Recipe:
    """The recipe asked for, or on --resume the one of the run."""
    settings = dict(_name_and_value(text) for text in options.settings)
    if options.seed is not None:
        settings["seed"] = str(options.seed)
    if options.resume and options.out is None:
        raise ScratchnetError("--resume needs --out, the run folder to go on with")
    if options.resume and not options.recipe:
        return override(Recipe.read(options.out / RECIPE), settings)
    return override(find_recipe(options.recipe or ("quick" if options.data else "glyphs")), settings)


def _name_and_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ScratchnetError(f"--set {text}: expected NAME=VALUE, such as lr=0.02")
    return name, value


def _fresh_folder(name: str) -> Path:
    """runs/NAME, or the first of runs/NAME-2, runs/NAME-3, ... that is not there yet."""
    folder, number = Path("runs") / name, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def _evaluate(options: argparse.Namespace) -> int:
    net, notes = load_model_with_notes(options.model, get_device(options.device))
    recipe = notes.get("recipe", {})
    on = options.on or ("glyphs" if recipe.get("data") == "glyphs" and not options.runs else "official")
    figures: dict[str, Any] = {"model": str(options.model), "on": on}
    if on == "official":
        _refuse_unused(options, "trials", "way", "shot", "across", "pairs", "seed")
        runs = oneshot.official_runs(find_data(options.runs or options.data, "all_runs.zip", "all_runs"))
        title = "official runs"
    else:
        way, shot = options.way or (10 if on == "mnist" else 20), options.shot or 1
        rng = np.random.default_rng(options.seed or 0)
        validation, test = _alphabets(on, options.data, recipe)
        # The alphabets that a threshold is chosen on are no less unseen, where no figure of theirs depends on it.
        trial_alphabets = validation + test if on == "background" else test
        runs = oneshot.sample_runs(trial_alphabets, -(-(options.trials or 400) // way), rng, way, shot, options.across)
        title = f"random trials, {on}"
        figures |= {"way": way, "shot": shot}
        if options.pairs:
            if not validation:
                raise ScratchnetError(f"--pairs needs alphabets to choose a threshold on: {on} has none")
            result = oneshot.verification(net, validation, test, options.pairs, rng)
            figures["verification"] = result.as_dict()
            if not options.json:
                print(f"verification, same or different:  {result}")
    figures["results"] = _compared(net, runs, title, options.json, baselines=not options.no_baselines)
    return _finish(options, figures)


def _refuse_unused(options: argparse.Namespace, *names: str) -> None:
    """Raise ScratchnetError for options of random trials on the official runs, which leave nothing to choose."""
    given = [f"--{name}" for name in names if getattr(options, name)]
    if given:
        raise ScratchnetError(f"{', '.join(given)} means nothing on the official runs: name other data with --on")


def _alphabets(on: str, data: str | None, recipe: dict[str, Any]) -> tuple[list[Alphabet], list[Alphabet]]:
    """Alphabets to choose a threshold on, and alphabets to test on, none of them seen in training."""
    if on == "glyphs":
        glyphs = glyph_split(int(recipe.get("architecture", {}).get("image_size", 48)))
        return glyphs.validation, glyphs.test
    if on == "mnist":
        return [], [mnist_digits(data)]
    if on == "background" and recipe.get("data") == "omniglot" and recipe.get("validation_alphabets") == []:
        raise DataError("the network was trained on all background alphabets, and none is left to test it on: "
                        "choose --on evaluation")
    background = background_split(data, recipe.get("validation_alphabets") or VALIDATION_ALPHABETS)
    if on == "background":
        return background.validation[::2], background.validation[1::2]
    evaluation = load_omniglot(find_data(data, "images_evaluation.zip", "images_evaluation"))
    if seen := sorted({alphabet.name for alphabet in background.train + background.validation}
                      & {alphabet.name for alphabet in evaluation}):
        raise DataError(f"{data} is not the evaluation set, it has {seen[0]} of the background set: "
                        "give the folder that holds both")
    return background.validation, evaluation


def _compared(
    net: Any, runs: Sequence[oneshot.Run], title: str, quiet: bool, baselines: bool = True
) -> dict[str, dict[str, Any]]:
    """Evaluate the network and the baselines on the same runs, and print a line for each unless `quiet`."""
    scorers = {"scratchnet": net, **(oneshot.BASELINES if baselines else {})}
    shots = len(runs[0].support_labels) // len(set(runs[0].support_labels))
    if not quiet:
        way = len(set(runs[0].support_labels))
        print(f"{title}: {way}-way {shots}-shot, each query judged alone")
    results = {}
    for name, scorer in scorers.items():
        results[name] = oneshot.evaluate(scorer, runs)
        if not quiet:
            print(f"  {name:27} {results[name]}")
    return {name: result.as_dict() for name, result in results.items()}


def _compare(options: argparse.Namespace) -> int:
    net = load_model(options.model, get_device(options.device))
    a, b = options.images
    probability = float(to_host(net.similarity([a], [b]))[0])
    if not options.json:
        print(f"{probability:.1%} that {a} and {b} show the same character")
    return _finish(options, {"a": a, "b": b, "probability": probability})


def _classify(options: argparse.Namespace) -> int:
    net = load_model(options.model, get_device(options.device))
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
    return _finish(options, {"query": options.query, "ranking": ranking})


def _gradcheck(options: argparse.Namespace) -> int:
    if options.seeds and not options.self_test:
        raise ScratchnetError("--seeds means nothing without --self-test")
    if options.answer and (not options.quiz or options.seed is None):
        raise ScratchnetError("--answer is that of a quiz: give --quiz --seed S, as the quiz says")
    if options.self_test:
        return _self_test(options, range(options.seed or 0, (options.seed or 0) + (options.seeds or 3)))
    if options.quiz:
        return _quiz(options, int(np.random.default_rng().integers(10**6)) if options.seed is None else options.seed)
    return _check_network(options) if options.network else _check_all(options)


def _check_all(options: argparse.Namespace) -> int:
    errors: dict[str, list[float]] = {}
    failed, seed = [], options.seed or 0
    for name, case in _with_progress(options, gradcases.CASES.items()):
        report = case.check(seed, options.method)
        errors.setdefault(case.label or type(case.layer).__name__, []).append(report.error)
        if not report:
            failed.append(name)
            print(f"FAIL  {name}\n{report}", file=sys.stderr)
    if not options.json:
        for kind, found in errors.items():
            print(f"  {kind:30} {len(found):3} cases, largest relative error {max(found):.1e}")
        passed = len(gradcases.CASES) - len(failed)
        print(f"{passed} of {len(gradcases.CASES)} passed ({options.method}, seed {seed})")
    figures = {"method": options.method, "seed": seed, "failed": failed,
               "largest_error": {kind: max(found) for kind, found in errors.items()}}
    return _finish(options, figures, code=1 if failed else 0)


def _bench_options(added: argparse.ArgumentParser) -> argparse.ArgumentParser:
    added.add_argument("--network", choices=sorted(ARCHITECTURES), default="koch2015", help="default: koch2015")
    added.add_argument("--image-size", type=_at_least(1), metavar="PIXELS", help="default: the network's own")
    added.add_argument("--pairs", type=_at_least(1), default=64, help="pairs in a batch (default 64)")
    added.add_argument("--rounds", type=_at_least(1), default=5, help="steps timed, after one that is not (default 5)")
    added.add_argument("--against", nargs="+", choices=sorted(peers.MODULES), default=[], metavar="LIBRARY",
                       help=f"time the same step in {', '.join(sorted(peers.MODULES))} in turns, where installed")
    added.add_argument("--memory-peak", action="store_true",
                       help="also the peak memory of scratchnet and of each library, in processes of their own")
    return added


def _bench(options: argparse.Namespace) -> int:
    size = {"image_size": options.image_size} if options.image_size else {}
    workload = Workload(options.network, options.pairs, options.device, size)
    figures: dict[str, Any] = {}
    for name, section in measure.sections(workload, options.rounds, options.against, options.memory_peak):
        figures[name] = section
        if not options.json:
            print(report.render(name, section), flush=True)
    return _finish(options, figures, code=1 if any(row.get("failed") for row in figures.get("peers", [])) else 0)


def _check_network(options: argparse.Namespace) -> int:
    report = gradcases.whole_network(options.network, options.seed or 0, options.method)
    if not options.json:
        print(f"{report}\n{options.network}: {'passed' if report else 'FAILED'}")
    return _finish(options, {
        "network": options.network, "seed": options.seed or 0, "passed": bool(report), "largest_error": report.error,
        "problems": list(report.problems), "failed": [tensor.name for tensor in report.failed],
    }, code=0 if report else 1)


def _self_test(options: argparse.Namespace, seeds: range) -> int:
    bugs, correct = planted.CATALOGUE, planted.correct_cases()
    outcomes = {name: planted.hunt(bug, seeds) for name, bug in _with_progress(options, bugs.items())}
    false_alarms = [f"{name}, seed {seed}" for name, case in _with_progress(options, correct.items())
                    for seed in seeds if not case.check(seed)]
    missed = [name for name, outcome in outcomes.items() if outcome.caught < outcome.seeds]
    planted_count, checks = len(bugs) * len(seeds), len(correct) * len(seeds)
    caught, redraws = (sum(counts) for counts in list(zip(*outcomes.values(), strict=True))[::2])
    if not options.json:
        for name, outcome in outcomes.items():
            verdict = "MISSED" if name in missed else "caught"
            print(f"{verdict} {outcome.caught:3} of {outcome.seeds}  {name:38} {bugs[name].story}")
        print(f"{len(bugs)} planted bugs at {len(seeds)} points each: {caught} of {planted_count} caught; "
              f"{redraws} points drawn again, where a bug changed nothing")
        print(f"{len(correct)} correct cases at {len(seeds)} points each: "
              f"{len(false_alarms)} false alarms in {checks} checks")
    for alarm in false_alarms:
        print(f"FALSE ALARM  {alarm}", file=sys.stderr)
    return _finish(options, {
        "seeds": len(seeds), "bugs": {name: outcome._asdict() for name, outcome in outcomes.items()},
        "planted": planted_count, "caught": caught, "missed": missed,
        "correct_checks": checks, "false_alarms": false_alarms,
    }, code=1 if missed or false_alarms else 0)


def _quiz(options: argparse.Namespace, seed: int) -> int:
    quiz = planted.make_quiz(seed)
    again = f"scratchnet gradcheck --quiz --seed {seed} --answer"
    figures = {"seed": seed, "layer": quiz.layer, "report": quiz.report, "stories": quiz.stories}
    answer = f"{quiz.answer}: {quiz.bug.name}. {quiz.bug.story}"
    if options.json:
        return _finish(options, figures | ({"answer": quiz.answer, "bug": quiz.bug.name} if options.answer else {}))
    print(f"Quiz {seed}: a bug has been planted in the backward of\n\n{quiz.layer}\n\n"
          f"The checker reports\n\n{quiz.report}\n\nWhat did the programmer do?")
    for number, story in enumerate(quiz.stories, start=1):
        print(f"  {number}  {story}")
    if options.answer:
        print(f"\n{answer}")
    elif not sys.stdin.isatty():
        print(f"\nThe answer: {again}")
    elif guess := _guess(len(quiz.stories)):
        print(f"{'Right' if guess == quiz.answer else 'No'}, {answer}")
    else:
        print(f"\nThe answer, when you want it: {again}")
    return 0


def _guess(choices: int) -> int | None:
    """What the reader types: a number from 1 to `choices`, asked for until it is one; None for an empty line."""
    while text := _ask(f"1 to {choices}, or nothing to think about it: "):
        if text.isdigit() and 1 <= int(text) <= choices:
            return int(text)
    return None


def _ask(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""


def _with_progress(options: argparse.Namespace, items: Collection[Any]) -> Iterator[Any]:
    return iter(tqdm(items, leave=False, disable=options.json or not sys.stderr.isatty()))


def _download(options: argparse.Namespace) -> int:
    folder, names = options.folder or cache_folder(), options.only or list(ARCHIVES)
    with tqdm(unit="B", unit_scale=True, leave=False, disable=not sys.stderr.isatty()) as bar:
        shown = ""

        def show(name: str, done: int, total: int | None) -> None:
            nonlocal shown
            if name != shown:
                shown = name
                bar.set_description(name, refresh=False)
                bar.reset(total)
            bar.update(done - bar.n)

        download(folder, names, progress=show)
    print(f"{', '.join(names)}: complete and verified in {folder}")
    return 0


def _info(options: argparse.Namespace) -> int:
    facts = {
        "scratchnet": VERSION, "python": platform.python_version(), "numpy": np.__version__,
        "blas": machine.blas(), "threads": thread_count(),
        "device": os.environ.get("SCRATCHNET_DEVICE") or "cpu", "cuda": _cuda(),
        "data": str(Path(os.environ.get("SCRATCHNET_DATA") or cache_folder())),
        "recipes": list(RECIPES), "architectures": list(ARCHITECTURES),
    }
    if not options.json:
        for name, fact in facts.items():
            print(f"{name:14} {', '.join(fact) if isinstance(fact, list) else fact}")
    return _finish(options, facts)


def _cuda() -> str:
    try:
        get_device("cuda")
    except BackendError as error:
        return f"not available: {error}"
    return "available"


def _finish(options: argparse.Namespace, figures: dict[str, Any], code: int = 0) -> int:
    if options.json:
        print(json.dumps(figures, indent=2))
    return code
