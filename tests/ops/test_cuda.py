"""The CUDA kernels as sources: they compile for every generation of GPU that we name, and fit into its registers."""

import ctypes
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import host_cuda
import pytest

from scratchnet.ops import cuda

SOURCES = sorted(cuda.FOLDER.glob("*.cu"))
ARCHITECTURES = ["80", "90", "100"]  # A100, H100 and H200, B200

every_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)


@every_source
@pytest.mark.parametrize("real", ["float", "double"])
def test_a_source_compiles_without_spilling_registers(source, real, tmp_path):
    log = compiler_log(source, real, tmp_path)
    kernels = re.findall(r"Compiling entry function '(\w+)' for 'sm_(\d+)'", log)
    names = host_cuda.kernel_names(source.read_text())
    assert sorted(kernels) == sorted((name, number) for name in names for number in ARCHITECTURES)
    assert re.findall(r"(\d+) bytes spill stores", log) == ["0"] * len(kernels)


@every_source
def test_a_source_has_no_atomics(source):
    assert "atomic" not in source.read_text()


def compiler_log(source: Path, real: str, folder: Path) -> str:
    """What the assembler says of each kernel on each architecture. Skips where there is no compiler for CUDA."""
    options = ["-std=c++17", f"-DReal={real}"]
    if shutil.which("nvcc"):
        every = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in ARCHITECTURES]
        command = ["nvcc", *options, *every, "-Xptxas", "-v", "-fatbin", "-o", str(folder / "kernels"), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr
    library = nvrtc()
    if library is None:
        pytest.skip("needs nvcc, or the wheel nvidia-cuda-nvrtc, to compile the CUDA kernels")
    return "".join(
        nvrtc_log(library, source, [*options, f"-arch=sm_{number}", "--ptxas-options=-v"]) for number in ARCHITECTURES
    )


def nvrtc() -> ctypes.CDLL | None:
    """NVIDIA's run-time compiler from its wheel."""
    spec = importlib.util.find_spec("nvidia")
    folders = (spec.submodule_search_locations or []) if spec else []
    found = [path for folder in folders for path in Path(folder).rglob("libnvrtc.so*")]
    return ctypes.CDLL(str(found[0])) if found else None


def nvrtc_log(library: ctypes.CDLL, source: Path, options: Sequence[str]) -> str:
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    code = source.read_text().encode()
    assert library.nvrtcCreateProgram(ctypes.byref(program), code, source.name.encode(), 0, None, None) == 0
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    failure = library.nvrtcCompileProgram(program, len(options), given)
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    assert failure == 0, log.value.decode()
    return log.value.decode()
