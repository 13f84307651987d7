"""Short measurements, a small training, and other libraries' stand-ins."""

from pathlib import Path

import pytest
from bench_parts import TINY, Mirror, never

from scratchnet.bench import machine, peers, timing
from scratchnet.bench.peers import Variant
from scratchnet.cli import main

SMALL = ["--network", "compact", "--image-size", "16", "--pairs", "2", "--rounds", "1", "--device", "cpu"]


@pytest.fixture(scope="module", autouse=True)
def short_measurements():
    """The machine's best rates do not matter here."""
    small = {"ROUNDS": 1, "SGEMM_SIZE": 64, "GPU_SGEMM_SIZE": 32, "COPY_BYTES": 4096, "GPU_REPEATS": 2}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small.items():
            patch.setattr(machine, name, value)
        patch.setattr(timing, "WARM_UP", 0)
        yield


@pytest.fixture
def training():
    return TINY.prepare()


@pytest.fixture
def bench(capsys):
    """Runs the command; returns its exit code, stdout and stderr."""

    def run(*arguments):
        try:
            code = main(["bench", *SMALL, *arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def mirrors(monkeypatch):
    """In place of PyTorch: a peer that agrees, one that differs, one that may differ, and one that fails."""
    variants = [
        Variant("agrees", Mirror),
        Variant("differs", lambda training: Mirror(training, 1.5)),
        Variant("is coarse", lambda training: Mirror(training, 1.2), "on purpose", lower_precision=True),
        Variant("never runs", never),
    ]
    monkeypatch.setattr(peers, "load", lambda name, device: variants)


@pytest.fixture
def same_package(monkeypatch):
    """Child processes import the package under test, installed or not."""
    monkeypatch.setenv("PYTHONPATH", str(Path(machine.__file__).parents[2]))
