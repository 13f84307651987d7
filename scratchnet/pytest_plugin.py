"""pytest plugin: the fixture `gradcheck`, and `gradcheck_cases` to parametrize a test over layers and shapes.

    def test_backward_is_the_derivative_of_forward(gradcheck):
        gradcheck(MyLayer(), (4, 5))

pytest loads this file at the start of every run in an environment that has scratchnet, so it imports next to nothing:
`scratchnet.gradcheck` is loaded when a test first uses it.
"""

import inspect
import itertools
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
    group = parser.getgroup("scratchnet", "gradient checks")
    group.addoption(
        "--gradcheck-seed",
        type=int,
        metavar="N",
        help="the seed of every gradient check; without it each test has its own, made of its name",
    )


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest) -> "GradientCheck":
    """Checks a backward pass, and fails the test with the report where it is wrong: gradcheck(layer, *shapes)."""
    seed = request.config.getoption("--gradcheck-seed")
    if seed is not None:
        return GradientCheck(seed, "that of --gradcheck-seed")
    own = zlib.crc32(request.node.nodeid.encode())  # the same on every machine, unlike hash()
    return GradientCheck(own, "made of the test's name, --gradcheck-seed N takes another")


@dataclass(frozen=True)
class GradientCase:
    """A layer, its inputs or their shapes, and on which arrays to check it; gradcheck(case) does."""

    layer: Any
    inputs: tuple[Any, ...]
    dtype: str = "float64"
    array_module: str = "numpy"

    def __post_init__(self) -> None:
        for name, value, known in (("dtype", self.dtype, DTYPES), ("array_module", self.array_module, DEVICE_OF)):
            if value not in known:
                raise ScratchnetError(f"{name} {value!r} is none of {', '.join(known)}{hint(value, known)}")

    @property
    def device(self) -> str:
        return DEVICE_OF[self.array_module]


@dataclass(frozen=True)
class GradientCheck:
    """The check that the fixture `gradcheck` is, with the seed of its test and where that comes from."""

    seed: int
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

        layer: any object with forward and backward as in `scratchnet.gradcheck.check`, or a case of gradcheck_cases.
        inputs, and the values of params: arrays, or shapes for which Gaussian numbers are drawn. params: those of
        layer.init, moved at random, unless given. may_vanish: the inputs and parameters whose gradient is rightly
        zero everywhere; of any other that proves nothing, so the test fails. The options go to `check`, and those it
        does not know to forward.

        dtype: "float32" compares float32 with float64 as well, see `check_precision`. summands: the largest number of
        products in any sum of the layer; unless given, the size of its largest array, which is more than enough.
        """
        __tracebackhide__ = True
        case = layer if isinstance(layer, GradientCase) else GradientCase(layer, inputs, dtype, array_module)
        origin, seed = (self.origin, self.seed) if seed is None else ("given in the test", seed)

        def draw(seed: Any) -> Any:
            return scratchnet.gradcheck.draw(case.layer, *case.inputs, params=params, seed=seed, device=case.device)

        def fail_with(finding: str, report: Any) -> None:
            __tracebackhide__ = True
            raise AssertionError(f"{_name(case.layer)}: {finding}\n{report}\nseed {seed} is {origin}")

        drawn, arrays = draw(seed)
        report = scratchnet.gradcheck.check(case.layer, drawn, *arrays, seed=seed, redraw=draw, **options)
        if findings := list(_findings(report, may_vanish)):
            fail_with("; ".join(findings), report)
        if case.dtype == "float32":
            about_differences = inspect.signature(scratchnet.gradcheck.check).parameters
            for_forward = {name: value for name, value in options.items() if name not in about_differences}
            summands = summands or max(array.size for array in [*drawn.values(), *arrays])
            precision = scratchnet.gradcheck.check_precision(
                case.layer, drawn, arrays, summands, seed=seed, device=case.device, **for_forward
            )
            if not precision:
                fail_with("float32 is further from float64 than rounding explains", precision)
        return report


def gradcheck_cases(
    layers: Iterable[Any] | Mapping[str, Any],
    shapes: Iterable[Any],
    dtypes: Iterable[str] = ("float64",),
    array_modules: Iterable[str] = ("numpy",),
) -> list[Any]:
    """Every layer with every shape, dtype and array module, for pytest.mark.parametrize("case", gradcheck_cases(...)).

    layers: a list, or a dictionary by the names to show. A shape is a tuple of numbers, or a tuple of such tuples for
    layers of several inputs. array_modules: "numpy", "cupy"; cases of the latter are skipped where there is no GPU.
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
    """A mark that skips, with the reason, what this machine has no arrays for."""
    if case.device == "cpu":
        return []
    try:
        scratchnet.gradcheck.draw(None, (1,), device=case.device)
    except ScratchnetError as error:
        return [pytest.mark.skip(reason=str(error))]
    return []


def _findings(report: "scratchnet.gradcheck.Report", may_vanish: Collection[str]) -> Iterator[str]:
    """What fails the test, in a few words each; the report has the rest."""
    if wrong := [f"d{tensor.name}" for tensor in report.failed]:
        yield f"wrong {', '.join(wrong)}"
    yield from report.problems[:1]
    if unproven := [name for name in report.vacuous if name not in may_vanish]:
        yield f"nothing is proved of {', '.join(unproven)}: name in may_vanish what has no gradient"
    if not report.tensors and not report.problems:
        yield "there is nothing to check"


def _name(layer: Any) -> str:
    """What a layer calls itself, or its class where that would be an address in memory."""
    text = str(layer)
    return type(layer).__qualname__ if " at 0x" in text else text
