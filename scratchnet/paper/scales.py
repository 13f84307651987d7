"""How large a reproduction is: pixels, width, and the pairs that each network sees. These numbers stand only here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError

MNIST_SIZE, MNIST_KERNELS = 35, (4, 3, 2, 2)  # 35 pixels are the paper's; the kernels, which it leaves open, are ours


@dataclass(frozen=True)
class Scale:
    """The size of the networks, and how long they train.

    epoch_pairs: pairs in an epoch; 0 means the paper's epoch, a pass over the set and its distorted copies. So with
    epoch_pairs all networks take equally many steps, `epochs` times epoch_pairs / 128, however large the set is.
    ramp_epochs: in which the momentum rises. short_epochs: of the runs that compare readings of the paper.
    trial_epochs: of a trial of the search. first_steps: of the study of the initialisation.
    """

    name: str
    image_size: int
    epochs: int
    epoch_pairs: int
    ramp_epochs: int
    short_epochs: int
    trial_epochs: int
    first_steps: int = 500
    channels: Sequence[int] = (64, 128, 128, 256)
    features: int = 4096

    @property
    def architecture(self) -> dict[str, Any]:
        """The paper's network at this scale."""
        return {
            "name": "koch2015",
            "image_size": self.image_size,
            "channels": list(self.channels),
            "features": self.features,
        }

    @property
    def mnist_architecture(self) -> dict[str, Any]:
        """The smaller network for MNIST, 35 pixels at every scale."""
        return self.architecture | {"image_size": MNIST_SIZE, "kernels": list(MNIST_KERNELS)}

    def __str__(self) -> str:
        width = "-".join(map(str, self.channels))
        shown = f"{self.epochs * self.epoch_pairs:,} pairs" if self.epoch_pairs else f"up to {self.epochs} passes"
        return f"{self.name}: {self.image_size} pixels, {width} channels, {self.features:,} features, {shown} a network"


SCALES = {
    scale.name: scale
    for scale in (
        Scale("full", 105, epochs=200, epoch_pairs=0, ramp_epochs=20, short_epochs=5, trial_epochs=10),
        Scale("half", 81, epochs=50, epoch_pairs=30_000, ramp_epochs=20, short_epochs=10, trial_epochs=5),
        Scale("small", 65, epochs=10, epoch_pairs=30_000, ramp_epochs=5, short_epochs=4, trial_epochs=3),
    )
}


def find_scale(name: str) -> Scale:
    """The scale of this name. Raises ScratchnetError when there is none."""
    if name not in SCALES:
        raise ScratchnetError(f"unknown scale {name!r}{hint(name, SCALES)}: choose one of {', '.join(SCALES)}")
    return SCALES[name]
