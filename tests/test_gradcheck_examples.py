"""The adapters in examples/gradcheck, and the code in docs/gradcheck.md."""

import importlib.util
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_pytest import PACKAGES, run_pytest

from scratchnet.errors import install_extra
from scratchnet.gradcheck import check, draw, from_functions

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "gradcheck"
GUIDE = (ROOT / "docs" / "gradcheck.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
COMMANDS = re.findall(r"^\$ (scratchnet .*)$", GUIDE, flags=re.MULTILINE)


def run_example(name: str, library: str) -> dict:
    """The names that an example defines when run; skips the test if its library is not installed."""
    pytest.importorskip(library, reason=f"needs {library}, which is an extra; {install_extra(library)}")
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def assert_only_the_second_input_is_wrong(layer) -> None:
    params, inputs = draw(layer, (4, 3), (4, 3), seed=0)
    assert [tensor.name for tensor in check(layer, params, *inputs).failed] in (["x2"], ["g"])  # as forward names it


def test_the_guide_has_commands():
    assert len(COMMANDS) == 3


def test_every_example_has_under_40_lines():
    assert len(list(EXAMPLES.glob("*.py"))) == 4
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 40, path


@pytest.mark.parametrize(
    ("name", "library"),
    [("function_pair", "numpy"), ("torch_function", "torch"), ("jax_custom_vjp", "jax"),
     ("autograd_primitive", "autograd")],
)  # fmt: skip
def test_an_example_finds_its_gradient_right(name, library, capsys):
    run_example(name, library)
    printed = capsys.readouterr().out
    assert printed.count("ok  ") == 2
    assert "complex step" in printed
    assert "FAIL" not in printed


def test_a_wrong_function_pair_is_caught():
    example = run_example("function_pair", "numpy")
    gradient = example["gate_gradient"]
    halved = from_functions(example["gate"], lambda dy, x, g: (gradient(dy, x, g)[0], gradient(dy, x, g)[1] / 2))
    assert_only_the_second_input_is_wrong(halved)


def test_a_wrong_torch_function_is_caught():
    example = run_example("torch_function", "torch")

    class Halved(example["Gate"]):  # type: ignore[name-defined, valid-type]
        @staticmethod
        def backward(ctx, dy):
            dx, dg = example["Gate"].backward(ctx, dy)
            return dx, dg / 2

    assert_only_the_second_input_is_wrong(example["TorchLayer"](Halved))


def test_a_wrong_jax_rule_is_caught():
    example = run_example("jax_custom_vjp", "jax")
    gate = example["gate"]
    gate.defvjp(lambda x, g: (gate(x, g), (x, g)), lambda residuals, dy: (dy / (1 + np.exp(-residuals[1])), dy))
    assert_only_the_second_input_is_wrong(example["JaxLayer"](gate))


def test_a_wrong_autograd_primitive_is_caught():
    example = run_example("autograd_primitive", "autograd")
    example["defvjp"](example["gate"], lambda y, x, g: lambda dy: dy * example["sigmoid"](g), lambda *_: lambda dy: dy)
    assert_only_the_second_input_is_wrong(example["AutogradLayer"](example["gate"]))


def test_the_guide_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "layers", raising=False)
    namespace: dict = {}
    for block in BLOCKS:
        if name := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / name[1]).write_text(block)
        else:
            exec(block, namespace)
    printed = capsys.readouterr().out
    assert "ok    x (4, 3)" in printed
    assert re.search(r"^6\.36\d*e-09$", printed, flags=re.MULTILINE)
    if not importlib.util.find_spec("hypothesis"):
        (tmp_path / "test_softplus.py").write_text("def test_softplus(): pass")
    tests = run_pytest(tmp_path, "-q", "-W", "error")
    assert re.search(r"^5 passed, 2 skipped|^7 passed", tests, flags=re.MULTILINE), tests


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_runs(command, tmp_path):
    for block in BLOCKS:
        if block.startswith("# layers.py"):
            (tmp_path / "layers.py").write_text(block)
    words = shlex.split(command)
    assert words[0] == "scratchnet"
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(PACKAGES)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"] if "--json" in words else done.stdout.startswith("PASS"), done.stdout


def test_the_failure_in_the_guide_is_what_the_fixture_says(tmp_path):
    """The layer of the guide with its one mistake and the name that it has there; numbers may differ."""
    (shown,) = re.findall(r"```text\n(.*?)```", GUIDE, flags=re.DOTALL)
    source = (
        next(block for block in BLOCKS if block.startswith("# test_scale.py"))
        .replace("class Scale", "class Averaged")
        .replace("[Scale()]", "[]")
        .replace("Scale()", "Averaged()")
    )
    (tmp_path / "test_scale.py").write_text(source.replace(".sum(axis=0)", ".mean(axis=0)"))
    tests = run_pytest(tmp_path, "-q", "-k", "test_scale")
    printed = without_numbers(tests.replace("AssertionError: ", ""))
    for line in without_numbers(shown).splitlines():
        assert line.strip() in printed, tests


def without_numbers(text: str) -> str:
    """Errors, values and the place of the worst entry depend on the seed."""
    return re.sub(r"-?\d+\.\d+(e[-+]\d+)?|worst at \(\d,\)", "#", text)
