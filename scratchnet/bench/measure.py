"""The sections of a benchmark, as plain values for JSON, yielded as they are measured."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from scratchnet.bench import peers
from scratchnet.bench.machine import Machine, Rates, peak_memory_of
from scratchnet.bench.memory import OURS, in_own_processes
from scratchnet.bench.profile import Part, Pass, profile
from scratchnet.bench.timing import Spread, in_turns, ratio
from scratchnet.bench.workload import Training, Workload
from scratchnet.common.version import CODE
from scratchnet.errors import ScratchnetError
from scratchnet.models.networks import parameter_count
from scratchnet.models.siamese import SiameseNet

MILLI, GIGA = 1e3, 1e-9


def sections(
    workload: Workload, rounds: int, *, against: Sequence[str] = (), memory_peak: bool = False
) -> Iterator[tuple[str, Any]]:
    """(name, figures) of each section, as they are measured. Raises ScratchnetError for an invalid workload."""
    training = workload.prepare()
    net = training.net
    yield from heading(workload, net, against)
    if memory_peak:  # first, while this process is small: the machine may not have memory for both
        yield "memory", list(in_own_processes(workload, against))
    rates = Rates.of(net.device)
    yield "sgemm", {"gflops": rates.sgemm * GIGA, "size": rates.size}
    if rates.copy:
        yield "copy", {"gigabytes_per_second": rates.copy * GIGA}
    seconds = in_turns({OURS: training.step}, rounds, net.device)[OURS]
    yield (
        "step",
        {
            **milliseconds(seconds),
            "rounds": rounds,
            "images_per_second": 2 * workload.pairs / Spread.of(seconds).median,
            "peak_bytes": peak_memory_of(training.step, net.device),
        },
    )
    yield "layers", [_row(part, rates) for part in profile(training, rounds)]
    if against:
        yield "peers", compare(training, rounds, against=against)
        if any(variant.compiled for variant in _variants(training, against)):  # last, since it may take minutes
            yield "compiled peers", compare(training, rounds, against=against, compiled=True)


def heading(workload: Workload, net: SiameseNet, against: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The sections on the workload and the machine. Raises ScratchnetError for a peer that does not run there."""
    peers.expect_on(net.device, against)
    yield "code", CODE
    yield (
        "workload",
        {
            "network": workload.network,
            "image_size": net.image_size,
            "pairs": workload.pairs,
            "parameters": parameter_count(net.params),
            "dtype": net.params["head.weight"].dtype.name,
            "device": net.device.name,
            "precision": workload.precision,
        },
    )
    yield "machine", asdict(Machine.this(net.device))


def _variants(training: Training, against: Sequence[str]) -> Iterator[peers.Variant]:
    """The variants of all peers that load."""
    for name in against:
        with suppress(ScratchnetError):
            yield from peers.load(name, training.net.device)


def compare(
    training: Training,
    rounds: int,
    *,
    against: Sequence[str],
    only: Sequence[str] | None = None,
    compiled: bool = False,
) -> list[dict[str, Any]]:
    """Time our step and those of the peers, interleaved, with ratios of our time to theirs. Ours is the first row.

    compiled: time the compiled variants instead of the others. only: restrict them to names with one of these endings.
    A row that could not be timed has a "problem" instead, and is marked "failed" if it computes something else.
    """
    steps: dict[str, Callable[[], float]] = {OURS: training.step}
    rows: list[dict[str, Any]] = []
    for name in against:
        try:
            variants = peers.load(name, training.net.device)
        except ScratchnetError as error:
            if not compiled:
                rows.append({"name": name, "problem": str(error)})
            continue
        for variant in variants:
            if variant.compiled != compiled or (only is not None and not variant.name.endswith(tuple(only))):
                continue
            row: dict[str, Any] = {"name": variant.name, "note": variant.note}
            rows.append(row)
            try:
                peer, difference = peers.build(variant, training)
            except ScratchnetError as error:
                row["problem"] = str(error)
                continue
            row |= {"loss_difference": difference.loss, "gradient_difference": difference.gradients}
            if variant.lower_precision or difference.is_rounding(variant.precision, training.precision):
                steps[variant.name] = peer.step
            else:
                row |= {"problem": _disagreement(difference), "failed": True}
    seconds = in_turns(steps, rounds, training.net.device)
    for row in rows:
        if row["name"] in seconds:
            theirs = seconds[row["name"]]
            row |= milliseconds(theirs) | {"ratio": ratio(seconds[OURS], theirs)._asdict()}
    return [{"name": OURS, "note": "", **milliseconds(seconds[OURS])}, *rows]


def _disagreement(off: peers.Difference) -> str:
    return f"computes something else: loss off by {off.loss:.0e}, gradients by {off.gradients:.0e}; not timed"


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    return {f"{name}_ms": MILLI * value for name, value in Spread.of(seconds)._asdict().items()}


def _row(part: Part, rates: Rates) -> dict[str, Any]:
    ways = [way for way in (part.forward, part.backward) if way]
    whole = Pass(*(sum(figures) for figures in zip(*ways, strict=True)))
    rate = whole.flop / whole.seconds if whole.flop else None
    return {
        "name": part.name,
        "forward_ms": MILLI * part.forward.seconds if part.forward else None,
        "backward_ms": MILLI * part.backward.seconds,
        "forward_gflop": GIGA * part.forward.flop if part.forward else None,
        "backward_gflop": GIGA * part.backward.flop,
        "gflops": GIGA * rate if rate else None,
        "share_of_sgemm": rate / rates.sgemm if rate else None,
        "gigabytes": whole.bytes * GIGA if whole.bytes else None,
        "share_of_copy": whole.bytes / whole.seconds / rates.copy if whole.bytes and rates.copy else None,
        "algorithm": part.algorithm,
    }
