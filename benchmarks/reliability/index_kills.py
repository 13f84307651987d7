"""Kill the building of an index, and adding to one, at every operation on a file, and go on each time.

    python benchmarks/reliability/index_kills.py

A process is killed at its first operation, another at its second, and so on to the last; a write is cut in two. After
each kill the index answers as before it, or does not exist yet; the same call then finishes it, and the folder has the
same bytes as one that nothing stopped, and nothing else. Needs fork. With faiss installed, neighbours are kept too.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from operations import announced

from scratchnet.errors import DataError
from scratchnet.exchange.index import Array, add_to_index, build, build_index, open_index
from scratchnet.models.networks import compact

FAULT = 70  # the exit code of a process that an exception ended
FAISS = find_spec("faiss") is not None
NET = compact(seed=1, image_size=16, width=2, features=8)
build.SHARD_ROWS = 4
os.environ["SCRATCHNET_THREADS"] = "1"  # several threads make another graph of neighbours each time


def first(folder: Path) -> None:
    build_index(folder / "index", Array(folder / "first.npy"), NET, neighbours=FAISS)


def second(folder: Path) -> None:
    add_to_index(folder / "index", Array(folder / "second.npy"), device="cpu")


def killed(work: Callable[[Path], None], folder: Path, operation: int) -> bool:
    """Whether a process that does this work was killed at that operation, or came to its end before."""
    process = os.fork()
    if process == 0:
        code, count = FAULT, 0

        def kill_at(_name: str, half: Any) -> None:
            nonlocal count
            count += 1
            if count == operation:
                half()
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with announced(folder / "index", kill_at):
                work(folder)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"operation {operation}: exit code {code}")
    return code != 0


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "index").iterdir()}


def answers(folder: Path) -> tuple[int, list[int]] | None:
    """How many embeddings there are, and the best matches of one; None if there is no index yet."""
    try:
        index = open_index(folder / "index", device="cpu")
    except DataError as error:
        if "holds no index" in str(error) or "is not finished" in str(error):
            return None
        raise
    return len(index), index.nearest(np.load(folder / "first.npy")[:1], top=3)[0][0].tolist()


def kills_of(work: Callable[[Path], None], start: Path, folder: Path, stride: int) -> tuple[int, list[str]]:
    """How often the work was killed, and what was wrong after it. start: the folder to begin from, a copy each time."""
    shutil.copytree(start, folder)
    before = answers(folder)
    work(folder)
    expected, faults, operation, kills = content(folder), [], 1, 0
    after = answers(folder)
    while True:
        shutil.rmtree(folder)
        shutil.copytree(start, folder)
        if not killed(work, folder, operation):
            shutil.rmtree(folder)
            return kills, faults
        kills += 1
        try:
            if answers(folder) not in (before, after):
                faults.append(f"{work.__name__} at {operation}: the index has changed")
            try:
                work(folder)
            except DataError as error:  # it was killed when all was done
                if "holds an index" not in str(error):
                    raise
            if content(folder) != expected:
                faults.append(f"{work.__name__} at {operation}: other bytes, {sorted(content(folder))}")
        except Exception as error:
            faults.append(f"{work.__name__} at {operation}: {type(error).__name__}: {error}")
        operation += stride


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stride", type=int, default=1, help="kill at every N-th operation only")
    options = parser.parse_args()
    all_faults = []
    with tempfile.TemporaryDirectory() as name:
        start, folder = Path(name) / "start", Path(name) / "folder"
        start.mkdir()
        rng = np.random.default_rng(0)
        np.save(start / "first.npy", rng.random((14, 8), np.float32))
        np.save(start / "second.npy", rng.random((9, 8), np.float32))
        for work in (first, second):
            kills, faults = kills_of(work, start, folder, options.stride)
            print(f"{work.__name__}: {kills} kills, {len(faults)} faults")
            all_faults += faults
            if work is first:
                first(start)
    for fault in all_faults:
        print(fault)
    return 1 if all_faults else 0


if __name__ == "__main__":
    sys.exit(main())
