"""Commands that report on the code name its folder: an installed copy is not the edited clone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import scratchnet
from scratchnet.bench import machine
from scratchnet.common.version import VERSION
from scratchnet.planted import cases as gradcases

CODE = str(Path(scratchnet.__file__).parent)
TINY = ["--network", "compact", "--image-size", "16", "--pairs", "2", "--rounds", "1"]
REPORTS = {
    "info": ["info"],
    "gradcheck": ["gradcheck"],
    "gradcheck of a network": ["gradcheck", "--network", "compact"],
    "gradcheck quiz": ["gradcheck", "--quiz", "--seed", "1", "--answer"],
    "bench": ["bench", *TINY],
    "bench --embed": ["bench", "--embed", *TINY],
}


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Small products to measure a machine with, and few gradients to check."""
    monkeypatch.setattr(machine, "SGEMM_SIZE", 64)
    cases = {name: case for name, case in gradcases.CASES.items() if name.startswith("ReLU")}
    monkeypatch.setattr(gradcases, "CASES", cases)
    monkeypatch.setattr(gradcases, "whole_network", lambda *_, **__: next(iter(cases.values())).check(seed=0))


@pytest.mark.parametrize("arguments", REPORTS.values(), ids=REPORTS)
def test_a_report_on_the_code_names_its_folder(arguments, ask):
    assert ask(*arguments, "--json").json["code"] == CODE
    first, second = ask(*arguments).out.splitlines()[:2]
    assert CODE in (second if arguments == ["info"] else first)


def test_an_installed_copy_is_named_even_where_a_clone_is_the_current_folder(tmp_path):
    copy, clone = (tmp_path / name / "scratchnet" for name in ("site-packages", "clone"))
    for folder in (copy, clone):
        shutil.copytree(CODE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    info = f"import sys; sys.path.insert(0, {str(copy.parent)!r}); from scratchnet.cli import main; main(['info'])"
    command = [sys.executable, "-P", "-c", info]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=clone.parent)
    assert f"{copy}\n" in result.stdout
    assert f"scratchnet     {VERSION}\n" in result.stdout
