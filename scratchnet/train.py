"""The training step and the loop around it.

A run folder holds recipe.json; weights.npz, the best network so far; state.npz, all that is needed to go on; and
log.jsonl, one line an epoch. Every file is written whole or not at all. All random numbers of a batch come from
(seed, epoch, step), so a run that was stopped and resumed ends with the same bits as one that was not, on the same
machine with the same number of threads.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from scratchnet import oneshot
from scratchnet.augment import IDENTITY, AffineRanges, distort, symmetry
from scratchnet.backend import Array, Device, Params, get_device, to_device, to_host
from scratchnet.checkpoint import WEIGHTS, fitting, load_arrays, load_model, save_arrays, save_model
from scratchnet.data.drawings import Drawings
from scratchnet.data.episodes import sample_episodes
from scratchnet.data.pairs import sample_pairs
from scratchnet.data.splits import Split, background_split, glyph_split
from scratchnet.errors import CheckpointError, DataError, NonFiniteError
from scratchnet.files import write_bytes
from scratchnet.losses import Loss, NWayCrossEntropy, PairCrossEntropy
from scratchnet.models import build
from scratchnet.optim import SGD
from scratchnet.recipes import Recipe
from scratchnet.siamese import SiameseNet

STATE, RECIPE, LOG = "state.npz", "recipe.json", "log.jsonl"
CLOCK_TICK = 1e-3  # seconds; no shorter time is told from none
PAIRS_STREAM, DISTORTIONS_STREAM, VALIDATION_STREAM = 1, 2, 3  # random streams of a seed that are not a batch's


class Interrupted(Exception):
    """Training was asked to stop, and has saved its state."""


@np.errstate(over="ignore", invalid="ignore")  # a loss that is no number is an error of its own
def train_step(
    net: SiameseNet, optimiser: SGD, a: Array, b: Array, target: Array,
    loss: Loss | None = None,
) -> float:
    """One forward, backward and update on a batch; returns the loss before the update.

    Pairs: a and b (N, H, W), target (N,) labels, with PairCrossEntropy, the default. Episodes: a (E, Q, 1, H, W),
    b (E, 1, S, H, W), target (E, Q, S) one-hot, with NWayCrossEntropy. All float32 on the network's device.
    Raises NonFiniteError, before anything is changed, when the loss is no number.
    """
    loss = loss or PairCrossEntropy()
    logits, cache = net.forward(net.params, a, b, training=True)
    value, loss_cache = loss.forward(logits, target)
    loss_value = float(to_host(value))  # the one synchronisation of a step
    if not np.isfinite(loss_value):
        raise NonFiniteError(f"the loss is {loss_value}: look for a NaN in the images, or lower the learning rate")
    _, grads = net.backward(loss.backward(1.0, loss_cache), cache)
    optimiser.step(net.params, grads)
    net.params.update(net.running_statistics(cache))
    return loss_value


class Batch(NamedTuple):
    """What `train_step` takes, and how many images it holds."""

    a: Array
    b: Array
    target: Array
    images: int


class PairBatches:
    """Batches of the paper's objective: a fixed set of pairs with their distorted copies, in a new order each epoch.

    Each twin of a pair is distorted on its own: as drawn once and for all where the recipe asks for fixed copies,
    afresh for each batch where it does not.
    """

    loss = PairCrossEntropy()

    def __init__(self, recipe: Recipe, drawings: Drawings, device: Device) -> None:
        self.recipe, self.drawings, self.device = recipe, drawings, device
        self.pairs = sample_pairs(drawings.numbers, recipe.pairs, np.random.default_rng([recipe.seed, PAIRS_STREAM]))
        self.copies = 1 + recipe.fixed_distortions
        self.steps = len(self.pairs) * self.copies // recipe.batch_size
        if self.steps == 0:
            raise DataError(f"a batch of {recipe.batch_size} is larger than the {len(self.pairs) * self.copies} pairs: "
                            "lower batch_size, or ask for more pairs")
        if recipe.fixed_distortions:
            count = 2 * len(self.pairs) * recipe.fixed_distortions
            rng = np.random.default_rng([recipe.seed, DISTORTIONS_STREAM])
            drawn = AffineRanges().draw(rng, count, drawings.images.shape[-1])
            plain = np.broadcast_to(IDENTITY, (2, len(self.pairs), 1, 7))
            copies = drawn.reshape(2, len(self.pairs), recipe.fixed_distortions, 7)
            self.transforms = np.concatenate([plain, copies], axis=2)      # (twin, pair, copy, 7)

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch number `step` of an epoch; the same numbers give the same batch."""
        rng = np.random.default_rng([self.recipe.seed, PAIRS_STREAM, epoch])
        order = rng.permutation(len(self.pairs) * self.copies)
        chosen = order[step * self.recipe.batch_size : (step + 1) * self.recipe.batch_size]
        pair, copy = np.divmod(chosen, self.copies)
        twins = np.concatenate([self.pairs.first[pair], self.pairs.second[pair]])
        images = self.drawings.ink(twins, self.device)
        if self.recipe.fixed_distortions:
            images = distort(images, self.transforms[:, pair, copy].reshape(-1, 7))
        elif self.recipe.distort:
            images = distort(images, _fresh_transforms(self.recipe, epoch, step, images))
        n = len(chosen)
        return Batch(images[:n], images[n:], self.device.upload(self.pairs.labels[pair]), 2 * n)


class EpisodeBatches:
    """Batches of one-shot choices: each query of an episode against all its supports."""

    loss = NWayCrossEntropy()

    def __init__(self, recipe: Recipe, drawings: Drawings, device: Device) -> None:
        self.recipe, self.drawings, self.device = recipe, drawings, device
        self.steps = recipe.steps
        sample_episodes(drawings.numbers, 1, recipe.n_way, np.random.default_rng(0))  # fail now if no alphabet is large
        one_hot = np.eye(recipe.n_way, dtype=np.float32)
        self.target = device.upload(np.tile(one_hot, (recipe.batch_size, 1, 1)))     # (E, Q, S)

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch number `step` of an epoch; the same numbers give the same batch."""
        recipe, rng = self.recipe, np.random.default_rng([self.recipe.seed, epoch, step])
        queries, supports = sample_episodes(self.drawings.numbers, recipe.batch_size, recipe.n_way, rng)
        images = self.drawings.ink(np.stack([queries, supports]).reshape(-1), self.device)
        if recipe.distort:
            images = distort(images, _fresh_transforms(recipe, epoch, step, images))
        if recipe.symmetries:
            images = symmetry(images, int(rng.integers(4)), bool(rng.integers(2)))
        twins = images.reshape(2, recipe.batch_size, recipe.n_way, *images.shape[1:])
        return Batch(twins[0][:, :, None], twins[1][:, None], self.target, images.shape[0])


def _fresh_transforms(recipe: Recipe, epoch: int, step: int, images: Array) -> np.ndarray:
    rng = np.random.default_rng([recipe.seed, DISTORTIONS_STREAM, epoch, step])
    return AffineRanges().draw(rng, images.shape[0], images.shape[-1])


OBJECTIVES: dict[str, type[PairBatches | EpisodeBatches]] = {"pairs": PairBatches, "episodes": EpisodeBatches}


@dataclass
class Progress:
    """Where a run stands: the next batch is `step` of `epoch`; the losses of this epoch so far; a record an epoch."""

    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def best(self) -> dict[str, Any] | None:
        """The record of the first epoch with the highest validation accuracy."""
        return max(self.history, key=lambda record: record["validation"], default=None)

    def finished(self, recipe: Recipe) -> bool:
        """Whether all epochs are done, or too many have passed without a better one."""
        waited = self.epoch - self.best["epoch"] if self.best else 0
        return self.epoch >= recipe.epochs or waited >= recipe.patience


def load_split(recipe: Recipe, data: Path | str | None = None) -> Split:
    """The alphabets that the recipe trains on and chooses by."""
    if recipe.data == "glyphs":
        return glyph_split(recipe.image_size)
    return background_split(data, recipe.validation_alphabets, recipe.drawers)


def train(
    recipe: Recipe, split: Split, out: Path, device: str | Device | None = None, minutes: float | None = None,
    resume: bool = False, quiet: bool = False,
) -> SiameseNet:
    """Train by the recipe, keeping everything in the folder `out`; returns the network of the best epoch.

    minutes: stop after the epoch during which they have passed. resume: go on where the run in `out` stopped.
    Raises Interrupted on SIGINT or SIGTERM, once the batch under way is finished and the state saved;
    CheckpointError when `out` holds a run and `resume` is not given, or none and it is; NonFiniteError when the loss
    is no number, with the last state kept.
    """
    place = get_device(device)
    net = build(recipe.architecture, seed=recipe.seed, device=place)
    optimiser, progress = recipe.optimiser(), Progress()
    optimiser.expect_prefixes_to_fit(net.params)
    if resume:
        progress = _load_state(out, recipe, net, optimiser, place)
    elif (out / STATE).exists():
        raise CheckpointError(f"{out} holds a run already: go on with --resume, or name another folder with --out")
    batches = OBJECTIVES[recipe.objective](recipe, Drawings.of(split.train, net.image_size), place)
    rng = np.random.default_rng([recipe.seed, VALIDATION_STREAM])
    if not split.validation:
        raise DataError("no alphabets to choose the best epoch by: name some in validation_alphabets")
    n_way = min(recipe.n_way, max(alphabet.characters for alphabet in split.validation))
    validation_runs = oneshot.sample_runs(split.validation, -(-recipe.validation_trials // n_way), rng, n_way)

    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / RECIPE, json.dumps(recipe.as_dict(), indent=2).encode())
    if not quiet:
        print(f"recipe {recipe.name}, seed {recipe.seed}, run folder {out}", file=sys.stderr)
    started = time.monotonic()
    with _stop_requests() as stop, _Display(recipe, batches.steps, progress, quiet) as display:
        while not progress.finished(recipe):
            optimiser.epoch = progress.epoch
            epoch_started, images = time.monotonic(), 0
            while progress.step < batches.steps:
                a, b, target, count = batches.batch(progress.epoch, progress.step)
                progress.losses.append(train_step(net, optimiser, a, b, target, batches.loss))
                progress.step += 1
                images += count
                display.batch(progress, count)
                if stop.requested:
                    _expect_finite(net)
                    _save_state(out, recipe, net, optimiser, progress)
                    raise Interrupted(f"stopped in epoch {progress.epoch + 1} after step {progress.step}, state saved")
            _expect_finite(net)
            seconds = max(time.monotonic() - epoch_started, CLOCK_TICK)
            validation = oneshot.evaluate(net, validation_runs)
            _finish_epoch(out, recipe, net, optimiser, progress, validation, seconds, images / seconds)
            display.epoch(progress)
            if minutes is not None and time.monotonic() - started > 60 * minutes:
                break
            if stop.requested:
                raise Interrupted(f"stopped after epoch {progress.epoch}, state saved")
    return load_model(out, place)


def _expect_finite(net: SiameseNet) -> None:
    """Raise NonFiniteError rather than save a network that cannot go on; the last good state stays."""
    for name, value in net.params.items():
        if not np.isfinite(to_host(value)).all():
            raise NonFiniteError(f"{name} has a NaN or an infinity after the last step: lower the learning rate")


def _finish_epoch(
    out: Path, recipe: Recipe, net: SiameseNet, optimiser: SGD, progress: Progress, validation: oneshot.Result,
    seconds: float, images_per_second: float,
) -> None:
    """Record the epoch, keep the network if it is the best yet, and save the state from which the next one starts."""
    best = progress.best
    progress.epoch += 1
    progress.history.append({
        "epoch": progress.epoch, "loss": float(np.mean(progress.losses)), "validation": validation.accuracy,
        "interval": validation.interval, "lr": optimiser.settings("")[0], "seconds": round(seconds, 2),
        "images_per_second": round(images_per_second, 1),
    })
    progress.step, progress.losses = 0, []
    if best is None or validation.accuracy > best["validation"]:
        save_model(out / WEIGHTS, net, recipe=recipe.as_dict(), **progress.history[-1])
    lines = "".join(json.dumps(record) + "\n" for record in progress.history)
    write_bytes(out / LOG, lines.encode())
    _save_state(out, recipe, net, optimiser, progress)


def _save_state(out: Path, recipe: Recipe, net: SiameseNet, optimiser: SGD, progress: Progress) -> None:
    arrays = {f"params/{name}": value for name, value in net.params.items()}
    arrays |= {f"velocity/{name}": value for name, value in optimiser.velocity.items()}
    description = {
        "recipe": recipe.as_dict(), "epoch": progress.epoch, "step": progress.step, "losses": progress.losses,
        "history": progress.history,
    }
    save_arrays(out / STATE, arrays, description)


def _load_state(out: Path, recipe: Recipe, net: SiameseNet, optimiser: SGD, device: Device) -> Progress:
    """Set the network and the optimiser to the state of the run in `out`, which must be of the same recipe."""
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


class _Display:
    """A progress bar on a terminal, a plain line an epoch elsewhere; both on stderr."""

    def __init__(self, recipe: Recipe, steps: int, progress: Progress, quiet: bool) -> None:
        self.recipe, self.steps, self.quiet = recipe, steps, quiet
        self.terminal = sys.stderr.isatty() and not quiet
        self.started, self.done_before = time.monotonic(), progress.epoch * steps + progress.step
        self.images = 0
        self.bar = tqdm(
            total=recipe.epochs * steps, initial=self.done_before, disable=not self.terminal, leave=False,
            bar_format="{desc} {bar} {n}/{total} steps, {remaining} left{postfix}",
        )

    def __enter__(self) -> "_Display":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def batch(self, progress: Progress, images: int) -> None:
        self.images += images
        rate = self.images / max(time.monotonic() - self.started, CLOCK_TICK)
        best = f", best validation {progress.best['validation']:.1%}" if progress.best else ""
        self.bar.set_description_str(f"epoch {progress.epoch + 1}/{self.recipe.epochs}", refresh=False)
        self.bar.set_postfix_str(f"loss {np.mean(progress.losses[-50:]):.3f}, {rate:.0f} images/s{best}", refresh=False)
        self.bar.update()

    def epoch(self, progress: Progress) -> None:
        if self.quiet:
            return
        record = progress.history[-1]
        done = progress.epoch * self.steps
        per_step = (time.monotonic() - self.started) / max(1, done - self.done_before)  # 0 if resumed at an epoch's end
        left = (self.recipe.epochs * self.steps - done) * per_step
        line = (f"epoch {record['epoch']:3d}/{self.recipe.epochs}  loss {record['loss']:.3f}  "
                f"validation {record['validation']:.1%}  {record['images_per_second']:.0f} images/s  "
                f"{left / 60:.1f} min left")
        self.bar.write(line, file=sys.stderr)
