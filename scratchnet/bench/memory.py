"""The peak memory of a few training steps, measured in a separate process for each library.

That leaves every peer with its default allocator settings; in a shared process `train_step` would change them for all
(`backend.keep_freed_memory`). On a GPU it is the peak device memory, including what each library's pool retains.

    python -m scratchnet.bench.memory '{"workload": {"network": "compact", "pairs": 4}, "peer": "torch", "variant": 0}'
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from scratchnet.backend import Device, get_device
from scratchnet.bench import peers
from scratchnet.bench.child import run_module
from scratchnet.bench.machine import peak_memory_of
from scratchnet.bench.timing import Spread, in_turns
from scratchnet.bench.workload import Training, Workload
from scratchnet.errors import ScratchnetError

STEPS = 5
OURS = "scratchnet"


def in_own_processes(workload: Workload, against: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for scratchnet and for each variant of the peers: {"name", "peak_bytes", "ms"} or {"name", "problem"}."""
    device = get_device(workload.device)
    yield _in_own_process(OURS, {"workload": asdict(workload)})
    for peer in against:
        try:
            variants = peers.load(peer, device)
        except ScratchnetError as error:
            yield {"name": peer, "problem": str(error)}
            continue
        for number, variant in enumerate(variants):
            yield _in_own_process(variant.name, {"workload": asdict(workload), "peer": peer, "variant": number})


def _in_own_process(name: str, task: dict[str, Any]) -> dict[str, Any]:
    done = run_module("scratchnet.bench.memory", json.dumps(task))
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return {"name": name, "problem": f"does not run: {lines[-1]}"}
    return {"name": name, **json.loads(done.stdout.splitlines()[-1])}


def _measure(task: dict[str, Any]) -> dict[str, Any]:
    """Run the steps in this process."""
    workload = Workload(**task["workload"])
    device = get_device(workload.device)
    step, device_peak = _step(workload.prepare(), task, device)
    seconds = in_turns({OURS: step}, STEPS - 1, device)[OURS]
    peak = device_peak() if device_peak else peak_memory_of(step, device)
    return {"peak_bytes": peak, "ms": 1e3 * Spread.of(seconds).median}


def _step(
    training: Training, task: dict[str, Any], device: Device
) -> tuple[Callable[[], object], Callable[[], int] | None]:
    """The step to run, and a function for the peak device memory of a peer, if it has one.

    Nothing else refers to `training`, so that a peer's process does not keep our weights.
    """
    if "peer" not in task:
        return training.step, None
    variant = peers.load(task["peer"], device)[task["variant"]]
    return variant.build(training).step, variant.device_peak


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(sys.argv[1]))))
