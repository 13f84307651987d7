"""pytest plugin: the fixture `gradcheck`, and `gradcheck_cases` for parametrizing a test over layers and shapes.

    def test_backward_is_the_derivative_of_forward(gradcheck):
        gradcheck(MyLayer(), (4, 5))

pytest loads this file at the start of every run in any environment with scratchnet, so it imports as little as
possible: `scratchnet.gradcheck` is loaded on first use.
"""

import inspect
import itertools
import os
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

import scratchnet
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError

DTYPES = ("float64", "float32")
DEVICE_OF = {"numpy": "cpu", "cupy": "cuda"}  # by array module


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --gradcheck-seed."""
    group = parser.getgroup("scratchnet", "gradient checks")
    group.addoption(
        "--gradcheck-seed",
        type=int,
        metavar="N",
        help="seed for every gradient check (default: derived from the name of each test)",
    )


@pytest.fixture(scope="session")
def gradcheck(request: pytest.FixtureRequest) -> "GradientCheck":
    """Checks a backward pass and fails the test, with a report, if it is wrong: gradcheck(layer, *shapes).

    It keeps nothing between tests, and so may be used inside Hypothesis's @given.
    """
    seed = request.config.getoption("--gradcheck-seed")
    if seed is not None:
        return GradientCheck(seed, "from --gradcheck-seed")
    return GradientCheck(None, "derived from the test's name; choose another with --gradcheck-seed N")


def _seed_of_the_test() -> int:
    """Derived from the name of the test that pytest is running, and the same on every machine, unlike hash()."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    return zlib.crc32(test.encode())


@dataclass(frozen=True)
class GradientCase:
    """A test parameter for gradcheck(case): a layer, its inputs or their shapes, a dtype and an array module.

    Raises ScratchnetError for an unknown dtype or array module.
    """

    layer: Any
    inputs: tuple[Any, ...]
    dtype: str = "float64"
    array_module: str = "numpy"

    def __post_init__(self) -> None:
        for name, value, known in (("dtype", self.dtype, DTYPES), ("array_module", self.array_module, DEVICE_OF)):
            if value not in known:
                raise ScratchnetError(f"{name} {value!r} is not one of {', '.join(known)}{hint(value, known)}")

    @property
    def device(self) -> str:
        """The name of the device: "cpu" for NumPy, "cuda" for CuPy."""
        return DEVICE_OF[self.array_module]


@dataclass(frozen=True)
class GradientCheck:
    """The value of the fixture `gradcheck`: a check with a seed, by default that of the test, and its origin."""

    seed: int | None
    origin: str

    def __call__(
        self,
        layer: Any,
        *inputs: Any,
        params: Mapping[str, Any] | None = None,
        seed: int | None = None,
        dtype: str = "float64",
        array_module: str = "numpy",
        may_vanish: Collection[str] = (),
        summands: int | None = None,
        **options: Any,
    ) -> "scratchnet.gradcheck.Report":
        """Fail the test unless layer.backward is the derivative of layer.forward; return the report.

        layer: any object with forward and backward as for `scratchnet.gradcheck.check`, or a case of gradcheck_cases.
        inputs, and the values of params: arrays, or shapes to draw Gaussian numbers for. params defaults to those of
        layer.init, randomly perturbed. may_vanish: inputs and parameters whose gradient is zero everywhere; for any
        other tensor that proves nothing, and fails the test. Options go to `check`, and those it does not know go on
        to forward.

        dtype: "float32" also compares float32 with float64, see `check_precision`. array_module: "numpy" or "cupy".
        summands: the largest number of products in any sum of the layer; by default the size of its largest array,
        which is more than enough.
        """
        __tracebackhide__ = True
        case = layer if isinstance(layer, GradientCase) else GradientCase(layer, inputs, dtype, array_module)
        origin = self.origin if seed is None else "given in the test"
        seed = (_seed_of_the_test() if self.seed is None else self.seed) if seed is None else seed

        def draw(seed: Any) -> Any:
            return scratchnet.gradcheck.draw(case.layer, *case.inputs, params=params, seed=seed, device=case.device)

        def fail_with(summary: str, report: Any) -> None:
            __tracebackhide__ = True
            raise AssertionError(f"{_name(case.layer)}: {summary}\n{report}\nseed {seed}: {origin}")

        drawn, arrays = draw(seed)
        report = scratchnet.gradcheck.check(case.layer, drawn, *arrays, seed=seed, redraw=draw, **options)
        if failures := list(_failures(report, may_vanish)):
            fail_with("; ".join(failures), report)
        if case.dtype == "float32":
            for_check = inspect.signature(scratchnet.gradcheck.check).parameters
            for_forward = {name: value for name, value in options.items() if name not in for_check}
            summands = summands or max(array.size for array in [*drawn.values(), *arrays])
            precision = scratchnet.gradcheck.check_precision(
                case.layer, drawn, arrays, summands=summands, seed=seed, device=case.device, **for_forward
            )
            if not precision:
                fail_with("float32 differs from float64 by more than rounding explains", precision)
        return report


def gradcheck_cases(
    layers: Iterable[Any] | Mapping[str, Any],
    shapes: Iterable[Any],
    *,
    dtypes: Iterable[str] = ("float64",),
    array_modules: Iterable[str] = ("numpy",),
) -> list[Any]:
    """Every layer with every shape, dtype and array module, for pytest.mark.parametrize("case", gradcheck_cases(...)).

    layers: a list, or a dictionary keyed by the names to show in test ids. shapes: tuples of numbers, or tuples of such
    tuples for layers with several inputs. dtypes: "float64", "float32". array_modules: "numpy", "cupy"; CuPy cases are
    skipped on machines without a GPU. Raises ScratchnetError for an unknown dtype or array module.
    """
    named = layers.items() if isinstance(layers, Mapping) else [(_name(layer), layer) for layer in layers]
    cases = []
    for (name, layer), shape, dtype, module in itertools.product(named, shapes, dtypes, array_modules):
        inputs = shape if shape and isinstance(shape[0], tuple) else (shape,)
        case = GradientCase(layer, inputs, dtype, module)
        sizes = ",".join("x".join(map(str, sizes)) or "scalar" for sizes in inputs)
        cases.append(pytest.param(case, id=f"{name}-{sizes}-{dtype}-{module}", marks=_skips(case)))
    return cases


def _skips(case: GradientCase) -> list[pytest.MarkDecorator]:
    """A skip mark, with the reason, if this machine cannot make the arrays of the case."""
    if case.device == "cpu":
        return []
    try:
        scratchnet.gradcheck.draw(None, (1,), device=case.device)
    except ScratchnetError as error:
        return [pytest.mark.skip(reason=str(error))]
    return []


def _failures(report: "scratchnet.gradcheck.Report", may_vanish: Collection[str]) -> Iterator[str]:
    """Short reasons to fail the test; the report has the details."""
    if wrong := [f"d{tensor.name}" for tensor in report.failed]:
        yield f"wrong {', '.join(wrong)}"
    if report.undecided:
        yield f"differences cannot tell whether d{', d'.join(report.undecided)} is right"
    yield from report.problems[:1]
    if unproven := [name for name in report.vacuous if name not in may_vanish]:
        yield f"nothing was proved about {', '.join(unproven)}: if the gradient should be zero, list it in may_vanish"
    if not report.tensors and not report.problems:
        yield "there is nothing to check"


def _name(layer: Any) -> str:
    """str(layer), or the name of its class if that would show a memory address."""
    text = str(layer)
    return type(layer).__qualname__ if " at 0x" in text else text
