"""Signals outside of training: the shell's code, one line or none, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import scratchnet

PACKAGES = str(Path(scratchnet.__file__).parents[1])
DEADLINE = 60  # seconds after which a process is taken to hang
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals")
SENT = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


def start(folder, *arguments, program=("-m", "scratchnet"), **environment):
    """A command in a separate process, with its temporary files and cache in `folder`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCRATCHNET")} | environment
    environment |= {"PYTHONPATH": os.pathsep.join([str(folder), PACKAGES]), "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
        cwd=folder,
    )


def ending(process):
    """The exit code as a shell reports it, and stderr."""
    _, said = process.communicate(timeout=DEADLINE)
    code = process.returncode
    return (128 - code if code < 0 else code), said


INTERRUPTING = """
import os, signal, sys
class Interrupting:
    left = {place}
    def find_spec(self, name, path=None, target=None):
        if name == "scratchnet.cli" or Interrupting.begun:
            Interrupting.begun = True
            Interrupting.left -= 1
            if Interrupting.left == 0:
                os.kill(os.getpid(), signal.{name})
    begun = False
sys.meta_path.insert(0, Interrupting())
"""


MODULE, SCRIPT = ("-m", "scratchnet"), ("-c", "from scratchnet.__main__ import main; main()")


@pytest.mark.parametrize(("place", "program"), [(1, MODULE), (1, SCRIPT), (60, MODULE), (150, SCRIPT), (280, MODULE)])
def test_an_interrupt_in_any_import_gives_130_without_a_traceback(place, program, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING.format(place=place, name="SIGINT"), encoding="utf-8")
    assert ending(start(tmp_path, "info", program=program)) == (130, "")


WAITING = """
import os, time
import scratchnet.cli.{module} as module
import scratchnet.files.atomic
def wait(*_, **__):
    with scratchnet.files.atomic.atomic_write("half-written"):
        open("ready", "w").close()
        time.sleep(60)
module.{function} = wait
import sys
from scratchnet.__main__ import main
sys.exit(main())
"""
COMMANDS = {
    "evaluate": ("evaluation", "load_model_with_notes", ["evaluate", "omniglot", "--on", "glyphs"]),
    "classify": ("options", "load_bundled", ["classify", "q.png", "--support", "."]),
    "gradcheck": ("gradcheck", "with_progress", ["gradcheck"]),
    "download": ("info", "fetch", ["download", "."]),
}


def appears(path):
    until = time.monotonic() + DEADLINE
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return path.exists()


@pytest.mark.parametrize(
    ("command", "name"),
    [(command, "SIGTERM") for command in COMMANDS] + [("evaluate", "SIGHUP"), ("download", "SIGINT")],
)
def test_a_signal_in_any_command_ends_it_with_its_code_and_leaves_no_temporary_file(command, name, tmp_path):
    module, function, arguments = COMMANDS[command]
    program = ("-c", WAITING.format(module=module, function=function))
    process = start(tmp_path, *arguments, program=program)
    assert appears(tmp_path / "ready"), ending(process)
    process.send_signal(getattr(signal, name))
    code, said = ending(process)
    assert code == SENT[name]
    assert said in ("", "scratchnet: interrupted\n")
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("_")] == ["ready"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(name, tmp_path):
    ignoring = f"import signal; signal.signal(signal.{name}, signal.SIG_IGN)\n"
    program = ("-c", ignoring + WAITING.format(module="gradcheck", function="with_progress").replace("60", "1"))
    process = start(tmp_path, "gradcheck", "--method", "complex", program=program)
    assert appears(tmp_path / "ready"), ending(process)
    process.send_signal(getattr(signal, name))
    assert "NoneType" in ending(process)[1]  # it went on, with what `wait` returned


CHILD = """
import os, sys, time
open(f"child-{os.getpid()}", "w").close()
time.sleep(60)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_bench_leaves_no_process_behind(name, tmp_path):
    (tmp_path / "slow.py").write_text(CHILD, encoding="utf-8")
    code = (
        "import scratchnet.bench.memory as memory, functools, sys\n"
        "run = memory.run_module\n"
        "memory.run_module = lambda module, argument: run('slow', argument)\n"
        "from scratchnet.__main__ import main\nsys.exit(main())"
    )
    arguments = ["bench", "--network", "compact", "--image-size", "16", "--pairs", "2", "--memory-peak"]
    process = start(tmp_path, *arguments, program=("-c", code))
    until = time.monotonic() + DEADLINE
    while not (children := list(tmp_path.glob("child-*"))) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    code, said = ending(process)
    assert code == SENT.get(name, 137)
    assert "Traceback" not in said
    assert gone(int(children[0].name.partition("-")[2]))


def gone(number):
    """Whether the process with this id ends before the deadline."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{number}/stat").exists() and ") Z " in Path(f"/proc/{number}/stat").read_text("utf-8"):
            return True  # of which only its parent has not heard
        time.sleep(0.01)
    return False
