"""Compare ways of scoring on the same random trials, within alphabets that the networks have not seen.

    python benchmarks/scorings.py MODEL... --ways views=8 align=5 views=8,align=5 [--alphabets validation] [--data DIR]

Each way is compared with scoring by one look at each image. --alphabets: `validation`, the five to choose by;
`confirmation`, five others, to confirm by what was chosen; `evaluation`, Lake's evaluation set; `glyphs`, generated
ones; or names, with commas between. Alphabets that a network was trained on are refused. With several networks (twins
of other seeds), the last rows have the mean of their gains, trial by trial. --json FILE keeps which trials were right,
and what is kept there is not computed again.

    python benchmarks/scorings.py MODEL... --against MODEL... [--ways WAY] [--alphabets validation] [--data DIR]

compares networks instead, each with the one in the same place after --against, by one look or by the first of --ways.

    python benchmarks/scorings.py omniglot --time

times a 20-way trial instead, one query and 20 supports as arrays, each way in turn: the median of TURNS and quartiles.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.checkpoint import load_model, load_model_with_notes
from scratchnet.data.alphabets import Alphabet, pick
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import BACKGROUND_FILES, CONFIRMATION_ALPHABETS, VALIDATION_ALPHABETS
from scratchnet.errors import DataError, ScratchnetError
from scratchnet.files.atomic import write_bytes
from scratchnet.models.scoring import expect_ways
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.comparison import Comparison, paired, right
from scratchnet.oneshot.scorers import Embedded
from scratchnet.oneshot.tasks import kept_out, random_task, recipe_of, unseen
from scratchnet.oneshot.trials import Run

SETS = {"validation": VALIDATION_ALPHABETS, "confirmation": CONFIRMATION_ALPHABETS}
PLAIN = "views=1"
WAYS = ("views=8", "align=5", "views=8,align=5")
TURNS = 21


def parsed(way: str) -> dict[str, int]:
    """ "views=8,align=5" as the options of `Embedded`."""
    try:
        options = {name: int(number) for name, number in (part.split("=") for part in way.split(","))}
    except ValueError:
        options = {}
    if not options or not options.keys() <= {"views", "align"}:
        raise ScratchnetError(f"--ways {way}: write views=N, align=N or both with a comma between")
    expect_ways(options.get("views", 1), options.get("align", 0))
    return options


def alphabets_called(chosen: str, data: str | None, recipes: dict[str, Any]) -> list[Alphabet]:
    """The alphabets. Raises DataError for one that a network has seen."""
    if chosen in ("evaluation", "glyphs"):
        return unseen(chosen, data=data, recipes=list(recipes.values())).trials
    names = SETS.get(chosen, tuple(chosen.split(",")))
    for model, recipe in recipes.items():
        if seen := [name for name in names if name not in kept_out([recipe])]:
            raise DataError(f"{model} was trained on {', '.join(seen)}: a gain on what it knows says little")
    return pick(load_omniglot(find_data(data, *BACKGROUND_FILES)), names)


def digest(net: SiameseNet) -> str:
    """What tells the weights of a network from those that it had earlier in its training."""
    return sha256(b"".join(value.tobytes() for value in net.params.values())).hexdigest()[:12]


def mean_row(comparisons: Sequence[Comparison]) -> str:
    """The mean gain of several networks on the same trials, with its standard errors."""
    difference = np.mean([each.difference for each in comparisons], axis=0)
    one = comparisons[0]

    def error(values: np.ndarray) -> float:
        return 100 * float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")

    by_run, by_alphabet = (
        np.array([difference[groups == group].mean() for group in np.unique(groups)])
        for groups in (one.run, one.alphabet)
    )
    before, after = (100 * np.mean([share.mean() for share in shares]) for shares in
                     ([each.first for each in comparisons], [each.second for each in comparisons]))  # fmt: skip
    return (
        f"{before:.2f} % -> {after:.2f} %, {100 * difference.mean():+.2f} points (standard error "
        f"{error(difference):.2f} over trials, {error(by_run):.2f} over runs, {error(by_alphabet):.2f} over alphabets, "
        f"{error(np.array([each.gain for each in comparisons])):.2f} over networks)"
    )


def timed(options: argparse.Namespace) -> int:
    """Print the milliseconds of a trial by each way, and how many times those of one look they are."""
    (alphabet,) = generate_alphabets(1, characters=20, drawers=2, image_size=105, seed=0)
    query, supports = alphabet.images[:1, 0], alphabet.images[:, 1]
    ways = {way: parsed(way) for way in dict.fromkeys([PLAIN, *(options.ways or WAYS)])}
    for model in options.models:
        net = load_model(model)
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(TURNS + 1):
            for way, settings in ways.items():
                start = time.perf_counter()
                net.scores(query, supports, **settings)
                taken[way].append(1000 * (time.perf_counter() - start))
        for way, each in taken.items():
            low, middle, high = np.percentile(each[1:], [25, 50, 75])  # the first turn warms up
            times = np.median(np.divide(each[1:], taken[PLAIN][1:]))
            print(f"{model}, {way}: {middle:.1f} ms ({low:.1f} - {high:.1f}), {times:.2f} of one look each")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare ways of scoring on the same random trials.")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--ways", nargs="+", default=[], metavar="WAY", help=f"default: {' '.join(WAYS)}")
    parser.add_argument("--against", nargs="+", default=[], metavar="MODEL")
    parser.add_argument("--alphabets", default="validation")
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--way", type=int, default=20)
    parser.add_argument("--shot", type=int, default=1)
    parser.add_argument("--across", action="store_true")
    parser.add_argument("--data")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    try:
        return (timed if options.time else measured)(options)
    except ScratchnetError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


def measured(options: argparse.Namespace) -> int:
    """Print each comparison, and their means over several networks."""
    if options.against and len(options.against) != len(options.models):
        raise ScratchnetError(
            f"--against names {len(options.against)} networks for {len(options.models)}: give as many"
        )
    ways = {way: parsed(way) for way in options.ways or (() if options.against else WAYS)}
    models = list(dict.fromkeys([*options.models, *options.against]))
    loaded = {model: load_model_with_notes(model) for model in models}
    recipes = {model: recipe_of(net, notes, model=model) for model, (net, notes) in loaded.items()}
    alphabets = alphabets_called(options.alphabets, options.data, recipes)
    task = random_task(
        options.alphabets, alphabets, trials=options.trials, seed=options.seed, way=options.way, shot=options.shot,
        across=options.across,
    )  # fmt: skip
    title = f"{task}, {sum(len(run.query) for run in task.runs)} trials, seed {options.seed}"
    print(title, flush=True)
    kept = Kept(title, task.runs, options.json)

    def compared(model: str, first: np.ndarray, name: str, way: str) -> None:
        second = kept.right(name, loaded[name][0], way, parsed(way))
        found.setdefault(way, []).append(comparison := paired(first, second, task.runs))
        print(f"  {model}: {comparison}", flush=True)
        each = comparison.gains(comparison.alphabet)
        print("    " + ", ".join(f"{alphabet} {100 * gain:+.1f}" for alphabet, gain in each.items()), flush=True)

    found: dict[str, list[Comparison]] = {}
    for number, model in enumerate(options.models):
        if options.against:
            way, other = next(iter(ways), PLAIN), options.against[number]
            first = kept.right(other, loaded[other][0], way, parsed(way))
            compared(f"{model} against {other}, {way}", first, model, way)
        else:
            first = kept.right(model, loaded[model][0], PLAIN, parsed(PLAIN))
            for way in ways:
                compared(f"{model}, {way}", first, model, way)
    if len(options.models) > 1:
        for way, comparisons in found.items():
            print(f"  mean of {len(comparisons)}, {way}: {mean_row(comparisons)}")
    return 0


class Kept:
    """Which trials each network has right by each way, computed once and, if there is a file, kept in it."""

    def __init__(self, title: str, runs: Sequence[Run], path: Path | None) -> None:
        self.title, self.runs, self.path = title, runs, path
        self.found = json.loads(path.read_text()) if path and path.exists() else {}

    def right(self, model: str, net: SiameseNet, way: str, settings: dict[str, int]) -> np.ndarray:
        """Which trials (T,) bool."""
        key = f"{self.title}; {model} {digest(net)}; {way}"
        if key not in self.found:
            start = time.perf_counter()
            scored = right(Embedded(net, **settings), self.runs)
            seconds = time.perf_counter() - start
            self.found[key] = {"right": "".join("01"[each] for each in scored.tolist()), "seconds": seconds}
            if self.path:
                write_bytes(self.path, json.dumps(self.found, indent=1).encode())
        return np.array(list(self.found[key]["right"])) == "1"


if __name__ == "__main__":
    sys.exit(main())
