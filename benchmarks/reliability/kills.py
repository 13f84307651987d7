"""Kill a training at random moments, go on each time, and compare the end with that of a run that nothing stopped.

    python benchmarks/reliability/kills.py --kills 1000

Half of the kills come at a random time, half at a random operation on a file, a write being cut in two. Most are
SIGKILL, the others SIGTERM, SIGINT and SIGHUP. After each, the state must load and be no older than the last that was
saved; after the next start nothing may be left of the killed process; the end must have the same bits. Needs fork.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from operations import announced
from tiny import FILES, TRAINING, outcome, tiny_split

from scratchnet.checkpoint import load_arrays
from scratchnet.data.splits import Split
from scratchnet.train import STATE, Interrupted, exit_code, loop, train
from scratchnet.train.state import TrainingRun

SIGNALS = [signal.SIGKILL] * 7 + [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
FAULT = 70  # the exit code of a process that an exception ended
OPERATIONS = 600  # the last that a kill is drawn for


@dataclass
class Tally:
    """What has happened so far."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    faults: list[str] = field(default_factory=list)


class Harness:
    """Runs of one tiny training, in processes forked from this one, which has imported everything."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng, self.split = folder, random.Random(seed), tiny_split()
        started = time.monotonic()
        self._wait(self._start("whole", None, 0))
        self.seconds = time.monotonic() - started
        self.expected = outcome(folder / "whole")

    def kill_and_go_on(self, tally: Tally) -> None:
        """One run, killed again and again until it comes to its end."""
        name = f"run-{tally.runs}"
        tally.runs += 1
        before = (0, 0)
        while True:
            number = self.rng.choice(SIGNALS)
            at_operation = self.rng.random() < 0.5
            operation = self.rng.randrange(1, OPERATIONS) if at_operation else 0
            process = self._start(name, number, operation)
            if not at_operation:
                time.sleep(self.rng.uniform(0, 0.8 * self.seconds))
                os.kill(process, number)
            code = self._wait(process)
            before = self._check(name, number, code, before, tally)
            if code == FAULT:
                return
            if code == 0:
                if outcome(self.folder / name) != self.expected:
                    tally.faults.append(f"{name} ended with other bits")
                return
            tally.kills[signal.Signals(number).name + (" at an operation" if at_operation else "")] += 1

    def _check(self, name: str, number: int, code: int, before: tuple[int, int], tally: Tally) -> tuple[int, int]:
        """Where the run stands, (epoch, step); the faults go to the tally."""
        out, fault = self.folder / name, tally.faults.append
        allowed = {0, -number} if number == signal.SIGKILL else {0, -number, 128 + number}
        if code not in allowed:
            fault(f"{name}: exit code {code} after {signal.Signals(number).name}")
        if text := self._stderr(name).read_text():
            fault(f"{name}: {text}")
        diary = self._diary(name).read_text().splitlines()
        saved = [tuple(json.loads(line)) for line in diary if line.startswith("[")]
        faults = [line for line in diary if not line.startswith("[")]
        tally.faults += faults
        reached = max([before, *saved])
        try:
            position = self._position(out)
        except Exception as error:
            fault(f"{name}: the state does not load: {error}")
            return reached
        if position < reached:
            fault(f"{name}: saved up to {reached}, and the state is of {position}")
        if code in (0, 128 + number) and (left := {path.name for path in out.iterdir()} - FILES if out.exists() else 0):
            fault(f"{name}: {left} left after an orderly end")
        return position

    @staticmethod
    def _position(out: Path) -> tuple[int, int]:
        if not (out / STATE).exists():
            return 0, 0
        notes = load_arrays(out / STATE)[1]
        return notes["epoch"], notes["step"]

    def _diary(self, name: str) -> Path:
        return self.folder / f"{name}.diary"

    def _stderr(self, name: str) -> Path:
        return self.folder / f"{name}.stderr"

    def _start(self, name: str, number: int | None, operation: int) -> int:
        """A process that trains, and kills itself with signal `number` at that operation unless it is 0."""
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            code = FAULT
            try:
                error = os.open(self._stderr(name), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
                os.dup2(error, 2)
                code = _train(self.folder / name, self.split, self._diary(name), number, operation)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        return process

    @staticmethod
    def _wait(process: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _train(out: Path, split: Split, diary: Path, number: int | None, operation: int) -> int:
    """Train, or go on, saving after every step; the exit code of `scratchnet train`."""
    count = 0
    os.environ["SCRATCHNET_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where this runs in the background
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and under nohup
    diary.write_text("")

    def kill_at(_name: str, half: Any) -> None:
        nonlocal count
        count += 1
        if count == operation and number is not None:
            if number == signal.SIGKILL:  # after any other the operation goes on
                half()
            os.kill(os.getpid(), number)

    with announced(out, kill_at) if operation else nullcontext(), _in_diary(diary):
        try:
            resume = (out / STATE).exists()
            train(TRAINING, split, out, device="cpu", resume=resume, quiet=True, save_every=1e-9)
        except (Interrupted, KeyboardInterrupt) as stop:
            return exit_code(stop)
    return 0


@contextmanager
def _in_diary(diary: Path) -> Iterator[None]:
    """Every position that was saved, and whatever a killed process left behind and its successor did not sweep."""
    save, run_folder = TrainingRun.save, loop.run_folder
    descriptor = os.open(diary, os.O_WRONLY | os.O_APPEND)

    def note(line: str) -> None:
        os.pwrite(descriptor, f"{line}\n".encode(), 0)  # O_APPEND; and pwrite is no operation that is announced

    def noted_save(run: TrainingRun) -> None:
        save(run)
        note(json.dumps([run.progress.epoch, run.progress.step]))

    @contextmanager
    def noted_folder(out: Path) -> Iterator[None]:
        with run_folder(out):
            if left := set(os.listdir(out)) - FILES - {".lock"}:
                note(f"{out.name}: {sorted(left)} left after the next start")
            yield

    with mock.patch.object(TrainingRun, "save", noted_save), mock.patch.object(loop, "run_folder", noted_folder):
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work, such as another file system (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        harness, tally = Harness(Path(folder), options.seed), Tally()
        while sum(tally.kills.values()) < options.kills:
            harness.kill_and_go_on(tally)
            print(
                f"\r{sum(tally.kills.values())} kills, {tally.runs} runs, {len(tally.faults)} faults",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)
    for fault in tally.faults:
        print(fault)
    kills = ", ".join(f"{count} {name}" for name, count in sorted(tally.kills.items()))
    print(f"{sum(tally.kills.values())} kills ({kills}) in {tally.runs} runs: {len(tally.faults)} faults")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
