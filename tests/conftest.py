"""Fixtures for many tests: the real data if present, devices, small networks."""

import hashlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import fake_cublas
import helpers
import host_cuda
import numpy as np
import pytest
import strict_array

from scratchnet import backend, pretrained
from scratchnet.backend import Device, get_device
from scratchnet.backend.cublas import Cublas
from scratchnet.checkpoint import save_model
from scratchnet.data.splits import Split
from scratchnet.errors import BackendError
from scratchnet.models.networks import compact, parameter_count
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.trials import Result
from scratchnet.optim.sgd import SGD
from scratchnet.pretrained.card import Card
from scratchnet.train import stepper

# What other versions of Python, NumPy, Pillow, tqdm or pytest would break first. The kernels on the host take g++ long.
SMOKE = tuple(str(Path(__file__).parent / name) for name in (
    "cli", "data", "layers/test_contract.py", "ops/test_conv.py", "backend", "test_checkpoint.py",
    "support/test_cupy_names.py", "files", "images/test_pictures.py", "test_installing.py", "test_package.py",
    "pretrained", "test_pytest_plugin.py", "test_readme.py",
))  # fmt: skip


def pytest_configure() -> None:
    """Restores the default signal handlers: nohup and scripts ignore some signals, and child processes inherit that."""
    handlers = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    for name, usual in handlers.items():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need the real data (pytest -m real_data), and the quick smoke tests (pytest -m smoke)."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")
        if str(item.path).startswith(SMOKE) and "kernels" not in item.name:
            item.add_marker("smoke")


def pytest_terminal_summary(terminalreporter: Any) -> None:  # pytest.TerminalReporter, since its version 8.1
    """Prints one line for each reason for skipping rather than one for each test."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} {reason[0].lower()}{reason[1:]}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets; skips the test if SCRATCHNET_DATA is not set to one."""
    folder = os.environ.get("SCRATCHNET_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real Omniglot: set SCRATCHNET_DATA to the folder that `scratchnet download` filled")
    return Path(folder)


@pytest.fixture(params=["cpu", "strict", "kernels", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Each device in turn: NumPy, the strict stand-in for a GPU, the stand-in with our CUDA kernels compiled for the
    host, and a GPU if there is one."""
    if request.param == "kernels":
        request.getfixturevalue("kernels")
    if request.param == "strict":
        monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    try:
        return get_device(request.param)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Device:
    """The strict stand-in with our CUDA kernels compiled for the host and a fake cuBLAS.

    Skips the test if there is no C++ compiler.
    """
    if host_cuda.COMPILER is None:
        pytest.skip("needs g++, to run the CUDA kernels on the host")
    cublas = Cublas(fake_cublas, handle=lambda: 0, real_types=fake_cublas.REAL_TYPES)
    device = replace(strict_array.STRICT, name="kernels", launch=host_cuda.launch, gemm=cublas.gemm)
    monkeypatch.setitem(backend.device._devices, "kernels", device)
    return device


@pytest.fixture
def launched(kernels: Device, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that run on the device "kernels", in the order of their launches."""
    names: list[str] = []

    def launch(source: Path, kernel: str, *arguments: Any) -> None:
        names.append(kernel)
        host_cuda.launch(source, kernel, *arguments)

    monkeypatch.setitem(backend.device._devices, "kernels", replace(kernels, launch=launch))
    return names


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20150710)


@pytest.fixture
def tiny_net() -> SiameseNet:
    """A network with all the parts of the larger ones that runs in milliseconds: 16 x 16 pixels."""
    return compact(seed=1, image_size=16, width=2, features=8)


@pytest.fixture(scope="module")
def split() -> Split:
    """Five small alphabets: three to train on and two for validation."""
    return helpers.tiny_split()


class Steps(list[Any]):
    """The training steps so far, as (network, optimiser, loss); `then` is called after each with their number."""

    def then(self, _number: int) -> None:
        pass


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Every training step that a run takes."""
    taken = Steps()

    def recorded(step: Callable[..., Any], net: SiameseNet, optimiser: SGD, *arguments: Any, **options: Any) -> Any:
        loss = step(net, optimiser, *arguments, **options)
        taken.append((net, optimiser, loss))
        taken.then(len(taken))
        return loss

    for name in ("train_step", "queue_step"):  # on the host, and on a device that works ahead
        monkeypatch.setattr(stepper, name, partial(recorded, getattr(stepper, name)))
    return taken


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Adds networks, with cards of invented figures, to a folder used in place of the bundled networks'."""
    folder = tmp_path / "pretrained"
    folder.mkdir()
    monkeypatch.setattr(pretrained, "FOLDER", folder)

    def add(name: str, net: SiameseNet, storage: str = "int8", **changes: Any) -> Path:
        recipe = {"name": "tiny", "data": "glyphs", "lr": 0.1}
        path = folder / f"{name}.npz"
        save_model(path, net, storage=storage, recipe=recipe)
        card = Card(
            name=name,
            summary="Tells stand-ins apart.",
            parameters=parameter_count(net.params),
            data={"name": "generated", "source": "here", "licence": "MIT", "used": "All of it"},
            recipe=recipe,
            seed=0,
            hours=0.5,
            machine="an abacus",
            date="2026-11-23",
            storage={"weights": storage, "bytes": path.stat().st_size, "stored_correct": 380, "float32_correct": 381},
            figures=[{"task": "official runs", "way": 20, "shot": 1, **Result(380, 400).as_dict()}],
            limits=["It is a stand-in."],
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            commands=["scratchnet train"],
        )
        (folder / f"{name}.json").write_text(replace(card, **changes).as_json())
        (folder / f"{name}.md").write_text(card.as_markdown())
        return path

    return add


@pytest.fixture(autouse=True)
def default_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in float32, whatever the environment says or another test has set."""
    monkeypatch.setattr(backend.products, "_precision", "float32")


@pytest.fixture
def default_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """No device is named in the environment."""
    monkeypatch.delenv("SCRATCHNET_DEVICE", raising=False)
