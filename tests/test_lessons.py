"""The lessons in examples/: each runs, accepts its answer and refuses usual mistakes; exercise sheets have neither."""

import importlib.util
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import strict_array

from scratchnet import backend
from scratchnet.cli import main
from scratchnet.errors import install_extra
from scratchnet.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Siamese, WeightedL1
from scratchnet.losses import PairCrossEntropy

EXAMPLES = Path(__file__).parents[1] / "examples"
LESSONS = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
SHEETS = runpy.run_path(str(EXAMPLES / "skeletons.py"))
STEPS = {
    "range(600)": "range(3)",
    "range(200)": "range(3)",
    "step in range(40)": "step in range(12)",
}  # of training; CI's docs do all
# What `scratchnet gradcheck` marks: the layer that each sheet asks for, and the shapes of its inputs.
LAYERS = {
    "01_one_neuron.py": ("Neuron", "2"),
    "02_dense_layer.py": ("Dense", "4,3"),
    "03_convolution.py": ("Conv", "5,4,2,2"),
    "05_kinks.py": ("MaxPool", "6"),
    "06_batch_norm.py": ("BatchNorm", "5,3"),
    "07_checking_a_gradient.py": ("Softmax", "4,3"),
    "08_twins.py": ("Twins", "4,3", "4,3"),
    "12_layer_of_your_own.py": ("PReLU", "5,3"),
}

lessons = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


def run(lesson, source=None):
    """The names that a lesson defines, with a few steps of training for hundreds."""
    source = source or lesson.read_text(encoding="utf-8")
    for many, few in STEPS.items():
        source = source.replace(many, few)
    namespace = {"__name__": "__main__", "__file__": str(lesson)}
    exec(compile(source, str(lesson), "exec"), namespace)
    return namespace


@pytest.fixture(autouse=True)
def no_windows(monkeypatch):
    """Pictures are drawn, but not shown."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    if importlib.util.find_spec("matplotlib"):
        import matplotlib.pyplot as plt  # noqa: PLC0415  # an extra

        monkeypatch.setattr(plt, "show", lambda: plt.close("all"))


@lessons
def test_a_lesson_accepts_its_answer_and_refuses_three_mistakes_each_with_its_reason(lesson, capsys):
    namespace = run(lesson)
    assert "your answer: right\n" in capsys.readouterr().out
    reasons = [namespace["check"](mistake) for mistake in namespace["MISTAKES"]]
    assert len(set(reasons)) == len(reasons) >= 3
    for reason in reasons:
        assert reason.startswith("refused: ")
        assert len(re.findall(r"[a-z]+", reason)) >= 8, reason  # a reason, not only "expected 1, got 2"


@lessons
def test_a_sheet_runs_up_to_its_exercise_and_says_that_it_is_not_done(lesson):
    sheet = SHEETS["skeleton"](lesson.read_text(encoding="utf-8"))
    assert "SOLUTION" not in sheet
    assert "MISTAKES" not in sheet
    assert sheet.count("# YOUR CODE HERE") == 1
    with pytest.raises(NotImplementedError):
        run(lesson, sheet)


def test_sheets_are_made_by_a_command_that_overwrites_none(tmp_path):
    command = [sys.executable, str(EXAMPLES / "skeletons.py"), str(tmp_path)]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [Path(path).name for path in made] == [lesson.name for lesson in LESSONS]
    (tmp_path / LESSONS[0].name).write_text("filled in")
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert (tmp_path / LESSONS[0].name).read_text() == "filled in"


def test_lessons_are_numbered_and_their_titles_say_so():
    assert [lesson.name[:2] for lesson in LESSONS] == [f"{number:02}" for number in range(14)]
    for lesson in LESSONS:
        title, underline = lesson.read_text(encoding="utf-8").splitlines()[1:3]
        assert title.startswith(f"{lesson.name[:2]}. ")
        assert underline == "=" * len(title)


@lessons
def test_a_lesson_fits_ten_minutes(lesson):
    source = lesson.read_text(encoding="utf-8")
    taught = source[: source.index("### BEGIN HIDDEN TESTS")]
    assert len(taught.splitlines()) <= 160


@pytest.mark.parametrize("lesson", LESSONS[:2], ids=lambda path: path.stem)
def test_without_matplotlib_a_lesson_says_that_the_picture_is_left_out(lesson, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    run(lesson)
    out = capsys.readouterr().out
    assert "picture is left out" in out
    assert "your answer: right" in out


def test_the_system_in_one_file_is_short_and_needs_numpy_alone():
    source = LESSONS[0].read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 150
    assert set(re.findall(r"^ *(?:import|from) (\w+)", source, flags=re.MULTILINE)) == {"numpy", "matplotlib"}


def test_the_gradients_of_the_system_in_one_file_are_those_of_the_package(rng):
    namespace = run(LESSONS[0])
    layers = {
        "conv": Conv2d(1, 8, 5),
        "pool": MaxPool2d(2),
        "relu": ReLU(),
        "flatten": Flatten(),
        "dense": Linear(512, 32, bias=False),
    }
    network = Siamese(Sequential(layers), WeightedL1(32), image_size=20)
    a, b, labels = rng.random((6, 20, 20)), rng.random((6, 20, 20)), np.array([1.0, 0, 1, 0, 0, 1])
    own = {name: value + 0.1 * rng.standard_normal(value.shape) for name, value in namespace["params"].items()}
    params = {name if name.startswith("head") else f"encoder.{name}": value for name, value in own.items()}
    logits, cache = network.forward(params, a, b)
    loss, loss_cache = PairCrossEntropy().forward(logits, labels)
    _, expected = network.backward(PairCrossEntropy().backward(1.0, loss_cache), cache)
    found_loss, found = namespace["loss_and_gradients"](own, a, b, labels)
    assert found_loss == pytest.approx(loss, rel=1e-12)
    assert len(found) == len(expected) == 5
    for name, gradient in found.items():
        of_package = expected[name if name.startswith("head") else f"encoder.{name}"]
        assert gradient.shape == of_package.shape
        np.testing.assert_allclose(gradient, of_package, rtol=1e-9, atol=1e-12 * abs(of_package).max(), err_msg=name)


@pytest.mark.parametrize("name", LAYERS)
def test_the_marker_accepts_an_answer_and_refuses_a_sheet_and_a_mistake(name, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["gradcheck", "--help"])
    if "FILE.py" not in capsys.readouterr().out:
        pytest.skip("scratchnet gradcheck takes no FILE.py:Layer yet")
    layer, *shapes = LAYERS[name]
    source = (EXAMPLES / name).read_text(encoding="utf-8")
    (answer,) = re.findall(r"### BEGIN SOLUTION\n(.*?) *### END SOLUTION", source, flags=re.DOTALL)
    for text, code in ((source, 0), (SHEETS["skeleton"](source), 2), (source.replace(answer, doubled(answer)), 1)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert main(["gradcheck", f"{tmp_path / name}:{layer}", *(f"--shape={shape}" for shape in shapes)]) == code


def doubled(answer):
    """An answer whose gradient of the first input is twice what it should be."""
    line = answer.rstrip().splitlines()[-1]
    indent = line[: len(line) - len(line.lstrip())]
    dx = f"{indent}dx, grads = {line.strip().removeprefix('return ')}\n"
    twice = f"{indent}return tuple(2 * one for one in dx) if isinstance(dx, tuple) else 2 * dx, grads\n"
    return answer.replace(line + "\n", dx + twice)


def test_the_lesson_on_gpus_needs_nothing_that_a_gpu_refuses(monkeypatch, capsys):
    """A stand-in for a GPU takes its name, and refuses what CuPy refuses."""
    monkeypatch.setitem(backend.device._devices, "cuda", replace(strict_array.STRICT, name="cuda"))
    run(LESSONS[13])
    printed = capsys.readouterr().out
    assert "as there is no GPU" not in printed
    assert re.search(r"^cuda: [\d.]+ ms a step", printed, flags=re.MULTILINE)


@pytest.mark.gpu
def test_the_lesson_on_gpus_runs_on_one(capsys):
    pytest.importorskip("cupy", reason=f"needs CuPy and a GPU; {install_extra('cuda12x', 'cuda13x')}")
    run(LESSONS[13])
    assert re.search(r"^cuda: [\d.]+ ms a step", capsys.readouterr().out, flags=re.MULTILINE)
