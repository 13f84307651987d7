"""Help, bad usage, and how the program ends."""

import json
import os
import re
import subprocess
import sys

import pytest
from commands import Answer

from scratchnet import backend
from scratchnet.cli import options
from scratchnet.common.version import VERSION

COMMANDS = ["train", "evaluate", "compare", "classify", "gradcheck", "bench", "download", "info"]


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_exits_0_and_fits_120_columns(command, ask, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    answer = ask(*([command] if command else []), "--help")
    assert (answer.code, answer.err) == (0, "")
    assert max(map(len, answer.out.splitlines())) <= 120
    assert f"usage: scratchnet {command or ''}".strip() in answer.out
    if command is None:
        assert all(name in answer.out for name in COMMANDS)


def test_the_version_is_printed(ask):
    assert ask("--version") == Answer(0, f"scratchnet {VERSION}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--colour", "red"], "unrecognized arguments: --colour"),
        (["train", "--precision", "half"], "--precision: invalid choice: 'half'"),
        (["train", "--seed", "-1"], "--seed: -1 is too small, expected 0 or more"),
        (["train", "--seed", "x"], "--seed: invalid"),
        (["train", "--minutes", "soon"], "--minutes: soon: expected a number greater than 0"),
        (["train", "--memory", "0"], "--memory: 0: expected a number greater than 0"),
        (["train", "--memory", "nan"], "--memory: nan: expected a number greater than 0"),
        (["evaluate"], "required: MODEL"),
        (["evaluate", "m", "--on", "moon"], "--on: invalid choice: 'moon'"),
        (["evaluate", "m", "--trials", "0"], "--trials: 0 is too small, expected 1 or more"),
        (["evaluate", "m", "--way", "1"], "--way: 1 is too small, expected 2 or more"),
        (["evaluate", "m", "--shot", "0"], "--shot: 0 is too small, expected 1 or more"),
        (["evaluate", "m", "--pairs", "-1"], "--pairs: -1 is too small, expected 1 or more"),
        (["evaluate", "m", "--seed", "-1"], "--seed: -1 is too small"),
        (["compare", "a.png"], "IMAGE"),
        (["evaluate", "m", "--query-warps", "0"], "--query-warps: 0 is too small, expected 1 or more"),
        (["classify", "--model", "m"], "QUERY... FOLDER"),
        (["gradcheck", "--method", "guess"], "--method: invalid choice: 'guess'"),
        (["gradcheck", "--seed", "-1"], "--seed: -1 is too small"),
        (["download", "x", "--only", "moon.zip"], "--only: invalid choice: 'moon.zip'"),
    ],
)
def test_bad_usage_is_one_line_that_names_the_option(arguments, message, refused):
    line = refused(*arguments)
    assert message in line
    assert "--help" in line


def test_a_real_process_prints_its_answer_and_returns_its_code(tmp_path):
    def process(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "scratchnet", *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
        )

    info = process("info", "--json")
    assert (info.returncode, info.stderr) == (0, "")
    assert json.loads(info.stdout)["scratchnet"] == VERSION
    bad = process("evaluate", "absent")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert re.fullmatch(r"scratchnet: absent does not exist: .*\n", bad.stderr)


def test_an_interrupt_outside_training_exits_130(ask, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(options, "load_model_with_notes", interrupted)
    answer = ask("compare", "a.png", "b.png", "--model", "m")
    assert (answer.code, answer.err) == (130, "scratchnet: interrupted\n")


# Output that nobody reads


def reader_leaves(*arguments, unbuffered):
    """The exit code and stderr of a command that writes into a closed pipe."""
    read, write = os.pipe()
    os.close(read)
    environment = os.environ | {"PYTHONUNBUFFERED": "1" if unbuffered else ""}
    command = [sys.executable, "-m", "scratchnet", *arguments]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    os.close(write)
    return done.returncode, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [(["info"], False), (["info"], True), (["info", "--json"], False), (["--help"], False), (["--version"], False)],
)
def test_a_closed_pipe_ends_the_program_quietly_as_the_signal_would(arguments, unbuffered):
    assert reader_leaves(*arguments, unbuffered=unbuffered) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_an_output_that_cannot_be_written_is_one_line():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "scratchnet", "info"]
        environment = os.environ | {"PYTHONUNBUFFERED": ""}
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("scratchnet: stdout: No space left on device; check the path")


def test_the_precision_is_the_option_or_the_variable_or_float32(ask, monkeypatch):
    monkeypatch.setattr(backend.products, "_precision", "tf32")  # as SCRATCHNET_PRECISION would
    assert json.loads(ask("info", "--json").out)["precision"] == "tf32"
    assert ask("compare", "a.png", "b.png", "--precision", "float32").code == 2  # no such pictures
    assert json.loads(ask("info", "--json").out)["precision"] == "float32"
    monkeypatch.setattr(backend.products, "_precision", "half")
    answer = ask("info")
    assert answer == Answer(2, "", "scratchnet: SCRATCHNET_PRECISION=half: choose one of float32, tf32\n")
