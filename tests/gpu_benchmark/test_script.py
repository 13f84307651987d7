"""benchmarks/gpu.sh without a GPU."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest
from gpu_scripts import SCRIPT, without_cupy

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
PARTS = ["tests", "bench_float32", "bench_tf32", "measurements"]


def run(python, out):
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(python)}
    command = ["bash", str(SCRIPT), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@needs_bash
@pytest.mark.skipif(not without_cupy() or shutil.which("nvidia-smi") is not None, reason="there may be a GPU")
def test_the_script_does_nothing_where_there_is_no_gpu(tmp_path):
    for python, message in ((sys.executable, "needs an NVIDIA GPU"), ("nonesuch", "needs Python: nonesuch is missing")):
        done = run(python, tmp_path / "out")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert message in done.stderr
        assert not (tmp_path / "out").exists()


@needs_bash
@pytest.mark.parametrize("failing", [None, *PARTS])
def test_the_script_runs_every_part_and_reports_the_results(failing, results, figures):
    """With a stand-in for Python that claims to have a GPU and, for each part, copies results prepared before."""
    (results / "bench_tf32.out").write_text(json.dumps(figures))
    python, stand_in = results / "python", results / "stand_in.py"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(stand_in))} "$@"\n')
    stand_in.write_text(f"""
import os, shutil, sys
from pathlib import Path
command = " ".join(sys.argv[1:])
part = "bench_" + "".join(sys.argv[-4:-3])
part = "tests" if "pytest" in command else "measurements" if "gpu.py" in command else part
with open({str(results / "commands")!r}, "a") as commands:
    print(command, file=commands)
if "gpu_report.py" in command:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
elif "-c" in sys.argv or "--check" in command:
    sys.exit(0)
elif part == {failing!r}:
    sys.exit("spoilt")
elif part == "tests":
    shutil.copy({str(results / "tests.xml")!r}, command.partition("--junitxml=")[2])
elif part == "measurements":
    shutil.copy({str(results / "measurements.json")!r}, sys.argv[-1])
else:
    print(Path({str(results)!r}, part + ".out").read_text())
""")
    python.chmod(0o755)
    done = run(python, results / "out")
    assert done.returncode == (0 if failing is None else 1), done.stderr
    record = json.loads((results / "out" / "gpu.json").read_text())
    assert [part["name"] for part in record["parts"]] == PARTS
    assert [(part["name"], part["said"]) for part in record["parts"] if part["code"]] == (
        [(failing, "spoilt")] if failing else []
    )
    found = {"tests": "tests" in record, "measurements": "measurements" in record}
    found |= {f"bench_{precision}": precision in record["bench"] for precision in ("float32", "tf32")}
    assert [part for part in PARTS if not found[part]] == ([failing] if failing else [])
    commands = (results / "commands").read_text()
    assert (
        "--device cuda --network koch2015 --pairs 128 --rounds 20 --precision tf32 --against torch --json" in commands
    )
    assert "-m pytest -m gpu" in commands
