"""The CUDA kernels as sources: they compile for every generation of GPU that we name, and fit into its registers."""

import re
import shutil
import subprocess

import host_cuda
import pytest

from scratchnet.ops import cuda

SOURCES = sorted(cuda.FOLDER.glob("*.cu"))
ARCHITECTURES = ["sm_80", "sm_90", "sm_100"]  # A100, H100 and H200, B200

every_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)


@every_source
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_source_compiles_without_spilling_registers(source, architecture, tmp_path):
    options = ["-std=c++17", f"-arch={architecture}", "-cubin", "-Xptxas", "-v"]
    spills = []
    for real in ("float", "double"):
        log = _nvcc([*options, f"-DReal={real}", "-o", str(tmp_path / "k.cubin"), str(source)])
        kernels = re.findall(r"Compiling entry function '(\w+)'", log)
        assert sorted(kernels) == sorted(host_cuda.kernel_names(source.read_text()))
        spills += re.findall(r"(\d+) bytes spill stores", log)
    assert len(spills) == 2 * len(kernels)
    assert set(spills) == {"0"}


@every_source
def test_a_source_has_no_atomics(source):
    assert "atomic" not in source.read_text()


def _nvcc(arguments: list[str]) -> str:
    """What nvcc, or else NVRTC from its wheel, says. Skips where there is neither."""
    if shutil.which("nvcc") is None:
        pytest.skip("needs nvcc, to compile the CUDA kernels")
    done = subprocess.run(["nvcc", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr
