"""Damaged files by the thousand: refused in one line, or read as they were; quickly, and in little memory.

    python benchmarks/reliability/mutations.py                  # 20,000 checkpoints and as many data files
    python benchmarks/reliability/mutations.py --count 200      # the short form, which the tests run
    python benchmarks/reliability/mutations.py --real 4000      # directories of one of Lake's zips, in SCRATCHNET_DATA
    python benchmarks/reliability/mutations.py --again omniglot 1234     # one of them, with the traceback

Some are damaged as disks and lines damage files, others forged with right checksums. A forged file can say something
else than the one it was made of, and so can a damaged one of a format without checksums: idx, JSON, pictures. Those
are counted as "altered"; of any other file that would be a fault. Checkpoints, zips and gzip have checksums.
"""

import argparse
import hashlib
import json
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mutators import damage, forge_json, forge_png, forge_zip, relist
from subjects import CHECKPOINTS, DATA, REAL, Subject, make

from scratchnet.errors import LONGEST, ScratchnetError

MORE_MEMORY, MORE_SECONDS = 64 << 20, 1.0  # than the file that was damaged takes
HANGS = 60  # seconds
FORGE = {"zip": forge_zip, "json": forge_json, "png": forge_png}
OUTCOMES = SAME, REFUSED, ALTERED = "same", "refused", "altered"
WATERMARK, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def mutant(subject: Subject, content: bytes, seed: int, number: int) -> tuple[bytes, bool]:
    """A damaged or forged file, and whether it may say something else."""
    rng = random.Random(f"{seed} {subject.name} {number}")
    if subject.forged_as == "directory":
        return relist(content, rng), False
    if subject.forged_as and rng.random() < 0.4:
        return FORGE[subject.forged_as](content, rng), True
    return damage(content, rng), not subject.checksums


def judge(subject: Subject, path: Path, digest: str, may_differ: bool) -> str:
    """Load the file at `path`: one of SAME, REFUSED and ALTERED, or what is wrong."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = subject.load(path)
    except ScratchnetError as error:
        message = str(error)
        return REFUSED if message.isprintable() and len(message) <= 2 * LONGEST else f"message {message!r:.300}"
    except BaseException as error:
        return f"stray {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if caught:
        return f"warning {caught[0].message!s:.200}"
    if found == digest:
        return SAME
    return ALTERED if may_differ else "silently different"


def measured(function: Any) -> tuple[Any, float, int | None]:
    """What a function returns, its seconds, and the bytes that it took at most, where the system says."""
    before = _reset_peak()
    started = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - started
    return result, seconds, None if before is None else max(0, _status("VmHWM") - before)


def _reset_peak() -> int | None:
    try:
        WATERMARK.write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def work(subjects: Sequence[Subject], seed: int, count: int, first: int) -> None:
    """Judge mutants `first` to `count` of the first subject, and all of the others; prints a line for each."""
    for subject in subjects:
        with tempfile.TemporaryDirectory() as folder:
            honest = make(subject, Path(folder))
            content = honest.read_bytes()
            target = subject.target(Path(folder))
            digest = subject.load(target)
            usual = [measured(lambda: subject.load(target)) for _ in range(5)]  # noqa: B023
            allowed_seconds = MORE_SECONDS + sorted(seconds for _, seconds, _ in usual)[2]
            allowed_bytes = MORE_MEMORY + max(taken or 0 for *_, taken in usual)
            for number in range(first, count):
                changed, may_differ = mutant(subject, content, seed, number)
                honest.write_bytes(changed)
                for _ in range(2):  # once more where it was slow: this machine may have been busy
                    outcome, seconds, taken = measured(lambda: judge(subject, target, digest, may_differ))  # noqa: B023
                    if seconds <= allowed_seconds:
                        break
                else:
                    outcome = f"slow, {seconds:.1f} s ({outcome})"
                if taken is not None and taken > allowed_bytes + len(changed):
                    outcome = f"large, {taken >> 20} MB ({outcome})"
                print(subject.name, number, f"{seconds:.4f}", -1 if taken is None else taken, outcome, flush=True)
        first = 0


@dataclass
class Tally:
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    bytes: int = 0


def run(subjects: Sequence[Subject], seed: int, count: int) -> dict[str, Tally]:
    """Judge `count` mutants of each in a process that is watched; where it hangs or dies, another goes on."""
    tallies = {subject.name: Tally() for subject in subjects}
    left, first = list(subjects), 0
    while left:
        names = ",".join(subject.name for subject in left)
        command = [sys.executable, __file__, "--work", names, str(seed), str(count), str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as worker:
            for line in _lines(worker):
                name, number, seconds, taken, outcome = line.rstrip("\n").split(" ", 4)
                left = left[[subject.name for subject in left].index(name) :]
                first, tally = int(number) + 1, tallies[name]
                tally.seconds, tally.bytes = max(tally.seconds, float(seconds)), max(tally.bytes, int(taken))
                tally.outcomes[outcome if outcome in OUTCOMES else "fault"] += 1
                if outcome not in OUTCOMES:
                    tally.faults.append(f"{name} {number}: {outcome}")
        if first >= count:
            left, first = left[1:], 0
        if not worker.returncode:
            break
        if left:
            tallies[left[0].name].faults.append(f"{left[0].name} {first}: the process ended with {worker.returncode}")
            tallies[left[0].name].outcomes["fault"] += 1
            first += 1
    return tallies


def _lines(worker: subprocess.Popen[str]) -> Iterator[str]:
    """What a process prints, until it ends or says nothing for too long."""
    assert worker.stdout
    while True:
        alarm = threading.Timer(HANGS, worker.kill)
        alarm.start()
        line = worker.stdout.readline()
        alarm.cancel()
        if not line:
            return
        yield line


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20_000, help="of checkpoints, and of data files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=int, default=0, metavar="N", help="of a zip of Lake's, instead")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--again", nargs=2, metavar=("SUBJECT", "NUMBER"), help="load one mutant, with the traceback")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    subjects = {subject.name: subject for subject in (*CHECKPOINTS, *DATA, *REAL)}
    if options.work:
        names, *numbers = options.work
        work([subjects[name] for name in names.split(",")], *map(int, numbers))
        return 0
    if options.again:
        return again(subjects[options.again[0]], options.seed, int(options.again[1]))
    plan = {REAL: options.real} if options.real else {CHECKPOINTS: options.count, DATA: options.count}
    tallies: dict[str, Tally] = {}
    for group, count in plan.items():
        for name, tally in run(group, options.seed, -(-count // len(group))).items():
            counts = ", ".join(f"{tally.outcomes[kind]:,} {kind}" for kind in (*OUTCOMES, "fault"))
            print(
                f"{name:10} {tally.outcomes.total():6,} files: {counts}; at most {tally.seconds:.2f} s and "
                f"{tally.bytes >> 20} MB",
                *tally.faults[:20],
                sep="\n    ",
                flush=True,
            )
            tallies[name] = tally
    faults = sum(len(tally.faults) for tally in tallies.values())
    print(f"{faults} faults, Python {platform.python_version()}, seed {options.seed}")
    if options.json:
        options.json.write_text(json.dumps({name: vars(tally) for name, tally in tallies.items()}, indent=2) + "\n")
    return 1 if faults else 0


def again(subject: Subject, seed: int, number: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        honest = make(subject, Path(folder))
        changed, may_differ = mutant(subject, honest.read_bytes(), seed, number)
        honest.write_bytes(changed)
        print(f"{len(changed):,} bytes, {hashlib.sha256(changed).hexdigest()[:12]}, may differ: {may_differ}")
        try:
            print(subject.load(subject.target(Path(folder))))
        except BaseException:
            traceback.print_exc()
    return 0


if __name__ == "__main__":
    sys.exit(main())
