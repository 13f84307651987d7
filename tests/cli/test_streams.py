"""Whatever stdin, stdout and stderr are, output is shown or escaped and the exit code is right."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import scratchnet
from scratchnet.cli import main
from scratchnet.common import console

CLI = Path(scratchnet.__file__).parent / "cli"
HOSTILE = ["文字", "Straße", "\udcff\udcfe", "\x1b[31mred\x1b[0m", "two\nlines", "back\rspace\b", "\u202eltr", "\x9b1m"]


class Screen(io.TextIOWrapper):
    """A terminal's stream of an encoding."""

    def __init__(self, encoding):
        super().__init__(io.BytesIO(), encoding=encoding, newline="")

    @property
    def shown(self):
        self.flush()
        return self.buffer.getvalue()


@pytest.fixture
def screens(monkeypatch):
    """Puts stdout and stderr on terminals whose encoding is strict about characters that it lacks."""

    def replace(encoding):
        out, err = Screen(encoding), Screen(encoding)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return out, err

    return replace


def is_harmless(shown, encoding):
    """Whether a terminal would just show the text: it has no control characters but line breaks."""
    return all(c.isprintable() for line in shown.decode(encoding).splitlines() for c in line)


@pytest.fixture
def hostile_support(glyphs, tmp_path):
    """A folder with class names that must not reach a terminal unescaped, and a query."""
    support, query = glyphs
    folder = tmp_path / "classes"
    folder.mkdir()
    for path, name in zip(sorted(support.iterdir()), HOSTILE, strict=False):
        try:
            (folder / f"{name}.png").write_bytes(path.read_bytes())
        except (OSError, UnicodeError):
            pytest.skip("the file system takes no such names")
    return folder, query


ENCODINGS = pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])


@ENCODINGS
def test_class_names_that_the_terminal_lacks_are_escaped_and_the_work_is_not_lost(encoding, hostile_support, screens):
    folder, query = hostile_support
    out, err = screens(encoding)
    assert main(["classify", str(query), "--support", str(folder)]) == 0
    assert err.shown == b""
    assert is_harmless(out.shown, encoding)
    assert len(out.shown.splitlines()) == 6  # the best five; a name with a line break is one line as well


@ENCODINGS
def test_class_names_pass_through_json_unchanged(encoding, hostile_support, screens):
    folder, query = hostile_support
    out, _ = screens(encoding)
    assert main(["classify", str(query), "--support", str(folder), "--json"]) == 0
    assert {place["class"] for place in json.loads(out.shown)["ranking"]} == set(HOSTILE[:6])


def code_of(arguments):
    try:
        return main(arguments)
    except SystemExit as stop:  # argparse
        return stop.code


@ENCODINGS
def test_messages_show_hostile_names_escaped_on_one_line(encoding, screens):
    out, err = screens(encoding)
    commands = [
        command
        for name in HOSTILE
        for command in (
            ["compare", name, name],
            ["evaluate", name],
            ["train", "--recipe", name],
            ["bench", "--network", name],
            ["train", "--set", f"{name}=1"],
            ["classify", "q.png", "--support", name],
            [name],
            ["info", f"--{name}"],
        )
    ]
    assert {code_of(command) for command in commands} == {2}
    assert out.shown == b""
    assert is_harmless(err.shown, encoding)
    assert len(err.shown.splitlines()) == len(commands)


def test_no_command_prints_but_through_the_console():
    for path in CLI.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "print(" not in source.replace("_print_message(", ""), path
        assert "sys.stdout.write" not in source, path


# Streams that are closed, or that cannot be written


def program(arguments):
    """A process with its arguments and redirections written as in a shell."""
    environment = os.environ | {"PYTHONPATH": str(CLI.parents[1]), "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -m scratchnet {arguments}'],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=environment,
    )


needs_sh = pytest.mark.skipif(sys.platform == "win32", reason="closes streams with sh")
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")


@needs_sh
@pytest.mark.parametrize("closed", ["<&-", "1>&-", "2>&-", "<&- 1>&-", "<&- 2>&-", "1>&- 2>&-", "<&- 1>&- 2>&-"])
def test_closed_streams_change_no_exit_code(closed):
    done = program(f"info --json {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == ("1>&-" not in closed)


@needs_sh
@pytest.mark.parametrize(("arguments", "code"), [("fly", 2), ("evaluate absent", 2), ("--help", 0), ("--version", 0)])
def test_commands_earn_their_code_with_no_stream_at_all(arguments, code):
    assert program(f"{arguments} <&- >&- 2>&-").returncode == code


@needs_sh
@needs_full
@pytest.mark.parametrize(
    ("arguments", "code"), [("--version 2>", 0), ("fly 2>", 2), ("evaluate absent 2>", 2), ("info > /dev/full 2>", 2)]
)
def test_a_full_disk_under_stderr_changes_no_exit_code(arguments, code):
    done = program(f"{arguments}/dev/full")
    assert (done.returncode, done.stderr) == (code, "")


@needs_sh
def test_no_file_of_ours_takes_the_number_of_a_closed_stream():
    code = (
        "import os, sys, types\n"
        "def run(): return os.open(os.devnull, os.O_RDONLY) < 3 or None in (sys.stdin, sys.stdout, sys.stderr)\n"
        "sys.modules['scratchnet.cli'] = types.SimpleNamespace(main=run)\n"
        "from scratchnet.__main__ import main\n"
        "os._exit(main())"
    )
    command = f'exec "{sys.executable}" -c "{code}" <&- >&- 2>&-'
    environment = os.environ | {"PYTHONPATH": str(CLI.parents[1])}
    assert subprocess.run(["sh", "-c", command], check=False, env=environment).returncode == 0


class Broken(io.StringIO):
    """A stream whose writes fail with an OSError."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.parametrize("stream", [None, Broken(OSError(5, "Input/output error")), Broken(BrokenPipeError(32, "?"))])
def test_a_remark_that_cannot_be_written_stops_nothing(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    console.note("a remark")


def test_what_cannot_be_printed_names_the_stream(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left on device: 'stdout'"):
        console.say("a result")


@pytest.mark.parametrize("missing", ["None", "closed"])
def test_a_stream_that_is_not_there_is_no_terminal_and_takes_everything(missing, monkeypatch):
    stream = None
    if missing == "closed":
        stream = io.StringIO()
        stream.close()
    assert not console.is_terminal(stream)
    console.write(stream, "nothing")
    monkeypatch.setattr(sys, "stdout", stream)
    console.say("nothing")


def test_a_program_that_cannot_be_imported_says_why_in_one_line(tmp_path):
    (tmp_path / "tqdm.py").write_text("raise ImportError('libfoo.so is missing\\nand more')", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(CLI.parents[1])])}
    command = [sys.executable, "-m", "scratchnet", "info"]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", env=environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "ImportError: libfoo.so is missing; " in done.stderr
