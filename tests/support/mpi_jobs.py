"""Jobs of several processes, started by mpiexec; tests that need it are skipped without mpi4py."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(sys.executable).parent  # where pip puts mpiexec, active environment or not
PATH = f"{HERE}{os.pathsep}{os.environ.get('PATH', '')}"
MPIEXEC = shutil.which("mpiexec", path=PATH) or ""
AS_IN_A_CONTAINER = {  # Open MPI refuses root, and more processes than processors, unless told otherwise
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "SCRATCHNET_THREADS": "1",
}
needs_mpi = pytest.mark.skipif(
    not MPIEXEC or importlib.util.find_spec("mpi4py") is None,
    reason='needs mpi4py and mpiexec: in your clone, pip install -e ".[mpi]"',
)


class Job(NamedTuple):
    """How a job ended, and what it and mpiexec printed."""

    code: int
    out: str
    err: str


def run_job(ranks, *arguments, cwd=None, timeout=600):
    """Runs Python with these arguments on so many ranks."""
    done = subprocess.run(
        [MPIEXEC, "-n", str(ranks), sys.executable, *map(str, arguments)],
        env={**os.environ, **AS_IN_A_CONTAINER, "PYTHONPATH": str(Path(__file__).parent)},
        cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    return Job(done.returncode, done.stdout, done.stderr)
