"""benchmarks/reliability/mutations.py in short: a few hundred damaged files, each refused or read as it was."""

import importlib.util
import json
import random
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "benchmarks" / "reliability" / "mutations.py"

if not HARNESS.is_file():
    pytest.skip("the benchmarks are not here, as in an installed package", allow_module_level=True)


@pytest.fixture
def harness(monkeypatch):
    monkeypatch.syspath_prepend(HARNESS.parent)
    spec = importlib.util.spec_from_file_location("mutations", HARNESS)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mutations", module)
    spec.loader.exec_module(module)
    return module


def test_damaged_files_are_refused_in_one_line_or_read_as_they_were(tmp_path):
    command = [sys.executable, HARNESS, "--count", "300", "--json", tmp_path / "figures.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert sum(sum(tally["outcomes"].values()) for tally in figures.values()) >= 600
    assert all(tally["outcomes"]["refused"] for tally in figures.values())


def test_the_same_seed_and_number_give_the_same_damage(harness):
    (subject,) = (subject for subject in harness.DATA if subject.name == "omniglot")
    content = random.Random(0).randbytes(1000) + b"PK\1\2" + bytes(100)
    plain = replace(subject, forged_as="")
    for number in range(20):
        assert harness.mutant(plain, content, 0, number) == harness.mutant(plain, content, 0, number)
    assert len({harness.mutant(plain, content, 0, number)[0] for number in range(20)}) > 10


@pytest.mark.parametrize(
    ("load", "outcome"),
    [
        (lambda path: "digest", "same"),
        (lambda path: "another", "silently different"),
        (lambda path: {}["x"], "stray KeyError: 'x'"),
        (lambda path: zipfile.ZipFile(path), "stray FileNotFoundError"),
        (lambda path: sys.exit(3), "stray SystemExit: 3"),
    ],
)
def test_the_harness_recognises_faults(load, outcome, harness, tmp_path):
    subject = replace(harness.DATA[0], load=load)
    assert harness.judge(subject, tmp_path / "absent", "digest", may_differ=False).startswith(outcome)


def test_the_harness_sees_memory_that_is_taken():
    program = "import mutations; print(mutations.measured(lambda: bytearray(100 << 20))[2])"
    # In a process of its own: in this one, earlier tests may have left enough free memory behind.
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=HARNESS.parent, capture_output=True, text=True, check=True)
    if done.stdout.strip() == "None":
        pytest.skip("this system does not say how much memory was taken")
    assert 90 << 20 < int(done.stdout) < 200 << 20
