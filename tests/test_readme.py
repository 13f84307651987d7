"""What the README tells people to type works, and is what CI runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from scratchnet.checkpoint import load_model
from scratchnet.cli import main
from scratchnet.data.locate import find_data
from scratchnet.oneshot.trials import official_runs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GPU_PAGE = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "omniglot"
TEST_COMMAND = 'pip install -e ".[test]" && pytest'


def python_in(page):
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    return block


def test_the_first_five_minutes_run_on_every_device(device, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SCRATCHNET_DEVICE", device.name)
    exec(python_in(README), {})
    printed = capsys.readouterr().out
    assert "ok    weight (3, 3, 1, 2): relative error" in printed
    assert "95 % interval" in printed
    assert "20 of 20 right" in printed


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
    exec(python_in(GPU_PAGE).replace('"cuda"', repr(device.name)), {})
    assert capsys.readouterr().out == "(8, 768)\n"


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
        assert re.search(rf"^\| `{command}\b", README, flags=re.MULTILINE), command
