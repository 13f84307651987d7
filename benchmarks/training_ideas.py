"""Screen ideas for training: `quick` with one idea each and with none, judged by the same trials.

    python benchmarks/training_ideas.py OUT [--ideas maps taught] [--seeds 0 1 2] [--data DIR] [--strokes DIR]

plain      the recipe as it is
strokes    near misses of the characters as characters of their own; DIR is what benchmarks/one_stroke.py made
pixels64   images of 64 instead of 48 pixels
maps       the last maps beside the dense features that are made of them, with weights of their own in the distance
agreed     each episode under two symmetries of the square; half of what is to be learned is what both say together.
           The batch has half as many episodes, and as many images
taught     half of what is to be learned is what the `plain` networks of all seeds say together

Every network trains without the ten alphabets of VALIDATION_ALPHABETS and CONFIRMATION_ALPHABETS. OUT keeps the
networks and which trials they had right, so the same command again only trains what is missing; other seeds may train
at the same time, in another process. Without --compare, it trains only; with it, each idea is compared with `plain`:

    python benchmarks/training_ideas.py OUT --compare [--alphabets validation] [--ways views=1 align=5] [--data DIR]
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scorings import SETS, Kept, mean_row, parsed

from scratchnet.backend import Array, Params, array_module, get_device
from scratchnet.checkpoint import fitting, load_arrays, save_arrays
from scratchnet.common.caches import gathered
from scratchnet.data.alphabets import Alphabet, pick, without
from scratchnet.data.drawings import Drawings
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import BACKGROUND_FILES, CONFIRMATION_ALPHABETS, VALIDATION_ALPHABETS
from scratchnet.errors import ScratchnetError
from scratchnet.images.augment import SYMMETRIES, symmetry
from scratchnet.layers import Linear, Sequential, Sigmoid, WeightedL1
from scratchnet.losses import NWayCrossEntropy
from scratchnet.models.networks import build
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.comparison import paired
from scratchnet.oneshot.tasks import random_task
from scratchnet.optim.averaging import WeightAverage
from scratchnet.train.batches import EpisodeBatches, stream
from scratchnet.train.gradients import Batch
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import find_recipe

KEPT_OUT = (*VALIDATION_ALPHABETS, *CONFIRMATION_ALPHABETS)
SHARE = 0.5  # of what is to be learned that is an opinion, and not the truth
VIEWS = 100  # the purpose of the random numbers that choose the views of `agreed`, beside those of train/batches.py


class BesideCache(NamedTuple):
    linear: Any
    sigmoid: Any


@dataclass(frozen=True)
class Beside:
    """y = [sigmoid(x W + b), x]: dense features (N, features), and beside them what they are made of, (N, C)."""

    linear: Linear

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """The parameters of the dense layer."""
        return self.linear.init(rng, dtype)

    def forward(self, params: Params, x: Array) -> tuple[Array, BesideCache]:
        """y (N, features + C)."""
        dense, linear = self.linear.forward(params, x)
        features, sigmoid = Sigmoid().forward({}, dense)
        return array_module(x).concatenate([features, x], axis=1), BesideCache(linear, sigmoid)

    def backward(self, dy: Array, cache: BesideCache) -> tuple[Array, Params]:
        """dx (N, C), and the gradients of the dense layer."""
        features = self.linear.out_features
        ddense, _ = Sigmoid().backward(dy[:, :features], cache.sigmoid)
        dx, grads = self.linear.backward(ddense, cache.linear)
        return dx + dy[:, features:], grads


def with_maps(net: SiameseNet, seed: int) -> SiameseNet:
    """A compact network that compares the last maps as well as the dense features."""
    *before, (_, linear), _ = net.encoder.layers.items()
    encoder = Sequential(dict(before) | {"beside": Beside(linear)})
    widened = replace(net, encoder=encoder, head=WeightedL1(linear.in_features + linear.out_features))
    widened.params = widened.init(np.random.default_rng(seed))
    return widened


@dataclass(frozen=True)
class Idea:
    """What is changed of the recipe and of the network; `view` and `opinion` change each batch and what is learned.

    opinion: from the networks that teach, the batch, and its scores (E, D, D, Q, S), scores of that shape.
    """

    architecture: dict[str, Any] | None = None
    batch_size: int = 2
    network: Callable[[SiameseNet, int], SiameseNet] = lambda net, _: net
    view: Callable[[Batch, np.random.Generator], Batch] = lambda batch, _: batch
    opinion: Callable[[Sequence[SiameseNet], Batch, Array], Array] | None = None

    def recipe(self, seed: int) -> Recipe:
        """`quick` with the changes."""
        quick = find_recipe("quick")
        architecture = {**quick.architecture, **(self.architecture or {})}
        return replace(
            quick, seed=seed, architecture=architecture, batch_size=self.batch_size, validation_alphabets=KEPT_OUT
        )

    def untrained(self, seed: int) -> SiameseNet:
        """The network with fresh parameters."""
        return self.network(build(self.recipe(seed).architecture, seed=seed), seed)


def in_two_views(batch: Batch, rng: np.random.Generator) -> Batch:
    """Each episode twice, under two symmetries of the square."""
    chosen = [SYMMETRIES[number] for number in rng.permutation(len(SYMMETRIES))[:2]]
    a, b = (np.concatenate([symmetry(images, *way) for way in chosen]) for images in (batch.a, batch.b))
    return Batch(a, b, np.concatenate([batch.target] * 2), 2 * batch.images)


def mean_of_views(_: Sequence[SiameseNet], __: Batch, scores: Array) -> Array:
    """What both views of an episode say together."""
    return np.broadcast_to(scores.mean(axis=0, keepdims=True), scores.shape)


def mean_of_teachers(teachers: Sequence[SiameseNet], batch: Batch, _: Array) -> Array:
    """What the teachers say together."""
    return np.mean([net.forward(net.params, batch.a, batch.b)[0] for net in teachers], axis=0)


IDEAS = {
    "plain": Idea(),
    "strokes": Idea(),
    "pixels64": Idea(architecture={"image_size": 64}),
    "maps": Idea(network=with_maps),
    "agreed": Idea(batch_size=1, view=in_two_views, opinion=mean_of_views),
    "taught": Idea(opinion=mean_of_teachers),
}


def learned(target: Array, opinion: Array) -> Array:
    """The truth, one-hot, mixed with the choices that these scores make, both ways; rows and columns still add up to 1
    on average, which is all that the gradient of `NWayCrossEntropy` asks for."""
    return (1 - SHARE) * target + SHARE * (_softmax(opinion, -1) + _softmax(opinion, -2)) / 2


def _softmax(scores: Array, axis: int) -> Array:
    exponentials = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def trained(idea: Idea, seed: int, alphabets: Sequence[Alphabet], teachers: Sequence[SiameseNet]) -> SiameseNet:
    """The network after training: `scratchnet train` with the idea, without its folder."""
    recipe, net = idea.recipe(seed), idea.untrained(seed)
    drawings = Drawings.of(alphabets, net.image_size, frame=net.frame)
    batches, optimiser = EpisodeBatches(recipe, drawings, get_device("cpu")), recipe.optimiser()
    average = WeightAverage.starting_at(net.params, decay=recipe.weight_average)
    loss = NWayCrossEntropy(recipe.both_ways)
    start, images = time.perf_counter(), 0
    for epoch in range(recipe.epochs):
        optimiser.start_epoch(epoch)
        losses = []
        for step in range(batches.steps):
            batch = idea.view(batches.batch(epoch, step), stream(seed, VIEWS, epoch, step))
            scores, cache = net.forward(net.params, batch.a, batch.b, training=True)
            opinion = idea.opinion(teachers, batch, scores) if idea.opinion else None
            target = batch.target if opinion is None else learned(batch.target, opinion).astype(np.float32)
            value, loss_cache = loss.forward(scores, target)
            _, grads = net.backward(loss.backward(1.0, loss_cache), cache, needs_dx=False)
            statistics = gathered(cache, "running_statistics")
            optimiser.step(net.params, grads)
            net.params.update(statistics)
            average.update(net.params, epoch * batches.steps + step)
            losses.append(np.asarray(value).item())
            images += batch.images
        minutes = (time.perf_counter() - start) / 60
        print(f"  epoch {epoch + 1}/{recipe.epochs}  loss {np.mean(losses):.3f}  {minutes:.1f} min", flush=True)
    return replace(net, params=average.params)


class Folder:
    """The folder of the networks."""

    def __init__(self, out: Path, data: str | None, strokes: Path | None) -> None:
        self.out, self.data, self.strokes = out, data, strokes
        out.mkdir(parents=True, exist_ok=True)

    def path(self, name: str, seed: int) -> Path:
        """The file of a network."""
        return self.out / f"{name}-{seed}.npz"

    def train(self, name: str, seed: int, seeds: Sequence[int]) -> None:
        """Train a network unless it is there."""
        if self.path(name, seed).exists():
            return
        print(f"{name}, seed {seed}", flush=True)
        start = time.perf_counter()
        data = self.strokes if name == "strokes" else self.data
        if name == "strokes" and data is None:
            raise ScratchnetError("strokes needs what benchmarks/one_stroke.py made: give its folder with --strokes")
        alphabets = without(load_omniglot(find_data(data, *BACKGROUND_FILES)), KEPT_OUT)
        teachers = [self.load("plain", seed) for seed in seeds] if name == "taught" else []
        net = trained(IDEAS[name], seed, alphabets, teachers)
        minutes = (time.perf_counter() - start) / 60
        save_arrays(self.path(name, seed), net.params, {"idea": name, "seed": seed, "minutes": minutes})

    def load(self, name: str, seed: int) -> SiameseNet:
        """A network that was trained. Raises CheckpointError if it was not."""
        net = IDEAS[name].untrained(seed)
        arrays, _ = load_arrays(self.path(name, seed))
        return replace(net, params=fitting(arrays, net.params, self.path(name, seed)))


def compare(folder: Folder, options: argparse.Namespace) -> None:
    """Print how each idea does beside `plain`."""
    alphabets = pick(load_omniglot(find_data(options.data, *BACKGROUND_FILES)), SETS[options.alphabets])
    task = random_task(options.alphabets, alphabets, trials=options.trials, seed=0)
    title = f"{task}, {sum(len(run.query) for run in task.runs)} trials, seed 0"
    print(title)
    kept = Kept(title, task.runs, folder.out / "right.json")

    def right(name: str, seed: int, way: str) -> np.ndarray:
        return kept.right(f"{name}-{seed}", folder.load(name, seed), way, parsed(way))

    for name in options.ideas:
        for way in options.ways:
            each = [paired(right("plain", seed, way), right(name, seed, way), task.runs) for seed in options.seeds]
            print(f"  {name}, {way}: {mean_row(each)}", flush=True)
            by_seed = ", ".join(f"{100 * one.gain:+.2f} (p = {one.p_value:.2g})" for one in each)
            print(f"    by seed {by_seed}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Screen ideas for training.")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--ideas", nargs="+", choices=IDEAS, default=list(IDEAS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--teachers", nargs="+", type=int, default=[0, 1, 2], help="the seeds that teach")
    parser.add_argument("--data")
    parser.add_argument("--strokes", type=Path, metavar="DIR")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--alphabets", choices=SETS, default="validation")
    parser.add_argument("--ways", nargs="+", default=["views=1", "align=5"], metavar="WAY")
    parser.add_argument("--trials", type=int, default=4000)
    options = parser.parse_args()
    try:
        folder = Folder(options.out, options.data, options.strokes)
        if options.compare:
            compare(folder, options)
            return 0
        for name in options.ideas:
            for seed in options.seeds:
                folder.train(name, seed, options.teachers)
    except ScratchnetError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
