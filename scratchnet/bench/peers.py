"""The libraries that scratchnet is compared with, each imported only on request.

A peer's module has a function `variants(device)`: the ways in which its users might run the same step there.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np

from scratchnet.backend import CPU, Device, Params, to_host
from scratchnet.backend.cublas import PRECISIONS
from scratchnet.bench.workload import Training
from scratchnet.errors import ScratchnetError, install_extra
from scratchnet.models.siamese import SiameseNet

MODULES = {name: f"scratchnet.bench.{name}_peer" for name in ("torch", "jax", "dezero")}
DEVICES = {"torch": ("cpu", "cuda"), "jax": ("cpu",), "dezero": ("cpu",)}  # where each is compared
EMBEDDERS = ("torch",)  # peers with `embedders()`, the ways to embed images
# Relative differences. Rounding changes a gradient by 1e-5; but where it decides whether a ReLU is active or which of
# two pixels wins a pool, it changes the gradients of a few images by some 1e-2, and by more through batch norm. The
# loss has no such jumps. A gross mistake changes everything by about 1; smaller mistakes are left to the tests, which
# use a batch without near-ties. TF32 rounds factors to 10 bits of mantissa, 5e-4, and flips many more ReLUs: with its
# rounding emulated on a CPU, the gradients of koch2015 change by 3 to 5e-2, those of compact, through its batch norm,
# by 8 to 9e-2; losses by 1e-6 to 5e-5; and embeddings, relative to their spread over a batch, by 2e-3 (float32: 1e-6).
LOSS_TOLERANCE = {"float32": 1e-4, "tf32": 1e-3}
GRADIENT_TOLERANCE = {"float32": 2e-1, "tf32": 3e-1}
EMBEDDING_TOLERANCE = {"float32": 1e-3, "tf32": 3e-2}


class Peer(Protocol):
    """The same network with the same weights on the same batch, in another library."""

    def step(self) -> float:
        """Forward, backward and update; returns the loss before the update."""

    def gradients(self) -> tuple[float, Params]:
        """The loss and gradients without an update, with our names and shapes, on the host."""


@dataclass(frozen=True)
class Variant:
    """One way to run a peer.

    lower_precision: below any of cublas.PRECISIONS, so it need not agree with ours. compiled: takes up to minutes to
    get ready. device_peak: returns the library's peak device memory in bytes; None to measure the process instead.
    """

    name: str
    build: Callable[[Training], Peer]
    note: str = ""
    lower_precision: bool = False
    compiled: bool = False
    precision: str = "float32"
    device_peak: Callable[[], int] | None = None


@dataclass(frozen=True)
class Embedder:
    """One way to embed images: `build` turns a network into a function from images (N, H, W), float32, to (N, D).

    Both are arrays of the library, on its device; `upload` and `download` convert from and to NumPy arrays.
    """

    name: str
    build: Callable[[SiameseNet], Callable[[Any], Any]]
    upload: Callable[[np.ndarray], Any] = np.asarray
    download: Callable[[Any], np.ndarray] = np.asarray
    precision: str = "float32"


class Difference(NamedTuple):
    """Relative differences of a loss and of gradients from ours."""

    loss: float
    gradients: float

    def is_rounding(self, *precisions: str) -> bool:
        """Whether rounding explains the differences between computations in these precisions."""
        coarsest = coarsest_of(*precisions)
        return self.loss <= LOSS_TOLERANCE[coarsest] and self.gradients <= GRADIENT_TOLERANCE[coarsest]


def coarsest_of(*precisions: str) -> str:
    """The coarsest of some of cublas.PRECISIONS."""
    return max(precisions, key=PRECISIONS.index)


def expect_on(device: Device, names: Iterable[str]) -> None:
    """Raises ScratchnetError for a peer that does not run on that device."""
    for name in names:
        if device.name not in DEVICES[name]:
            places = " or ".join(DEVICES[name])
            raise ScratchnetError(
                f"--against {name} runs on {places}, not on {device.name}: drop it, or --device {device.name}"
            )


def load(name: str, device: Device = CPU) -> list[Variant]:
    """The variants of a peer on a device. Raises ScratchnetError if it is not installed or does not load."""
    variants: list[Variant] = _call(name, "variants", device)
    return variants


def load_embedders(name: str, device: Device = CPU) -> list[Embedder]:
    """A peer's ways to embed images. Raises ScratchnetError as `load` does, and for a peer without any."""
    if name not in EMBEDDERS:
        raise ScratchnetError(f"embedding can be compared only with {' and '.join(EMBEDDERS)}")
    embedders: list[Embedder] = _call(name, "embedders", device)
    return embedders


def _call(name: str, function: str, device: Device) -> Any:
    """Import a peer's module and call a function of it with the name of the device."""
    try:
        return getattr(import_module(MODULES[name]), function)(device.name)
    except ScratchnetError:
        raise
    except ModuleNotFoundError as cause:
        if cause.name != name:
            raise ScratchnetError(f"{name} does not load: {in_one_line(cause)}") from cause
        raise ScratchnetError(f"{name} is not installed; {install_extra('bench')}") from cause
    except Exception as cause:  # a library that conflicts with others can fail in any way
        raise ScratchnetError(f"{name} does not load: {in_one_line(cause)}") from cause


def build(variant: Variant, training: Training) -> tuple[Peer, Difference]:
    """The peer and its difference from ours. Raises ScratchnetError, with a one-line message, if it does not run."""
    try:
        peer = variant.build(training)
        return peer, difference(training.gradients(), peer.gradients())
    except Exception as cause:  # compilers in particular can fail in any way
        raise ScratchnetError(f"does not run: {in_one_line(cause)}") from cause


def difference(ours: tuple[float, Params], theirs: tuple[float, Params]) -> Difference:
    """The difference of the loss, and the largest difference of a layer's gradients.

    By layer rather than by parameter, because the gradient of a bias before batch norm is pure rounding error.
    """
    (our_loss, our_grads), (their_loss, their_grads) = ours, theirs
    squares: dict[str, list[float]] = {}
    for name, gradient in our_grads.items():
        our, their = to_host(gradient).astype(np.float64), their_grads[name].astype(np.float64)
        sums = squares.setdefault(name.rpartition(".")[0], [0.0, 0.0])
        sums[0] += float(((our - their) ** 2).sum())
        sums[1] += float((our**2).sum())
    gradients = [(between / size) ** 0.5 for between, size in squares.values()]
    return Difference(abs(our_loss - their_loss) / abs(our_loss), float(np.max(gradients)))  # a NaN stays one


def in_one_line(cause: BaseException) -> str:
    """The type of an exception and the first line of its message."""
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0][:160]}"
