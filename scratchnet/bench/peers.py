"""The libraries beside which a training step is timed, each imported only when it is asked for.

A module of a peer has `variants(device)`, the ways in which its users could run the same step there.
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
DEVICES = {"torch": ("cpu", "cuda"), "jax": ("cpu",), "dezero": ("cpu",)}  # on which they are compared
EMBEDDERS = ("torch",)  # those that have `embedders()`, the ways to embed images
# Relative. Rounding moves a gradient by 1e-5, but where it decides whether a ReLU lets a pixel pass, or which of two
# pixels wins a pool, it moves that of a few images by some 1e-2, through batch norm by more. The loss has no such
# steps. A mistake moves all by 1; smaller ones are for the tests, which compare on a batch where nothing is so near.
# TF32 rounds what is multiplied to 10 bits of mantissa, 5e-4, and decides many more ReLUs: with its rounding emulated
# on a CPU, gradients of koch2015 move by 3 to 5e-2 and those of compact, through its batch norm, by 8 to 9e-2; losses
# by 1e-6 to 5e-5; and embeddings, relative to how those of a batch differ, by 2e-3, where float32 moves them by 1e-6.
LOSS_TOLERANCE = {"float32": 1e-4, "tf32": 1e-3}
GRADIENT_TOLERANCE = {"float32": 1e-1, "tf32": 3e-1}
EMBEDDING_TOLERANCE = {"float32": 1e-3, "tf32": 3e-2}


class Peer(Protocol):
    """The same network with the same weights on the same batch, in another library."""

    def step(self) -> float:
        """Forward, backward and update; returns the loss before the update."""

    def gradients(self) -> tuple[float, Params]:
        """The loss and the gradients of a step that is not taken, by our names and in our shapes, on the host."""


@dataclass(frozen=True)
class Variant:
    """One way to run a peer; one of lower precision than cublas.PRECISIONS need not agree with us.

    compiled: it takes long to be ready, up to minutes. device_peak: the bytes that the library has at most taken of the
    device so far; None where the process tells.
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
    """One way to embed images: `build` makes of a network the function from (N, H, W) float32 to (N, D).

    Both are arrays of the library, where it computes; `upload` makes them of NumPy's, and `download` the other way.
    """

    name: str
    build: Callable[[SiameseNet], Callable[[Any], Any]]
    upload: Callable[[np.ndarray], Any] = np.asarray
    download: Callable[[Any], np.ndarray] = np.asarray
    precision: str = "float32"


class Difference(NamedTuple):
    """How far a loss and gradients are from ours, relatively."""

    loss: float
    gradients: float

    def is_rounding(self, *precisions: str) -> bool:
        """Whether no more than rounding, between two that compute in these precisions."""
        coarsest = coarsest_of(*precisions)
        return self.loss <= LOSS_TOLERANCE[coarsest] and self.gradients <= GRADIENT_TOLERANCE[coarsest]


def coarsest_of(*precisions: str) -> str:
    """The one that rounds most, of some of cublas.PRECISIONS."""
    return max(precisions, key=PRECISIONS.index)


def expect_on(device: Device, names: Iterable[str]) -> None:
    """Raises ScratchnetError for a peer that is not compared on that device."""
    for name in names:
        if device.name not in DEVICES[name]:
            places = " or ".join(DEVICES[name])
            raise ScratchnetError(
                f"--against {name} compares on {places}, not on {device.name}: leave out it or --device {device.name}"
            )


def load(name: str, device: Device = CPU) -> list[Variant]:
    """The variants of a peer there. Raises ScratchnetError, in one line, where it is not installed or does not load."""
    found: list[Variant] = _ask(name, "variants", device)
    return found


def load_embedders(name: str, device: Device = CPU) -> list[Embedder]:
    """The ways of a peer to embed images. Raises ScratchnetError as `load` does, and for a peer that has none."""
    if name not in EMBEDDERS:
        raise ScratchnetError(f"embedding is compared with {' and '.join(EMBEDDERS)} alone")
    found: list[Embedder] = _ask(name, "embedders", device)
    return found


def _ask(name: str, question: str, device: Device) -> Any:
    """What the function called `question` in the module of a peer returns for the device."""
    try:
        return getattr(import_module(MODULES[name]), question)(device.name)
    except ScratchnetError:
        raise
    except ModuleNotFoundError as cause:
        if cause.name != name:
            raise ScratchnetError(f"{name} does not load: {in_one_line(cause)}") from cause
        raise ScratchnetError(f"{name} is not installed; {install_extra('bench')}") from cause
    except Exception as cause:  # a library that does not fit the others installed fails in many ways
        raise ScratchnetError(f"{name} does not load: {in_one_line(cause)}") from cause


def build(variant: Variant, training: Training) -> tuple[Peer, Difference]:
    """The peer, and how far from ours it computes. Raises ScratchnetError, in one line, where it does not run."""
    try:
        peer = variant.build(training)
        return peer, difference(training.gradients(), peer.gradients())
    except Exception as cause:  # compilers above all fail in many ways
        raise ScratchnetError(f"does not run: {in_one_line(cause)}") from cause


def difference(ours: tuple[float, Params], theirs: tuple[float, Params]) -> Difference:
    """Of the loss, and the largest among the gradients of the layers.

    By layer and not by parameter, since a bias in front of batch norm has a gradient of rounding errors alone.
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
    """The kind of an exception and the first line of what it says."""
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0][:160]}"
