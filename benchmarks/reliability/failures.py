"""Let the k-th operation on files fail, for every k, and see what is left.

    python benchmarks/reliability/failures.py

Saving a network, starting and resuming a training, and a download, each with ENOSPC, EIO and EACCES, once for a single
failure and once for one that lasts. Each must end well or with one clean line; what was there before must still load;
the next attempt must come to the same end as if nothing had failed, and leave nothing else behind.
"""

import argparse
import contextlib
import errno
import functools
import gc
import hashlib
import io
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from local_server import Served
from operations import announced
from tiny import FILES, TRAINING, outcome, tiny_split

from scratchnet.checkpoint import load_arrays, load_model, save_model
from scratchnet.cli import main as scratchnet
from scratchnet.cli import training
from scratchnet.data import download as downloads
from scratchnet.errors import ScratchnetError
from scratchnet.models.networks import compact
from scratchnet.oneshot.baselines import BASELINES
from scratchnet.train import STATE, Interrupted, loop, train
from scratchnet.train.signals import Stop

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
SHORT = replace(TRAINING, epochs=1, steps=2, validation_trials=5)
UNDO = {"unlink", "rmdir", "close", "stat", "flock"}  # where these fail, something may stay until the next attempt


class Scenario:
    """Something to be done in a folder, that can be tried again."""

    def prepare(self, folder: Path) -> None:
        """Put in place what was there before."""

    def act(self, folder: Path) -> str:
        """Do it; returns what is said on failure, "" for success. Only clean errors may become text."""
        raise NotImplementedError

    def sound(self, folder: Path) -> bool:
        """Whether what is there can be used, whether or not it was done."""
        raise NotImplementedError

    def done(self, folder: Path) -> bool:
        """Whether it was done, and nothing else is left."""
        raise NotImplementedError


class SavingANetwork(Scenario):
    def __init__(self) -> None:
        self.old, self.new = (compact(seed=seed, image_size=16, width=2, features=8) for seed in (1, 2))

    def prepare(self, folder: Path) -> None:
        save_model(folder / "net.npz", self.old)

    def act(self, folder: Path) -> str:
        try:
            save_model(folder / "net.npz", self.new)
        except (OSError, ScratchnetError) as error:
            return f"{error}\n"
        return ""

    def sound(self, folder: Path) -> bool:
        return self._holds(folder, self.old) or self._holds(folder, self.new)

    def done(self, folder: Path) -> bool:
        return self._holds(folder, self.new) and os.listdir(folder) == ["net.npz"]

    @staticmethod
    def _holds(folder: Path, net: Any) -> bool:
        params = load_model(folder / "net.npz").params
        return all(params[name].tobytes() == value.tobytes() for name, value in net.params.items())


class StartingATraining(Scenario):
    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            train(SHORT, self._split(), Path(folder) / "run", device="cpu", quiet=True)
            self.expected = outcome(Path(folder) / "run")

    @staticmethod
    @functools.cache
    def _split() -> Any:
        return tiny_split()

    def prepare(self, folder: Path) -> None:
        self.resume = False

    def act(self, folder: Path) -> str:
        resume = ["--resume"] if self.resume else []
        said, printed = io.StringIO(), io.StringIO()
        with (
            mock.patch.object(training, "load_split", return_value=self._split()),
            mock.patch.object(training, "_recipe", return_value=SHORT),
            mock.patch.dict(BASELINES, clear=True),
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(printed),
        ):
            code = scratchnet(["train", "--out", str(folder / "run"), "--json", "--save-every", "1e-9", *resume])
        if code not in (0, 2) or (code == 2) != bool(said.getvalue()):
            raise AssertionError(f"exit code {code}, {said.getvalue()!r}")
        return said.getvalue()

    def sound(self, folder: Path) -> bool:
        self.resume = (folder / "run" / STATE).exists()
        if not self.resume:
            return set(os.listdir(folder)) <= {"run"}
        load_arrays(folder / "run" / STATE)
        return True

    def done(self, folder: Path) -> bool:
        return outcome(folder / "run") == self.expected


class ResumingATraining(StartingATraining):
    """From a state within an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.half = Path(self.folder.name) / "run"
        stop = contextlib.nullcontext(Stop(signal.SIGINT))
        with mock.patch.object(loop, "stop_requests", return_value=stop), contextlib.suppress(Interrupted):
            train(SHORT, self._split(), self.half, device="cpu", quiet=True)

    def prepare(self, folder: Path) -> None:
        shutil.copytree(self.half, folder / "run")
        self.resume = True

    def sound(self, folder: Path) -> bool:
        return super().sound(folder) and self.resume


class Downloading(Scenario):
    """An archive of which a part is there already."""

    NAME, CONTENT = "all_runs.zip", bytes(range(256)) * 1000

    def prepare(self, folder: Path) -> None:
        (folder / f"{self.NAME}.part").write_bytes(self.CONTENT[:70_000])

    def act(self, folder: Path) -> str:
        archive = downloads.Archive(self.NAME, len(self.CONTENT), hashlib.sha256(self.CONTENT).hexdigest(), None)
        try:
            with Served(self.CONTENT) as url, mock.patch.dict(downloads.ARCHIVES, {self.NAME: archive}):
                downloads.download(folder, names=[self.NAME], base_url=url)
        except (OSError, ScratchnetError) as error:
            return f"{error}\n"
        return ""

    def sound(self, folder: Path) -> bool:
        final = folder / self.NAME
        return not final.exists() or final.read_bytes() == self.CONTENT

    def done(self, folder: Path) -> bool:
        left = set(os.listdir(folder)) - {f".{self.NAME}.lock"}  # which stays, released, where it cannot be deleted
        return left == {self.NAME} and self.sound(folder)


class DownloadingOverADamagedFile(Downloading):
    def prepare(self, folder: Path) -> None:
        (folder / self.NAME).write_bytes(b"damaged")

    def sound(self, folder: Path) -> bool:
        final = folder / self.NAME
        return not final.exists() or final.read_bytes() in (self.CONTENT, b"damaged")


SCENARIOS: tuple[type[Scenario], ...] = (
    SavingANetwork,
    StartingATraining,
    ResumingATraining,
    Downloading,
    DownloadingOverADamagedFile,
)


@dataclass
class Tally:
    attempts: int = 0
    failed: int = 0  # with one clean line
    operations: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class FailAt:
    """Lets operation number k fail, and the later ones where it lasts."""

    def __init__(self, k: int, code: int, lasting: bool) -> None:
        self.k, self.code, self.lasting, self.count, self.operation = k, code, lasting, 0, ""

    def __call__(self, name: str, _half: Callable[[], object]) -> None:
        self.count += 1
        if self.count == self.k:
            self.operation = name
        if self.count == self.k or (self.lasting and self.count > self.k):
            raise OSError(self.code, os.strerror(self.code))


@contextlib.contextmanager
def stray_exceptions() -> Iterator[list[str]]:
    """What Python prints about errors that nobody can catch, unclosed files among them."""
    strays: list[str] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: strays.append(f"{unraisable.exc_type.__name__}: {unraisable.exc_value}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield strays
            gc.collect()
    finally:
        sys.unraisablehook = hook


def attempt(scenario: Scenario, fail: FailAt, tally: Tally) -> None:
    """One failure, and the attempt after it; what goes wrong goes to the tally."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario.prepare(folder)
        before = fail.k and f"{type(scenario).__name__}, {errno.errorcode[fail.code]} at operation {fail.k}"
        said, problem = "", ""
        try:
            with stray_exceptions() as strays, announced(folder, fail):
                said = scenario.act(folder)
            if strays:
                problem = f"stray exceptions {strays}"
            elif said.count("\n") > 1:
                problem = f"more than a line: {said!r}"
            elif not scenario.sound(folder):
                problem = f"left unsound: {sorted(map(str, folder.rglob('*')))}"
            elif not said and not scenario.done(folder) and not fail.operation:
                problem = "not done without a failure"
            elif said and not fail.lasting and fail.operation not in UNDO and _litter(folder):
                problem = f"litter: {_litter(folder)}"
            elif again := scenario.act(folder):
                problem = f"the next attempt fails: {again}"
            elif not scenario.done(folder):
                problem = f"the next attempt ends otherwise: {sorted(path.name for path in folder.rglob('*'))}"
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        tally.attempts += 1
        tally.failed += bool(said)
        tally.operations[fail.operation] += 1
        if problem:
            lasting = ", lasting" if fail.lasting else ""
            tally.faults.append(f"{before} ({fail.operation}{lasting}): {problem}")


def _litter(folder: Path) -> list[str]:
    """Files that belong to nothing; a part file is to be gone on with."""
    known = FILES | {"run", "net.npz", Downloading.NAME, f"{Downloading.NAME}.part"}
    return [path.name for path in folder.rglob("*") if path.name not in known]


def count_operations(scenario: Scenario) -> int:
    never = FailAt(0, errno.EIO, False)
    tally = Tally()
    attempt(scenario, never, tally)
    if tally.faults:
        raise AssertionError(tally.faults[0])
    return never.count


def let_all_fail(scenario: Scenario, tally: Tally, stride: int = 1) -> int:
    """Every operation in turn, or every so many; returns how many there are."""
    operations = count_operations(scenario)
    cases = [(k, code, lasting) for k in range(1, operations + 1) for code in ERRORS for lasting in (False, True)]
    for k, code, lasting in cases[::stride]:
        attempt(scenario, FailAt(k, code, lasting), tally)
    return operations


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stride", type=int, default=1, help="try one case in so many")
    names = [kind.__name__ for kind in SCENARIOS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="some of the scenarios")
    options = parser.parse_args()
    gc.collect()
    gc.freeze()
    faults = 0
    for kind in (kind for kind in SCENARIOS if kind.__name__ in options.only):
        tally = Tally()
        operations = let_all_fail(kind(), tally, options.stride)
        print(
            f"{kind.__name__}: {operations} operations, {tally.attempts} failures, {tally.failed} reported in one "
            f"clean line, the others overcome; {len(tally.faults)} faults",
            flush=True,
        )
        for fault in tally.faults:
            print(f"  {fault}", flush=True)
        faults += len(tally.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
