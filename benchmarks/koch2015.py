"""The paper's network on a CPU: one training step, beside PyTorch where it is installed, and pairs learned by heart.

    python benchmarks/koch2015.py step --pairs 128            seconds and peak memory
    python benchmarks/koch2015.py overfit --pairs 32          steps until the loss is below 0.05
    python benchmarks/koch2015.py against-torch --pairs 64    the same step in turns, A B C A B C

Pairs are generated glyphs at 105 x 105 pixels, so that no download is needed; the arithmetic does not depend on them.
A step is forward, backward of both twins, and SGD with momentum and weight decay, in float32.
"""

import argparse
import platform
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import scratchnet as sn
from scratchnet.backend import get_device, thread_count
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.pairs import sample_pairs
from scratchnet.ops.conv import to_torch

LR, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 1e-5
OVERFIT_STEPS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("step", "overfit", "against-torch"))
    parser.add_argument("--pairs", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed, after one that is not")
    options = parser.parse_args()

    drawings = Drawings.of(generate_alphabets(4, image_size=105), 105)
    pairs = sample_pairs(drawings.numbers, options.pairs, np.random.default_rng(0))
    a, b = (drawings.ink(numbers, get_device("cpu")) for numbers in (pairs.first, pairs.second))
    net = sn.models.koch2015(seed=0, device="cpu")
    optimiser = sn.SGD(LR, MOMENTUM, WEIGHT_DECAY)
    print(f"{platform.machine()}, {thread_count()} threads, NumPy {np.__version__}, {options.pairs} pairs")

    def step() -> float:
        return sn.train_step(net, optimiser, a, b, pairs.labels)

    if options.task == "overfit":
        overfit(step)
    elif options.task == "step":
        report({"scratchnet": timed({"scratchnet": step}, options.steps)["scratchnet"]})
        print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    else:
        peers = {name: torch_step(net, a, b, pairs.labels, name) for name in ("contiguous_format", "channels_last")}
        report(timed({"scratchnet": step, **peers}, options.steps))


def timed(steps: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each step in each round, the steps taken in turns; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values[1:]) for name, values in seconds.items()}


def report(seconds: dict[str, np.ndarray]) -> None:
    ours = seconds["scratchnet"]
    for name, values in seconds.items():
        ratios = ours / values
        against = "" if name == "scratchnet" else (
            f"; scratchnet takes {np.median(ratios):.2f} of it ({ratios.min():.2f} to {ratios.max():.2f})")
        print(f"{name:18} median {np.median(values):.2f} s of {len(values)}, "
              f"{values.min():.2f} to {values.max():.2f} s{against}")


def overfit(step: Callable[[], float]) -> None:
    for number in range(1, OVERFIT_STEPS + 1):
        loss = step()
        if number % 10 == 0 or loss < 0.05:
            print(f"step {number:3d}  loss {loss:.4f}", flush=True)
        if loss < 0.05:
            return


def torch_step(net: sn.SiameseNet, a: np.ndarray, b: np.ndarray, labels: np.ndarray, memory_format: str) -> Any:
    """The same network with the same weights in PyTorch, eager, float32; returns its training step."""
    import torch  # noqa: PLC0415

    layout = getattr(torch, memory_format)
    kernels = {"conv1": 10, "conv2": 7, "conv3": 4, "conv4": 4}
    layers: list[torch.nn.Module] = []
    for name, size in kernels.items():
        weight = np.ascontiguousarray(to_torch(net.params[f"encoder.{name}.weight"]))
        conv = torch.nn.Conv2d(weight.shape[1], weight.shape[0], size)
        conv.weight.data = torch.from_numpy(weight)
        conv.bias.data = torch.from_numpy(net.params[f"encoder.{name}.bias"].copy())
        layers += [conv, torch.nn.ReLU()] + ([torch.nn.MaxPool2d(2)] if name != "conv4" else [])
    dense = torch.nn.Linear(*net.params["encoder.linear.weight"].shape)
    encoder = torch.nn.Sequential(*layers, torch.nn.Flatten(), dense, torch.nn.Sigmoid()).to(memory_format=layout)
    head = torch.nn.Linear(net.params["head.weight"].size, 1)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimiser = torch.optim.SGD(parameters, LR, MOMENTUM, weight_decay=2 * WEIGHT_DECAY)
    twins = torch.from_numpy(np.concatenate([a, b]))[:, None].to(memory_format=layout)
    target = torch.from_numpy(labels)

    def step() -> None:
        optimiser.zero_grad()
        h1, h2 = encoder(twins).split(len(target))
        logits = head((h1 - h2).abs())[:, 0]
        torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
        optimiser.step()

    torch.set_num_threads(thread_count())
    return step


if __name__ == "__main__":
    main()
