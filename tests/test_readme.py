"""What the README tells people to type works, and is what CI runs."""

import re
from pathlib import Path

import pytest

from scratchnet.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
TEST_COMMAND = 'pip install -e ".[test]" && pytest'


def test_the_first_five_minutes_run_on_every_device(device, capsys, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DEVICE", device.name)
    assert BLOCKS
    for block in BLOCKS:
        exec(block, {})
    printed = capsys.readouterr().out
    assert "ok    weight (3, 3, 1, 2): relative error" in printed
    assert "95 % interval" in printed


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
