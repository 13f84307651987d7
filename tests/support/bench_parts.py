"""A small workload, and stand-ins for other libraries."""

from scratchnet.bench.workload import Workload

TINY = Workload("compact", pairs=2, device="cpu", options={"image_size": 16, "width": 2, "features": 8})


class Mirror:
    """A peer that computes what we do, with gradients multiplied by `factor`."""

    def __init__(self, training, factor=1.0):
        self.training, self.factor = training, factor

    def step(self):
        return 0.0

    def gradients(self):
        loss, grads = self.training.gradients()
        return loss, {name: self.factor * gradient for name, gradient in grads.items()}


def never(_training):
    raise RuntimeError("no compiler\nand much more")
