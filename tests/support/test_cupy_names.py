"""Every name that the package takes from CuPy is there, so a typo or a NumPy habit is found without a GPU.

cupy_names.txt records the names of a real CuPy; its header says how it was made.
"""

import ast
import inspect
import itertools
import operator
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from cupy_functions import DISPATCHING, SIGNATURES, SYNCHRONISING
from strict_array import StrictArray, strict

import scratchnet

RECORD = Path(__file__).with_name("cupy_names.txt").read_text(encoding="utf-8").splitlines()
HEADER = [line for line in RECORD if line.startswith("#")]
CUPY_NAMES = set(RECORD) - set(HEADER)
PACKAGE = Path(scratchnet.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def names_taken_from_xp(source: str) -> set[str]:
    """`foo` for every `xp.foo`, `lib.stride_tricks.bar` for every `xp.lib.stride_tricks.bar`."""
    paths = {dotted(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    names = {path.removeprefix("xp.") for path in paths if path.startswith("xp.")}
    return {name for name in names if not any(longer.startswith(name + ".") for longer in names)}


def dotted(node: ast.expr) -> str:
    """`a.b.c` for that expression; "" for one that is no chain of names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def modules_imported(source: str) -> set[str]:
    """The top-level packages that the source imports, be it by statement or by `import_module`."""
    return {name.partition(".")[0] for node in ast.walk(ast.parse(source)) for name in imports_of(node)}


def imports_of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), level=0):
            yield module
        case ast.Call(func, [ast.Constant(str(name)), *_]) if dotted(func).endswith(("import_module", "__import__")):
            yield name


def has(owner: object, path: str) -> bool:
    for name in path.split("."):
        if not hasattr(owner, name):
            return False
        owner = getattr(owner, name)
    return True


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_every_name_taken_from_xp_is_in_cupy_and_in_the_stand_in(path):
    names = names_taken_from_xp(SOURCES[path])
    missing = {name for name in names if name.removesuffix(".at") not in CUPY_NAMES}
    assert not missing, f"{path} takes from xp what CuPy does not have"
    unlisted = {name for name in names if not has(strict, name)}
    assert not unlisted, f"{path} takes from xp what tests/support/cupy_functions.py does not list yet"


def test_the_search_finds_names_in_every_form():
    source = """
        def relu(x, y):
            xp = array_module(x)
            xp.add.at(x, xp.lib.stride_tricks.as_strided(y), y.real)
            return xp.maximum(x, 0).astype(xp.float32) + self.xp.pi + f(x).xp.e
    """
    found = names_taken_from_xp(inspect.cleandoc(source))
    assert found == {"add.at", "lib.stride_tricks.as_strided", "maximum", "float32"}


@pytest.mark.parametrize("name", ["errstate", "memmap", "nditer", "vecdot"])
def test_the_record_lacks_what_only_numpy_has(name):
    assert hasattr(np, name)
    assert name not in CUPY_NAMES


def test_only_one_file_imports_cupy():
    importers = {path for path, source in SOURCES.items() if modules_imported(source) & {"cupy", "cupyx"}}
    assert importers == {"backend/cuda.py"}


@pytest.mark.parametrize(
    "source",
    [
        "import cupy",
        "import os, cupy.fft as fft",
        "from cupy import add",
        "def f():\n    importlib.import_module('cupy.fft')",
    ],
)
def test_the_search_finds_imports_in_every_form(source):
    assert "cupy" in modules_imported(source)


def test_the_stand_in_has_nothing_that_cupy_lacks():
    own = {"lib", "synchronisations", "uploads"}
    names = {*SIGNATURES, *(set(vars(strict)) - own)}
    assert names - CUPY_NAMES == set()


class Empty:
    """What every class has differs by version of Python."""


def test_the_arrays_of_the_stand_in_have_nothing_that_cupys_lack():
    refused = {*SYNCHRONISING.split(), *DISPATCHING.split(), *dir(Empty)}
    public = {name for name in set(dir(StrictArray)) - refused if name.startswith("__") or not name.startswith("_")}
    assert {f"ndarray.{name}" for name in public} - CUPY_NAMES == set()


@pytest.fixture
def cupy() -> ModuleType:
    cupy = pytest.importorskip("cupy")
    version = re.search(r"CuPy (\S+),", HEADER[0])[1]
    if cupy.__version__ != version:
        pytest.skip(f"CuPy {cupy.__version__} is installed, the record is of {version}")
    return cupy


def test_the_record_is_of_the_installed_cupy(cupy):
    commands = "\n".join(line.removeprefix("#").strip() for line in HEADER[1:])
    listing = subprocess.run([sys.executable, "-c", commands], capture_output=True, text=True, check=True, timeout=300)
    assert set(listing.stdout.split()) == CUPY_NAMES


def test_cupy_runs_out_of_memory_as_python_does_and_reports_on_its_pool(cupy):
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert {"used_bytes", "free_bytes", "total_bytes", "free_all_blocks", "get_limit"} <= set(dir(cupy.cuda.MemoryPool))
    for event in ("malloc_postprocess", "free_postprocess"):
        assert "mem_size" in getattr(cupy.cuda.MemoryHook, event).__doc__


def test_the_stand_in_takes_the_parameters_that_cupy_takes(cupy):
    checked = 0
    for name, signature in SIGNATURES.items():
        function = operator.attrgetter(name)(cupy)
        parameters = [] if isinstance(function, cupy.ufunc) else inspect.signature(function).parameters.values()
        names = ["*" * (parameter.kind is parameter.VAR_POSITIONAL) + parameter.name for parameter in parameters]
        if names and "kwargs" not in names and name != "matmul":  # else CuPy does not name them
            expected = signature.replace("|", "").split()
            assert names[: len(expected)] == expected, name
            checked += 1
    assert checked > 30


def test_the_stand_in_has_no_loop_that_cupy_lacks(cupy):
    names = [name for name in SIGNATURES if isinstance(getattr(cupy, name, None), cupy.ufunc)]
    assert len(names) > 30
    for name, dtype in itertools.product(names, ["bool", "uint8", "int8", "int32", "int64", *"fdFD"]):
        loops = [loop.split("->") for loop in getattr(cupy, name).types]
        arity = len(loops[0][0])
        try:
            result = getattr(strict, name)(*[StrictArray(np.ones(2, dtype))] * arity)
        except TypeError:
            continue  # stricter than CuPy is fine
        fitting = [given for taken, given in loops if all(np.can_cast(dtype, character) for character in taken)]
        assert fitting, f"CuPy has no {name} of {dtype}"
        assert result.dtype == np.dtype(fitting[0]), f"{name} of {dtype}"
