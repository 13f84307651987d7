"""What a GPU can do, and what scratchnet and PyTorch make of it: the measurements.

    python benchmarks/gpu.py FOLDER         # into FOLDER/measurements.json, written anew after each of them
    python benchmarks/gpu.py --only steps   # one of them, as JSON

benchmarks/gpu.sh runs this with the tests and `scratchnet bench`, and benchmarks/gpu_report.py writes it up.

Each measurement has a process of its own, so that one that fails, hangs or spoils the context of the GPU is recorded as
such and the others go on. Times are by CUDA events, or by the clock around work that has been waited for.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import Array, Device, get_device, matmul, set_precision, to_host
from scratchnet.backend.cublas import PRECISIONS
from scratchnet.bench.machine import Machine
from scratchnet.bench.peers import in_one_line
from scratchnet.bench.timing import Spread, in_turns
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import Split
from scratchnet.errors import BackendError
from scratchnet.files.atomic import write_bytes
from scratchnet.layers import Conv2d
from scratchnet.models.networks import koch2015
from scratchnet.models.siamese import SiameseNet
from scratchnet.ops.cuda import conv_cost
from scratchnet.ops.fast.conv_cost import IMAGE_CHANNELS, Problem
from scratchnet.train import LOG, train, train_step
from scratchnet.train.batches import PairBatches
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import find_recipe

ROUNDS = 7
ROUND, WARM_UP = 0.02, 0.2  # seconds
LIMIT = 90  # seconds of a measurement
COPY_BYTES = 2**30
SIZE = 4096  # of a square matrix
TORCH_DEVICE = "cuda"
PAIRS = 128
FREQUENCIES, IMAGES, IN, OUT, MAP = 1200, 2 * PAIRS, 64, 128, 48  # of conv2: maps of MAP x MAP, MAP x 25 frequencies
CONVOLUTIONS = [  # H, N, C, O, k, stride, padding: the layers of koch2015, those of compact, and others
    (105, IMAGES, 1, 64, 10, 1, 0),
    (48, IMAGES, 64, 128, 7, 1, 0),
    (21, IMAGES, 128, 128, 4, 1, 0),
    (9, IMAGES, 128, 256, 4, 1, 0),
    (48, IMAGES, 1, 64, 3, 1, 1),
    (24, IMAGES, 64, 64, 3, 1, 1),
    (12, IMAGES, 64, 64, 3, 1, 1),
    (6, IMAGES, 64, 64, 3, 1, 1),
    (28, 64, 16, 32, 5, 1, 2),
    (56, 32, 64, 128, 3, 2, 1),
    (32, 64, 128, 128, 5, 1, 2),
    (48, IMAGES, 3, 32, 7, 2, 3),
]
STEPS = 5  # in a round of training steps
ALPHABETS = 10
EPOCH, FEW_PAIRS = 150_000, 640  # what is measured on few pairs, each nine times in an epoch, is scaled up to EPOCH
TF32_ROUNDS = 1e-5  # relative: the rounding of TF32 is about 3e-4, that of float32 at most 1e-6

Record = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("folder", type=Path, nargs="?", help="where to write")
    wanted.add_argument("--only", choices=MEASUREMENTS, metavar="NAME", help=", ".join(MEASUREMENTS))
    wanted.add_argument("--check", action="store_true", help="measure nothing, but exit with 2 where there is no GPU")
    options = parser.parse_args(arguments)
    try:
        device = get_device("cuda")
    except BackendError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        return 2
    if options.folder:
        return measure(device, options.folder)
    if options.only:
        print(json.dumps(MEASUREMENTS[options.only](device)))
    return 0


def measure(device: Device, folder: Path) -> int:
    """Take all measurements; 1 if one of them has failed."""
    found: Record = {}
    record = {"machine": asdict(Machine.this(device)), "driver": driver(), "measurements": found}
    for name in MEASUREMENTS:
        started = time.monotonic()
        found[name] = in_own_process(name) | {"seconds": round(time.monotonic() - started, 1)}
        write_bytes(folder / "measurements.json", json.dumps(record, indent=1).encode())
        print(f"{name}: {found[name].get('error', 'done')}", flush=True)
    return int(any("error" in measured for measured in found.values()))


def in_own_process(name: str) -> Record:
    command = [sys.executable, __file__, "--only", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {LIMIT} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return {"error": lines[-1]}
    measured: Record = json.loads(done.stdout.splitlines()[-1])
    return measured


def driver() -> str | None:
    """What nvidia-smi says of the first GPU; None where it is not there."""
    facts = "name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.memory"
    try:
        command = ["nvidia-smi", f"--query-gpu={facts}", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


# Rates


def copies(device: Device) -> Record:
    cp = device.module
    source = cp.ones(COPY_BYTES // 4, dtype=np.float32)
    target = cp.empty_like(source)
    ways = {
        "copyto, 1 GiB": partial(cp.copyto, target, source),
        "multiply by a number, 1 GiB": partial(cp.multiply, source, 2.0, out=target),
    }
    return {"rows": [row(what, partial(timed, cp, call, moved=2 * COPY_BYTES)) for what, call in ways.items()]}


def products(device: Device) -> Record:
    cp = device.module
    a, b = (normal(cp, seed, SIZE, SIZE) for seed in (1, 2))
    return {"rows": list(_both_precisions(cp, a, b, f"{SIZE} x {SIZE} x {SIZE}"))}


def batched_products(device: Device) -> Record:
    """The products of conv2 by frequencies: real ones of [Re | Im], and complex ones."""
    cp = device.module
    a, b = normal(cp, 1, FREQUENCIES, IMAGES, 2 * IN), normal(cp, 2, FREQUENCIES, 2 * IN, 2 * OUT)
    rows = list(_both_precisions(cp, a, b, f"{FREQUENCIES} of {IMAGES} x {2 * IN} x {2 * OUT}"))
    a, b = a.view(np.complex64), normal(cp, 3, FREQUENCIES, IN, 2 * OUT).view(np.complex64)
    out = cp.empty((FREQUENCIES, IMAGES, OUT), dtype=np.complex64)
    complex_product = partial(timed, cp, partial(cp.matmul, a, b, out=out), flop=8 * a.size * OUT)
    rows.append(row(f"{FREQUENCIES} of {IMAGES} x {IN} x {OUT}, complex: cupy.matmul", complex_product))
    return {"rows": rows}


def _both_precisions(cp: Any, a: Array, b: Array, shape: str) -> Iterator[Record]:
    """a @ b by cuBLAS with either type of arithmetic, called here and as our layers call it."""
    out = cp.empty((*a.shape[:-1], b.shape[-1]), dtype=a.dtype)
    for name in ("CUBLAS_COMPUTE_32F", "CUBLAS_COMPUTE_32F_FAST_TF32"):
        call = partial(cublas_product, cp, a, b, out, getattr(cp.cuda.cublas, name))
        yield row(f"{shape}: gemmStridedBatchedEx, {name}", partial(_timed_product, cp, call, a, b, out))
    for name in PRECISIONS:
        set_precision(name)
        call = partial(matmul, a, b, out)
        yield row(f"{shape}: backend.matmul, set_precision({name!r})", partial(_timed_product, cp, call, a, b, out))


def _timed_product(cp: Any, call: Callable[[], object], a: Array, b: Array, out: Array) -> Record:
    out.fill(0)
    call()
    error = rounding(a, b, out)
    return timed(cp, call, flop=2 * a.size * b.shape[-1]) | {"error": error, "in_tf32": error > TF32_ROUNDS}


def cublas_product(cp: Any, a: Array, b: Array, out: Array, compute_type: int) -> None:
    """out = a @ b for row-major (M, K) and (K, N), or (batch, M, K) and (batch, K, N).

    cuBLAS reads a row-major matrix as its transpose, so it is asked for out.T = b.T @ a.T.
    """
    (M, K), N = a.shape[-2:], b.shape[-1]
    cublas, real = cp.cuda.cublas, cp.cuda.runtime.CUDA_R_32F
    one, zero = np.array(1, np.float32), np.array(0, np.float32)
    cublas.gemmStridedBatchedEx(
        cp.cuda.device.get_cublas_handle(),
        cublas.CUBLAS_OP_N,
        cublas.CUBLAS_OP_N,
        N,
        M,
        K,
        one.ctypes.data,
        b.data.ptr,
        real,
        N,
        K * N,
        a.data.ptr,
        real,
        K,
        M * K,
        zero.ctypes.data,
        out.data.ptr,
        real,
        N,
        M * N,
        a.size // (M * K),
        compute_type,
        cublas.CUBLAS_GEMM_DEFAULT,
    )


def rounding(a: Array, b: Array, out: Array) -> float:
    """How far some rows of out = a @ b, of the last of many, are from the exact ones, relatively."""
    last = (-1,) * (a.ndim - 2)
    rows, matrix, found = (to_host(x).astype(np.float64) for x in (a[last][:64], b[last], out[last][:64]))
    exact = rows @ matrix
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def transforms(device: Device) -> Record:
    """Of the maps that conv2 sees, with their axes first, as ours have them, and last."""
    cp = device.module
    rows = []
    for where, shape, axes in (
        ("leading", (MAP, MAP, IMAGES * IN), (0, 1)),
        ("trailing", (IMAGES * IN, MAP, MAP), (1, 2)),
    ):
        x = normal(cp, 1, *shape)
        spectrum = cp.fft.rfft2(x, axes=axes)
        calls = {
            "rfft2": partial(cp.fft.rfft2, x, axes=axes),
            "irfft2": partial(cp.fft.irfft2, spectrum, s=(MAP, MAP), axes=axes),
        }
        for name, call in calls.items():
            moved = x.nbytes + spectrum.nbytes
            rows.append(row(f"{name}, {where} axes of {shape}", partial(timed, cp, call, moved=moved)))
    return {"rows": rows}


def convolutions(device: Device) -> Record:
    """Both algorithms of a GPU for some layers, beside what ops/cuda/conv_cost.py expects."""
    rows: list[Record] = []
    for precision in PRECISIONS:
        set_precision(precision)
        for H, N, C, O, k, stride, padding in CONVOLUTIONS:
            shape, first = (H, H, N, C), C <= IMAGE_CHANNELS
            x = normal(device.module, 1, *shape)
            expected = conv_cost.costs(Problem.of(shape, (k, k, C, O), (stride, stride), (padding, padding)))
            for algorithm, seconds in expected.items():
                layer = Conv2d(C, O, k, stride=stride, padding=padding, algorithm=algorithm)
                what = f"{precision}, {algorithm}: {shape} by {k} x {k} to {O}, stride {stride}, padding {padding}"
                found = row(what, partial(_forward_and_backward, device, layer, x, first))
                rows.append(found | {"algorithm": algorithm, "expected_ms": 1e3 * seconds})
    return {"rows": rows}


def _forward_and_backward(device: Device, layer: Conv2d, x: Array, first: bool) -> Record:
    cp = device.module
    host = layer.init(np.random.default_rng(2))
    params = {name: device.upload(value) for name, value in host.items()}
    y, cache = layer.forward(params, x)
    dy = normal(cp, 3, *y.shape)
    backward = partial(layer.backward, dy, cache, needs_dx=not first)
    calls = partial(layer.forward, params, x), backward
    forward_ms, backward_ms = (milliseconds(call_seconds(cp, call)) for call in calls)
    return {
        "forward_ms": forward_ms,
        "backward_ms": backward_ms,
        "sum_ms": forward_ms["median"] + backward_ms["median"],
    }


# Training


def steps(device: Device) -> Record:
    """Training steps with batches that are drawn and warped on the device, and what they make of an epoch."""
    return {"rows": [found for precision in PRECISIONS for found in _steps_in(precision, device)]}


def _steps_in(precision: str, device: Device) -> list[Record]:
    set_precision(precision)
    recipe = paper()
    net, optimiser = koch2015(seed=0, device=device), recipe.optimiser()
    batches = PairBatches(recipe, Drawings.of(generate_alphabets(ALPHABETS), net.image_size), device)
    drawn = 0

    def draw() -> Any:
        nonlocal drawn
        drawn += 1
        return batches.batch(0, drawn % batches.steps)

    def step() -> None:
        a, b, target, _ = draw()
        train_step(net, optimiser, a, b, target)

    calls = {"batch": draw, "batch and train_step": step}
    seconds = in_turns({name: partial(several, call) for name, call in calls.items()}, ROUNDS, device)
    rows: list[Record] = [
        {"what": f"{name}, {precision}", "ms": milliseconds([value / STEPS for value in values])}
        for name, values in seconds.items()
    ]
    rows[-1]["epoch_seconds"] = rows[-1]["ms"]["median"] / 1e3 * EPOCH / PAIRS
    return rows


def several(call: Callable[[], object]) -> None:
    for _ in range(STEPS):
        call()


def epochs(device: Device) -> Record:
    """The second epoch of `train` itself."""
    split, rows = Split(generate_alphabets(ALPHABETS), []), []
    for precision in PRECISIONS:
        set_precision(precision)
        with tempfile.TemporaryDirectory() as folder:
            train(paper(), split, Path(folder) / "run", device=device, quiet=True)
            *_, last = (Path(folder) / "run" / LOG).read_text().splitlines()
        rate = json.loads(last)["images_per_second"]
        rows.append({"what": f"train, {precision}", "images_per_second": rate, "epoch_seconds": 2 * EPOCH / rate})
    return {"rows": rows}


def paper() -> Recipe:
    """The paper's recipe on few pairs, for two epochs, with nothing to validate."""
    return replace(find_recipe("koch2015"), epochs=2, pairs=FEW_PAIRS, batch_size=PAIRS, validation_alphabets=())


# PyTorch


def torch_layers(device: Device) -> Record:
    """Milliseconds of each layer in PyTorch, forward and backward, in three modes."""
    peer, net = torch_peer(), koch2015(seed=0, device="cpu")
    ways = {
        way: _layers_in_torch(device.module, net.image_size, encoder, layout)
        for way, layout, encoder in torch_encoders(peer, net)
    }
    return {"layers": ways, "torch": peer.torch.__version__, "cudnn": peer.torch.backends.cudnn.version()}


def _layers_in_torch(cp: Any, image_size: int, encoder: Any, layout: Any) -> dict[str, Record]:
    torch = torch_peer().torch
    found: dict[str, Record] = {}
    x = torch.rand(IMAGES, 1, image_size, image_size, device=TORCH_DEVICE).to(memory_format=layout)
    for name, module in encoder.named_children():
        x = x.detach().requires_grad_(bool(found))  # the first layer has no dx to find
        y = module(x)
        wanted = [tensor for tensor in (x, *module.parameters()) if tensor.requires_grad]
        backward = partial(torch.autograd.grad, y, wanted, torch.randn_like(y), retain_graph=True)
        found[name] = {
            "forward_ms": milliseconds(call_seconds(cp, partial(module, x))),
            "backward_ms": milliseconds(call_seconds(cp, backward)),
        }
        x = y
    return found


def cudnn_kernels(device: Device) -> Record:
    """What runs for conv2, 7 x 7, in PyTorch: the names of the kernels tell the algorithms that cuDNN has picked."""
    peer = torch_peer()
    return {
        "kernels": {
            way: _kernels_of(peer.torch, encoder.conv2, layout)
            for way, layout, encoder in torch_encoders(peer, koch2015(seed=0, device="cpu"))
        }
    }


def _kernels_of(torch: Any, conv: Any, layout: Any) -> dict[str, list[Record]]:
    x = torch.rand(IMAGES, IN, MAP, MAP, device=TORCH_DEVICE).to(memory_format=layout).requires_grad_()
    y = conv(x)
    calls = {
        "forward": partial(conv, x),
        "backward": partial(torch.autograd.grad, y, (x, *conv.parameters()), torch.randn_like(y), retain_graph=True),
    }
    return {name: _profiled(torch, call) for name, call in calls.items()}


def _profiled(torch: Any, call: Callable[[], object]) -> list[Record]:
    """The kernels that a call runs, with their milliseconds, the longest first."""
    call()  # cudnn.benchmark tries all algorithms
    activity, on_gpu = torch.profiler.ProfilerActivity, torch.autograd.DeviceType.CUDA
    with torch.profiler.profile(activities=[activity.CPU, activity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    kernels = [
        {"kernel": event.key, "ms": event.self_device_time_total / 1e3}
        for event in profiler.key_averages()
        if event.device_type == on_gpu
    ]
    return sorted(kernels, key=lambda kernel: -kernel["ms"])


def torch_peer() -> Any:
    """scratchnet.bench.torch_peer, where PyTorch is installed and finds a GPU."""
    found = import_module("scratchnet.bench.torch_peer")
    found.expect_gpu()
    return found


def torch_encoders(peer: Any, net: SiameseNet) -> Iterator[tuple[str, Any, Any]]:
    """The memory format and the encoder in PyTorch, in each way that is not compiled, with its settings made."""
    for way, (mode, layout, compiled) in peer.GPU_WAYS.items():
        if not compiled:
            mode.set()
            memory_format = getattr(peer.torch, layout)
            yield way, memory_format, peer.twin(net)["encoder"].to(device=TORCH_DEVICE, memory_format=memory_format)


MEASUREMENTS: dict[str, Callable[[Device], Record]] = {  # those that take a minute last, in case the time runs out
    "copies": copies,
    "products": products,
    "batched products": batched_products,
    "transforms": transforms,
    "steps": steps,
    "epochs": epochs,
    "kernels of cuDNN": cudnn_kernels,
    "layers of PyTorch": torch_layers,
    "convolutions": convolutions,
}


# What they share


def row(what: str, measurement: Callable[[], Record]) -> Record:
    """One line of a table: what was measured, or why it could not be."""
    try:
        return {"what": what, **measurement()}
    except Exception as cause:  # libraries fail in many ways
        return {"what": what, "problem": in_one_line(cause)}


def timed(cp: Any, call: Callable[[], object], flop: int = 0, moved: int = 0) -> Record:
    """The milliseconds of a call; of so many floating-point operations, or bytes read and written, the rate."""
    spread = milliseconds(call_seconds(cp, call))
    seconds = spread["median"] / 1e3
    rates = {"tflops": flop / seconds / 1e12} if flop else {"gigabytes_per_second": moved / seconds / 1e9}
    return {"ms": spread, **rates}


def call_seconds(cp: Any, call: Callable[[], object]) -> list[float]:
    """Seconds of one call by CUDA events, a figure for each round of as many calls as fill ROUND seconds.

    Also of PyTorch's calls: both libraries launch on the default stream.
    """
    start, stop = cp.cuda.Event(), cp.cuda.Event()

    def seconds(calls: int) -> float:
        start.record()
        for _ in range(calls):
            call()
        stop.record()
        stop.synchronize()
        return float(cp.cuda.get_elapsed_time(start, stop)) / 1e3 / calls

    one = seconds(1)  # compiles, or tries algorithms
    warm = time.monotonic() + WARM_UP
    while time.monotonic() < warm:
        one = seconds(1)
    calls = max(1, round(ROUND / max(one, 1e-6)))
    return [seconds(calls) for _ in range(ROUNDS)]


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    return {name: 1e3 * value for name, value in Spread.of(seconds)._asdict().items()}


def normal(cp: Any, seed: int, *shape: int) -> Array:
    return cp.asarray(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


if __name__ == "__main__":
    sys.exit(main())
