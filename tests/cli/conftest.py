"""Running commands in this process, a short run, generated drawings."""

import functools
import sys

import pytest
from commands import TINY, Answer, drawing
from helpers import everything_in

from scratchnet.cli import main
from scratchnet.data import splits
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.oneshot.baselines import BASELINES, ModifiedHausdorff

SLOW = "modified Hausdorff distance"
draw_alphabets_once = functools.cache(generate_alphabets)


@pytest.fixture(scope="module", autouse=True)
def few_glyphs():
    """Few generated alphabets, drawn once, and the fast baseline alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name, count in (("GLYPH_TRAIN", 3), ("GLYPH_VALIDATION", 2), ("GLYPH_TEST", 2)):
            patch.setattr(splits, name, count)
        patch.setattr(splits, "generate_alphabets", draw_alphabets_once)
        patch.delitem(BASELINES, SLOW)
        yield


@pytest.fixture
def all_baselines(monkeypatch):
    monkeypatch.setitem(BASELINES, SLOW, ModifiedHausdorff())


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch, default_device):
    """An empty working directory and cache, and no data folder in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCRATCHNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def run(few_glyphs, tmp_path_factory):
    """The folder of a short training run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *TINY, "--json", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def ask(capsys):
    """Runs one command in this process; `terminal` makes stderr one, where progress bars are drawn."""

    def run_command(*arguments, terminal=False):
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.stderr, "isatty", lambda: terminal)
            try:
                code = main([str(argument) for argument in arguments])
            except SystemExit as stop:  # argparse
                code = stop.code
        return Answer(code, *capsys.readouterr())

    return run_command


@pytest.fixture
def refused(ask, tmp_path):
    """Runs a command that must fail with one line, leaving everything as it was; returns the line."""

    def run_command(*arguments):
        before = everything_in(tmp_path)
        answer = ask(*arguments)
        assert answer.code == 2
        assert answer.out == ""
        assert answer.err.count("\n") == 1
        assert answer.err.startswith("scratchnet")
        assert "Traceback" not in answer.err
        assert everything_in(tmp_path) == before
        return answer.err

    return run_command


@pytest.fixture
def glyphs(tmp_path):
    """A folder with one drawing of each of six characters, and a second drawing of the third next to the folder."""
    (alphabet,) = generate_alphabets(1, characters=6, drawers=2, image_size=40, seed=8)
    (tmp_path / "support").mkdir()
    for number, images in enumerate(alphabet.images):
        drawing(tmp_path / "support" / f"sign{number}.png", images[0])
    return tmp_path / "support", drawing(tmp_path / "query.png", alphabet.images[2, 1])


@pytest.fixture
def finished(run, tmp_path):
    """A copy of the run for a test to spoil."""
    (tmp_path / "run").mkdir()
    for path in run.iterdir():
        (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "run"
