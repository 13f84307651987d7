"""How the paper's network starts: with its initialisation as printed, and corrected, from one seed.

`recorded` is the paper's network itself on pairs of Omniglot's background set, as this module wrote it to
initialisation.json when it was run as a program, with SCRATCHNET_DATA set:

    python -m scratchnet.explain.initialisation

`replay` makes it again, or another.
"""

import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.data.alphabets import Alphabet
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import BACKGROUND_FILES
from scratchnet.files.atomic import write_bytes
from scratchnet.images.resize import resize
from scratchnet.layers.trace import SATURATED
from scratchnet.models.networks import koch2015
from scratchnet.models.pair_trace import Pairs, trace_encoder
from scratchnet.optim.sgd import SGD
from scratchnet.train.synchronous import train_step

INITS = ("literal", "corrected")
STEPS, EVERY, PAIRS = 150, 10, 16
RATE, MOMENTUM = 0.01, 0.5
BINS = 20  # of the histogram of the sigmoids, from 0 to 1
Network = Callable[..., Any]


def recorded() -> dict[str, Any]:
    """The record that comes with the package, of the form that `replay` returns."""
    return json.loads((files("scratchnet.explain") / "initialisation.json").read_text(encoding="utf-8"))


def replay(
    alphabets: Sequence[Alphabet],
    seed: int = 0,
    *,
    steps: int = STEPS,
    network: Network = koch2015,
    inits: Sequence[str] = INITS,
) -> dict[str, Any]:
    """The first steps of training from several initialisations, on the same pairs of drawings from these alphabets.

    network: a function like koch2015, of seed and init, which is one of `inits`. For each init: "loss", of every step;
    and at every tenth step, of 16 pairs that do not train, "saturated", the share of sigmoids whose input is beyond 4;
    "sigmoids", how many of them answer 0 - 0.05, 0.05 - 0.1, ...; "same" and "different", the mean of |h1 - h2| over
    the features of pairs.
    """
    result: dict[str, Any] = {"seed": seed, "steps": steps, "every": EVERY, "pairs": PAIRS, "rate": RATE}
    for init in inits:
        net = network(seed, init)
        result["network"] = dict(net.architecture)
        rng = np.random.default_rng(seed)
        result[init] = _run(net, [_pairs(alphabets, net.image_size, rng) for _ in range(steps + 1)])
    return result


def _run(net: Any, batches: list[Pairs]) -> dict[str, list[Any]]:
    probe, *rest = batches
    optimiser = SGD(RATE, momentum=MOMENTUM)
    run: dict[str, list[Any]] = {name: [] for name in ("loss", "saturated", "sigmoids", "same", "different")}
    for step, (a, b, labels) in enumerate(rest):
        if step % EVERY == 0:
            for name, value in _look(net, probe).items():
                run[name].append(value)
        run["loss"].append(round(train_step(net, optimiser, a, b, labels), 4))
    return run


def _look(net: Any, pairs: Pairs) -> dict[str, Any]:
    trace = trace_encoder(net.network, net.params, np.concatenate([pairs.a, pairs.b]))
    sigmoids = trace["sigmoid"]
    h1, h2 = np.split(sigmoids.y, 2)
    distance = abs(h1 - h2).mean(axis=1)
    return {
        "saturated": round(float((abs(sigmoids.x) > SATURATED).mean()), 4),
        "sigmoids": np.histogram(sigmoids.y, BINS, (0, 1))[0].tolist(),
        "same": round(float(distance[pairs.labels == 1].mean()), 5),
        "different": round(float(distance[pairs.labels == 0].mean()), 5),
    }


def _pairs(alphabets: Sequence[Alphabet], image_size: int, rng: np.random.Generator) -> Pairs:
    """Pairs of drawings from one alphabet each, of different characters and of the same in turns."""
    same = np.arange(PAIRS) % 2
    drawn = []
    for label in same:
        images = alphabets[int(rng.integers(len(alphabets)))].images
        first, other = rng.choice(images.shape[0], 2, replace=False)
        one, another = rng.choice(images.shape[1], 2, replace=False)
        drawn.append((images[first, one], images[first if label else other, another]))
    a, b = (resize(np.stack(each).astype(np.float32), image_size) for each in zip(*drawn, strict=True))
    return Pairs(a, b, same.astype(np.float32))


if __name__ == "__main__":
    text = json.dumps(replay(load_omniglot(find_data(None, *BACKGROUND_FILES)))).encode()
    write_bytes(Path(__file__).with_suffix(".json"), text)
