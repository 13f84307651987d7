"""Equations, lines and tests that the page names: read from the source, and proved by changing the line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import scratchnet
from scratchnet.errors import ScratchnetError
from scratchnet.explain.proofs import SOURCES, equation_of, line_of, proofs
from scratchnet.layers import Linear

ROOT = Path(__file__).parents[2]
# How each line is changed: a part of it, and what takes its place.
CHANGES = {
    "conv.y": ("term", "2 * term"),
    "conv.dx": ("weight[a, b].T", "2 * weight[a, b].T"),
    "conv.dweight": ("xp.tensordot", "2 * xp.tensordot"),
    "conv.dbias": ("dy.sum(axis=(0, 1)).sum(axis=0)", "dy.sum(axis=(0, 1)).mean(axis=0)"),
    "dense.y": ("y + bias", "y - bias"),
    "dense.dx": ("product(dy, weight.T)", "-product(dy, weight.T)"),
    "dense.dweight": ("product(x.T, dy)", "product(x.T, dy) / len(dy)"),
    "dense.dbias": ("dy.sum", "dy.mean"),
    "pool.y": ("argmax", "argmin"),
    "pool.dx": ("winners ==", "winners !="),
    "norm.y": ("(x - mean)", "(x + mean)"),
    "norm.dx": (" - mean_dy", " + mean_dy"),
    "norm.dweight": ("dscale / std", "dscale"),
    "norm.dbias": ("return sum_pixels(dy)", "return sum_pixels(dy * dy)"),
    "relu.y": ("> 0", "< 0"),
    "relu.dx": ("> 0", "> 0.1"),
    "sigmoid.y": ("1.0 + e", "1.0 - e"),
    "sigmoid.dx": ("dy * e", "dy"),
    "flatten.y": ("(2, 0, 1, 3)", "(2, 1, 0, 3)"),
    "flatten.dx": ("(1, 2, 0, 3).copy()", "(1, 2, 0, 3)[::-1].copy()"),
    "head.logit": ("+ bias", "- bias"),
    "head.dh1": ("sum_to_shape", "2 * sum_to_shape"),
    "head.dh2": ("-sum_to_shape", "sum_to_shape"),
    "head.dweight": ("@ distance", "@ -distance"),
    "head.dbias": ("dlogit.sum()", "dlogit.mean()"),
    "twins.dh": ("(dh1, dh2)", "(dh1, 0 * dh2)"),
    "loss.loss": ("logits * labels", "logits"),
    "loss.dlogits": ("- labels *", "+ labels *"),
    "sgd.weight": ("- lr * g", "+ lr * g"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package, to change."""
    root = tmp_path_factory.mktemp("changed")
    package = Path(scratchnet.__file__).parent
    shutil.copytree(package, root / "scratchnet", ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    return root


def run(copy: Path, tests: list[str]) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(ROOT)]
    command = [sys.executable, "-P", "-m", "pytest", *options, *tests]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_every_named_test_exists_and_passes_alone(copy):
    done = run(copy, [str(proof.test) for proof in proofs().values()])
    assert done.returncode == 0, done.stdout
    assert f"{len(SOURCES)} passed" in done.stdout


@pytest.mark.parametrize("name", SOURCES)
def test_the_named_test_fails_when_the_line_is_changed(name, copy):
    proof = proofs()[name]
    place, line = proof.place.split(":")
    path = copy / place
    original = path.read_text(encoding="utf-8")
    lines = original.splitlines()
    was, becomes = CHANGES[name]
    assert was in lines[int(line) - 1]
    lines[int(line) - 1] = lines[int(line) - 1].replace(was, becomes)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        done = run(copy, [proof.test])
    finally:
        path.write_text(original, encoding="utf-8")
    assert done.returncode == 1, done.stdout  # 1: a test failed; anything else, and nothing was proved
    assert "1 failed" in done.stdout


def test_equations_are_those_of_the_docstrings():
    found = proofs()
    assert found["conv.dx"].equation == "dx[s i + a, t j + b] += dy[i, j] @ weight[a, b].T"
    assert found["conv.dx"].number == "(3)"
    assert found["dense.y"].equation == "y = x @ weight + bias"
    assert not [name for name, proof in found.items() if "  " in proof.equation or proof.equation.endswith(".")]


def test_a_line_or_equation_that_is_gone_is_named():
    with pytest.raises(ScratchnetError, match=r"no line of Linear\.forward contains 'y = x @'"):
        line_of(Linear.forward, "y = x @")
    with pytest.raises(ScratchnetError, match=r"the docstring of Linear has no equation '\(9\)'"):
        equation_of(Linear, "(9)")
