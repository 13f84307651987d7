"""The report of a search: its best settings as a file for `reproduce --tuned`, its trials, and pictures."""

import importlib
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.common.notes import MAX_BYTES, expect, parse
from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.files.atomic import write_bytes
from scratchnet.files.reading import read_file, reason
from scratchnet.paper.search import LAYERS, rates

BEST, REPORT = "best.json", "REPORT.md"
KINDS = {"search": str, "per_layer": {str: {str: float}}}
PICTURES = {  # by the name of the file, the function of optuna.visualization.matplotlib
    "history": "plot_optimization_history",
    "epochs": "plot_intermediate_values",
    "importances": "plot_param_importances",
    "slices": "plot_slice",
}
MOST_SLICES = 4  # parameters, the most important ones
Study = Any  # an optuna.Study


def write_report(study: Study, out: Path, *, scale: str, search: str) -> None:
    """Write REPORT.md, best.json and, with matplotlib, the pictures, as far as there are finished trials."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    lines = [
        "# Search",
        "",
        f"Scale {scale}, search {search}. Data: {study.user_attrs['data']}.",
        f"{len(trials)} trials: {len(complete)} complete, {len(trials) - len(complete)} pruned.",
        "",
    ]
    if complete:
        best = max(complete, key=lambda trial: trial.value)
        settings = {"scale": scale, "search": search, "trial": best.number, "validation": best.value}
        per_layer = rates(_Fixed(best.params))
        network = {name: value for name, value in best.params.items() if _of_the_network(name)}
        held = settings | {"per_layer": per_layer, "network": network}
        write_bytes(out / BEST, (json.dumps(held, indent=2) + "\n").encode())
        lines += [f"Best: trial {best.number}, {best.value:.1%} of validation trials. {BEST} has its settings.", ""]
        lines += _layers(best.params)
        lines += [f"{name}: {value}" for name, value in network.items()]
        lines += ["", *(f"![{name}]({path.name})" for name, path in _draw(study, out, len(complete)).items()), ""]
    lines += ["| trial | state | best of its epochs | epochs | seconds |", "|---|---|---|---|---|"]
    for trial in trials:
        values = trial.intermediate_values
        reached = f"{max(values.values()):.1%}" if values else "diverged"
        seconds = trial.duration.total_seconds() if trial.duration else 0
        lines.append(
            f"| {trial.number} | {trial.state.name.lower()} | {reached} | {max(values, default=0)} | {seconds:.0f} |"
        )
    write_bytes(out / REPORT, "\n".join([*lines, ""]).encode())


class _Fixed:
    """Suggests the parameters of a trial that has ended."""

    def __init__(self, params: Mapping[str, float]) -> None:
        self.params = params

    def suggest_float(self, name: str, *_: float, **__: bool) -> float:
        return self.params[name]


def _of_the_network(name: str) -> bool:
    return name == "features" or name.endswith((" kernel", " filters"))


def _layers(params: Mapping[str, float]) -> list[str]:
    lines = ["| layer | learning rate | momentum | lambda |", "|---|---|---|---|"]
    for layer in LAYERS:
        values = (params[f"{layer} {what}"] for what in ("learning rate", "momentum", "lambda"))
        lines.append(f"| {layer} | {' | '.join(f'{value:.3g}' for value in values)} |")
    return [*lines, ""]


def _draw(study: Study, out: Path, complete: int) -> dict[str, Path]:
    """Write the pictures, if matplotlib is there and there are trials to compare; returns their paths by name."""
    try:
        importlib.import_module("matplotlib").use("Agg")
    except ImportError:
        return {}
    optuna, visualization = map(importlib.import_module, ("optuna", "optuna.visualization.matplotlib"))
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's pictures are experimental
        important = list(optuna.importance.get_param_importances(study)) if complete > 1 else []
        for name, function in PICTURES.items():
            if name in ("importances", "slices") and not important:
                continue
            options: dict[str, Any] = {} if name == "epochs" else {"target_name": "validation accuracy"}
            options |= {"params": important[:MOST_SLICES]} if name == "slices" else {}
            axes = getattr(visualization, function)(study, **options)
            figure = np.ravel(axes)[0].figure
            figure.set_size_inches(12 if name == "slices" else 7.2, 4)
            held = io.BytesIO()
            figure.savefig(held, format="png", dpi=150, bbox_inches="tight")
            importlib.import_module("matplotlib.pyplot").close(figure)
            found[name] = out / f"{name}.png"
            write_bytes(found[name], held.getvalue())
    return found


def read_best(path: Path) -> dict[str, dict[str, float]]:
    """The settings of the layers in the best.json at `path` or in that folder, for a recipe's per_layer.

    Raises CheckpointError when there are none or they are damaged, and ScratchnetError when they belong to another
    network than the paper's. A recipe checks their values.
    """
    path = path / BEST if path.is_dir() else path
    try:
        held = parse(read_file(path, MAX_BYTES))
        expect(held, KINDS, "the search")
        per_layer: dict[str, dict[str, float]] = held["per_layer"]
    except FileNotFoundError as cause:
        raise CheckpointError(f"{path} does not exist: `scratchnet tune` writes it after a whole trial") from cause
    except (OSError, ValueError) as cause:
        raise CheckpointError(f"{path} is no {BEST} of a search ({reason(cause)}): use another copy") from cause
    if held["search"] != "rates":
        raise ScratchnetError(
            f"{path} belongs to another network than the paper's, whose tables these are: search with --search rates"
        )
    return per_layer
