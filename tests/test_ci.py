"""`.ci/run`: which stages there are, and that one that fails ends it, with nothing left behind."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / ".ci" / "run"

pytestmark = pytest.mark.skipif(not (shutil.which("bash") and shutil.which("git")), reason="needs bash and git")


class Repository:
    """Nothing but .ci/run, committed, and a folder for temporary files."""

    def __init__(self, folder):
        self.folder, self.temporary = folder / "a clone", folder / "temporary files"
        (self.folder / ".ci").mkdir(parents=True)
        self.temporary.mkdir()
        shutil.copy(SCRIPT, self.folder / ".ci")
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "One"]):
            subprocess.run(["git", *command], cwd=self.folder, check=True)

    def start(self, changes, *stages):
        environment = {**os.environ, "TMPDIR": str(self.temporary), **changes}
        return subprocess.Popen(
            ["bash", ".ci/run", *stages], cwd=self.folder, env=environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *stages):
        """The exit code, what was printed, and what was left behind."""
        started = self.start({}, *stages)
        out, err = started.communicate()
        return started.returncode, out, err, list(self.temporary.iterdir())


@pytest.fixture
def ci(tmp_path):
    return Repository(tmp_path)


def test_a_stage_that_fails_ends_it_is_named_and_leaves_nothing_behind(ci):
    code, out, err, left = ci.run("oldest", "lint")  # there is no setup.cfg
    assert code != 0
    assert err.endswith(f"== failed with {code}: oldest\n")
    assert "== lint" not in out
    assert left == []


def test_a_name_that_is_no_stage_is_refused_before_any_runs(ci):
    code, out, err, left = ci.run("lint", "smoek")
    assert (code, out, left) == (2, "", [])
    assert "no stage is called smoek: choose among newcomer data lint" in err


@pytest.mark.skipif(sys.platform == "win32", reason="has no process groups to signal")
def test_a_run_that_is_terminated_says_so_by_its_code_and_leaves_nothing_behind(ci, tmp_path):
    """In place of Python, a program that waits: it takes the stage as far as its environment."""
    tools, waits = tmp_path / "tools", tmp_path / "tools" / "waits"
    tools.mkdir()
    for path, line in ((tools / "python3", f"echo {shlex.quote(str(waits))}"), (waits, "echo waiting; exec sleep 60")):
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    started = ci.start({"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}, "lint")
    while started.stdout.readline() != "waiting\n":
        assert started.poll() is None
    os.killpg(started.pid, signal.SIGTERM)
    started.communicate(timeout=60)
    assert started.returncode == 143
    assert list(ci.temporary.iterdir()) == []


def test_every_stage_is_a_function_and_is_explained():
    text = SCRIPT.read_text(encoding="utf-8")
    (stages,) = re.findall(r"^STAGES=\((.*)\)$", text, flags=re.MULTILINE)
    assert stages.split()[:2] == ["newcomer", "data"]  # a newcomer first
    for stage in stages.split():
        assert f"\n{stage}() (\n" in text
        assert f"\n#   {stage} " in text
