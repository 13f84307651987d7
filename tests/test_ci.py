"""`.ci/run`: which stages there are, and that one that fails ends it, with nothing left behind."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / ".ci" / "run"

pytestmark = pytest.mark.skipif(not (shutil.which("bash") and shutil.which("git")), reason="needs bash and git")


@pytest.fixture
def ci(tmp_path):
    """Runs stages in a repository that has nothing but .ci/run; returns what came of it, and what was left behind."""
    repository, temporary = tmp_path / "a clone", tmp_path / "temporary files"
    (repository / ".ci").mkdir(parents=True)
    temporary.mkdir()
    shutil.copy(SCRIPT, repository / ".ci")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "One"]):
        subprocess.run(["git", *command], cwd=repository, check=True)

    def run(*stages):
        environment = {**os.environ, "TMPDIR": str(temporary)}
        command = ["bash", ".ci/run", *stages]
        done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
        return done, list(temporary.iterdir())

    return run


def test_a_stage_that_fails_ends_it_is_named_and_leaves_nothing_behind(ci):
    done, left = ci("oldest", "lint")  # there is no setup.cfg
    assert done.returncode not in (0, 141)
    assert done.stderr.endswith(f"== failed with {done.returncode}: oldest\n")
    assert "== lint" not in done.stdout
    assert left == []


def test_a_name_that_is_no_stage_is_refused_before_any_runs(ci):
    done, left = ci("lint", "smoek")
    assert (done.returncode, left) == (2, [])
    assert "no stage is called smoek: choose among newcomer data lint" in done.stderr
    assert "== lint" not in done.stdout


def test_every_stage_is_a_function_and_is_explained():
    text = SCRIPT.read_text(encoding="utf-8")
    (stages,) = re.findall(r"^STAGES=\((.*)\)$", text, flags=re.MULTILINE)
    assert stages.split()[:2] == ["newcomer", "data"]  # a newcomer first
    for stage in stages.split():
        assert f"\n{stage}() (\n" in text
        assert f"\n#   {stage} " in text
