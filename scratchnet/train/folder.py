"""The folder of a run: one process at a time, and no leftovers of a killed one."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scratchnet.checkpoint import WEIGHTS
from scratchnet.files.atomic import sweep
from scratchnet.files.locks import locked

STATE, RECIPE, LOG, TABLE, LOCK = "state.npz", "recipe.json", "log.jsonl", "log.csv", ".lock"


@contextmanager
def run_folder(out: Path) -> Iterator[None]:
    """Make the folder if necessary, lock it, and remove the temporary files of its last process.

    Folders that are made here and stay empty are removed again. Raises InUseError when another process holds the lock.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / LOCK, str(out), "wait until it is done, or name another folder with --out"):
            for name in (RECIPE, STATE, WEIGHTS, LOG, TABLE):
                sweep(out, name)
            yield
    finally:
        with suppress(OSError):
            for folder in made:
                folder.rmdir()
