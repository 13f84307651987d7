"""What a run folder holds, written and read: the log, the best network, and all that is needed to go on."""

import json
from pathlib import Path

import numpy as np

from scratchnet import oneshot
from scratchnet.averaging import WeightAverage
from scratchnet.backend import Device, Params, to_device
from scratchnet.batches import CALIBRATION, stream
from scratchnet.checkpoint import WEIGHTS, fitting, load_arrays, save_arrays, save_model
from scratchnet.data.splits import Split
from scratchnet.errors import CheckpointError
from scratchnet.files import write_bytes
from scratchnet.optim import SGD
from scratchnet.progress import Progress
from scratchnet.recipes import Recipe
from scratchnet.siamese import SiameseNet

CALIBRATION_PAIRS = 500  # for the bias of a network trained on episodes
STATE, RECIPE, LOG = "state.npz", "recipe.json", "log.jsonl"


def record_epoch(
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


def save_result(out: Path, recipe: Recipe, net: SiameseNet, split: Split, progress: Progress) -> None:
    """Write the network of the epoch just recorded; one trained on episodes gets its bias first.

    The bias is found on validation drawings, or on training drawings where there are no others.
    """
    if recipe.objective == "episodes":
        alphabets = split.validation if recipe.validates else split.train
        net = oneshot.calibrated(net, alphabets, CALIBRATION_PAIRS, stream(recipe.seed, CALIBRATION))
    save_model(out / WEIGHTS, net, recipe=recipe.as_dict(), **progress.history[-1])


def save_state(
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


def load_state(
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
