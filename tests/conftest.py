"""What many tests need: the real data where there are some, devices, and small networks."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import standin

from scratchnet import backend
from scratchnet.backend import Device, get_device
from scratchnet.errors import BackendError
from scratchnet.models import compact
from scratchnet.siamese import SiameseNet


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason why tests were skipped, rather than one for each test."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} {reason[0].lower()}{reason[1:]}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets; skips where SCRATCHNET_DATA names none."""
    folder = os.environ.get("SCRATCHNET_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real Omniglot: set SCRATCHNET_DATA to the folder that `scratchnet download` filled")
    return Path(folder)


@pytest.fixture(params=["cpu", "strict", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Each device in turn: NumPy, the strict stand-in for a GPU, and a GPU where there is one."""
    if request.param == "strict":
        monkeypatch.setitem(backend._devices, "strict", standin.STRICT)
    try:
        return get_device(request.param)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20150710)


@pytest.fixture
def tiny_net() -> SiameseNet:
    """A network that does everything the larger ones do, in milliseconds: 16 x 16 pixels."""
    return compact(seed=1, image_size=16, width=2, features=8)


@pytest.fixture
def default_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """No device asked for in the environment."""
    monkeypatch.delenv("SCRATCHNET_DEVICE", raising=False)
