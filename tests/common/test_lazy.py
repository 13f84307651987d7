"""Modules and names of a package are imported when they are first used."""

import importlib
import sys

import pytest

FILES = {
    "__init__": (
        "from scratchnet.common.lazy import lazily\n"
        "__getattr__, __dir__ = lazily(__name__, ['shapes', 'area'], {'area': 'shapes'})\n"
    ),
    "shapes": "area = 6\n",
    "unlisted": "",
    "broken": "import a_library_that_nobody_has\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules, with one public name."""
    folder = tmp_path / "lazy_package"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("lazy_package")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lazy_package"]:
        del sys.modules[name]


def test_a_module_is_imported_on_first_use(package):
    assert "lazy_package.shapes" not in sys.modules
    assert package.area == 6
    assert package.shapes is sys.modules["lazy_package.shapes"]
    assert "area" in vars(package)  # found once, an attribute like any other


def test_dir_lists_the_public_names_and_other_modules_are_there_too(package):
    assert dir(package) == ["area", "shapes"]
    assert package.unlisted.__name__ == "lazy_package.unlisted"


@pytest.mark.parametrize("name", ["nowhere", "_private"])
def test_an_unknown_name_is_an_attribute_error(package, name):
    with pytest.raises(AttributeError, match=f"module 'lazy_package' has no attribute '{name}'"):
        getattr(package, name)


def test_a_module_whose_own_import_fails_says_which(package):
    with pytest.raises(ModuleNotFoundError, match="a_library_that_nobody_has"):
        _ = package.broken
