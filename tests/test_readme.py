"""What the README tells people to type works, and is what CI runs."""

import re
from pathlib import Path

import pytest

from scratchnet.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GPU_PAGE = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
TEST_COMMAND = 'pip install -e ".[test]" && pytest'


def python_in(page):
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    return block


def test_the_first_five_minutes_run_on_every_device(device, capsys, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DEVICE", device.name)
    exec(python_in(README), {})
    printed = capsys.readouterr().out
    assert "ok    weight (3, 3, 1, 2): relative error" in printed
    assert "95 % interval" in printed


def test_the_page_on_gpus_runs_on_every_device(device, capsys):
    exec(python_in(GPU_PAGE).replace('"cuda"', repr(device.name)), {})
    assert capsys.readouterr().out == "(8, 768)\n"


@pytest.mark.parametrize("file", ["README.md", ".ci/run", "CONTRIBUTING.md"])
def test_ci_runs_the_test_command_of_the_readme(file):
    assert TEST_COMMAND in (ROOT / file).read_text(encoding="utf-8")


def test_every_command_is_in_the_table(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    (\w+)(?: |$)", capsys.readouterr().out, flags=re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
        assert re.search(rf"^\| `{command}\b", README, flags=re.MULTILINE), command
