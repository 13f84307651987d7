"""The pages on layers and on why things work: their code runs, and each layer's page is complete."""

import re
from pathlib import Path

import pytest

import scratchnet.layers

DOCS = Path(__file__).resolve().parents[1] / "docs"
PACKAGE = Path(scratchnet.__file__).parent
PAGES = sorted([*DOCS.glob("layers/*.md"), *DOCS.glob("study/*.md")])
LAYERS = [page for page in PAGES if page.parent.name == "layers" and page.name != "README.md"]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, monkeypatch, capsys):
    monkeypatch.chdir(DOCS.parent)
    exec("\n".join(blocks(page)), {})  # one program: the later blocks build on the first
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", LAYERS, ids=lambda page: page.stem)
def test_a_page_on_a_layer_has_derivation_code_and_test(page):
    text = page.read_text(encoding="utf-8")
    assert "erivation" in text
    assert re.search(r"```\{literalinclude\} \.\./\.\./scratchnet/\S+\.py\n:language: python\n:pyobject: ", text)
    assert "## The test" in text


@pytest.mark.parametrize("page", LAYERS, ids=lambda page: page.stem)
def test_a_page_shows_functions_that_exist(page):
    included = re.findall(
        r"\{literalinclude\} (\S+)\n:language: python\n:pyobject: (\w+)", page.read_text(encoding="utf-8")
    )
    for path, name in included:
        file = (page.parent / path).resolve()
        if file.is_relative_to(DOCS.parent / "scratchnet"):  # which is elsewhere for tests of a source distribution
            file = PACKAGE / file.relative_to(DOCS.parent / "scratchnet")
        source = file.read_text(encoding="utf-8")
        assert re.search(rf"^(def|class) {name}\b", source, flags=re.MULTILINE), f"{path} has no {name}"


def test_every_layer_has_a_page():
    without = {"Layer", "ConvPoolReLU", "Sequential"}  # the protocol, a fused form of three others, a composition
    classes = {name for name in scratchnet.layers.__all__ if isinstance(getattr(scratchnet.layers, name), type)}
    pages = {page.stem for page in LAYERS}
    layers = {name for name in classes if hasattr(getattr(scratchnet.layers, name), "backward")} - without
    assert {name.lower() for name in layers} <= {page.replace("_", "") for page in pages}, layers


def test_every_page_is_listed_by_its_folder():
    for page in PAGES:
        listed = (page.parent / "README.md").read_text(encoding="utf-8")
        assert page.name == "README.md" or f"]({page.name})" in listed
