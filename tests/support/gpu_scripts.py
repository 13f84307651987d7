"""The benchmarks for a GPU: benchmarks/gpu.sh, gpu.py and gpu_report.py."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPT = FOLDER / "gpu.sh"

if not SCRIPT.exists():
    pytest.skip("the benchmarks are not here, as in an installed package", allow_module_level=True)


def script(name):
    """A script of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


gpu_report = script("gpu_report")


def without_cupy():
    return importlib.util.find_spec("cupy") is None
