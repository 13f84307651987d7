"""The paper's search for settings (section 3.2, "hyperparameter optimization"): its ranges, and what a trial is."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scratchnet.backend import Device
from scratchnet.checkpoint import WEIGHTS
from scratchnet.models.networks import pixels_after
from scratchnet.paper.cells import SETS
from scratchnet.paper.method import Material, training
from scratchnet.paper.scales import Scale
from scratchnet.train import LOG, STATE, read_log, train
from scratchnet.train.progress import best_of
from scratchnet.train.recipe import Recipe

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4")
LAYERS = (*CONVOLUTIONS, "linear", "head")
RATE, MOMENTUM, LAMBDA = (1e-4, 1e-1), (0.0, 1.0), (0.0, 0.1)
KERNEL, FILTERS, FEATURES, STEP = (3, 20), (16, 256), (128, 4096), 16
SEARCHES = {
    "rates": "the learning rate, momentum and penalty of each layer, which the paper never published",
    "all": "these and the network: kernels, filters and features, as in the paper",
}
EPOCH_PAIRS = 30_000  # where the scale's epoch is a pass over the set
VALIDATION_TRIALS = 1_000  # the paper's 320 leave 5 points to chance
Trial = Any  # an optuna.Trial
Settings = dict[str, Any]


def rates(trial: Trial) -> dict[str, dict[str, float]]:
    """The settings of each layer in a trial, as a recipe has them."""
    found = {}
    for layer in LAYERS:
        lr = trial.suggest_float(f"{layer} learning rate", *RATE, log=True)
        momentum = trial.suggest_float(f"{layer} momentum", *MOMENTUM)
        strength = trial.suggest_float(f"{layer} lambda", *LAMBDA)
        prefix = layer if layer == "head" else f"encoder.{layer}"
        found[prefix] = {"lr": lr, "momentum": momentum, "weight_decay": 2 * strength}
    return found


def network(trial: Trial, image_size: int) -> Settings:
    """Kernels, filters and features in a trial; a kernel leaves room for 3 x 3 in all layers behind it."""
    kernels: list[int] = []
    for number, layer in enumerate(CONVOLUTIONS):
        behind = [KERNEL[0]] * (len(CONVOLUTIONS) - 1 - number)
        fitting = [k for k in range(KERNEL[0], KERNEL[1] + 1) if pixels_after(image_size, [*kernels, k, *behind]) >= 1]
        kernels.append(trial.suggest_int(f"{layer} kernel", KERNEL[0], fitting[-1]))
    channels = [trial.suggest_int(f"{layer} filters", *FILTERS, step=STEP) for layer in CONVOLUTIONS]
    features = trial.suggest_int("features", *FEATURES, step=STEP)
    return {"kernels": kernels, "channels": channels, "features": features}


def first_guess(search: str, recipe: Recipe) -> Settings:
    """The parameters of the first trial: the recipe's own."""
    guess: Settings = {}
    for layer in LAYERS:
        guess |= {
            f"{layer} learning rate": recipe.lr,
            f"{layer} momentum": recipe.momentum,
            f"{layer} lambda": recipe.weight_decay / 2,
        }
    if search == "all":
        for layer, kernel, filters in zip(CONVOLUTIONS, (10, 7, 4, 4), (64, 128, 128, 256), strict=True):
            guess |= {f"{layer} kernel": kernel, f"{layer} filters": filters}
        guess["features"] = 4096
    return guess


def recipe_of(trial: Trial, search: str, base: Recipe) -> Recipe:
    """What a trial trains."""
    found = replace(base, per_layer=rates(trial))
    if search == "all":
        found = replace(found, architecture={**found.architecture, **network(trial, found.image_size)})
    return found


def base_recipe(scale: Scale, material: Material) -> Recipe:
    """The paper's training, shortened for a trial."""
    recipe = training(
        scale, "trial", pairs=SETS[-1], alphabets=tuple(alphabet.name for alphabet in material.split.validation)
    )
    return replace(
        recipe,
        epochs=scale.trial_epochs,
        epoch_pairs=scale.epoch_pairs or EPOCH_PAIRS,
        momentum_epochs=max(1, scale.ramp_epochs * scale.trial_epochs // scale.epochs),
        validation_trials=VALIDATION_TRIALS,
    )


def value_of(
    trial: Trial,
    recipe: Recipe,
    folder: Path,
    material: Material,
    *,
    hopeless: Callable[[], Exception],
    device: Device,
    deadline: float,
    save_every: float,
    say: Callable[[str], None],
) -> float:
    """Train a trial, new or stopped before, and return its best validation accuracy.

    Every epoch is reported to the study; where that prunes the trial, raises what `hopeless` returns.
    """

    def report(record: Mapping[str, Any]) -> None:
        trial.report(record["validation"], record["epoch"])
        say(f"trial {trial.number}, epoch {record['epoch']} of {recipe.epochs}: validation {record['validation']:.1%}")
        if record["epoch"] < recipe.epochs and trial.should_prune():
            raise hopeless()

    resume = (folder / STATE).exists()
    say(f"trial {trial.number} {'goes on' if resume else 'begins'} in {folder}")
    for record in read_log(folder) if resume and (folder / LOG).exists() else ():
        trial.report(record["validation"], record["epoch"])
    train(
        recipe,
        material.split,
        folder,
        device=device,
        deadline=deadline,
        save_every=save_every,
        resume=resume,
        quiet=True,
        on_epoch=report,
    )
    best = best_of(read_log(folder))
    assert best, "the paper's training validates every epoch"
    return float(best["validation"])


def discard_network(folder: Path) -> None:
    """Remove what only a trial in progress needs; its recipe and log stay."""
    for name in (STATE, WEIGHTS):
        (folder / name).unlink(missing_ok=True)
