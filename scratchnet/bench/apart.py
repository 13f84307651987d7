"""A training step or embedding, each library in a process of its own, in turns.

There each has its own allocator, its own threads and the memory that it freed itself, as its users have it. In one
process, PyTorch gains from the memory that `keep_freed_memory` keeps. The process of one of them,

    python -m scratchnet.bench.apart '{"workload": {}, "embed": true, "peer": "torch", "number": 0}'

waits for the name of a function on standard input, runs it, and prints the seconds that it took.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from scratchnet.backend import Device, array_module, get_device, to_host
from scratchnet.bench import peers
from scratchnet.bench.child import command, environment
from scratchnet.bench.embedding import FRAMED, timings
from scratchnet.bench.measure import heading, milliseconds
from scratchnet.bench.memory import OURS
from scratchnet.bench.timing import now, ratio
from scratchnet.bench.workload import Workload
from scratchnet.errors import ScratchnetError

STEP, MANY, ONE = "step", "many", "one"  # the functions that a process can have
Functions = dict[str, Callable[[], Any]]


def sections(
    workload: Workload, rounds: int, *, against: Sequence[str], embed: bool = False
) -> Iterator[tuple[str, Any]]:
    """(name, figures) of each section, as they are measured.

    Raises ScratchnetError for an invalid workload, and for a peer that does not run. Whether peers compute the same is
    left to the other sections.
    """
    net = workload.prepare().net
    yield from heading(workload, net, against)
    tasks = dict(_tasks(workload, against, embed, net.frame))
    del net
    with ExitStack() as stack:
        running = {name: stack.enter_context(Contender(task)) for name, task in tasks.items()}
        if embed:
            many, one = (_in_turns(running, function, rounds) for function in (MANY, ONE))
            yield (
                "embedding apart",
                [{"name": name, **timings(name, many, one, 2 * workload.pairs)} for name in running],
            )
        else:
            seconds = _in_turns(running, STEP, rounds)
            yield "steps apart", [_row(name, seconds) for name in running]


def _row(name: str, seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    row = {"name": name, **milliseconds(seconds[name])}
    return row if name == OURS else row | {"ratio": ratio(seconds[OURS], seconds[name])._asdict()}


def _tasks(workload: Workload, against: Sequence[str], embed: bool, frame: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each that is timed, and what its process is told. Raises ScratchnetError for a peer without any."""
    device = get_device(workload.device)
    task = {"workload": asdict(workload), "embed": embed}
    yield OURS, task
    if embed and frame != "page":
        yield FRAMED, task | {"frame": frame}
    for peer in against:
        ways: Sequence[Any] = peers.load_embedders(peer, device) if embed else peers.load(peer, device)
        for number, way in enumerate(ways):
            if embed or not way.compiled:
                yield way.name, task | {"peer": peer, "number": number}


class Contender:
    """A process that runs the functions of a task on request, and ends when its standard input does.

    Raises ScratchnetError, with the last line of its error, if it cannot.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed below; a pipe that nobody reads could fill up
        self._process = subprocess.Popen(
            command("scratchnet.bench.apart", json.dumps(task)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, encoding="utf-8", env=environment(),
        )  # fmt: skip

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()
        self._errors.close()

    def seconds(self, function: str) -> float:
        """Run a function once."""
        sending, receiving = self._process.stdin, self._process.stdout
        assert sending is not None
        assert receiving is not None
        with suppress(BrokenPipeError):  # it has ended; its last words say why
            print(function, file=sending, flush=True)
        if answer := receiving.readline():
            return float(answer)
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        raise ScratchnetError(f"does not run: {lines[-1] if lines else f'ended with {self._process.wait()}'}")


def _in_turns(running: Mapping[str, Contender], function: str, rounds: int) -> dict[str, list[float]]:
    """The seconds of each process in each round, as `timing.in_turns`; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds + 1):
        for name, contender in running.items():
            seconds[name].append(contender.seconds(function))
    return {name: values[1:] for name, values in seconds.items()}


def _functions(task: dict[str, Any], device: Device) -> Functions:
    """What the process of a task can be asked for. Nothing else refers to our weights when it runs a peer's."""
    training = Workload(**task["workload"]).prepare()
    if not task["embed"]:
        peer = peers.load(task["peer"], device)[task["number"]].build(training) if "peer" in task else training
        return {STEP: peer.step}
    images = array_module(training.a).concatenate([training.a, training.b])
    net = replace(training.net, frame=task.get("frame", "page"))
    embed = net.embed
    if "peer" in task:
        embedder = peers.load_embedders(task["peer"], device)[task["number"]]
        embed, images = embedder.build(net), embedder.upload(to_host(images))
    return {MANY: partial(embed, images), ONE: partial(embed, images[:1])}


def _serve(task: dict[str, Any]) -> None:
    device = get_device(task["workload"].get("device"))
    functions = _functions(task, device)
    for line in sys.stdin:
        start = now(device)
        functions[line.strip()]()
        print(now(device) - start, flush=True)


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
