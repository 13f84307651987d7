"""Each convolution algorithm on the layers of the paper and of the small network, beside what the cost model expects.

    python benchmarks/conv.py [--images 64] [--rounds 5]

A row tells, for each algorithm, the milliseconds of forward and backward together (the median, the algorithms taken in
turns) and the cost in milliseconds at 89 thousand million multiply-adds a second; a star marks what "auto" takes.
"""

import argparse
import time

import numpy as np

from scratchnet.ops import conv
from scratchnet.ops.windows import output_size

# (H = W with padding, C, O, kernel size)
LAYERS = [
    (105, 1, 64, 10), (48, 64, 128, 7), (21, 128, 128, 4), (9, 128, 256, 4),  # koch2015
    (52, 1, 16, 5), (26, 16, 32, 3), (26, 32, 32, 3), (14, 32, 64, 3), (14, 64, 64, 3), (8, 64, 64, 3),  # compact
]
ALGORITHMS = ("im2col", "rows", "dft")
COST_A_MILLISECOND = 89e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("layer              " + "".join(f"{name:>20}" for name in ALGORITHMS))
    for H, C, O, k in LAYERS:
        milliseconds = measure(H, options.images, C, O, k, options.rounds)
        expected = conv.costs((H, H, options.images, C), (k, k, C, O), 1)
        chosen = conv.choose((H, H, options.images, C), (k, k, C, O), 1)
        cells = (
            f"{'*' if name == chosen else ' '}{milliseconds[name]:7.1f} ({expected[name] / COST_A_MILLISECOND:6.0f})"
            for name in ALGORITHMS
        )
        print(f"{H:3}x{H:<3} {C:3} -> {O:3} {k:2}x{k:<2}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


def measure(H: int, N: int, C: int, O: int, k: int, rounds: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((H, H, N, C)).astype(np.float32)
    weight = rng.standard_normal((k, k, C, O)).astype(np.float32)
    size = output_size(H, k, 1)
    dy = rng.standard_normal((size, size, N, O)).astype(np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in ALGORITHMS}
    for _ in range(rounds + 1):
        for name in ALGORITHMS:
            start = time.perf_counter()
            _, kept = conv.ALGORITHMS[name].forward(x, weight, 1)
            conv.ALGORITHMS[name].backward(dy, x, weight, 1, kept, True)
            seconds[name].append(time.perf_counter() - start)
    return {name: 1e3 * float(np.median(values[1:])) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
