"""The loop around the training step: epochs, validation, and what is kept of them."""

import json
import time
from dataclasses import replace
from functools import partial
from math import inf, isfinite
from pathlib import Path

from scratchnet.backend import Device, array_module, get_device, memory_errors, to_host
from scratchnet.checkpoint import load_model
from scratchnet.common.console import note
from scratchnet.data.alphabets import digest
from scratchnet.data.drawings import Drawings
from scratchnet.data.splits import Split, background_split, glyph_split
from scratchnet.errors import CheckpointError, DataError, NonFiniteError
from scratchnet.files.atomic import write_bytes
from scratchnet.models.networks import build
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot import trials as oneshot
from scratchnet.ops.finite import new_flag
from scratchnet.optim.averaging import WeightAverage
from scratchnet.optim.sgd import SGD
from scratchnet.train.batches import OBJECTIVES, VALIDATION, Batch, EpisodeBatches, PairBatches, stream
from scratchnet.train.diagnosis import diagnosis
from scratchnet.train.environment import differences, environment
from scratchnet.train.folder import RECIPE, STATE, run_folder
from scratchnet.train.gradients import GIB, Plan, plan, smaller_batch
from scratchnet.train.progress import Display, Progress
from scratchnet.train.recipes import Recipe
from scratchnet.train.signals import Interrupted, Stop, stop_requests
from scratchnet.train.state import TrainingRun, expect_resumable
from scratchnet.train.step import queue_step, train_step

SAVE_EVERY = 10.0  # minutes between two states within an epoch
READ_EVERY = 20  # steps, whose losses are read together on a device that computes while Python goes on


def load_split(recipe: Recipe, data: Path | str | None = None) -> Split:
    """The alphabets that the recipe trains on and chooses by."""
    if recipe.data == "glyphs":
        return glyph_split(recipe.image_size)
    return background_split(data, validation=recipe.validation_alphabets, drawers=recipe.drawers)


def train(
    recipe: Recipe,
    split: Split,
    out: Path,
    device: str | Device | None = None,
    minutes: float | None = None,
    resume: bool = False,
    quiet: bool = False,
    memory: float | None = None,
    save_every: float = SAVE_EVERY,
) -> SiameseNet:
    """Train by the recipe, keeping everything in the folder `out`; returns the network of the best epoch.

    Of the last epoch where the recipe has no validation; whatever the split holds to choose by is then left alone.
    minutes: stop after the epoch during which they have passed. resume: go on where the run in `out` stopped, to the
    same bits; one line on stderr warns where threads, kernels or versions differ, which may change rounding.
    memory: GiB that the process may take; batches are cut into as many pieces as that needs. None on a device with a
    memory of its own means what is free there. It is no part of the recipe, and a run may go on under another cap, or
    none: the pieces change the numbers by rounding alone.
    save_every: minutes after which the state is saved within an epoch, which is all that a kill or a power cut can
    lose; at the end of an epoch it always is.
    Raises Interrupted on SIGINT, SIGTERM or SIGHUP, once the batch under way is finished and the state saved;
    InUseError when another process trains in `out`; CheckpointError when `out` holds a run and `resume` is not given,
    or none and it is, or one by another recipe or on other data; DataError when there is nothing to train on or to
    choose by; NonFiniteError when a step gives a NaN or an infinity, with the last state kept; ScratchnetError when
    the memory is too little for any piece; BackendError when it runs out all the same, with the last state kept.
    """
    out = Path(out)
    with stop_requests() as stop, run_folder(out):
        place = get_device(device)
        if resume:
            expect_resumable(out, recipe)
        net = build(recipe.architecture, seed=recipe.seed, device=place)
        optimiser = recipe.optimiser()
        average = WeightAverage.starting_at(net.params, recipe.weight_average) if recipe.weight_average else None
        optimiser.expect_prefixes_to_fit(net.params)
        data = digest([*split.train, *(split.validation if recipe.validates else [])])
        run = TrainingRun(out, recipe, net, optimiser, average, data, environment(place))
        if not resume and (out / STATE).exists():
            raise CheckpointError(f"{out} holds a run already: go on with --resume, or name another folder with --out")
        before = run.load() if resume else {}
        batches = _batches(recipe, split, net, memory)
        validation_runs = _validation_runs(recipe, split)
        cut = _cut(net, optimiser, batches, memory)
        run.environment["pieces of a batch"] = str(cut.pieces if cut else 1)

        write_bytes(out / RECIPE, json.dumps(recipe.as_dict(), indent=2).encode())
        if not quiet:
            _announce(recipe, split, out, cut if memory is not None or (cut and cut.pieces > 1) else None)
        if changed := differences(before, run.environment):
            note(
                f"warning: {out} goes on with other {changed}: its numbers may differ by rounding from those of a "
                "run that was never stopped"
            )
        with (
            memory_errors(partial(smaller_batch, net, recipe.batch_size)),
            Display(recipe, batches.steps, run.progress, quiet) as display,
        ):
            _train_epochs(run, split, batches, validation_runs, cut, display, stop, minutes, save_every)
    del net, optimiser, average, run  # the best network comes in their place
    return load_model(out, device=place)


def _train_epochs(
    run: TrainingRun,
    split: Split,
    batches: PairBatches | EpisodeBatches,
    validation_runs: list[oneshot.Run],
    cut: Plan | None,
    display: Display,
    stop: Stop,
    minutes: float | None,
    save_every: float,
) -> None:
    """Train until the recipe is done, the minutes have passed, or a signal stops it."""
    progress, average = run.progress, run.average
    result = replace(run.net, params=average.params) if average else run.net
    started = saved = time.monotonic()
    while not progress.finished(run.recipe):
        run.optimiser.epoch = progress.epoch
        clock = time.monotonic()
        while progress.step < batches.steps:
            batch = batches.batch(progress.epoch, progress.step)
            _take_step(run.net, run.optimiser, batches, batch, cut, progress)
            if average:
                average.update(run.net.params, progress.epoch * batches.steps + progress.step, progress.failed)
            now = time.monotonic()
            progress.step += 1
            progress.images += batch.images
            progress.seconds += now - clock
            clock = now
            if stop.requested or now - saved >= 60 * save_every:
                _expect_finite(run.net, run.optimiser, batches, cut, progress)
                run.save()
                saved = time.monotonic()
            if stop.requested:
                message = f"stopped in epoch {progress.epoch + 1} after step {progress.step}, state saved"
                raise Interrupted(message, stop.number)
            display.batch(progress, batch.images)
        _expect_finite(run.net, run.optimiser, batches, cut, progress)
        validation = oneshot.evaluate(result, validation_runs) if validation_runs else None
        if run.record(validation) or run.recipe.keep == "last":
            run.save_result(result, split)
        run.save()
        saved = time.monotonic()
        display.epoch(progress)
        if minutes is not None and saved - started > 60 * minutes:
            break
        if stop.requested:
            raise Interrupted(f"stopped after epoch {progress.epoch}, state saved", stop.number)


def _batches(recipe: Recipe, split: Split, net: SiameseNet, memory: float | None) -> PairBatches | EpisodeBatches:
    """The batches of a training, from drawings that live where the network does, if there is room."""
    drawings = Drawings.of(split.train, net.image_size, frame=net.frame)
    drawings = drawings.to_device(net.device, memory=inf if memory is None else GIB * memory)
    return OBJECTIVES[recipe.objective](recipe, drawings, net.device)


def _validation_runs(recipe: Recipe, split: Split) -> list[oneshot.Run]:
    """The trials that every epoch is judged by; none where the recipe has no validation."""
    if not recipe.validates:
        return []
    if not split.validation:
        raise DataError("no alphabets to choose the best epoch by: the split has none, and the recipe asks for some")
    n_way = min(recipe.n_way, max(alphabet.characters for alphabet in split.validation))
    rng = stream(recipe.seed, VALIDATION)
    return oneshot.sample_runs(split.validation, -(-recipe.validation_trials // n_way), rng=rng, n_way=n_way)


def _cut(net: SiameseNet, optimiser: SGD, batches: PairBatches | EpisodeBatches, memory: float | None) -> Plan | None:
    """Into which pieces batches go under a cap in GiB, or on a device with a memory of its own; None anywhere else."""
    if memory is None and net.device.free_memory is None:
        return None
    cut = plan(net, optimiser, batches.loss, batches.batch(0, 0), None if memory is None else GIB * memory)
    net.embed_batch = min(net.embed_batch, cut.images)  # validation takes no more than training
    return cut


def _announce(recipe: Recipe, split: Split, out: Path, cut: Plan | None) -> None:
    note(f"recipe {recipe.name}, seed {recipe.seed}, run folder {out}")
    if not recipe.validates:
        note(f"no validation: all {len(split.train)} alphabets train, and the network of the last epoch is the result")
    if cut:
        note(
            f"batches of {recipe.batch_size} in pieces of {cut.size} ({cut.pieces} a batch), "
            f"forecast: {cut.bytes / GIB:.2f} GiB"
        )


def _take_step(
    net: SiameseNet,
    optimiser: SGD,
    batches: PairBatches | EpisodeBatches,
    batch: Batch,
    cut: Plan | None,
    progress: Progress,
) -> None:
    """One step. Its loss is read at once, or together with others where that means waiting for the device."""
    pieces = cut.pieces if cut else 1
    if net.device.asynchronous:
        if progress.failed is None:
            progress.failed = new_flag(net.params["head.weight"])
        progress.unread.append(queue_step(net, optimiser, batch, batches.loss, progress.failed, pieces))
        if len(progress.unread) >= READ_EVERY:
            _read_losses(net, optimiser, batches, cut, progress)
        return
    try:
        progress.losses.append(train_step(net, optimiser, batch.a, batch.b, batch.target, batches.loss, pieces))
    except NonFiniteError as error:
        raise NonFiniteError(f"{_step_name(progress.epoch, progress.step)}: {error}") from error


def _read_losses(
    net: SiameseNet, optimiser: SGD, batches: PairBatches | EpisodeBatches, cut: Plan | None, progress: Progress
) -> None:
    """Read the losses that are still on their device, in one go.

    Raises NonFiniteError for the first step that failed. The steps after it have changed nothing, so a second pass
    over it finds the network as it was.
    """
    if not progress.unread:
        return
    for loss in to_host(array_module(*progress.unread).stack(progress.unread)).tolist():
        step = len(progress.losses)
        if not isfinite(loss):
            batch = batches.batch(progress.epoch, step)
            found = diagnosis(net, optimiser, batch, batches.loss, cut.pieces if cut else 1)
            raise NonFiniteError(f"{_step_name(progress.epoch, step)}: {found}")
        progress.losses.append(loss)
    progress.unread.clear()


def _step_name(epoch: int, step: int) -> str:
    """As people count, from 1."""
    return f"step {step + 1} of epoch {epoch + 1}"


def _expect_finite(
    net: SiameseNet, optimiser: SGD, batches: PairBatches | EpisodeBatches, cut: Plan | None, progress: Progress
) -> None:
    """Raise NonFiniteError rather than save a network that cannot go on; the last good state stays."""
    _read_losses(net, optimiser, batches, cut, progress)
    xp = array_module(*net.params.values())
    finite = to_host(xp.stack([xp.isfinite(value).all() for value in net.params.values()]))  # read in one go
    for name, all_finite in zip(net.params, finite, strict=True):
        if not all_finite:
            raise NonFiniteError(f"{name} has a NaN or an infinity after the last step: lower the learning rate")
