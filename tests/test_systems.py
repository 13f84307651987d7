"""Other systems: features of Linux may be missing, and the environment may hold anything."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import TINY

import scratchnet
from scratchnet import backend
from scratchnet.backend import native
from scratchnet.bench import machine
from scratchnet.train import environment

PACKAGE = Path(scratchnet.__file__).parent

# A process in which `missing` has gone from the system, before anything of ours is loaded. Our files must name an
# encoding for every text, as that of the system is another on each.
WITHOUT = """
import builtins, importlib, os, signal, sys, time, warnings
warnings.filterwarnings("error", category=EncodingWarning, module="scratchnet")
import multiprocessing, pathlib, platform, subprocess, tempfile, threading, zipfile  # Python's own find all they need
import numpy, PIL.Image, tqdm
missing = {missing!r}
for name in missing:
    owner, _, attribute = name.partition(".")
    if not attribute:
        sys.modules[owner] = None  # an import of it fails
    elif hasattr(sys.modules[owner], attribute):
        delattr(sys.modules[owner], attribute)
if "/proc" in missing:
    import io
    opened = io.open
    def open(file, *arguments, **options):
        if str(file).startswith("/proc/"):
            raise FileNotFoundError(2, "No such file or directory", file)
        return opened(file, *arguments, **options)
    io.open = builtins.open = open
from scratchnet.__main__ import main
def run(*arguments):
    sys.argv = ["scratchnet", *arguments]
    code = main()
    assert code == 0, (arguments, code)
from scratchnet import oneshot
from scratchnet.bench import machine
from scratchnet.data import splits
splits.GLYPH_TRAIN, splits.GLYPH_VALIDATION, splits.GLYPH_TEST = 2, 1, 1
oneshot.BASELINES.clear()
machine.ROUNDS, machine.SGEMM_SIZE = 1, 64
run("train", "--out", "run", *{tiny!r})
run("train", "--out", "run", "--resume")
run("info")
run("evaluate", "run", "--on", "glyphs", "--trials", "20", "--no-baselines")
run("bench", "--network", "compact", "--image-size", "16", "--pairs", "2", "--rounds", "1", "--memory-peak")
assert os.path.exists("run/weights.npz")
print(threading.active_count(), "threads")
"""
WINDOWS = [
    "fcntl",
    "resource",
    "termios",
    "pwd",
    "grp",
    "os.fork",
    "os.register_at_fork",
    "os.sched_getaffinity",
    "os.sysconf",
    "os.getuid",
    "os.geteuid",
    "os.uname",
    "os.getpgid",
    "os.killpg",
    "os.setsid",
    "os.O_DIRECTORY",
    "os.O_NOFOLLOW",
    "os.O_NONBLOCK",
    "os.fchmod",
    "os.chown",
    "os.getloadavg",
    "os.pread",
    "signal.SIGHUP",
    "signal.SIGPIPE",
    "signal.SIGKILL",
    "signal.pthread_sigmask",
    "time.clock_gettime",
    "/proc",
]
MACOS = ["os.sched_getaffinity", "os.posix_fadvise", "os.O_TMPFILE", "msvcrt", "/proc"]
BARE = ["ctypes", "_ctypes", "fcntl", "msvcrt", "resource", "/proc", "os.sched_getaffinity", "os.cpu_count"]


@pytest.mark.parametrize("missing", [WINDOWS, MACOS, BARE], ids=["Windows", "macOS", "bare"])
def test_training_and_all_else_work_without_what_only_some_systems_have(missing, tmp_path):
    code = WITHOUT.format(missing=[name for name in missing if name != "os.cpu_count"], tiny=[*TINY, "--set=epochs=1"])
    environment = os.environ | {
        "PYTHONPATH": str(PACKAGE.parent),
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "SCRATCHNET_THREADS": "2",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", code],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "threads" in done.stdout


BINARY = {"rb", "wb", "ab", "xb", "r+b", "rb+"}


def calls_without_encoding(source):
    """The lines that open a text file in the default encoding of the system."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and "encoding" not in {keyword.arg for keyword in node.keywords}:
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            binary = any(isinstance(part, ast.Constant) and part.value in BINARY for part in ast.walk(node))
            opens = isinstance(called, ast.Name) and name in ("open", "fdopen") and not binary
            if (
                opens
                or name in ("read_text", "write_text")
                or "text" in {keyword.arg for keyword in node.keywords if name in ("run", "Popen", "check_output")}
            ):
                yield node.lineno


def test_every_text_file_is_opened_in_an_encoding_that_is_named():
    found = {path: list(calls_without_encoding(path.read_text(encoding="utf-8"))) for path in PACKAGE.rglob("*.py")}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_search_for_encodings_finds_those_that_are_missing():
    source = "open(a)\nopen(a, 'rb')\na.read_text()\na.read_text(encoding='utf-8')\nrun(a, text=True)\nopen(a, 'w')\n"
    assert list(calls_without_encoding(source)) == [1, 3, 5, 6]


@pytest.mark.parametrize("missing", [None, OSError, TypeError])
def test_openblas_and_the_c_library_are_left_alone_where_they_cannot_be_called(missing, monkeypatch, rng):
    class Ctypes:
        @staticmethod
        def CDLL(path):
            raise missing("no such library")

    native.library.cache_clear()
    backend.blas._openblas.cache_clear()
    monkeypatch.setattr(native, "ctypes", Ctypes if missing else None)
    try:
        assert backend.blas_kernels() is None
        backend.memory.keep_freed_memory.__wrapped__()
        assert backend.resident_memory() >= 0
        with backend.one_blas_thread():
            a = rng.random((3, 4))
            np.testing.assert_allclose(backend.product(a, a.T), a @ a.T)
        assert environment.blas()
    finally:
        native.library.cache_clear()
        backend.blas._openblas.cache_clear()


def test_no_proc_is_no_memory_and_a_processor_by_its_architecture(monkeypatch, tmp_path):
    monkeypatch.setattr(backend.memory, "STATM", tmp_path / "absent")
    monkeypatch.setattr(environment, "PROCESSORS", tmp_path / "absent")
    monkeypatch.setattr(machine, "STATUS", tmp_path / "absent")
    assert backend.resident_memory() == 0
    assert environment.processor()
    monkeypatch.setattr(machine, "resource", None)
    assert machine.peak_memory() is None


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"HOME": None, "OMP_NUM_THREADS": "many", "OPENBLAS_NUM_THREADS": "\u00b2", "COLUMNS": "wide"}, 0, ""),
        ({"HOME": os.devnull, "TMPDIR": "/nowhere", "XDG_CACHE_HOME": "relative", "OMP_NUM_THREADS": "-1"}, 0, ""),
        ({"SCRATCHNET_DATA": "~nosuchuser/x\x1b[31m"}, 0, ""),
        ({"SCRATCHNET_DEVICE": "rubbish"}, 0, ""),
        ({"SCRATCHNET_THREADS": "many"}, 2, "SCRATCHNET_THREADS=many: give a whole number"),
        ({"SCRATCHNET_PRECISION": "half\n"}, 2, "SCRATCHNET_PRECISION=half\\n: choose one of"),
    ],
)
def test_a_strange_environment_gives_a_default_or_one_line(variables, code, said, tmp_path):
    environment = os.environ | {name: value for name, value in variables.items() if value is not None}
    environment = {name: value for name, value in environment.items() if variables.get(name, "") is not None}
    gone = tmp_path / "gone"
    gone.mkdir()
    program = (
        f"import os, sys\nos.rmdir({str(gone)!r}) if os.name != 'nt' else None\nsys.argv[0] = 'scratchnet'\n"
        "from scratchnet.__main__ import main\nsys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "info"],
        cwd=gone,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=environment | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert (done.returncode, done.stderr.count("\n")) == (code, 1 if said else 0), done.stderr
    assert said in done.stderr
    assert "\x1b" not in done.stdout
