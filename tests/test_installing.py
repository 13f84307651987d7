"""No message and no page sends anyone to PyPI's project called scratchnet, which is another one."""

import re
from importlib import metadata
from pathlib import Path

import pytest

import scratchnet
from scratchnet import pretrained
from scratchnet.errors import REINSTALL, install_extra

DISTRIBUTION = "scratchnet-oneshot"
ROOT = Path(__file__).parent.parent
PACKAGE = Path(scratchnet.__file__).parent  # not below ROOT where the tests are those of a source distribution
WRITTEN = ("*.*", ".ci/*", ".github/**/*.*", "docs/**/*.*", "tests/**/*.py", "benchmarks/**/*.*", "examples/**/*.*")
KINDS = {"", ".py", ".md", ".cff", ".cfg", ".toml", ".yaml", ".yml", ".sh", ".in"}
STRANGER = re.compile(
    r"""(install | download | add | pipx\ run | uvx)  # pip, uv, poetry, conda; "install scratchnet again"
        (\ +-[\w-]+(=\S+)?)* \ +["'`]?scratchnet (?![\w.-]|\ in\ your\ clone)
      | scratchnet\\?\[ | \bscratchnet\ ?(==|>=|~=)\ ?\d""",
    re.VERBOSE,
)
EXTRAS = re.compile(r"""install\ (?:-\S+\ )*["']?\.\[([\w,{}()'" -]+)\]""", re.VERBOSE)


def pages() -> dict[str, str]:
    """Every page and source of the tree, with string literals that continue on the next line joined."""
    paths = {path for pattern in WRITTEN for path in ROOT.glob(pattern) if path.suffix in KINDS and path.is_file()}
    paths |= {*PACKAGE.rglob("*.py"), *PACKAGE.glob("pretrained/*.md"), *PACKAGE.glob("pretrained/*.json")}
    return {
        str(path): re.sub(r'(["\'])\s*\n\s*[rf]*\1', "", path.read_text(encoding="utf-8"))
        for path in sorted(paths - {Path(__file__)})
    }


@pytest.mark.parametrize(
    "text",
    [
        "pip install scratchnet", "pip install 'scratchnet[cuda12x]'", 'pip install -U "scratchnet[study]"',
        "pip install --no-deps scratchnet, then", "install scratchnet again", "uv add scratchnet",
        "pipx run scratchnet", "reinstall with 'scratchnet[cuda13x]'", "pip download scratchnet\n", "scratchnet>=0.1",
        r"scratchnet\[study\]", "`pip install scratchnet`",
    ],
)  # fmt: skip
def test_a_line_that_leads_to_the_stranger_is_noticed(text):
    assert STRANGER.search(text)


@pytest.mark.parametrize(
    "text", [install_extra("cuda12x", "cuda13x"), REINSTALL, f"pip install {DISTRIBUTION}", "installs scratchnet, and"]
)
def test_our_own_lines_pass(text):
    assert not STRANGER.search(text)


def test_no_message_and_no_page_leads_to_the_stranger():
    found = {name: [match.group() for match in STRANGER.finditer(text)] for name, text in pages().items()}
    assert len(found) > 100
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_every_extra_that_is_named_exists():
    known = set(metadata.metadata(DISTRIBUTION).get_all("Provides-Extra"))
    named = {extra for text in pages().values() for found in EXTRAS.findall(text) for extra in found.split(",")}
    assert {"test", "cuda12x", "cuda13x"} <= named
    assert {extra for extra in named if "{" not in extra and "$" not in extra} <= known


def test_every_extra_of_a_message_exists():
    asked = re.findall(r"install_extra\(([^)]*)\)", "\n".join(pages().values()))
    named = set(re.findall(r"['\"](\w+)['\"]", " ".join(asked)))
    assert {"bench", "study"} <= named <= set(metadata.metadata(DISTRIBUTION).get_all("Provides-Extra"))


def test_the_weights_come_with_the_licence_of_the_drawings_that_they_were_made_from():
    licence = (pretrained.FOLDER / "OMNIGLOT_LICENSE.txt").read_text(encoding="utf-8")
    assert "The MIT License" in licence
    assert "Copyright (c) 2015 Brenden Lake" in licence
    assert "OMNIGLOT_LICENSE.txt" in pretrained.card("omniglot").data["licence"]
    found = metadata.distributions(name=DISTRIBUTION)  # `python -m pytest` finds the egg-info of the clone first
    packed = {file.name for distribution in found for file in distribution.files if "licenses" in file.parts}
    assert packed == {"LICENSE", "OMNIGLOT_LICENSE.txt"}


def test_the_command_and_the_import_keep_their_name():
    names = {(entry.group, entry.name) for entry in metadata.distribution(DISTRIBUTION).entry_points}
    assert names == {("console_scripts", "scratchnet"), ("pytest11", "scratchnet")}
    assert DISTRIBUTION in metadata.packages_distributions()["scratchnet"]


def test_changelog_and_citation_are_of_this_version():
    (newest, *_) = re.findall(
        r"^## ([\d.]+) - ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    cited = re.findall(r"^version: ([\d.]+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [newest] == cited == [scratchnet.__version__]
