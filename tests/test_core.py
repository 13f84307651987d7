"""The core fits an evening: what layers, losses, SGD, a training step and a gradient check import, and no more."""

import subprocess
import sys
from pathlib import Path

import pytest

import scratchnet

PACKAGE = Path(scratchnet.__file__).parent
ARCHITECTURE = PACKAGE.parent / "docs" / "architecture.md"
ROOTS = "scratchnet.layers, scratchnet.losses, scratchnet.optim.sgd, scratchnet.train.step, scratchnet.gradcheck.check"
FASTER = ("ops/fast/", "ops/cuda/", "backend/cuda.py", "backend/cublas.py")  # what is only faster, and the GPU loader
LINES = 3000


def loaded_by(modules: str) -> list[str]:
    """The files of scratchnet, by their path in it, and the names of all other modules that an import loads."""
    code = (
        f"import sys, {modules}; print(*[getattr(m, '__file__', None) or n for n, m in sys.modules.items()], sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def core() -> list[str]:
    paths = [Path(name) for name in loaded_by(ROOTS)]
    return sorted(path.relative_to(PACKAGE).as_posix() for path in paths if path.is_relative_to(PACKAGE))


def test_the_core_has_at_most_so_many_lines(core):
    files = [name for name in core if not name.startswith(FASTER)]
    lines = {name: len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) for name in files}
    assert "ops/conv.py" in files
    assert "gradcheck/contract.py" in files
    assert sum(lines.values()) <= LINES, lines


def test_the_core_loads_nothing_that_is_only_faster(core):
    assert not [name for name in core if name.startswith(FASTER)]


@pytest.mark.skipif(not ARCHITECTURE.exists(), reason="the docs are not here, as in an installed package")
def test_the_docs_list_the_core(core):
    page = ARCHITECTURE.read_text(encoding="utf-8")
    listed = page[page.index("## The core") :]
    for name in core:
        file = name.rpartition("/")[2]
        assert file == "__init__.py" or f"`{file.removesuffix('.py')}`" in listed, (
            f"{name} is not listed in {ARCHITECTURE}"
        )


@pytest.mark.parametrize("module", ROOTS.split(", "))
def test_neither_pillow_nor_tqdm_is_loaded(module):
    loaded = "\n".join(loaded_by(module))
    assert not [library for library in ("/PIL/", "/tqdm/") if library in loaded]


@pytest.mark.parametrize(("folder", "most"), [(PACKAGE, 300), (Path(__file__).parent, 400)], ids=["package", "tests"])
def test_no_file_is_longer_than_a_sitting(folder, most):
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in folder.rglob("*.py")}
    assert {path.name: lines for path, lines in lengths.items() if lines > most} == {}


def test_the_package_has_few_entries():
    entries = [path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 28, sorted(entries)
