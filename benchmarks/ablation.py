"""Ablation of the recipe `omniglot`: one change per row, with the same training time for every row.

    python benchmarks/ablation.py --jobs 2

Each row trains in a separate process with one thread for a fixed number of minutes of processor time (a few steps are
timed to find the number of steps; the learning rate decays over all of them). It trains on the background alphabets
except those for validation, and is judged with the weights of the last epoch by 4,000 random 20-way trials on these,
each within one alphabet. The official runs are not used. A row that is in ablation.json for the same minutes is not
trained again.

Training on pairs has no episodes, and so no rotations of whole episodes: compare that row with the one without
symmetries. Lake's small sets contain some of the validation alphabets, so the rows about data validate on five others.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from scratchnet.backend import CPU
from scratchnet.bench.machine import Machine
from scratchnet.data.alphabets import pick, without
from scratchnet.data.drawings import Drawings
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import VALIDATION_ALPHABETS, Split
from scratchnet.files.atomic import write_bytes
from scratchnet.models.networks import build
from scratchnet.oneshot.trials import evaluate, sample_runs
from scratchnet.train import LOG, train, train_step
from scratchnet.train.batches import OBJECTIVES, VALIDATION, stream
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import find_recipe
from scratchnet.train.settings import override

HERE = Path(__file__).parent
EPOCHS, TRIALS, WAY = 8, 4000, 20
# Lake's small sets have three of VALIDATION_ALPHABETS in them, so the rows about data validate on five others.
NEITHER_SMALL = ("Armenian", "Futurama", "Bengali", "Gujarati", "Hebrew")

# The name of each row, and its changes as for `scratchnet train --set`.
ROWS: dict[str, dict[str, str]] = {
    "the recipe": {},
    "pair cross-entropy (no episodes, so no turns)": {
        "objective": "pairs",
        "pairs": "100000",
        "batch_size": "80",
        "hands": "1",
        "both_ways": "false",
        "symmetries": "false",
    },
    "no batch norm": {"architecture.norm": "false"},
    "no batch norm, a fifth of the learning rate": {"architecture.norm": "false", "lr": "0.01"},
    "the whole page, not framed to the ink": {"architecture.frame": "page"},
    "no affine distortions": {"distort": "false"},
    "no turns and mirror images": {"symmetries": "false"},
    "no elastic warps": {"elastic": "0"},
    "28 pixels": {"architecture.image_size": "28"},
    "64 pixels": {"architecture.image_size": "64"},
    "105 pixels": {"architecture.image_size": "105"},
    "half the width": {"architecture.width": "16"},
    "elastic warps twice as strong": {"elastic": "0.1"},
    "one hand on each side (four episodes)": {"hands": "1", "batch_size": "4"},
    "queries choose, supports do not": {"both_ways": "false"},
    "last weights, not their average": {"weight_average": "0"},
    "constant learning rate": {"schedule": "decay"},
}
DATA_ROWS = {
    "25 background alphabets, validated on others": "images_background",
    "Lake's small1 (five alphabets)": "images_background_small1",
    "Lake's small2 (five alphabets)": "images_background_small2",
}


def row(name: str, data: str | None, minutes: float) -> dict[str, float | int | str]:
    """Train one row and return its result."""
    split = _split(name, data)
    recipe = replace(
        override(find_recipe("omniglot"), ROWS.get(name, {})),
        epochs=EPOCHS,
        validation_trials=1,
        validation_alphabets=tuple(a.name for a in split.validation),
    )
    recipe = _lasting(recipe, split, minutes)
    with tempfile.TemporaryDirectory() as out:
        started = time.process_time()
        net = train(recipe, split, Path(out) / "run", quiet=True)
        seconds = time.process_time() - started
        log = [json.loads(line) for line in (Path(out) / "run" / LOG).read_text().splitlines()]
    images = sum(epoch["seconds"] * epoch["images_per_second"] for epoch in log)
    trials = sample_runs(split.validation, TRIALS // WAY, rng=stream(0, VALIDATION), n_way=WAY)
    result = evaluate(net, trials)
    return {
        "name": name,
        "minutes": minutes,
        "images": round(images),
        "processor_seconds": round(seconds),
        "accuracy": result.accuracy,
        "interval": result.interval,
        "alphabets": ", ".join(recipe.validation_alphabets),
    }


def _split(name: str, data: str | None) -> Split:
    archive = DATA_ROWS.get(name, "images_background")
    validation = NEITHER_SMALL if name in DATA_ROWS else VALIDATION_ALPHABETS
    background = load_omniglot(find_data(data, "images_background.zip", "images_background"))
    train_on = load_omniglot(find_data(data, f"{archive}.zip", archive))
    return Split(without(train_on, validation), pick(background, validation))


def _lasting(recipe: Recipe, split: Split, minutes: float) -> Recipe:
    """The recipe with as many steps, or pairs, as fit into these minutes."""
    net, optimiser = build(recipe.architecture, seed=recipe.seed), recipe.optimiser()
    batches = OBJECTIVES[recipe.objective](recipe, Drawings.of(split.train, net.image_size, frame=net.frame), CPU)
    seconds = []
    for step in range(8):
        started = time.process_time()  # excludes other work on the machine
        a, b, target, _ = batches.batch(0, step)
        train_step(net, optimiser, a, b, target, loss=batches.loss)
        seconds.append(time.process_time() - started)
    steps = max(1, round(60 * minutes / EPOCHS / sorted(seconds[2:])[3]))
    return (
        replace(recipe, steps=steps)
        if recipe.objective == "episodes"
        else replace(recipe, pairs=steps * recipe.batch_size)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="of one processor for each row (default 5)")
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time, each with one thread (default 2)")
    parser.add_argument("--data", help="where Omniglot is (default: SCRATCHNET_DATA)")
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=[*ROWS, *DATA_ROWS],
        default=[*ROWS, *DATA_ROWS],
        metavar="NAME",
        help="only some of them",
    )
    parser.add_argument("--row", help=argparse.SUPPRESS)  # the row of a subprocess
    options = parser.parse_args()
    if options.row:
        print(json.dumps(row(options.row, options.data, options.minutes)))
        return

    record = HERE / "ablation.json"
    known = json.loads(record.read_text())["rows"] if record.exists() else []
    done = {each["name"]: each for each in known if each["minutes"] == options.minutes}

    def in_a_process(name: str) -> None:
        command = [sys.executable, __file__, "--row", name, "--minutes", str(options.minutes)]
        command += ["--data", options.data] if options.data else []
        one_thread = os.environ | {"SCRATCHNET_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        run = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, env=one_thread)
        if run.returncode:  # the reason is on stderr
            print(f"failed:  {name}", flush=True)
            return
        done[name] = json.loads(run.stdout.splitlines()[-1])
        print(f"{done[name]['accuracy']:.1%}  {name}", flush=True)
        write(record, done)

    todo = [name for name in options.rows if name not in done]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(in_a_process, todo))
    write(record, done)


def write(record: Path, done: dict[str, dict]) -> None:
    """Save the rows so far, as JSON and as a table."""
    rows = [done[name] for name in (*ROWS, *DATA_ROWS) if name in done]
    write_bytes(record, json.dumps({"machine": asdict(Machine.this()), "rows": rows}, indent=2).encode())
    lines = ["| row | processor seconds | images | correct | 95 % interval | change |", "|---|---:|---:|---:|---|---:|"]
    reference = {"ROWS": done.get(next(iter(ROWS))), "DATA": done.get(next(iter(DATA_ROWS)))}
    for each in rows:
        against = reference["DATA" if each["name"] in DATA_ROWS else "ROWS"]
        change = f"{100 * (each['accuracy'] - against['accuracy']):+.1f}" if against and against is not each else ""
        low, high = each["interval"]
        lines.append(
            f"| {each['name']} | {each['processor_seconds']} | {each['images']:,} | {each['accuracy']:.1%} "
            f"| {low:.1%} - {high:.1%} | {change} |"
        )
    write_bytes(record.with_suffix(".md"), "\n".join([*lines, ""]).encode())


if __name__ == "__main__":
    main()
