"""The public interface: there from the start, listed, typed, and nothing else."""

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import scratchnet
from scratchnet import errors

PACKAGE = Path(scratchnet.__file__).parent
FOLDERS = sorted(".".join(path.parent.relative_to(PACKAGE.parent).parts) for path in PACKAGE.rglob("__init__.py"))
OPTIONAL = ("torch", "jax", "dezero")
PROGRAMS = {"scratchnet.__main__", "scratchnet.cli", "scratchnet.pytest_plugin"}  # to run, not to call


def modules_in(folder: str) -> list[str]:
    """The names of the modules and folders in a package folder."""
    path = PACKAGE.parent.joinpath(*folder.split("."))
    names = [module.name for module in pkgutil.iter_modules([str(path)])]
    return [name for name in names if f"{folder}.{name}" not in PROGRAMS]


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_module_of_a_folder_is_there_after_importing_scratchnet_alone(folder):
    missing = json.loads(
        run(f"""
        import json, scratchnet
        path = {folder.split(".")[1:]!r}
        missing = []
        for name in {modules_in(folder)!r}:
            place = scratchnet
            for step in (*path, name):
                try:
                    place = getattr(place, step, None)
                except ModuleNotFoundError as error:  # a library that it compares with is not installed
                    assert error.name in {OPTIONAL!r}, name
            missing += [name] * (place is None)
        print(json.dumps(missing))
    """)
    )
    assert missing == []


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder not in PROGRAMS])
def test_dir_shows_what_is_public_and_nothing_else(folder):
    package = importlib.import_module(folder)
    listed = [name for name in dir(package) if not name.startswith("__")]
    assert sorted(listed) == sorted(package.__all__)
    assert not [name for name in listed if name.startswith("_")]
    for name in listed:
        thing = getattr(package, name)
        assert not inspect.ismodule(thing) or thing.__name__ == f"{folder}.{name}", "a module that was only imported"


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder not in PROGRAMS])
def test_a_name_that_is_not_there_is_an_attribute_error_and_a_hint(folder):
    package = importlib.import_module(folder)
    with pytest.raises(AttributeError, match=f"module '{folder}' has no attribute 'nowhere'"):
        _ = package.nowhere


def test_a_typing_error_gets_a_hint():
    code = "import scratchnet as sn; sn.layer"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("has no attribute 'layer'. Did you mean: 'layers'?")


@pytest.mark.parametrize("folder", ["scratchnet.data", "scratchnet.ops", "scratchnet.bench"])
def test_a_folder_of_modules_lists_them_all(folder):
    there = [name for name in modules_in(folder) if not name.endswith("_peer")]  # which need other libraries
    assert set(importlib.import_module(folder).__all__) >= set(there)


def test_every_folder_is_listed_in_the_one_above():
    for folder in FOLDERS:
        above, _, name = folder.rpartition(".")
        if above and folder not in PROGRAMS:
            assert name in importlib.import_module(above).__all__


def test_the_errors_are_public_and_one_family():
    classes = {name: value for name, value in vars(errors).items() if inspect.isclass(value)}
    family = {name for name, value in classes.items() if value.__module__ == errors.__name__}
    assert {"ScratchnetError", "DataError", "CheckpointError", "BackendError", "ShapeError", "NonFiniteError"} <= family
    for name in family:
        assert getattr(scratchnet, name) is getattr(errors, name)
        assert name in scratchnet.__all__
        assert issubclass(getattr(scratchnet, name), scratchnet.ScratchnetError)


def test_a_user_who_knows_the_package_alone_can_catch_what_it_raises():
    assert (
        run("""
        import scratchnet as sn
        try:
            sn.load_model("no such network")
        except sn.ScratchnetError as error:
            print(type(error) is sn.CheckpointError)
    """)
        == "True\n"
    )


@pytest.mark.parametrize("folder", ["scratchnet", "scratchnet.data", "scratchnet.ops", "scratchnet.bench"])
def test_what_is_loaded_late_is_imported_for_type_checkers(folder):
    tree = ast.parse(PACKAGE.parent.joinpath(*folder.split("."), "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(importlib.import_module(folder).__all__)
    hidden = [node for node in block.orelse if isinstance(node, ast.Assign)]
    assert ast.unparse(hidden[0].targets[0]) == "(__getattr__, __dir__)"  # else any name would be one for them
