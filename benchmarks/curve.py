"""Time a training step by batch size and by image size, in comparison with PyTorch: a table and a plot.

    python benchmarks/curve.py [--out benchmarks]

Every point is measured in a separate process, with scratchnet and PyTorch (float32, eager, both memory formats) taking
turns. Points in curve.json are not measured again, so an interrupted run continues; delete the file to start over.
Needs PyTorch and matplotlib: in your clone, pip install -e ".[bench,study]".
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from scratchnet.bench.machine import Machine
from scratchnet.bench.measure import OURS, compare
from scratchnet.bench.workload import Workload
from scratchnet.files.atomic import write_bytes

BATCHES = (8, 16, 32, 64, 128, 256)
# koch2015 needs 65 pixels or more. At 210 its dense layer would have 379 million weights, hence fewer features.
SIZES = {"compact": (28, 48, 64, 105), "koch2015": (65, 105, 150, 210)}
SIZE_PAIRS, SIZE_FEATURES = 32, 1024
EAGER = "float32 NCHW", "float32 channels_last"  # in the names of PyTorch's variants
MANY_ROUNDS, FEW_ROUNDS, LONG = 5, 3, 60  # few if many would take longer than LONG seconds

Point = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of curve.json, .md and .png")
    parser.add_argument("--point", help=argparse.SUPPRESS)  # the point of a subprocess
    options = parser.parse_args()
    if options.point:
        print(json.dumps(measure(Workload(**json.loads(options.point)))))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    points: list[Point] = []
    record = options.out / "curve.json"
    if record.exists():
        points = json.loads(record.read_text())["points"]
    for workload in workloads():
        if not any(Workload(**point["workload"]) == workload for point in points):
            points.append(in_own_process(workload))
            write_bytes(record, json.dumps({"points": points}, indent=2).encode())
            print(row(points[-1]), flush=True)
    write_bytes(options.out / "curve.md", table(points).encode())
    plot(points, options.out / "curve.png")


def workloads() -> Iterator[Workload]:
    for pairs in BATCHES:
        yield Workload("koch2015", pairs, "cpu")
    for network, sizes in SIZES.items():
        for size in sizes:
            yield Workload(network, SIZE_PAIRS, "cpu", {"image_size": size, "features": SIZE_FEATURES})


def in_own_process(workload: Workload) -> Point:
    command = [sys.executable, __file__, "--point", json.dumps(asdict(workload))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Point = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(workload: Workload) -> Point:
    """The times of scratchnet and of the faster of PyTorch's formats, and their ratio, with spreads."""
    training = workload.prepare()
    size = training.net.image_size
    first = compare(training, 1, against=["torch"], only=EAGER)
    round_seconds = sum(row.get("median_ms", 0) for row in first) / 1e3
    rounds = MANY_ROUNDS if round_seconds * (MANY_ROUNDS + 1) < LONG else FEW_ROUNDS
    ours, *theirs = compare(training, rounds, against=["torch"], only=EAGER)
    if problems := [f"{their['name']}: {their['problem']}" for their in theirs if "problem" in their]:
        raise SystemExit(f"{workload}: {'; '.join(problems)}")
    best = min(theirs, key=lambda their: their["median_ms"])
    return {
        "workload": asdict(workload),
        "image_size": size,
        "rounds": rounds,
        "machine": asdict(Machine.this()),
        OURS: ours,
        "torch": best,
    }


def row(point: Point) -> str:
    workload, theirs = point["workload"], point["torch"]
    ratio = theirs["ratio"]
    cells = [
        workload["network"],
        point["image_size"],
        workload["pairs"],
        spread(point[OURS]),
        spread(theirs),
        theirs["name"].removeprefix("PyTorch "),
        f"{ratio['median']:.2f} ({ratio['least']:.2f} - {ratio['most']:.2f})",
        point["rounds"],
    ]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def spread(figures: Point) -> str:
    return f"{figures['median_ms']:.0f} ({figures['least_ms']:.0f} - {figures['most_ms']:.0f})"


def table(points: list[Point]) -> str:
    machines = {
        (point["machine"]["processor"], point["machine"]["threads"], point["machine"]["date"]) for point in points
    }
    lines = [
        "# The cost of a training step",
        "",
        *(f"{processor}, threads: {threads}, {date}." for processor, threads, date in sorted(machines)),
        "",
        "`python benchmarks/curve.py`. Milliseconds: median (least - most) of the rounds, scratchnet and PyTorch in",
        "turns; the ratio is scratchnet's time over that of the better of PyTorch's formats, round by round. The rows",
        f"of {SIZE_PAIRS} pairs at the end, by image size, have {SIZE_FEATURES} features in the dense layer.",
        "",
        "| network | pixels | pairs | scratchnet, ms | PyTorch, ms | version and format | ratio | rounds |",
        "|---|---|---|---|---|---|---|---|",
        *(row(point) for point in points),
    ]
    return "\n".join(lines) + "\n"


def _apart(ticks: Iterable[int]) -> list[int]:
    """The ticks without those whose labels would overlap the previous one."""
    kept: list[int] = []
    for tick in sorted(ticks):
        if not kept or tick > 1.05 * kept[-1]:
            kept.append(tick)
    return kept


def plot(points: list[Point], path: Path) -> None:
    """Two panels: by batch size, and by image size."""
    mpl.use("agg")
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    by_batch = [point for point in points if not point["workload"]["options"]]
    draw(left, by_batch, [point["workload"]["pairs"] for point in by_batch], "koch2015", "-")
    left.set(xlabel="pairs in a batch", title="By batch: 105 x 105 pixels")
    for network, line in zip(SIZES, ("--", "-"), strict=True):
        found = [p for p in points if p["workload"]["options"] and p["workload"]["network"] == network]
        draw(right, found, [point["image_size"] for point in found], network, line)
    right.set(xlabel="image size, pixels a side", title=f"By image size: {SIZE_PAIRS} pairs, {SIZE_FEATURES} features")
    for axes, ticks in ((left, BATCHES), (right, sorted({size for sizes in SIZES.values() for size in sizes}))):
        axes.set(xscale="log", yscale="log", ylabel="one training step, ms", xticks=_apart(ticks))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(which="both", alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw(axes: Axes, points: list[Point], x: list[int], network: str, line: str) -> None:
    """A line for scratchnet and one for PyTorch, with bars from the minimum to the maximum."""
    for name, colour in ((OURS, "tab:blue"), ("torch", "tab:orange")):
        median, least, most = ([point[name][f"{what}_ms"] for point in points] for what in ("median", "least", "most"))
        bars = [
            [m - low for m, low in zip(median, least, strict=True)],
            [high - m for m, high in zip(median, most, strict=True)],
        ]
        label = f"{network}, {'PyTorch, better format' if name == 'torch' else name}"
        axes.errorbar(x, median, bars, fmt=f"o{line}", color=colour, markersize=4, capsize=3, label=label)


if __name__ == "__main__":
    main()
