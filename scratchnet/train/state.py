"""A training run and its folder: the log, the network to keep, and the state from which the run goes on."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import Device, Params, array_module, to_device, to_host
from scratchnet.checkpoint import WEIGHTS, bytes_of, fitting, load_arrays, look_into, save_arrays, save_model
from scratchnet.common.notes import MAX_BYTES, expect, parse
from scratchnet.data.alphabets import digest
from scratchnet.data.splits import Split
from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.files.atomic import write_bytes
from scratchnet.files.reading import read_file, reason
from scratchnet.models.networks import build, describe
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot import trials as oneshot
from scratchnet.oneshot import verification
from scratchnet.optim.averaging import WeightAverage
from scratchnet.optim.sgd import SGD
from scratchnet.parallel.comm import ALONE, Comm
from scratchnet.train.batches import CALIBRATION, stream
from scratchnet.train.environment import environment
from scratchnet.train.folder import LOG, RECIPE, STATE, TABLE
from scratchnet.train.norms import mean_norms
from scratchnet.train.progress import CLOCK_TICK, Progress
from scratchnet.train.recipe import Recipe

CALIBRATION_PAIRS = 500  # for the bias of a network trained on episodes
# What is in the log only, so that the same run writes the same weights file, timed and measured or not.
LOG_ONLY = ("seconds", "images_per_second", "gradient_norms", "ranks")
EPOCH = {  # those with a question mark are missing in logs of 0.1
    "epoch": int,
    "loss": float,
    "validation": (float, None),
    "interval?": ([float], None),
    "seconds?": float,
    "images_per_second": float,
    "gradient_norms?": ({str: float}, None),
    "ranks?": int,
}
COLUMNS = (  # of the log as a table
    *("epoch", "loss", "validation", "interval_low", "interval_high", "lr", "seconds", "images_per_second"),
)
GROWING = ("epochs", "patience")  # settings that a run may be resumed with more of
PARTS = ("params/", "velocity/", "average/")  # prefixes of the array names in a state
NOTES = {  # of a state; those with a question mark are missing in states of 0.1
    "recipe": dict,
    "data?": str,
    "environment?": dict,
    "epoch": int,
    "step": int,
    "losses": [float],
    "norms?": [{str: float}],
    "history": [EPOCH],
    "seconds?": float,
    "images?": int,
}


@dataclass
class TrainingRun:
    """A run, and the folder `out` that keeps it.

    average: None where the recipe averages no weights. data: the digest of its drawings; it is not resumed on others.
    environment: what else its bits depend on. ranks: the processes that train together.
    """

    out: Path
    recipe: Recipe
    net: SiameseNet
    optimiser: SGD
    average: WeightAverage | None
    data: str
    environment: dict[str, str]
    ranks: Comm = ALONE
    progress: Progress = field(default_factory=Progress)

    @staticmethod
    def start(
        out: Path, recipe: Recipe, split: Split, device: Device, start: SiameseNet | None = None, ranks: Comm = ALONE
    ) -> "TrainingRun":
        """A run before its first step, with new parameters or with copies of those of the network `start`.

        All ranks begin with those of rank 0, and all but this one have a run that writes nothing.

        Raises ScratchnetError when the recipe does not match its architecture; CheckpointError when `start` does not.
        """
        net, optimiser = build(recipe.architecture, seed=recipe.seed, device=device), recipe.optimiser()
        if start is not None:
            given = {name: to_host(value) for name, value in start.params.items()}
            fitted = fitting(given, net.params, "the network to start from", shape="take its architecture")
            net.params = {name: to_device(value.copy(), device) for name, value in fitted.items()}
        net.params = {name: ranks.broadcast(value) for name, value in net.params.items()}
        optimiser.expect_prefixes_to_match(net.params)
        data = digest([*split.train, *(split.validation if recipe.validates else [])])
        kind = SilentRun if ranks.rank else TrainingRun
        run = kind(out, recipe, net, optimiser, None, data, environment(device) | {"ranks": str(ranks.size)}, ranks)
        run.project()
        if recipe.weight_average:
            run.average = WeightAverage.starting_at(net.params, decay=recipe.weight_average)
        return run

    def project(self) -> None:
        """Move the parameters to the nearest ones that the recipe allows, after each step and before the first."""
        if self.recipe.metric:
            weight = self.net.params["head.weight"]
            weight[...] = array_module(weight).minimum(weight, 0)

    @property
    def result(self) -> SiameseNet:
        """The network to validate and to keep: with the averaged weights, where the recipe averages them."""
        return replace(self.net, params=self.average.params) if self.average else self.net

    def record(self, validation: oneshot.Result | None) -> bool:
        """End the epoch with a line in the log; returns whether its network is the best so far, or not validated."""
        progress, best = self.progress, self.progress.best
        seconds = max(progress.seconds, CLOCK_TICK)
        progress.end_epoch(
            {
                "epoch": progress.epoch + 1,
                "loss": float(np.mean(progress.losses)),
                "validation": validation and validation.accuracy,
                "scope": validation and validation.scope,
                "interval": validation and validation.interval,
                "lr": self.optimiser.rate,
                "seconds": round(seconds, 2),
                "images_per_second": round(progress.images / seconds, 1),
                "gradient_norms": mean_norms(progress.norms),
                "ranks": self.ranks.size,
            }
        )
        self._write_log()
        return validation is None or best is None or validation.accuracy > best["validation"]

    def save_result(self, split: Split) -> None:
        """Write the network of the last recorded epoch; one trained on episodes gets its bias first.

        The bias is fitted on validation drawings, or on training drawings where there is no validation.
        """
        recipe, net = self.recipe, self.result
        if recipe.objective == "episodes":
            alphabets = split.validation if recipe.validates else split.train
            net = verification.calibrated(net, alphabets, pairs=CALIBRATION_PAIRS, rng=stream(recipe.seed, CALIBRATION))
        notes = {name: value for name, value in self.progress.history[-1].items() if name not in LOG_ONLY}
        save_model(self.out / WEIGHTS, net, recipe=recipe.as_dict(), **notes)

    def save_recipe(self) -> None:
        """Write the recipe."""
        write_bytes(self.out / RECIPE, json.dumps(self.recipe.as_dict(), indent=2).encode())

    def save(self) -> None:
        """Write the state, from which the run goes on to the same bits."""
        progress = self.progress
        arrays = {f"params/{name}": value for name, value in self.net.params.items()}
        arrays |= {f"velocity/{name}": value for name, value in self.optimiser.velocity.items()}
        arrays |= {f"average/{name}": value for name, value in self.average.params.items()} if self.average else {}
        save_arrays(
            self.out / STATE,
            arrays,
            {
                "recipe": self.recipe.as_dict(),
                "data": self.data,
                "environment": self.environment,
                "epoch": progress.epoch,
                "step": progress.step,
                "losses": progress.losses,
                "norms": progress.norms,
                "history": progress.history,
                "seconds": progress.seconds,
                "images": progress.images,
            },
        )

    def load(self) -> dict[str, str]:
        """Go on where the run in `out` stopped; returns the environment of that time, as far as the state records it.

        Raises CheckpointError when there is no such run, or when it was trained with another recipe or on other data.
        """
        path = self.out / STATE
        arrays, saved = load_arrays(path, most=lambda _: len(PARTS) * bytes_of(self.net.params))
        _expect_notes_of(saved, self.recipe, path)
        if saved.get("data", self.data) != self.data:
            raise CheckpointError(
                f"{self.out} was trained on other drawings than these: resume it with the data that "
                "it began with, or choose another --out"
            )
        if unknown := [name for name in arrays if not name.startswith(PARTS)]:
            raise CheckpointError(f"{path} holds {unknown[0]}, which is no part of a state: use another copy")

        def part(prefix: str, like: Params) -> Params:
            params = {n.removeprefix(prefix): value for n, value in arrays.items() if n.startswith(prefix)}
            return {n: to_device(value, self.net.device) for n, value in fitting(params, like, path).items()}

        self.net.params = part("params/", self.net.params)
        moving = [n.removeprefix("velocity/") for n in arrays if n.startswith("velocity/")]
        self.optimiser.velocity = part("velocity/", {n: self.net.params[n] for n in moving if n in self.net.params})
        averaged = part("average/", self.net.params if self.average else {})
        if self.average:
            self.average.params = averaged
        self.progress = Progress(
            epoch=saved["epoch"],
            step=saved["step"],
            losses=saved["losses"],
            norms=saved.get("norms", []),
            history=saved["history"],
            seconds=saved.get("seconds", 0.0),
            images=saved.get("images", 0),
        )
        self._write_log()  # the one in the folder may be older than the state, or gone
        return {name: str(value) for name, value in saved.get("environment", {}).items()}

    def _write_log(self) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in self.progress.history)
        write_bytes(self.out / LOG, lines.encode())
        write_bytes(self.out / TABLE, _as_csv(self.progress.history).encode())


class SilentRun(TrainingRun):
    """The run on a rank other than 0, which writes nothing."""

    def save_recipe(self) -> None:
        """Nothing."""

    def save_result(self, split: Split) -> None:
        """Nothing."""

    def save(self) -> None:
        """Nothing."""

    def _write_log(self) -> None:
        """Nothing."""


def _as_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """The log as a table for spreadsheets; what an epoch does not have is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    for record in history:
        low, high = record.get("interval") or (None, None)
        table.writerow({**record, "interval_low": low, "interval_high": high})
    return text.getvalue()


def expect_resumable(out: Path, recipe: Recipe) -> None:
    """Raise CheckpointError unless `out` holds the state of a run with this recipe. Allocates none of its arrays."""
    path = out / STATE
    if not path.exists():
        raise CheckpointError(f"{out} holds no run to resume: start it without --resume")
    outlines, saved = look_into(path)
    _expect_notes_of(saved, recipe, path)
    params = {name.removeprefix(PARTS[0]): value for name, value in outlines.items() if name.startswith(PARTS[0])}
    fitting(params, describe(recipe.architecture)[1], path)


def read_log(out: Path) -> list[dict[str, Any]]:
    """The records of a run, one per epoch. Raises CheckpointError when the log is missing or damaged."""
    return read_records(out / LOG)


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records in a log. Raises CheckpointError when it is missing or damaged."""
    try:
        records = [parse(line) for line in read_file(path, MAX_BYTES).splitlines()]
        expect(records, [EPOCH], "the log")
        return records
    except (OSError, ValueError) as cause:
        raise CheckpointError(f"{path} cannot be read ({reason(cause)}): resuming the run writes it again") from cause


def _expect_notes_of(saved: Any, recipe: Recipe, path: Path) -> None:
    """Raise CheckpointError unless the notes of a state are consistent, and those of a run with this recipe."""
    try:
        expect(saved, NOTES, "the state")
        began = Recipe.from_dict(saved["recipe"]).as_dict()
        epochs = [record["epoch"] for record in saved["history"]]
        if not 0 <= saved["epoch"] <= recipe.epochs or epochs != list(range(1, saved["epoch"] + 1)):
            raise ValueError(f"it is in epoch {saved['epoch']} and has a record of {len(epochs)}")
        if len(saved["losses"]) != saved["step"]:
            raise ValueError(f"it is at step {saved['step']} and has {len(saved['losses'])} losses")
    except (ValueError, ScratchnetError) as cause:
        raise CheckpointError(f"{path} is no state of a run ({cause}): use another copy") from cause
    now = recipe.as_dict()
    for name in now | began:
        if (value := now.get(name)) != began.get(name) and not (name in GROWING and value > began[name]):
            raise CheckpointError(
                f"{path.parent} was trained with {name}={began.get(name)}, not {name}={value}: "
                "resume it as it began, or choose another --out"
            )
