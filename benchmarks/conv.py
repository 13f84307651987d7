"""Each convolution algorithm on many shapes, and whether "auto" takes the fastest.

    python benchmarks/conv.py [--rounds 5] [--out benchmarks/conv.json]
    python benchmarks/conv.py --fit [--out benchmarks/conv.json]

A row lists, for each algorithm, the milliseconds of forward and backward together (the median of the rounds, in which
the algorithms take turns; one far behind is measured once); a star marks what "auto" takes. The shapes are those of our
networks and as many again and more that are drawn at random, on one thread and on two. The test of the cost model
reads the file that is written here. It holds a digest of the algorithms, so that their change asks for a new one.

--fit reads that file, and prints the seconds of conv_cost.py that fit it best: by nonnegative least squares on
relative errors, in which an algorithm far behind the best counts little. It needs SciPy.
"""

import argparse
import ast
import datetime
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import CPU, blas_kernels, keep_freed_memory, one_blas_thread
from scratchnet.files.atomic import write_bytes
from scratchnet.ops import conv, windows
from scratchnet.ops.choose import CONVOLUTIONS, choose_convolution
from scratchnet.ops.fast import (
    conv_bands,
    conv_cost,
    conv_dft,
    conv_im2col,
    conv_winograd,
    dft,
    small,
    spectra,
    winograd,
)
from scratchnet.ops.fast.conv_cost import Problem

# (H = W, N, C, O, kernel size, stride, padding)
GRID = [
    # the paper's layers, for 4, 32 and 64 pairs
    *(
        (size, n, c, o, k, 1, 0)
        for size, c, o, k in [(105, 1, 64, 10), (48, 64, 128, 7), (21, 128, 128, 4), (9, 128, 256, 4)]
        for n in (8, 64, 128)
    ),
    # a network of 3 x 3 kernels that keep the size, and its 5 x 5 first layer, for one image, 20 and 160
    *(
        (size, n, c, o, k, 1, k // 2)
        for size, c, o, k in [
            (48, 1, 32, 5),
            (24, 32, 64, 3),
            (24, 64, 64, 3),
            (12, 64, 128, 3),
            (12, 128, 128, 3),
            (6, 128, 128, 3),
        ]
        for n in (1, 20, 160)
    ),
    # other kernels, strides and numbers of channels
    *(
        (size, n, c, o, k, 1, 0)
        for size, c, o, k in [
            (32, 16, 16, 1),
            (14, 128, 64, 1),
            (32, 3, 16, 3),
            (32, 16, 16, 5),
            (32, 8, 8, 9),
            (28, 1, 8, 7),
        ]
        for n in (16, 64)
    ),
    *(
        (size, n, c, o, k, 2, k // 2)
        for size, c, o, k in [(64, 3, 32, 7), (32, 32, 64, 3), (16, 64, 64, 5)]
        for n in (16, 64)
    ),
]


DRAWN = 182  # shapes
LARGEST_FLOP, LARGEST_MAPS = 3e9, 2e7  # of a drawn shape's forward, and numbers in its maps
SLOW = 1e8  # multiply-adds from which the definition is not measured
FAR_BEHIND = 3
OURS = 4  # the weight of the shapes of GRID in the fit


def shapes() -> list[tuple[int, ...]]:
    """The GRID, then shapes drawn at random, always the same."""
    rng, drawn = np.random.default_rng(0), list(GRID)
    while len(drawn) < len(GRID) + DRAWN:
        k, H = rng.choice([1, 2, 3, 3, 3, 4, 5, 5, 6, 7, 9, 11]), rng.integers(4, 106)
        N, C = rng.choice([1, 1, 2, 4, 8, 16, 20, 32, 64, 100, 160]), rng.choice([1, 3, 8, 16, 24, 32, 48, 64, 96, 128])
        O, stride = rng.choice([8, 16, 32, 48, 64, 96, 128, 256]), rng.choice([1, 1, 1, 1, 2])
        padding = rng.choice([0, k // 2])
        if H + 2 * padding < k:
            continue
        size = windows.output_size(H + 2 * padding, k, stride)
        if 2 * size**2 * N * C * O * k**2 < LARGEST_FLOP and N * (H**2 * C + size**2 * O) < LARGEST_MAPS:
            drawn.append(tuple(int(number) for number in (H, N, C, O, k, stride, padding)))
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("conv.json"))
    parser.add_argument("--fit", action="store_true", help="fit the cost model to the file instead")
    options = parser.parse_args()
    if options.fit:
        fit(json.loads(options.out.read_text()))
        return
    keep_freed_memory()
    rows = []
    for threads in (1, 2):
        os.environ["SCRATCHNET_THREADS"] = str(threads)
        print(f"{threads} threads\n H=W    N    C    O   k  s  p" + "".join(f"{name:>11}" for name in CONVOLUTIONS))
        for shape in shapes():
            milliseconds = measure(*shape, options.rounds)
            rows.append({"threads": threads, "shape": shape, "milliseconds": milliseconds})
            chosen = choose_convolution(CPU, problem_of(*shape))
            cells = (
                f"{'*' if name == chosen else ' '}{milliseconds[name]:.2f}" if name in milliseconds else "-"
                for name in CONVOLUTIONS
            )
            H, N, C, O, k, stride, padding = shape
            row = f"{H:4}{N:5}{C:5}{O:5}{k:4}{stride:3}{padding:3}" + "".join(f"{cell:>11}" for cell in cells)
            print(row, flush=True)
    record = {
        "algorithms": digest(),
        "date": datetime.date.today().isoformat(),
        "kernels": blas_kernels(),
        "numpy": np.__version__,
        "rounds": options.rounds,
        "rows": rows,
    }
    write_bytes(options.out, json.dumps(record).replace('{"threads"', '\n{"threads"').encode())


def problem_of(H: int, N: int, C: int, O: int, k: int, stride: int, padding: int) -> Problem:
    """A square problem."""
    return Problem.of((H, H, N, C), (k, k, C, O), (stride, stride), (padding, padding))


def fit(record: dict[str, Any]) -> None:
    """Print SECONDS of conv_cost.py for the measured rows."""
    from scipy.optimize import nnls  # noqa: PLC0415

    for name in conv_cost.SECONDS:
        counts, weights = [], []
        for row in record["rows"]:
            counted = conv_cost.counted(problem_of(*row["shape"]), row["threads"])
            if name in counted and name in row["milliseconds"]:
                seconds, best = row["milliseconds"][name] / 1e3, min(row["milliseconds"].values()) / 1e3
                counts.append(np.array(counted[name]) / seconds)
                ours = OURS if tuple(row["shape"]) in GRID else 1
                weights.append(ours * (1 if seconds < 2 * best else 0.05))
        weighted = np.array(counts) * np.array(weights)[:, None]
        size = weighted.max(axis=0)
        found = nnls(weighted / size, np.array(weights))[0] / size
        print(f'    "{name}": ({", ".join(f"{value:.1e}" for value in found)}),')


def digest() -> str:
    """Of the code of the algorithms, without its comments and docstrings; the same in every version of Python."""
    texts = []
    for module in (conv, conv_im2col, conv_bands, conv_dft, dft, spectra, conv_winograd, winograd, small, windows):
        tree = ast.parse(Path(module.__file__).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""  # a docstring
        texts.append(repr(_plain(tree)))
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def _plain(node: object) -> object:
    """A syntax tree as nested tuples. Empty fields are left out, since versions differ in which of them there are."""
    if isinstance(node, ast.AST):
        fields = ((name, _plain(value)) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return (type(node).__name__, *fields)
    return tuple(map(_plain, node)) if isinstance(node, list) else node


def measure(H: int, N: int, C: int, O: int, k: int, stride: int, padding: int, rounds: int) -> dict[str, float]:
    """Milliseconds of forward and backward; an algorithm far behind the best of the first round gets no other."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((H, H, N, C), dtype=np.float32)
    weight = rng.standard_normal((k, k, C, O), dtype=np.float32)
    size = windows.output_size(H + 2 * padding, k, stride)
    dy = rng.standard_normal((size, size, N, O), dtype=np.float32)

    def seconds(algorithm: str) -> float:
        start = time.perf_counter()
        _, saved = conv.forward(x, weight, (stride, stride), (padding, padding), algorithm)
        conv.backward(dy, x, weight, saved, (stride, stride), (padding, padding), C > conv_cost.IMAGE_CHANNELS)
        return time.perf_counter() - start

    candidates = [name for name in CONVOLUTIONS if name != "winograd" or k <= conv_winograd.LARGEST_KERNEL]
    if size**2 * N * C * O * k**2 > SLOW:
        candidates.remove("offsets")
    with one_blas_thread():  # as in a training step
        first = {name: min(seconds(name), seconds(name)) for name in candidates}
        near = [name for name, value in first.items() if value < FAR_BEHIND * min(first.values())]
        found = {name: [value] for name, value in first.items()}
        for _ in range(rounds):
            for name in near:
                found[name].append(seconds(name))
    return {name: round(1e3 * float(np.median(values)), 3) for name, values in found.items()}


if __name__ == "__main__":
    main()
