"""One training step of the paper's network: seconds and peak memory; and whether it can learn pairs by heart.

    python benchmarks/koch2015.py step --pairs 128 --steps 5
    python benchmarks/koch2015.py overfit --pairs 32

Pairs are generated glyphs at 105 x 105 pixels, so that no download is needed; the arithmetic does not depend on them.
"""

import argparse
import platform
import resource
import time

import numpy as np

import scratchnet as sn
from scratchnet.backend import get_device
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.pairs import sample_pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("step", "overfit"))
    parser.add_argument("--pairs", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed, after one that is not")
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--init", default="corrected", help="corrected or literal")
    options = parser.parse_args()

    drawings = Drawings.of(generate_alphabets(4, image_size=105), 105)
    pairs = sample_pairs(drawings.numbers, options.pairs, np.random.default_rng(0))
    a, b = (drawings.ink(numbers, get_device("cpu")) for numbers in (pairs.first, pairs.second))
    net = sn.models.koch2015(seed=0, init=options.init)
    optimiser = sn.SGD(options.lr, momentum=0.9, weight_decay=1e-5)
    print(f"{platform.processor() or platform.machine()}, NumPy {np.__version__}, {options.pairs} pairs")
    if options.task == "step":
        measure_steps(net, optimiser, a, b, pairs.labels, options.steps)
    else:
        overfit(net, optimiser, a, b, pairs.labels)


def measure_steps(net, optimiser, a, b, labels, steps: int) -> None:
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        sn.train_step(net, optimiser, a, b, labels)
        seconds.append(time.perf_counter() - start)
    timed = np.array(seconds[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"step: median {np.median(timed):.2f} s of {steps}, from {timed.min():.2f} to {timed.max():.2f} s")
    print(f"peak memory of the process: {peak:.2f} GiB")


def overfit(net, optimiser, a, b, labels) -> None:
    for step in range(1, 301):
        loss = sn.train_step(net, optimiser, a, b, labels)
        if step % 10 == 0 or loss < 0.05:
            print(f"step {step:3d}  loss {loss:.4f}", flush=True)
        if loss < 0.05:
            return


if __name__ == "__main__":
    main()
