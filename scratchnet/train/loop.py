"""The loop around the training step: epochs, validation, and saving.

A run folder holds recipe.json; weights.npz, the best network so far, or the last one where there is no validation;
state.npz, from which the run is resumed; and log.jsonl, one line per epoch. Every file is written whole or not at all.
Where the recipe asks for a running average of the weights, the network with the averaged weights is validated, written
and returned, and training goes on with the others.

One process trains in a folder: the lock file .lock keeps others out while it runs. state.npz is written at the end of
each epoch, every few minutes within one, and on SIGINT, SIGTERM or SIGHUP; a kill loses the steps since then. It
records a digest of the drawings, since a run is not resumed on others, and the environment: a change gives a warning.

The random numbers of a batch depend only on the seed, the epoch and the step, so a run that was stopped and resumed
ends with the same bits as one that was not, on the same machine with the same number of threads. Their weights.npz are
the same file, as only the log holds times. Under a memory limit they agree up to rounding, since the pieces of a batch
depend on how much memory the process holds when it starts.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from scratchnet.backend import Device, get_device, memory_errors
from scratchnet.checkpoint import load_model
from scratchnet.common.console import note
from scratchnet.data.drawings import Drawings
from scratchnet.data.own import OwnData, split_own
from scratchnet.data.splits import Split, background_split, glyph_split
from scratchnet.data.uneven import uneven
from scratchnet.errors import CheckpointError, DataError
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot import trials as oneshot
from scratchnet.parallel.comm import ALONE, Comm, of_all_ranks
from scratchnet.parallel.nccl import on_device
from scratchnet.train.batches import OBJECTIVES, VALIDATION, Batches, stream
from scratchnet.train.environment import differences
from scratchnet.train.folder import STATE, run_folder
from scratchnet.train.memory_plan import GIB, Plan, memory_advice, plan
from scratchnet.train.norms import MEASURED_STEPS, expect_measured
from scratchnet.train.progress import Display
from scratchnet.train.ranks import expect_to_divide
from scratchnet.train.recipe import Recipe
from scratchnet.train.signals import Stop, stop_requests
from scratchnet.train.state import TrainingRun, expect_resumable
from scratchnet.train.stepper import Stepper
from scratchnet.train.watch import Watch

SAVE_EVERY = 10.0  # minutes between two states within an epoch


def load_split(recipe: Recipe, data: Path | str | None = None) -> Split:
    """The alphabets for a recipe, to train on and to validate by; data: the folder or zip of Omniglot.

    Raises DataError when the recipe needs Omniglot and `data` does not have it. One's own pictures are `own_split`'s.
    """
    if recipe.data == "glyphs":
        return glyph_split(recipe.image_size)
    if recipe.data == "own":
        raise DataError(f"{recipe.name} is for pictures of your own: give their folder with --data, or to own_split")
    return background_split(data, validation=recipe.validation_alphabets, drawers=recipe.drawers)


def own_split(recipe: Recipe, own: OwnData) -> tuple[Recipe, Split, str]:
    """The recipe as it suits one's own pictures, the alphabets to train on and to validate by, and what is kept out.

    An episode has no more characters than there are to train on; both_ways needs two drawings of every character;
    where nothing can be kept out, there is no validation.
    """
    split, what = split_own(own.alphabets, n_way=recipe.n_way, keep_out=recipe.keep_out, seed=recipe.seed)
    alone = any(alphabet.characters > len(uneven(alphabet).askable) for alphabet in split.train)
    return (
        replace(
            recipe,
            data="own",
            n_way=min(recipe.n_way, max(alphabet.characters for alphabet in split.train)),
            both_ways=recipe.both_ways and not alone,
            validation_alphabets=(),
            keep_out=recipe.keep_out if split.validation else "none",
        ),
        split,
        what,
    )


def train(
    recipe: Recipe,
    split: Split,
    out: Path | str,
    *,
    start: SiameseNet | None = None,
    device: str | Device | None = None,
    max_minutes: float | None = None,
    deadline: float = inf,
    resume: bool = False,
    quiet: bool = False,
    memory_gib: float | None = None,
    save_every: float = SAVE_EVERY,
    measured_steps: int = MEASURED_STEPS,
    on_step: Callable[[dict[str, Any]], None] | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    ranks: Comm = ALONE,
) -> SiameseNet:
    """Train by the recipe, keeping everything in the folder `out`; returns the best network.

    That is the one of the best epoch by validation or, with keep="last" or without a validation, of the last epoch.
    Without a validation, the validation alphabets of the split are not used.

    start: the network whose parameters to begin with, of the recipe's architecture; None for new ones.
    max_minutes: stop after the epoch in which they run out. deadline: on the clock of time.monotonic(); stop there,
    within an epoch, by raising OutOfTime. resume: go on where the run in `out` stopped, to the same
    bits; a warning on stderr names threads, kernels or versions that differ and may change the rounding.
    memory_gib: a limit on the memory of the process; batches are split into as many pieces as that needs. None on a
    device with memory of its own means what is free there. The limit is no part of the recipe, and a run may be
    resumed with another one or none: pieces change the numbers only by rounding.
    save_every: minutes between two states within an epoch, and so the most that a kill or a power cut can lose; at the
    end of an epoch the state is always saved.
    measured_steps: of each epoch, whose gradients are measured for the log, layer by layer; 0: none. The weights are
    the same bits either way, and a run may be resumed with another number.
    on_step: called after each step with {"epoch", "step", "loss", "lr"}, epoch and step counted from 1; on a GPU, whose
    losses are read together, for several steps at once. on_epoch: called after each epoch, once its state is saved,
    with its record in the log. What they raise ends the run, which can be resumed.
    ranks: the processes that train this network together, each of which calls `train` alike (`parallel.world`): the
    batch of the recipe is that of them all. Rank 0 writes; `out` is a folder that all can read. A run may be resumed by
    another number of ranks.

    A run may be resumed with a recipe of more epochs, or more patience, than it began with. Where the schedule is a
    cosine, the learning rate goes on with that of the new number of epochs.

    Raises Interrupted on SIGINT, SIGTERM, SIGHUP or SIGUSR1, and OutOfTime, which is one, at the deadline, once the
    current batch is finished and the state saved; InUseError when another process trains in `out`; CheckpointError when
    `out` holds a run and `resume` is not given, or holds none and it is, or one with another recipe or on other data;
    DataError when there is nothing to train on or to validate by; NonFiniteError when a step gives a NaN or an
    infinity, with the last state kept; ScratchnetError for `measured_steps` out of range, ranks that do not divide a
    batch, and too little memory for any piece; BackendError when memory runs out anyway, with the last state kept.
    """
    out = Path(out)
    expect_measured(measured_steps)
    expect_to_divide(recipe.batch_size, ranks)
    with stop_requests(deadline) as stop, nullcontext() if ranks.rank else run_folder(out):
        place = get_device(device)
        ranks = on_device(ranks, place)
        if resume:
            expect_resumable(out, recipe)
        elif (out / STATE).exists():
            raise CheckpointError(f"{out} holds a run already: go on with --resume, or name another folder with --out")
        run = TrainingRun.start(out, recipe, split, place, start, ranks)
        before = run.load() if resume else {}
        batches = _batches(run, split, memory_gib)
        trials = validation_runs(recipe, split)
        planned = _plan_pieces(run, batches, memory_gib)
        stepper = Stepper(run, batches, planned.pieces if planned else 1, measured_steps)
        run.environment["pieces of a batch"] = str(stepper.pieces)

        run.save_recipe()
        if not quiet:
            _announce(run, split, planned if memory_gib is not None or stepper.pieces > 1 else None)
        if changed := differences(before, run.environment):
            note(
                f"warning: {out} goes on with other {changed}: its numbers may differ by rounding from those of a "
                "run that was never stopped"
            )
        with (
            memory_errors(partial(memory_advice, run.net, recipe.batch_size)),
            Display(recipe, batches.steps, run.progress, quiet=quiet) as display,
        ):
            watch = Watch(run, on_step, on_epoch)
            _train_epochs(
                run, stepper, split, trials, display, stop, watch, max_minutes=max_minutes, save_every=save_every
            )
    del run, stepper  # makes room for the network to return
    ranks.barrier()  # until it is written
    return load_model(out, device=place)


def _train_epochs(
    run: TrainingRun,
    stepper: Stepper,
    split: Split,
    trials: list[oneshot.Run],
    display: Display,
    stop: Stop,
    watch: Watch,
    *,
    max_minutes: float | None,
    save_every: float,
) -> None:
    """Train until the recipe is done, time runs out, or a signal stops it."""
    progress = run.progress
    started = saved = time.monotonic()
    while not progress.finished(run.recipe):
        run.optimiser.start_epoch(progress.epoch)
        clock = time.monotonic()
        while progress.step < stepper.batches.steps:
            images = stepper.step()
            now = time.monotonic()
            progress.seconds += now - clock
            clock = now
            stopping, due = stop.agreed(run.ranks), any(of_all_ranks(run.ranks, now - saved >= 60 * save_every))
            if stopping or due:
                stepper.expect_finite()
                run.save()
                saved = time.monotonic()
            if stopping:
                run.ranks.barrier()  # until it is saved
                raise stop.interruption(
                    f"stopped in epoch {progress.epoch + 1} after step {progress.step}, state saved"
                )
            display.batch(progress, images)
            watch.steps()
        stepper.expect_finite()
        watch.steps()
        validation = _validated(run, trials) if trials else None
        if run.record(validation) or run.recipe.keep == "last":
            run.save_result(split)
        run.save()
        saved = time.monotonic()
        display.epoch(progress)
        watch.epoch()
        if max_minutes is not None and any(of_all_ranks(run.ranks, saved - started > 60 * max_minutes)):
            break
        if stop.agreed(run.ranks):
            run.ranks.barrier()
            raise stop.interruption(f"stopped after epoch {progress.epoch}, state saved")


def _batches(run: TrainingRun, split: Split, memory_gib: float | None) -> Batches:
    """The batches of a run; its drawings live where the network does, if there is room."""
    net = run.net
    drawings = Drawings.of(split.train, net.image_size, frame=net.frame)
    drawings = drawings.to_device(net.device, memory=inf if memory_gib is None else GIB * memory_gib)
    return OBJECTIVES[run.recipe.objective](run.recipe, drawings, net.device, run.ranks)


def _validated(run: TrainingRun, trials: list[oneshot.Run]) -> oneshot.Result:
    """The result of the network on the trials, of which each rank judges a share."""
    own = trials[run.ranks.rank :: run.ranks.size]
    found = oneshot.evaluate(run.result, own) if own else oneshot.Result(0, 0)
    correct, judged = (int(sum(of_all_ranks(run.ranks, count))) for count in (found.correct, found.trials))
    return oneshot.Result(correct, judged, trials[0].scope)


def validation_runs(recipe: Recipe, split: Split) -> list[oneshot.Run]:
    """The trials that validate every epoch; none where the recipe has no validation."""
    if not recipe.validates:
        return []
    if not split.validation:
        raise DataError("no alphabets to validate by: the split has none, and the recipe asks for some")
    n_way = min(recipe.n_way, max(alphabet.characters for alphabet in split.validation))
    rng = stream(recipe.seed, VALIDATION)
    return oneshot.sample_runs(split.validation, -(-recipe.validation_trials // n_way), rng=rng, n_way=n_way)


def _plan_pieces(run: TrainingRun, batches: Batches, memory_gib: float | None) -> Plan | None:
    """How to split batches under a limit, or on a device with memory of its own; None where there is neither.

    Also lowers `net.embed_batch`, so that validation takes no more memory than training.
    """
    net = run.net
    if memory_gib is None and net.device.free_memory is None:
        return None
    cap = None if memory_gib is None else GIB * memory_gib
    planned = plan(net, run.optimiser, batches.loss, batches.batch(0, 0), cap=cap)
    pieces = int(max(of_all_ranks(run.ranks, planned.pieces)))  # of each rank's share of a batch
    planned = planned._replace(pieces=pieces)
    net.embed_batch = min(net.embed_batch, planned.images)
    return planned


def _announce(run: TrainingRun, split: Split, planned: Plan | None) -> None:
    recipe = run.recipe
    ranks = f", {run.ranks.size} ranks" if run.ranks.size > 1 else ""
    note(f"recipe {recipe.name}, seed {recipe.seed}, run folder {run.out}{ranks}")
    if not recipe.validates:
        note(f"no validation: all {len(split.train)} alphabets train, and the network of the last epoch is the result")
    if planned:
        note(
            f"batches of {recipe.batch_size} in pieces of {planned.size} ({planned.pieces} a batch), "
            f"forecast: {planned.bytes / GIB:.2f} GiB"
        )
