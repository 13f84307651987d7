"""The training step and the loop around it.

A run folder holds recipe.json; weights.npz, the best network so far, or the last one where there is no validation to
choose by; state.npz, all that is needed to go on; and log.jsonl, one line an epoch. Every file is written whole or not
at all. Where the recipe asks for a running average of the weights, the network with the averaged ones is validated,
written and returned, and training goes on with the others.

The random numbers of a batch depend on the seed, the epoch and the step alone, so a run that was stopped and resumed
ends with the same bits as one that was not, on the same machine with the same number of threads. Under a memory cap it
is the same to rounding, since the pieces of a batch depend on what the process has taken when it starts.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet import oneshot
from scratchnet.averaging import WeightAverage
from scratchnet.backend import (
    Array,
    Device,
    Params,
    array_module,
    get_device,
    keep_freed_memory,
    memory_errors,
    one_blas_thread,
    to_device,
    to_host,
)
from scratchnet.batches import CALIBRATION, OBJECTIVES, VALIDATION, Batch, EpisodeBatches, PairBatches, stream
from scratchnet.checkpoint import WEIGHTS, fitting, load_arrays, load_model, save_arrays, save_model
from scratchnet.data.drawings import Drawings
from scratchnet.data.splits import Split, background_split, glyph_split
from scratchnet.errors import CheckpointError, DataError, NonFiniteError
from scratchnet.files import write_bytes
from scratchnet.losses import Loss, PairCrossEntropy
from scratchnet.microbatches import GIB, Gradients, Plan, gradients, plan, smaller_batch
from scratchnet.models import build
from scratchnet.optim import SGD
from scratchnet.progress import CLOCK_TICK, Display, Progress
from scratchnet.recipes import Recipe
from scratchnet.siamese import SiameseNet

CALIBRATION_PAIRS = 500  # for the bias of a network trained on episodes
READ_EVERY = 20  # steps, whose losses are read together on a device that computes while Python goes on
STATE, RECIPE, LOG = "state.npz", "recipe.json", "log.jsonl"


class Interrupted(Exception):
    """Training was asked to stop, and has saved its state."""


@np.errstate(over="ignore", invalid="ignore")  # a loss that is no number is an error of its own
def train_step(
    net: SiameseNet, optimiser: SGD, a: Array, b: Array, target: Array,
    loss: Loss | None = None, pieces: int = 1,
) -> float:
    """One forward, backward and update on a batch; returns the loss before the update.

    Pairs: a and b (N, H, W), target (N,) labels, with PairCrossEntropy, the default. Episodes: a (E, Q, 1, H, W),
    b (E, 1, S, H, W), target (E, Q, S) one-hot, with NWayCrossEntropy. All float32 on the network's device.
    pieces: take the batch in so many, one after the other, for less memory and the same result to rounding.
    Raises NonFiniteError, before anything is changed, when the loss is no number; BackendError when memory runs out,
    as a rule before anything is changed, too, but the first update may have been made in part.
    """
    keep_freed_memory()
    with one_blas_thread(), memory_errors(lambda: smaller_batch(net, target.shape[0], pieces)):
        found = gradients(net, loss or PairCrossEntropy(), a, b, target, pieces)
        loss_value = float(to_host(found.loss))  # the one synchronisation of a step
        _expect_number(loss_value)
        _update(net, optimiser, found)
    return loss_value


def queue_step(net: SiameseNet, optimiser: SGD, batch: Batch, loss: Loss, pieces: int = 1) -> Array:
    """`train_step` without waiting for the device: returns the loss (), which is there, unread and unchecked."""
    found = gradients(net, loss, batch.a, batch.b, batch.target, pieces)
    _update(net, optimiser, found)
    return found.loss


def _update(net: SiameseNet, optimiser: SGD, found: Gradients) -> None:
    optimiser.step(net.params, found.params)
    net.params.update(found.running_statistics)


def _expect_number(loss: float) -> None:
    if not np.isfinite(loss):
        raise NonFiniteError(f"the loss is {loss}: look for a NaN in the images, or lower the learning rate")


def load_split(recipe: Recipe, data: Path | str | None = None) -> Split:
    """The alphabets that the recipe trains on and chooses by."""
    if recipe.data == "glyphs":
        return glyph_split(recipe.image_size)
    return background_split(data, recipe.validation_alphabets, recipe.drawers)


def train(
    recipe: Recipe, split: Split, out: Path, device: str | Device | None = None, minutes: float | None = None,
    resume: bool = False, quiet: bool = False, memory: float | None = None,
) -> SiameseNet:
    """Train by the recipe, keeping everything in the folder `out`; returns the network of the best epoch.

    Of the last epoch where the recipe has no validation; whatever the split holds to choose by is then left alone.
    minutes: stop after the epoch during which they have passed. resume: go on where the run in `out` stopped.
    memory: GiB that the process may take; batches are cut into as many pieces as that needs. None on a device with a
    memory of its own means what is free there. It is no part of the recipe, and a run may go on under another cap, or
    none: the pieces change the numbers by rounding alone.
    Raises Interrupted on SIGINT or SIGTERM, once the batch under way is finished and the state saved;
    CheckpointError when `out` holds a run and `resume` is not given, or none and it is; DataError when there is
    nothing to train on or to choose by; NonFiniteError when the loss is no number, with the last state kept;
    ScratchnetError when the memory is too little for any piece; BackendError when it runs out all the same, with the
    last state kept.
    """
    place = get_device(device)
    net = build(recipe.architecture, seed=recipe.seed, device=place)
    optimiser, progress = recipe.optimiser(), Progress()
    average = WeightAverage.starting_at(net.params, recipe.weight_average) if recipe.weight_average else None
    optimiser.expect_prefixes_to_fit(net.params)
    if resume:
        progress = _load_state(out, recipe, net, optimiser, average, place)
    elif (out / STATE).exists():
        raise CheckpointError(f"{out} holds a run already: go on with --resume, or name another folder with --out")
    batches = _batches(recipe, split, net, memory)
    validation_runs = _validation_runs(recipe, split)
    cut = _cut(net, optimiser, batches, memory)
    result = replace(net, params=average.params) if average else net

    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / RECIPE, json.dumps(recipe.as_dict(), indent=2).encode())
    if not quiet:
        _announce(recipe, split, out, cut if memory is not None or (cut and cut.pieces > 1) else None)
    started = time.monotonic()
    with (
        memory_errors(partial(smaller_batch, net, recipe.batch_size)), _stop_requests() as stop,
        Display(recipe, batches.steps, progress, quiet) as display,
    ):
        while not progress.finished(recipe):
            optimiser.epoch = progress.epoch
            epoch_started, images = time.monotonic(), 0
            while progress.step < batches.steps:
                batch = batches.batch(progress.epoch, progress.step)
                _take_step(net, optimiser, batch, batches.loss, cut.pieces if cut else 1, progress)
                if average:
                    average.update(net.params, progress.epoch * batches.steps + progress.step)
                progress.step += 1
                images += batch.images
                display.batch(progress, batch.images)
                if stop.requested:
                    _expect_finite(net, progress)
                    _save_state(out, recipe, net, optimiser, average, progress)
                    raise Interrupted(f"stopped in epoch {progress.epoch + 1} after step {progress.step}, state saved")
            _expect_finite(net, progress)
            seconds = max(time.monotonic() - epoch_started, CLOCK_TICK)
            validation = oneshot.evaluate(result, validation_runs) if validation_runs else None
            if _record_epoch(out, optimiser, progress, validation, seconds, images / seconds) or recipe.keep == "last":
                _save_result(out, recipe, result, split, progress)
            _save_state(out, recipe, net, optimiser, average, progress)
            display.epoch(progress)
            if minutes is not None and time.monotonic() - started > 60 * minutes:
                break
            if stop.requested:
                raise Interrupted(f"stopped after epoch {progress.epoch}, state saved")
    del net, optimiser, average, result  # the best network comes in their place
    return load_model(out, place)


def _batches(
    recipe: Recipe, split: Split, net: SiameseNet, memory: float | None
) -> PairBatches | EpisodeBatches:
    """The batches of a training, from drawings that live where the network does, if there is room."""
    drawings = Drawings.of(split.train, net.image_size, net.frame)
    drawings = drawings.to_device(net.device, inf if memory is None else GIB * memory)
    return OBJECTIVES[recipe.objective](recipe, drawings, net.device)


def _validation_runs(recipe: Recipe, split: Split) -> list[oneshot.Run]:
    """The trials that every epoch is judged by; none where the recipe has no validation."""
    if not recipe.validates:
        return []
    if not split.validation:
        raise DataError("no alphabets to choose the best epoch by: the split has none, and the recipe asks for some")
    n_way = min(recipe.n_way, max(alphabet.characters for alphabet in split.validation))
    rng = stream(recipe.seed, VALIDATION)
    return oneshot.sample_runs(split.validation, -(-recipe.validation_trials // n_way), rng, n_way)


def _cut(
    net: SiameseNet, optimiser: SGD, batches: PairBatches | EpisodeBatches, memory: float | None
) -> Plan | None:
    """Into which pieces batches go under a cap in GiB, or on a device with a memory of its own; None anywhere else."""
    if memory is None and net.device.free_memory is None:
        return None
    cut = plan(net, optimiser, batches.loss, batches.batch(0, 0), None if memory is None else GIB * memory)
    net.embed_batch = min(net.embed_batch, cut.images)  # validation takes no more than training
    return cut


def _announce(recipe: Recipe, split: Split, out: Path, cut: Plan | None) -> None:
    print(f"recipe {recipe.name}, seed {recipe.seed}, run folder {out}", file=sys.stderr)
    if not recipe.validates:
        print(f"no validation: all {len(split.train)} alphabets train, and the network of the last epoch is the result",
              file=sys.stderr)
    if cut:
        print(f"batches of {recipe.batch_size} in pieces of {cut.size} ({cut.pieces} a batch), "
              f"forecast: {cut.bytes / GIB:.2f} GiB", file=sys.stderr)


def _take_step(
    net: SiameseNet, optimiser: SGD, batch: Batch, loss: Loss, pieces: int, progress: Progress
) -> None:
    """One step. Its loss is read at once, or together with others where that means waiting for the device."""
    if not net.device.asynchronous:
        progress.losses.append(train_step(net, optimiser, batch.a, batch.b, batch.target, loss, pieces))
        return
    progress.unread.append(queue_step(net, optimiser, batch, loss, pieces))
    if len(progress.unread) >= READ_EVERY:
        _read_losses(progress)


def _read_losses(progress: Progress) -> None:
    """Read what losses are still on their device, in one go. Raises NonFiniteError when one is no number."""
    if progress.unread:
        losses = to_host(array_module(*progress.unread).stack(progress.unread)).tolist()
        for loss in losses:
            _expect_number(loss)
        progress.losses += losses
        progress.unread.clear()


def _expect_finite(net: SiameseNet, progress: Progress) -> None:
    """Raise NonFiniteError rather than save a network that cannot go on; the last good state stays."""
    _read_losses(progress)
    xp = array_module(*net.params.values())
    finite = to_host(xp.stack([xp.isfinite(value).all() for value in net.params.values()]))  # read in one go
    for name, all_finite in zip(net.params, finite, strict=True):
        if not all_finite:
            raise NonFiniteError(f"{name} has a NaN or an infinity after the last step: lower the learning rate")


def _record_epoch(
    out: Path, optimiser: SGD, progress: Progress, validation: oneshot.Result | None, seconds: float,
    images_per_second: float,
) -> bool:
    """Record the epoch in the log, and say whether its network is the best yet, or nothing tells."""
    best = progress.best
    progress.epoch += 1
    progress.history.append({
        "epoch": progress.epoch, "loss": float(np.mean(progress.losses)),
        "validation": validation and validation.accuracy, "scope": validation and validation.scope,
        "interval": validation and validation.interval, "lr": optimiser.rate, "seconds": round(seconds, 2),
        "images_per_second": round(images_per_second, 1),
    })
    progress.step, progress.losses = 0, []
    lines = "".join(json.dumps(record) + "\n" for record in progress.history)
    write_bytes(out / LOG, lines.encode())
    return validation is None or best is None or validation.accuracy > best["validation"]


def _save_result(out: Path, recipe: Recipe, net: SiameseNet, split: Split, progress: Progress) -> None:
    """Write the network of the epoch just recorded; one trained on episodes gets its bias first.

    The bias is found on validation drawings, or on training drawings where there are no others.
    """
    if recipe.objective == "episodes":
        alphabets = split.validation if recipe.validates else split.train
        net = oneshot.calibrated(net, alphabets, CALIBRATION_PAIRS, stream(recipe.seed, CALIBRATION))
    save_model(out / WEIGHTS, net, recipe=recipe.as_dict(), **progress.history[-1])


def _save_state(
    out: Path, recipe: Recipe, net: SiameseNet, optimiser: SGD, average: WeightAverage | None, progress: Progress
) -> None:
    arrays = {f"params/{name}": value for name, value in net.params.items()}
    arrays |= {f"velocity/{name}": value for name, value in optimiser.velocity.items()}
    arrays |= {f"average/{name}": value for name, value in average.params.items()} if average else {}
    description = {
        "recipe": recipe.as_dict(), "epoch": progress.epoch, "step": progress.step, "losses": progress.losses,
        "history": progress.history,
    }
    save_arrays(out / STATE, arrays, description)


def _load_state(
    out: Path, recipe: Recipe, net: SiameseNet, optimiser: SGD, average: WeightAverage | None, device: Device
) -> Progress:
    """Set the network, the optimiser and the average to the state of the run in `out`, of the same recipe."""
    if not (out / STATE).is_file():
        raise CheckpointError(f"{out} holds no run to resume: start it without --resume")
    arrays, saved = load_arrays(out / STATE)
    if missing := {"recipe", "epoch", "step", "losses", "history"} - saved.keys():
        raise CheckpointError(f"{out / STATE} is no state of a run, it has no {min(missing)}: use another copy")
    for name, value in recipe.as_dict().items():
        if saved["recipe"].get(name) != value:
            raise CheckpointError(f"{out} was trained with {name}={saved['recipe'].get(name)}, not {name}={value}: "
                                  "resume it as it began, or choose another --out")

    def part(prefix: str, like: Params) -> Params:
        found = {n.removeprefix(prefix): value for n, value in arrays.items() if n.startswith(prefix)}
        return {n: to_device(value, device) for n, value in fitting(found, like, out / STATE).items()}

    net.params = part("params/", net.params)
    moving = [n.removeprefix("velocity/") for n in arrays if n.startswith("velocity/")]
    optimiser.velocity = part("velocity/", {n: net.params[n] for n in moving if n in net.params})
    if average:
        average.params = part("average/", net.params)
    return Progress(saved["epoch"], saved["step"], saved["losses"], saved["history"])


@dataclass
class _Stop:
    requested: bool = False


@contextmanager
def _stop_requests() -> Iterator[_Stop]:
    """SIGINT and SIGTERM set a flag that the loop reads between two batches; a second one ends the program at once."""
    stop = _Stop()

    def request(number: int, _frame: Any) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True

    try:
        previous = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, where signals arrive
        previous = {}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
