"""Runs pytest in a separate process, with our plugin alone."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import scratchnet

PACKAGES = Path(scratchnet.__file__).parents[1]
INSTALLED = any(entry.name == "scratchnet" for entry in metadata.entry_points(group="pytest11"))
PLUGIN = "scratchnet" if INSTALLED else "scratchnet.pytest_plugin"  # by its entry point where there is one


def run_pytest(folder: Path, *arguments: str) -> str:
    """The output of pytest in a separate process."""
    # on a CI server (a variable tells) pytest repeats the whole failure in its last lines
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", PLUGIN, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        env=environment | {"PYTHONPATH": str(PACKAGES), "COLUMNS": "120", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    return found.stdout + found.stderr
