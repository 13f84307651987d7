"""The pytest plugin: in a separate project under another pytest, and its parts one by one."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from run_pytest import run_pytest

from scratchnet import backend, pytest_plugin
from scratchnet.backend import array_module
from scratchnet.errors import ScratchnetError
from scratchnet.layers import Linear, Sigmoid, WeightedL1
from scratchnet.pytest_plugin import GradientCase, GradientCheck, gradcheck_cases

LAYERS = """
import numpy as np

class Scale:
    def init(self, rng):
        return {"scale": np.ones(3)}

    def forward(self, params, x):
        return params["scale"] * x, (params["scale"], x)

    def backward(self, dy, cache):
        scale, x = cache
        return dy * scale, {"scale": (dy * x).sum(axis=0)}

class Averaged(Scale):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, {"scale": grads["scale"] / len(dy)}
"""

TESTS = """
import sys
import pytest
from layers import Averaged, Scale
from scratchnet.pytest_plugin import gradcheck_cases

def test_right(gradcheck):
    assert gradcheck(Scale(), (4, 3)).error < 1e-12

def test_wrong(gradcheck):
    gradcheck(Averaged(), (4, 3))

@pytest.mark.parametrize(
    "case", gradcheck_cases([Scale(), Averaged()], [(4, 3), (1, 3)], dtypes=["float64", "float32"])
)
def test_cases(gradcheck, case):
    gradcheck(case)

def test_nothing_else_was_needed():
    assert not {"torch", "jax", "autograd", "scipy", "matplotlib", "hypothesis"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project of two layers, one of them wrong, with warnings as errors."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "layers.py").write_text(LAYERS)
    (folder / "test_layers.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\npythonpath = .\n")
    return folder


def seeds(printed: str) -> list[str]:
    return re.findall(r"seed (\d+):", printed)


def test_a_project_with_nothing_but_numpy_scratchnet_and_pytest(project):
    printed = run_pytest(project, "-v")
    verdicts = dict(re.findall(r"^test_layers.py::(\S+) (PASSED|FAILED)", printed, flags=re.MULTILINE))
    assert verdicts == {
        "test_right": "PASSED",
        "test_wrong": "FAILED",
        "test_cases[Scale-4x3-float64-numpy]": "PASSED",
        "test_cases[Scale-4x3-float32-numpy]": "PASSED",
        "test_cases[Scale-1x3-float64-numpy]": "PASSED",
        "test_cases[Scale-1x3-float32-numpy]": "PASSED",
        "test_cases[Averaged-4x3-float64-numpy]": "FAILED",
        "test_cases[Averaged-4x3-float32-numpy]": "FAILED",
        "test_cases[Averaged-1x3-float64-numpy]": "PASSED",  # the mean of one is the sum
        "test_cases[Averaged-1x3-float32-numpy]": "PASSED",
        "test_nothing_else_was_needed": "PASSED",
    }, printed


def test_a_failure_names_the_tensor_the_worst_index_a_hint_and_the_seed_and_nothing_of_the_inside(project):
    printed = run_pytest(project, "-k", "test_wrong")
    assert "AssertionError: Averaged: wrong dscale" in printed
    assert re.search(r"worst at \(\d,\): analytic \S+, numeric \S+, ratio 0.25", printed)
    assert "hint: factor 1/4" in printed
    assert len(seeds(printed)) == 1
    assert ">       gradcheck(Averaged(), (4, 3))" in printed
    assert ".py:" not in printed.replace("test_layers.py:", "")  # no frame of another file


def test_the_seed_is_that_of_the_name_unless_another_is_asked_for(project):
    first, again, others = (run_pytest(project, *arguments) for arguments in ([], ["-k", "wrong"], ["-k", "Averaged"]))
    assert seeds(first)[0] == seeds(again)[0]
    assert len({*seeds(again), *seeds(others)}) == 3
    asked = run_pytest(project, "-k", "Averaged", "--gradcheck-seed", "7")
    assert "seed 7: from --gradcheck-seed" in asked
    assert set(seeds(asked)) == {"7"}
    assert "seed 0: from --gradcheck-seed" in run_pytest(project, "-k", "wrong", "--gradcheck-seed", "0")


def test_processes_of_xdist_give_the_same_seeds(project):
    pytest.importorskip("xdist", reason="needs pytest-xdist")
    one, two = (seeds(run_pytest(project, *arguments)) for arguments in ([], ["-p", "xdist", "-n", "2"]))
    assert one
    assert sorted(one) == sorted(two)


def test_the_fixture_keeps_nothing_between_tests_and_so_is_one_for_all(project):
    (project / "test_given.py").write_text(
        "import pytest\nfrom layers import Scale\n"
        "hypothesis = pytest.importorskip('hypothesis', reason='needs hypothesis')\n"
        "@hypothesis.settings(database=None, deadline=None, max_examples=5)\n"
        "@hypothesis.given(rows=hypothesis.strategies.integers(1, 5))\n"
        "def test_given(gradcheck, rows):\n    gradcheck(Scale(), (rows, 3))\n"
    )
    printed = run_pytest(project, "test_given.py")
    (project / "test_given.py").unlink()
    assert "1 passed" in printed or "1 skipped" in printed, printed


@pytest.fixture
def check_it() -> GradientCheck:
    return GradientCheck(seed=11, origin="made for this test")


def test_inputs_and_parameters_are_drawn_for_shapes_and_taken_as_they_are_otherwise(check_it, rng):
    weight, x = rng.standard_normal((5, 2)), rng.standard_normal((3, 5))
    seen = []

    class Watched(Linear):
        def forward(self, params, x):
            seen.append((params, x))
            return super().forward(params, x)

    check_it(Watched(5, 2), x, params={"weight": weight, "bias": (2,)})
    params, first = seen[0]
    assert first is x
    assert params["weight"] is weight
    assert params["bias"].shape == (2,)
    assert params["bias"].all()


def test_the_report_comes_back_and_repeats(check_it):
    report = check_it(Linear(5, 2), (3, 5))
    assert [tensor.name for tensor in report.tensors] == ["x", "weight", "bias"]
    assert report == check_it(Linear(5, 2), (3, 5))
    assert report.seed == 11
    assert check_it(Linear(5, 2), (3, 5), seed=4).seed == 4


def test_what_proves_nothing_fails_unless_it_is_named(check_it):
    class Unused:
        def forward(self, params, x):
            return 2 * x, params

        def backward(self, dy, params):
            return 2 * dy, {"unused": 0 * params["unused"]}

    with pytest.raises(AssertionError, match="Unused: nothing was proved about unused: if the gradient should be zero"):
        check_it(Unused(), (3, 5), params={"unused": (4,)})
    assert check_it(Unused(), (3, 5), params={"unused": (4,)}, may_vanish=["unused"])


def test_another_point_is_drawn_where_one_proves_nothing(check_it):
    points = []

    class DeadAtFirst(Linear):
        def init(self, rng, dtype=np.float32):
            points.append(rng)
            return {name: (len(points) > 1) * value for name, value in super().init(rng).items()}

        def forward(self, params, x, training=False):
            alive = float(len(points) > 1)
            y, cache = super().forward(params, x)
            return alive * y, (alive, cache)

        def backward(self, dy, cache):
            return super().backward(cache[0] * dy, cache[1])

    report = check_it(DeadAtFirst(5, 2), (3, 5))
    assert len(points) == 2
    assert not report.vacuous


def test_no_input_and_no_parameter_is_nothing_to_check(check_it):
    class Constant:
        def forward(self, params):
            return np.ones(3), None

        def backward(self, dy, cache):
            return (), {}

    with pytest.raises(AssertionError, match="Constant: there is no gradient to look at"):
        check_it(Constant())


def test_a_backward_without_gradients_is_a_failure_and_no_crash(check_it):
    class Nothing:
        def forward(self, params, x):
            return x, None

        def backward(self, dy, cache):
            return None, {}

    with pytest.raises(
        AssertionError, match=r"(?s)Nothing: backward returned no gradient for x.*seed 5: given in the test"
    ):
        check_it(Nothing(), (3, 5), seed=5)


def test_float32_is_compared_with_float64(check_it):
    class Rough(Sigmoid):
        """Right in float64; in float32 only as accurate as float16."""

        def forward(self, params, x, training=False):
            return super().forward(params, x.astype(np.float16).astype(x.dtype) if x.dtype == np.float32 else x)

    assert check_it(Rough(), (3, 5))
    assert check_it(Sigmoid(), (3, 5), dtype="float32", summands=1, method="complex")
    with pytest.raises(AssertionError, match=r"(?s)Rough\(\): float32 differs from float64.*FAIL.*seed 11: made"):
        check_it(Rough(), (3, 5), dtype="float32", summands=1)
    with pytest.raises(ScratchnetError, match="sums of 1000000 products"):
        check_it(Sigmoid(), (3, 5), dtype="float32", summands=10**6)


def test_arrays_are_put_where_they_are_asked_for(check_it, device, monkeypatch):
    monkeypatch.setitem(pytest_plugin.DEVICE_OF, "elsewhere", device.name)

    seen = set()

    class Watched(Linear):
        def forward(self, params, x):
            seen.add((array_module(x, *params.values()), x.dtype.name))
            return super().forward(params, x)

    check_it(Watched(5, 2), (3, 5), array_module="elsewhere")
    assert seen == {(device.module, "float64"), (device.module, "complex128")}
    check_it(GradientCase(Watched(5, 2), ((3, 5),), "float32", "elsewhere"))
    assert (device.module, "float32") in seen


def test_cases_have_readable_names():
    cases = gradcheck_cases({"wide": Linear(5, 9), "narrow": Linear(5, 1)}, [(4, 5), (1, 5)])
    assert [case.id for case in cases] == [
        "wide-4x5-float64-numpy", "wide-1x5-float64-numpy", "narrow-4x5-float64-numpy", "narrow-1x5-float64-numpy",
    ]  # fmt: skip
    assert [case.values[0] for case in cases[:2]] == [
        GradientCase(Linear(5, 9), (shape,)) for shape in [(4, 5), (1, 5)]
    ]
    (twins,) = gradcheck_cases([WeightedL1(4)], [((3, 4), (3, 4))])
    assert twins.id == "WeightedL1(features=4)-3x4,3x4-float64-numpy"
    assert gradcheck_cases([object()], [()])[0].id == "object-scalar-float64-numpy"


@pytest.mark.parametrize("case", gradcheck_cases([WeightedL1(4)], [((3, 4), (3, 4))], dtypes=["float64", "float32"]))
def test_cases_of_several_inputs_run(check_it, case):
    check_it(case)


def test_cases_on_cupy_are_skipped_with_the_reason_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(backend.device, "_devices", {"cpu": backend.CPU})
    monkeypatch.setitem(sys.modules, "cupy", None)
    on_numpy, on_cupy = gradcheck_cases([Sigmoid()], [(3, 5)], array_modules=["numpy", "cupy"])
    assert not on_numpy.marks
    assert [mark.name for mark in on_cupy.marks] == ["skip"]
    assert "CuPy" in on_cupy.marks[0].kwargs["reason"]
    monkeypatch.setitem(backend.device._devices, "cuda", backend.CPU)
    assert not gradcheck_cases([Sigmoid()], [(3, 5)], array_modules=["cupy"])[0].marks


@pytest.mark.parametrize("wrong", [{"dtypes": ["float16"]}, {"array_modules": ["torch"]}])
def test_unknown_arrays_are_refused(wrong):
    with pytest.raises(ScratchnetError, match="is not one of"):
        gradcheck_cases([Sigmoid()], [(3, 5)], **wrong)


def test_a_shape_is_a_tuple(check_it):
    with pytest.raises(ScratchnetError, match=r"a shape is a tuple: \(3, 5\), not \[3, 5\]"):
        check_it(Sigmoid(), [3, 5])
