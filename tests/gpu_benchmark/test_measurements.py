"""benchmarks/gpu.py without a GPU: with NumPy behind CuPy's names."""

import ctypes
import json
import time
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import strict_array
from gpu_scripts import gpu_report, script, without_cupy

from scratchnet import backend
from scratchnet.bench import timing
from scratchnet.errors import install_extra
from scratchnet.models.networks import compact
from scratchnet.ops.cuda import conv_cost
from scratchnet.ops.fast.conv_cost import Problem
from scratchnet.train.recipe import Recipe

FLOAT32, FAST_TF32 = 68, 77


@pytest.fixture
def gpu(monkeypatch):
    """The script with small and short measurements."""
    gpu = script("gpu")
    small = {
        "ROUNDS": 2,
        "ROUND": 0,
        "WARM_UP": 0,
        "COPY_BYTES": 4096,
        "SIZE": 24,
        "PAIRS": 2,
        "IMAGES": 4,
        "FREQUENCIES": 5,
    }
    small |= {"IN": 2, "OUT": 3, "MAP": 6, "STEPS": 2, "ALPHABETS": 2, "FEW_PAIRS": 8, "EPOCH": 1000}
    for name, value in small.items():
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(timing, "WARM_UP", 0)
    return gpu


class Array(np.ndarray):
    """A NumPy array that has its address where CuPy's arrays have it."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)


class Event:
    def record(self):
        self.time = time.perf_counter()

    def synchronize(self):
        pass


def gemm(handle, ta, tb, m, n, k, alpha, A, A_type, lda, stride_a, B, B_type, ldb, stride_b, beta, C, C_type, ldc,
         stride_c, batch, compute_type, algo):  # fmt: skip
    """cuBLAS's product of column-major matrices, by address; it rounds to TF32 on request."""
    assert (ta, tb, A_type, B_type, C_type) == (0,) * 5
    assert [ctypes.c_float.from_address(pointer).value for pointer in (alpha, beta)] == [1, 0]

    def columns(pointer, stride, number, rows, count, leading):
        start = ctypes.POINTER(ctypes.c_float).from_buffer(ctypes.c_void_p(pointer + 4 * stride * number))
        return np.ctypeslib.as_array(start, (count, leading)).T[:rows]

    for number in range(batch):
        a, b = columns(A, stride_a, number, m, k, lda), columns(B, stride_b, number, k, n, ldb)
        if compute_type == FAST_TF32:
            a, b = ((x.copy().view(np.int32) + 0x1000 & ~0x1FFF).view(np.float32) for x in (a, b))
        columns(C, stride_c, number, m, n, ldc)[...] = a @ b


@pytest.fixture
def cuda():
    """A device with NumPy behind CuPy's names."""
    cublas = SimpleNamespace(
        gemmStridedBatchedEx=gemm, CUBLAS_OP_N=0, CUBLAS_COMPUTE_32F=FLOAT32, CUBLAS_COMPUTE_32F_FAST_TF32=FAST_TF32,
        CUBLAS_GEMM_DEFAULT=-1,
    )  # fmt: skip
    facts = {"name": b"A GPU", "totalGlobalMem": 2**30, "multiProcessorCount": 1, "major": 9, "minor": 0}
    runtime = SimpleNamespace(
        CUDA_R_32F=0, getDevice=lambda: 0, getDeviceProperties=lambda number: facts, driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
    )  # fmt: skip
    cp = SimpleNamespace(
        __version__="14.2.0",
        asarray=lambda a: a.view(Array),
        ones=lambda shape, dtype: np.ones(shape, dtype).view(Array),
        empty=lambda shape, dtype: np.empty(shape, dtype).view(Array),
        empty_like=np.empty_like, copyto=np.copyto, multiply=np.multiply, matmul=np.matmul, fft=np.fft,
        cuda=SimpleNamespace(
            Event=Event, get_elapsed_time=lambda start, stop: 1e3 * (stop.time - start.time), cublas=cublas,
            device=SimpleNamespace(get_cublas_handle=lambda: 1), runtime=runtime,
        ),
    )  # fmt: skip
    return replace(strict_array.STRICT, name="cuda", module=cp)


@pytest.mark.parametrize(("name", "rows"), [("copies", 2), ("products", 4), ("batched products", 5), ("transforms", 4)])
def test_rates_are_measured_and_written(name, rows, gpu, cuda):
    found = gpu.MEASUREMENTS[name](cuda)
    assert not [row["problem"] for row in found["rows"] if "problem" in row]
    assert len(found["rows"]) == rows
    for row in found["rows"]:
        assert row["ms"]["least"] <= row["ms"]["median"] <= row["ms"]["most"]
        assert row.get("tflops", row.get("gigabytes_per_second")) > 0
    assert f"| {found['rows'][0]['what']} |" in gpu_report.markdown({"measurements": {name: found}, "bench": {}})


@pytest.mark.parametrize("name", ["products", "batched products"])
def test_cublas_multiplies_row_major_matrices_and_its_rounding_shows_the_precision(name, gpu, cuda, monkeypatch):
    types = {"float32": FLOAT32, "tf32": FAST_TF32}

    def matmul(a, b, out):  # as backend.matmul on a GPU, in the precision that is set
        gpu.cublas_product(cuda.module, a, b, out, types[backend.get_precision()])

    monkeypatch.setattr(gpu, "matmul", matmul)
    direct, fast, *of_ours = gpu.MEASUREMENTS[name](cuda)["rows"][:4]
    assert direct["error"] < 1e-6
    assert 1e-4 < fast["error"] < 1e-3
    assert [row["in_tf32"] for row in (direct, fast, *of_ours)] == [False, True, False, True]


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_both_algorithms_are_measured_next_to_the_expected_times(precision, gpu, monkeypatch):
    sizes = [(8, 2, 1, 3, 3, 1, 0), (7, 2, 5, 3, 3, 2, 1)]  # the first is taken for the first of a network
    called = []

    def call_seconds(cp, call):
        call()
        called.append((call.func.__name__, call.keywords.get("needs_dx")))
        return [0.5, 0.25, 0.125]

    monkeypatch.setattr(gpu, "CONVOLUTIONS", sizes)
    monkeypatch.setattr(gpu, "PRECISIONS", [precision])
    monkeypatch.setattr(gpu, "call_seconds", call_seconds)
    monkeypatch.setattr(gpu, "normal", lambda cp, seed, *shape: strict_array.upload(np.ones(shape, np.float32)))
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    rows = gpu.MEASUREMENTS["convolutions"](strict_array.STRICT)["rows"]
    assert not [row["problem"] for row in rows if "problem" in row]
    assert backend.get_precision() == precision
    assert called == [("forward", None), ("backward", False)] * 2 + [("forward", None), ("backward", True)] * 2
    assert [row["algorithm"] for row in rows] == ["im2col", "dft"] * 2
    expected = [
        conv_cost.costs(Problem.of((H, H, N, C), (k, k, C, O), (s, s), (p, p))) for H, N, C, O, k, s, p in sizes
    ]
    for row in rows:
        assert (row["forward_ms"]["median"], row["sum_ms"]) == (250, 500)
    assert [row["expected_ms"] for row in rows] == [1e3 * seconds for both in expected for seconds in both.values()]
    text = gpu_report.markdown({"measurements": {"convolutions": {"rows": rows}}, "bench": {}})
    what = f"{precision}, dft: (7, 7, 2, 5) by 3 x 3 to 3, stride 2, padding 1"
    assert f"| {what} | 250.000 | 250.000 | 500.000 | {rows[-1]['expected_ms']:.3f} |" in text


def test_a_rate_is_the_work_over_the_median(gpu, cuda, monkeypatch):
    monkeypatch.setattr(gpu, "call_seconds", lambda cp, call: [0.5, 2.0, 0.25])
    assert gpu.timed(cuda.module, None, flop=3 * 10**12)["tflops"] == pytest.approx(6)
    assert gpu.timed(cuda.module, None, moved=10**9)["gigabytes_per_second"] == pytest.approx(2)


def test_a_line_that_cannot_be_measured_says_why_and_the_others_go_on(gpu, cuda):
    def refused(*_):
        raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED\nand more")

    cuda.module.cuda.cublas.gemmStridedBatchedEx = refused
    rows = gpu.products(cuda)["rows"]
    assert [row.get("problem") for row in rows] == [*["RuntimeError: CUBLAS_STATUS_NOT_SUPPORTED"] * 2, None, None]
    assert "RuntimeError: CUBLAS" in gpu_report.markdown({"measurements": {"products": {"rows": rows}}, "bench": {}})


@pytest.fixture
def tiny(gpu, monkeypatch):
    """A small network in place of the paper's, on the stand-in for a GPU."""
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    architecture = {"image_size": 16, "width": 2, "features": 8}
    recipe = Recipe("tiny", "omniglot", {"name": "compact", **architecture}, "pairs", 2, 4, 0.01, pairs=8)
    monkeypatch.setattr(gpu, "paper", lambda: recipe)
    monkeypatch.setattr(gpu, "koch2015", lambda seed, device=None: compact(seed=seed, device=device, **architecture))
    return gpu


def test_steps_and_epochs_run_on_a_device_and_are_scaled_up(tiny):
    rows = tiny.steps(strict_array.STRICT)["rows"]
    assert [row["what"] for row in rows] == [
        "batch, float32", "batch and train_step, float32", "batch, tf32", "batch and train_step, tf32",
    ]  # fmt: skip
    assert rows[1]["ms"]["median"] > rows[0]["ms"]["median"]
    assert rows[1]["epoch_seconds"] == pytest.approx(rows[1]["ms"]["median"] / 1e3 * 1000 / 2)
    for row in tiny.epochs(strict_array.STRICT)["rows"]:
        assert row["epoch_seconds"] == pytest.approx(2000 / row["images_per_second"])


def test_pytorch_is_measured_layer_by_layer_and_its_kernels_are_named(tiny, cuda, monkeypatch):
    torch = pytest.importorskip("torch", reason=f"is about torch, an extra; {install_extra('bench')}")
    monkeypatch.setattr(tiny, "TORCH_DEVICE", "cpu")
    peer = tiny.import_module("scratchnet.bench.torch_peer")
    monkeypatch.setattr(peer, "expect_gpu", lambda: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.autograd.DeviceType, "CUDA", torch.autograd.DeviceType.CPU, raising=False)
    settings = torch.backends.cudnn, torch.backends.cuda.matmul
    before = settings[0].benchmark, settings[0].allow_tf32, settings[1].allow_tf32
    ways = [way for way in peer.GPU_WAYS if "compiled" not in way]
    try:
        layers = tiny.torch_layers(cuda)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there is no GPU to profile
            kernels = tiny._profiled(torch, lambda: torch.ones(3, 3) @ torch.ones(3, 3))
    finally:
        settings[0].benchmark, settings[0].allow_tf32, settings[1].allow_tf32 = before
    assert list(layers["layers"]) == ways
    assert list(layers["layers"][ways[0]]) == list(tiny.koch2015(seed=0).encoder.layers)
    text = gpu_report.markdown(
        {"measurements": {"layers": layers, "k": {"kernels": {"a": {"b": kernels}}}}, "bench": {}}
    )
    assert "| conv1 |" in text
    assert "aten::mm" in text


def test_every_measurement_is_kept_if_others_fail(gpu, cuda, monkeypatch, tmp_path):
    kept = []

    def in_own_process(name):
        if (tmp_path / "measurements.json").exists():
            kept.append(len(json.loads((tmp_path / "measurements.json").read_text())["measurements"]))
        return {"error": "fell over"} if name == "steps" else {"rows": []}

    monkeypatch.setattr(gpu, "in_own_process", in_own_process)
    assert gpu.measure(cuda, tmp_path) == 1
    assert kept == list(range(1, len(gpu.MEASUREMENTS)))
    record = json.loads((tmp_path / "measurements.json").read_text())
    assert record["machine"]["gpu"]["name"] == "A GPU"
    assert record["measurements"].keys() == gpu.MEASUREMENTS.keys()
    assert record["measurements"]["steps"]["error"] == "fell over"


@pytest.mark.skipif(not without_cupy(), reason="CuPy is installed, and may find a GPU")
def test_without_a_gpu_the_script_says_so_in_a_line(gpu, capsys, monkeypatch):
    assert gpu.main(["--check"]) == 2
    assert capsys.readouterr() == ("", f"{gpu.in_own_process('copies')['error']}\n")
    monkeypatch.setattr(gpu, "LIMIT", 0.01)
    assert gpu.in_own_process("copies") == {"error": "took longer than 0.01 s"}
