"""What the README and docs/ tell people to type works and is what CI runs, and their links lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pytest

import scratchnet
from scratchnet.checkpoint import load_model
from scratchnet.cli import main
from scratchnet.data.locate import find_data
from scratchnet.oneshot.trials import official_runs

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(scratchnet.__file__).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}
PAGES = sorted(
    page
    for folder in ("", "docs", "docs/layers", "docs/study", "docs/site", "benchmarks", "examples")
    for page in (ROOT / folder).glob("*.md")
)
EXAMPLE = ROOT / "examples" / "omniglot"
TEST_COMMAND = 'pip install -e ".[test]" && pytest'


def python_in(page):
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    return "\n".join(blocks)  # one program: the later ones build on the first


def test_the_readme_fits_on_two_screens():
    assert len(README.splitlines()) <= 120


def test_the_readme_runs_on_every_device(device, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SCRATCHNET_DEVICE", device.name)
    exec(python_in(README), {})
    printed = capsys.readouterr().out
    assert "ok    weight (3, 3, 1, 2): relative error" in printed
    assert printed.endswith("class08.png\n")


def test_the_page_on_python_runs_on_every_device(device, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SCRATCHNET_DEVICE", device.name)
    exec(python_in(DOCS["python.md"]), {})
    printed = capsys.readouterr().out
    assert "ok    weight (3, 3, 1, 2): relative error" in printed
    assert "95 % interval" in printed
    assert "20 of 20 right" in printed


def test_the_page_on_seeing_it_runs_on_every_device(device, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SCRATCHNET_DEVICE", device.name)
    exec(python_in(DOCS["explain.md"]), {})
    assert "P(same character) = " in capsys.readouterr().out


def test_the_page_on_scoring_runs_on_every_device(device, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SCRATCHNET_DEVICE", device.name)
    exec(python_in(DOCS["scoring.md"]), {})
    assert capsys.readouterr().out == "8\n8\n"


def test_the_bundled_network_reads_every_query_of_the_example_from_its_file(monkeypatch, capsys):
    (command,) = re.findall(r"^    scratchnet (classify examples/.*)$", README, flags=re.MULTILINE)
    monkeypatch.chdir(ROOT)
    assert main(command.split()) == 0
    assert f"{command.split()[1]} best matches class08;" in capsys.readouterr().out
    pairs = [line.split() for line in (EXAMPLE / "run01" / "class_labels.txt").read_text().splitlines()]
    assert pairs[0] == ["run01/test/item01.png", "run01/training/class08.png"]
    queries, answers = ([EXAMPLE / pair[side] for pair in pairs] for side in (0, 1))
    supports = sorted((EXAMPLE / "run01" / "training").iterdir())
    choices = load_model("omniglot").scores(queries, supports).argmax(axis=1)
    assert [supports[choice] for choice in choices] == answers


def test_the_example_is_the_first_of_the_official_runs(real_data):
    (example,) = official_runs(EXAMPLE)
    first = official_runs(find_data(real_data, "all_runs.zip", "all_runs"))[0]
    for name in ("support", "support_labels", "query", "query_labels"):
        assert np.array_equal(getattr(example, name), getattr(first, name))


def test_the_page_on_gpus_runs_on_every_device(device, capsys):
    exec(python_in(DOCS["gpu.md"]).replace('"cuda"', repr(device.name)), {})
    assert capsys.readouterr().out == "(8, 768)\n"


def test_the_page_on_ones_own_data_runs_from_top_to_bottom(default_device, capsys, monkeypatch, tmp_path):
    """Its commands too, in order, with little training."""
    monkeypatch.chdir(tmp_path)
    page, variables = DOCS["own-data.md"], {}
    little = ["--set=epochs=1", "--set=steps=1", "--set=batch_size=1", "--set=hands=1", "--set=validation_trials=12"]
    pattern = r"```python\n([\s\S]*?)```|^    scratchnet (.*)$"
    for block, command in re.findall(pattern, page, flags=re.MULTILINE):
        capsys.readouterr()
        if block:
            exec(block, variables)
            printed = capsys.readouterr().out
            continue
        words = command.partition(" > ")[0].split()
        words += ["--trials=24"] if words[0] == "evaluate" else []
        if words[0] == "train":
            words = [word.replace("epochs=20", "epochs=2") for word in words]
            words += [] if "--resume" in words else little
        assert main(words) == 0, command
    assert printed.startswith("sign3\n[False  True False]\nthreshold ")


def test_ci_runs_both_commands_of_the_readme():
    commands = re.findall(r"^    (pip install .*)$", README, flags=re.MULTILINE)
    assert len(commands) == 2
    assert all(command in (ROOT / ".ci" / "run").read_text(encoding="utf-8") for command in commands)
    assert commands[1] == TEST_COMMAND
    assert TEST_COMMAND in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(command.startswith("pip install -e ") for command in commands)  # or an edited clone would not run


def test_every_command_is_in_the_table(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    (\w+)(?: |$)", capsys.readouterr().out, flags=re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
        assert re.search(rf"^\| `{command}\b", DOCS["commands.md"], flags=re.MULTILINE), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page):
    targets = re.findall(r"\]\(\s*([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not linked(page, target).exists()]
    assert missing == []


def linked(page, target):
    """The file that a page links to; the package is elsewhere when the tests of a source distribution run."""
    path = (page.parent / target).resolve()
    source = ROOT / "scratchnet"
    return PACKAGE / path.relative_to(source) if path.is_relative_to(source) else path


@pytest.mark.parametrize("page", sorted(DOCS.keys() - {"README.md"}))
def test_the_readme_and_the_index_of_docs_list_every_page(page):
    assert f"](docs/{page})" in README
    assert f"]({page})" in DOCS["README.md"]
