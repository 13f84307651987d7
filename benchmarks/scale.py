"""Ranks and threads on one machine: the time of a training step, and what the model of its cost says of it.

    python benchmarks/scale.py measure [NETWORK ...]     # one round; again for more rounds
    python benchmarks/scale.py                           # the tables in docs/scale.md, from scale.json
    python benchmarks/scale.py equality                  # the weights of 1, 2 and 4 ranks after a few steps

A round starts each program once, in turns, so that what else the machine does meets all alike. A program makes batches
and takes steps for SECONDS, as `scratchnet train` does, and reports the median; the tables have the medians over rounds
and their range. It needs the extra mpi. Processors count as they are: hyperthreads are processors.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import CPU, thread_count
from scratchnet.bench.machine import Machine
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.files.atomic import write_bytes
from scratchnet.models.networks import build
from scratchnet.parallel.comm import ALONE
from scratchnet.parallel.cost import StepCost
from scratchnet.parallel.job import job
from scratchnet.train import train_step
from scratchnet.train.batches import OBJECTIVES
from scratchnet.train.ranks import gradients_on
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import RECIPES

HERE = Path(__file__).parent
SECONDS = 1.0  # of steps in each program
PROCESSORS = len(os.sched_getaffinity(0))
WAYS = ((1, 1), (1, 2), (2, 1), (4, 1))  # ranks and threads of each
NETWORKS: dict[str, tuple[Recipe, tuple[int, int]]] = {  # and two sizes of a batch
    "glyphs": (RECIPES["glyphs"], (4, 16)),
    "quick": (replace(RECIPES["quick"], data="glyphs"), (4, 8)),
    "koch2015": (replace(RECIPES["koch2015"], data="glyphs", fixed_distortions=0), (8, 32)),
}
BITS = {"float64": 2.0**53, "float32": 2.0**24}  # 1 over half the last bit
EQUAL: dict[str, Recipe] = {
    "compact": replace(
        RECIPES["glyphs"],
        architecture={"name": "compact", "image_size": 28, "width": 16, "features": 32},
        steps=20,
        batch_size=8,
        n_way=5,
    ),
    "koch2015": replace(
        RECIPES["koch2015"],
        architecture={"name": "koch2015", "image_size": 65, "channels": [4, 4, 4, 4], "features": 32},
        pairs=64,
        batch_size=16,
        fixed_distortions=0,
    ),
}
PROJECTED = (2, 4, 8, 16, 32, 64)
LINKS = {"10 Gb/s, 50 us": (50e-6, 1.25e9), "100 Gb/s, 5 us": (5e-6, 12.5e9)}
SUMS = {"latency": 64, "bandwidth": 2**18, "bandwidth of a large one": 2**24}  # float32 numbers in a message


class Counted:
    """Ranks whose sums are counted: how many, and their bytes."""

    def __init__(self, ranks: Any) -> None:
        self.ranks, self.messages, self.bytes = ranks, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ranks, name)

    def allreduce(self, array: Any) -> Any:
        return self.start_allreduce(array)()

    def start_allreduce(self, array: Any) -> Any:
        self.messages, self.bytes = self.messages + 1, self.bytes + array.nbytes
        return self.ranks.start_allreduce(array)


def steps(name: str, batch_size: int) -> dict[str, Any]:
    """The program of each rank: the median of the seconds of a step, and what a step sums."""
    recipe = replace(NETWORKS[name][0], batch_size=batch_size, pairs=512)
    with job() as ranks:
        net, optimiser = build(recipe.architecture, seed=0), recipe.optimiser()
        size = net.image_size
        drawings = Drawings.of(generate_alphabets(4, characters=20, drawers=8, image_size=size, seed=1), size)
        batches = OBJECTIVES[recipe.objective](recipe, drawings, CPU, ranks)

        def step(number: int, take: Any) -> None:
            a, b, target, _ = batches.batch(0, number)
            train_step(net, optimiser, a, b, target, loss=batches.loss, take=take)

        counted = Counted(ranks)
        step(0, gradients_on(counted, net) if ranks is not ALONE else gradients_on(ALONE, net))
        take, taken = gradients_on(ranks, net), []
        enough = time.perf_counter() + SECONDS
        while ranks.broadcast(np.array(time.perf_counter() < enough)) or len(taken) < 5:
            started = time.perf_counter()
            step(len(taken) % batches.steps, take)
            taken.append(time.perf_counter() - started)
        return {
            "seconds": statistics.median(taken[1:]),
            "messages": counted.messages,
            "bytes": counted.bytes,
            "threads": thread_count(),
        }


def sums() -> dict[str, float]:
    """The program that measures sums alone: the latency in seconds, and bytes a second between two ranks of a ring."""
    found = {}
    with job() as ranks:
        for name, count in SUMS.items():
            array, times = np.ones(count, np.float32), []
            for _ in range(50 if name == "latency" else 5):
                ranks.barrier()
                started = time.perf_counter()
                ranks.allreduce(array)
                times.append(time.perf_counter() - started)
            seconds = statistics.median(times)
            through = 2 * (ranks.size - 1) / ranks.size * array.nbytes / seconds
            found[name] = seconds if name == "latency" else through
    return found


def weights(kind: str, path: str) -> None:
    """The program that takes so many steps in a precision and writes the weights.

    kind: the network, its precision, the number of steps, and 1 over the share by which all weights are moved at first.
    """
    name, dtype, count, nudge = kind.split("-")
    recipe = EQUAL[name]
    with job() as ranks:
        net, optimiser = build(recipe.architecture, seed=1), recipe.optimiser()
        signs = np.random.default_rng(0)
        net.params = {
            key: (value * (1 + (1 / float(nudge) if float(nudge) else 0) * signs.choice([-1, 1], value.shape))).astype(
                dtype
            )
            for key, value in net.params.items()
        }
        drawings = Drawings.of(generate_alphabets(4, characters=8, drawers=6, image_size=28, seed=3), net.image_size)
        batches = OBJECTIVES[recipe.objective](recipe, drawings, CPU, ranks)
        take = gradients_on(ranks, net)
        for number in range(int(count)):
            a, b, target, _ = batches.batch(0, number % batches.steps)
            train_step(net, optimiser, a, b, target, loss=batches.loss, take=take)
        if ranks.rank == 0:
            np.savez(path, **net.params)
            print(json.dumps(path))


def equality() -> Iterator[str]:
    """How far the weights of several ranks are from those of one process, as a share of the largest.

    Beside it, how far one process is from itself if it starts with all weights moved by half their last bit.
    """
    yield "| network | precision | steps | 2 ranks | 4 ranks | 1, weights moved |"
    yield "|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        for name, (dtype, bit), count in itertools.product(EQUAL, BITS.items(), (1, 5, 20)):
            found = []
            for number, (ranks, nudge) in enumerate(((1, 0.0), (2, 0.0), (4, 0.0), (1, bit))):
                kind = f"{name}-{dtype}-{count}-{nudge}"
                found.append(dict(np.load(started(ranks, 1, "weights", kind, f"{folder}/{number}.npz"))))
            one, *others = found
            largest = max(np.abs(value).max() for value in one.values())
            gaps = [max(np.abs(other[key] - one[key]).max() for key in one) / largest for other in others]
            yield f"| {name} | {dtype} | {count} | {' | '.join(f'{gap:.0e}' for gap in gaps)} |"


def started(ranks: int, threads: int, *arguments: object) -> Any:
    """What rank 0 of a program reports."""
    return reported(running(ranks, threads, *arguments))


def reported(program: subprocess.Popen[str]) -> Any:
    """The last line that a program prints."""
    out, _ = program.communicate()
    assert program.returncode == 0
    return json.loads(out.splitlines()[-1])


def running(ranks: int, threads: int, *arguments: object) -> subprocess.Popen[str]:
    """A program on its way."""
    own = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    start = [str(own), "-n", str(ranks)] + (["--oversubscribe"] if ranks > PROCESSORS else []) if ranks > 1 else []
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return subprocess.Popen(
        [*start, sys.executable, __file__, *map(str, arguments)],
        env={**os.environ, **root, "SCRATCHNET_THREADS": str(threads)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def beside(name: str, size: int) -> float:
    """The seconds of a step of a process that is alone on its processor, while each other processor has one as well."""
    each = [running(1, 1, "steps", name, size, own) for own in os.sched_getaffinity(0)]
    return statistics.mean(reported(program)["seconds"] for program in each)


def measure(names: list[str]) -> None:
    """Add a round to scale.json."""
    path = HERE / "scale.json"
    held = json.loads(path.read_text()) if path.exists() else {"steps": [], "sums": [], "beside": []}
    held["machine"] = asdict(Machine.this(CPU))
    for name in names:
        if name == "sums":
            held["sums"] += [{"ranks": ranks, **started(ranks, 1, "sums")} for ranks in (2, 4)]
            continue
        for size in NETWORKS[name][1]:
            held["beside"].append({"network": name, "batch": size, "seconds": beside(name, size)})
            for ranks, threads in WAYS:
                found = started(ranks, threads, "steps", name, size)
                held["steps"].append({"network": name, "batch": size, "ranks": ranks, "asked": threads, **found})
    write_bytes(path, (json.dumps(held, indent=1) + "\n").encode())


def of_way(held: Any, name: str, size: int, ranks: int, threads: int) -> list[dict[str, Any]]:
    """The rounds of one program."""
    way = {"network": name, "batch": size, "ranks": ranks, "asked": threads}
    return [each for each in held["steps"] if way.items() <= each.items()]


def seconds(held: Any, *way: Any) -> float:
    """The median over rounds of a program's step."""
    return statistics.median(each["seconds"] for each in of_way(held, *way))


def cost(held: Any, name: str, size: int, ranks: int) -> StepCost:
    """The model of a network's step: two batch sizes of one rank give work and fixed, two programs at once crowding."""
    few, many = NETWORKS[name][1]
    one = {batch: seconds(held, name, batch, 1, 1) for batch in (few, many)}
    each = (one[many] - one[few]) / (many - few)
    crowded = [way["seconds"] for way in held["beside"] if (way["network"], way["batch"]) == (name, size)]
    (some, *_) = of_way(held, name, size, max(ranks, 2), 1)
    alone = [found for found in held["sums"] if found["ranks"] == max(ranks, 2)]
    large = some["bytes"] / some["messages"] > 2**22
    return StepCost(
        work=each * size,
        fixed=max(0.0, one[few] - each * few),
        crowding=statistics.median(crowded) / one[size],
        messages=some["messages"],
        bytes=some["bytes"],
        latency=statistics.median(found["latency"] for found in alone),
        bandwidth=statistics.median(found["bandwidth of a large one" if large else "bandwidth"] for found in alone),
    )


def table(held: Any) -> Iterator[str]:
    """The steps, and what the model says of them."""
    yield "| network, batch | ranks x threads | ms a step | against 1 x 1 | the model | error |"
    yield "|---|---|---|---|---|---|"
    for name, (_, sizes) in NETWORKS.items():
        for size in sizes:
            first = of_way(held, name, size, 1, 1)
            for ranks, threads in WAYS:
                rounds = [each["seconds"] for each in of_way(held, name, size, ranks, threads)]
                against = [one / other["seconds"] for one, other in zip(rounds, first, strict=True)]
                now, model = statistics.median(rounds), cost(held, name, size, ranks).step(ranks, PROCESSORS)
                said = f"{1e3 * model:.1f} | {model / now - 1:+.0%}" if threads == 1 else " | "
                yield (
                    f"| {name}, {size} | {ranks} x {threads} | {1e3 * now:.1f} ({1e3 * min(rounds):.1f} - "
                    f"{1e3 * max(rounds):.1f}) | {statistics.median(against):.2f} ({min(against):.2f} - "
                    f"{max(against):.2f}) | {said} |"
                )


def parts(held: Any) -> Iterator[str]:
    """The numbers in the model."""
    yield "| network | work an item, ms | fixed, ms | crowding | sums | MB summed |"
    yield "|---|---|---|---|---|---|"
    for name, (_, sizes) in NETWORKS.items():
        model = cost(held, name, sizes[1], 2)
        yield (
            f"| {name} | {1e3 * model.work / sizes[1]:.2f} | {1e3 * model.fixed:.1f} | {model.crowding:.2f} | "
            f"{model.messages} | {model.bytes / 1e6:.1f} |"
        )
    yield ""
    for ranks in (2, 4):
        alone = [each for each in held["sums"] if each["ranks"] == ranks]
        latency, *through = (statistics.median(each[name] for each in alone) for name in SUMS)
        yield f"{ranks} ranks: {1e6 * latency:.0f} us, " + ", ".join(f"{each / 1e9:.1f} GB/s" for each in through)


def projected(held: Any) -> Iterator[str]:
    """What the model says of machines with a rank on each processor and a network between them: nothing measured."""
    yield "| network, batch | network between | " + " | ".join(f"{ranks} ranks" for ranks in PROJECTED) + " |"
    yield "|---|---|" + "---|" * len(PROJECTED)
    for name, size in (("glyphs", 64), ("quick", 64), ("koch2015", 128), ("koch2015", 1024)):
        sizes = NETWORKS[name][1]
        known = cost(held, name, sizes[1], 2)
        for link, (latency, bandwidth) in LINKS.items():
            model = replace(known, work=known.work / sizes[1] * size, latency=latency, bandwidth=bandwidth)
            shares = [f"{model.efficiency(ranks, ranks):.0%}" for ranks in PROJECTED]
            yield f"| {name}, {size} | {link} | {' | '.join(shares)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["table"])
    what, *more = parser.parse_args().what
    if what == "steps":
        if len(more) > 2:
            os.sched_setaffinity(0, {int(more[2])})
        print(json.dumps(steps(more[0], int(more[1]))))
    elif what == "sums":
        print(json.dumps(sums()))
    elif what == "weights":
        weights(*more)
    elif what == "equality":
        print("\n".join(equality()))
    elif what == "measure":
        measure(more or [*NETWORKS, "sums"])
    else:
        held = json.loads((HERE / "scale.json").read_text())
        machine = held["machine"]
        print(f"{machine['processor']}, {PROCESSORS} processors, {machine['blas']}, {machine['date']}", "")
        for part in (table, parts, projected):
            print(*part(held), "", sep="\n")


if __name__ == "__main__":
    main()
