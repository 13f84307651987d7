"""The steps of a run, one after the other; on a device that computes asynchronously, their losses are read later.

Some steps of each epoch are measured: the norms of their gradients go into the log (`norms.py`).
"""

from dataclasses import dataclass, field
from math import isfinite

from scratchnet.backend import Array, Params, array_module, to_host
from scratchnet.errors import NonFiniteError
from scratchnet.ops.finite import new_flag
from scratchnet.optim.sgd import SGD
from scratchnet.parallel.comm import of_all_ranks, told_by
from scratchnet.train.batches import Batches
from scratchnet.train.diagnosis import UNSEEN, diagnosis
from scratchnet.train.gradients import Batch
from scratchnet.train.norms import MEASURED_STEPS, MeasuringSGD, is_measured, layer_norms
from scratchnet.train.ranks import gradients_on
from scratchnet.train.state import TrainingRun
from scratchnet.train.step import queue_step
from scratchnet.train.synchronous import train_step

READ_EVERY = 20  # steps, whose losses are read together on a device that computes while Python goes on


@dataclass
class Stepper:
    """Takes the steps of a run, together with the other ranks.

    pieces: how many each batch is split into. measured: how many steps of an epoch have their gradients measured.
    unread: losses () that are still on their device, after those in `run.progress`; unread_squares: of the measured
    steps, the squared norms () of the gradients by parameter name. failed: the flag on the device that a failing step
    raises (`queue_step`).
    """

    run: TrainingRun
    batches: Batches
    pieces: int = 1
    measured: int = MEASURED_STEPS
    unread: list[Array] = field(default_factory=list)
    unread_squares: list[Params] = field(default_factory=list)
    failed: Array | None = None

    def __post_init__(self) -> None:
        self._take_gradients = gradients_on(self.run.ranks, self.run.net)

    def step(self) -> int:
        """Take the next step; returns how many images its batch had. Raises NonFiniteError when a step failed."""
        run, progress = self.run, self.run.progress
        batch = self.batches.batch(progress.epoch, progress.step)
        optimiser = run.optimiser
        if is_measured(progress.step, self.batches.steps, self.measured):
            optimiser = MeasuringSGD.of(optimiser)
        if run.net.device.asynchronous:
            self._queue(batch, optimiser)
        else:
            self._take(batch, optimiser)
        run.project()
        if isinstance(optimiser, MeasuringSGD):
            self.unread_squares.append(optimiser.squares)
        if len(self.unread) >= READ_EVERY:
            self.read()
        if run.average:
            run.average.update(run.net.params, progress.epoch * self.batches.steps + progress.step, failed=self.failed)
        progress.step += 1
        images = batch.images * run.ranks.size
        progress.images += images
        return images

    def _take(self, batch: Batch, optimiser: SGD) -> None:
        net, progress = self.run.net, self.run.progress
        loss, pieces, take = self.batches.loss, self.pieces, self._take_gradients
        try:
            value = train_step(net, optimiser, batch.a, batch.b, batch.target, loss=loss, pieces=pieces, take=take)
        except NonFiniteError as error:
            raise self._failure(progress.step, str(error)) from error
        progress.losses.append(value)

    def _queue(self, batch: Batch, optimiser: SGD) -> None:
        net = self.run.net
        if self.failed is None:
            self.failed = new_flag(net.params["head.weight"])
        loss, pieces, take = self.batches.loss, self.pieces, self._take_gradients
        self.unread.append(queue_step(net, optimiser, batch, loss, self.failed, pieces=pieces, take=take))

    def read(self) -> None:
        """Read the losses and norms that are still on their device, all at once.

        Raises NonFiniteError for the first step that failed. The steps after it have changed nothing, so a second pass
        over it finds the network as it was.
        """
        scalars = [*self.unread, *(square for squares in self.unread_squares for square in squares.values())]
        if not scalars:
            return
        net, optimiser, progress = self.run.net, self.run.optimiser, self.run.progress
        read = to_host(array_module(*scalars).stack(scalars))
        for loss in read[: len(self.unread)].tolist():
            step = len(progress.losses)
            if not isfinite(loss):
                batch = self.batches.batch(progress.epoch, step)
                reason = diagnosis(net, optimiser, batch, self.batches.loss, self.pieces)
                raise self._failure(step, reason)
            progress.losses.append(loss)
        read = read[len(self.unread) :]
        for squares in self.unread_squares:
            progress.norms.append(layer_norms(list(squares), read[: len(squares)]))
            read = read[len(squares) :]
        self.unread.clear()
        self.unread_squares.clear()

    def expect_finite(self) -> None:
        """Raise NonFiniteError rather than let a network be saved that cannot go on; the last good state stays."""
        self.read()
        params = self.run.net.params
        xp = array_module(*params.values())
        finite = to_host(xp.stack([xp.isfinite(value).all() for value in params.values()]))  # read all at once
        for name, all_finite in zip(params, finite, strict=True):
            if not all_finite:
                raise NonFiniteError(f"{name} has a NaN or an infinity after the last step: lower the learning rate")

    def _failure(self, step: int, reason: str) -> NonFiniteError:
        """The error of a step, counted from 1 as in the log; of several ranks' reasons, the first that names a layer.

        All ranks know of the failure, for it is in the sums. What caused it may lie in the rows of one of them.
        """
        ranks = self.run.ranks
        if ranks.size > 1:
            knows = of_all_ranks(ranks, reason != UNSEEN)
            first = knows.index(max(knows))
            reason = f"rank {first}: {told_by(ranks, first, reason)}"
        return NonFiniteError(f"step {step + 1} of epoch {self.run.progress.epoch + 1}: {reason}")
