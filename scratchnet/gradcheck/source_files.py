"""Layers in somebody's file, as they are written there: found by name, adapted, and given inputs that fit."""

import ast
import importlib.util
import inspect
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.adapters import from_callback, from_functions, from_pair, from_value_and_gradient
from scratchnet.gradcheck.attributes import Attributes, from_attributes
from scratchnet.gradcheck.drawing import draw
from scratchnet.gradcheck.point import positional_names

PARAMETERS = {"params", "parameters", "theta", "p"}  # first arguments of a forward that gets its parameters by hand
LABELS = {"y", "t", "labels", "label", "targets", "target", "classes", "indices", "idx", "ids"}
GRADIENTS = ("{}_gradient", "{}_grad", "{}_backward", "{}_prime", "{}_derivative", "d{}", "d_{}", "grad_{}")
SHAPES: list[list[tuple[int, ...]]] = [
    [(4, 3)] * 4, [(4, 3), (3, 5), (5,)], [(4, 3), (3, 3), (3,)], [(4, 3), (3,), (3,)], [(2, 3, 6, 6)] * 2,
    [(5,)] * 4, [(6, 6)] * 2, [(2, 3, 6, 6), (4, 3, 3, 3), (4,)], [(2, 6, 6, 3)], [(5, 4, 3)] * 3, [()] * 3,
]  # fmt: skip
CLASSES = 3  # labels are drawn from 0, 1, 2


def load(target: str) -> tuple[str, Any]:
    """(name, layer) for FILE.py:Name, FILE.py:Name(arguments), or FILE.py if it has one thing to check.

    Raises ScratchnetError for a file that cannot be run, or a name that is not there or cannot be checked.
    """
    path, colon, wanted = target.partition(".py:")
    module = _run(Path(path + ".py" if colon else target))
    names = [name for name, value in vars(module).items() if _is_candidate(module, name, value)]
    if not wanted:
        if len(names) != 1:
            raise ScratchnetError(
                f"which of {', '.join(names) or 'nothing with a backward'} in {target}? {target}:NAME"
            )
        wanted = names[0]
    try:
        call = ast.parse(wanted, mode="eval").body
        name = call.func if isinstance(call, ast.Call) else call
        arguments = [ast.literal_eval(value) for value in call.args] if isinstance(call, ast.Call) else []
        options = (
            {str(item.arg): ast.literal_eval(item.value) for item in call.keywords}
            if isinstance(call, ast.Call)
            else {}
        )
    except (SyntaxError, ValueError) as error:
        raise ScratchnetError(f"{wanted!r} is no name, or name with plain arguments: FILE.py:Layer(3, 4)") from error
    if not isinstance(name, ast.Name) or not hasattr(module, name.id):
        raise ScratchnetError(
            f"{path}.py has no {wanted}{hint(wanted, names)}: it has {', '.join(names) or 'no layer'}"
        )
    return wanted, _adapted(module, name.id, getattr(module, name.id), arguments, options)


def inputs_for(layer: Any, shapes: list[tuple[int, ...]], seed: int) -> tuple[Any, list[Any]]:
    """(params, inputs) for a layer: arrays of the given shapes, or of the first shapes that its forward takes.

    Inputs that are called like labels get whole numbers where forward takes them. Raises ScratchnetError if no shapes
    fit, with what forward said.
    """
    names = _inputs(layer)
    errors = []
    for candidate in _candidates(layer, names, shapes):
        try:
            rng = np.random.default_rng(seed)
            params, _ = draw(layer, seed=rng)
            inputs = [_drawn(rng, shape) for shape in candidate]
            layer.forward(params, *[value.copy() for value in inputs])
        except ScratchnetError:
            raise
        except Exception as error:  # any exception: the layer's own, about shapes that it does not take
            errors.append(f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")
        else:
            return params, inputs
    many = f", once for each of {', '.join(names)}" if len(names) > 1 else ""
    raise ScratchnetError(f"forward does not take these inputs ({errors[0]}): give their shape with --shape 4,6{many}")


def _candidates(layer: Any, names: list[str], shapes: list[tuple[int, ...]]) -> Iterator[list[Any]]:
    number = len(shapes) or max(1, len(names))
    known = [shapes] if shapes else _of_weights(layer) + [shape[:number] for shape in SHAPES if len(shape) >= number]
    for chosen in known:
        if len(chosen) < number:
            continue
        labelled = [k for k in range(1, number) if k < len(names) and names[k].lower() in LABELS]
        if labelled or (names and names[0].lower() in LABELS - {"y", "t"}):
            places = labelled or [0]
            for axes in (1, 0):
                yield [
                    ("labels", shape[:1] if axes else shape) if k in places else shape for k, shape in enumerate(chosen)
                ]
        yield list(chosen)


def _of_weights(layer: Any) -> list[list[tuple[int, ...]]]:
    """Shapes that go with the first matrix or kernel among the parameters."""
    params, _ = draw(layer)
    found: list[list[tuple[int, ...]]] = []
    for value in params.values():
        shape = np.shape(value)
        if len(shape) == 2:
            found += [[(4, shape[0])], [(4, shape[1])], [(shape[1], 4)]]
        if len(shape) == 4:
            found += [[(2, shape[1], 7, 7)], [(7, 7, 2, shape[2])], [(2, 7, 7, shape[2])]]
        if len(shape) == 1:
            found += [[(4, shape[0])]]
    return found


def _drawn(rng: np.random.Generator, shape: Any) -> np.ndarray:
    if shape and shape[0] == "labels":
        return rng.integers(0, CLASSES, shape[1])
    return np.asarray(rng.standard_normal(shape))


def _inputs(layer: Any) -> list[str]:
    """The names of the inputs that forward cannot do without."""
    function, first = layer.forward, 1  # after the parameters
    if isinstance(layer, Attributes):
        function, first = getattr(layer.layer, layer.forward_name), 0
    elif hasattr(layer, "function"):
        function, first = layer.function, 0
    try:
        found = list(inspect.signature(function).parameters.values())[first:]
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one.name for one in found if one.default is one.empty and one.kind in positional]


def _run(path: Path) -> ModuleType:
    """The module in a file, with the folder of the file first on the path."""
    if not path.is_file():
        raise ScratchnetError(f"there is no file {path}: expected FILE.py:NAME")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ScratchnetError(f"{path} is no Python file: expected FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # any exception: the file's own
        line = getattr(error, "lineno", None) or _line_in(error, path)
        raise ScratchnetError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return module


def _line_in(error: BaseException, path: Path) -> int:
    trace, line = error.__traceback__, 0
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(path) else line
        trace = trace.tb_next
    return line


def _is_candidate(module: ModuleType, name: str, value: Any) -> bool:
    """Whether a file defines this name itself, with a backward."""
    if name.startswith("_") or getattr(value, "__module__", module.__name__) != module.__name__:
        return False
    if isinstance(value, type):
        return hasattr(value, "backward") and (hasattr(value, "forward") or "__call__" in vars(value))
    return inspect.isfunction(value) and _gradient_of(module, name) is not None


def _gradient_of(module: ModuleType, name: str) -> Any:
    """The function that a file calls the gradient of another one."""
    if name.endswith("_forward"):
        return getattr(module, name.removesuffix("_forward") + "_backward", None)
    return next((getattr(module, one.format(name)) for one in GRADIENTS if hasattr(module, one.format(name))), None)


def _adapted(module: ModuleType, name: str, found: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    """The layer protocol around a class, an object or a function of the file."""
    if isinstance(found, type):
        try:
            found = found(*arguments, **options)
        except TypeError as error:
            raise ScratchnetError(
                f"{name} could not be made ({error}): give its arguments, FILE.py:{name}(3, 4)"
            ) from error
    if not inspect.isfunction(found):
        if not hasattr(found, "backward"):
            raise ScratchnetError(f"{name} has no method backward, so there is nothing to check")
        takes = positional_names(found.forward) if hasattr(found, "forward") else []
        return found if takes and (takes[0] in PARAMETERS or hasattr(found, "init")) else from_attributes(found)
    gradient = _gradient_of(module, name)
    if gradient is None:
        return _Either(found)
    if name.endswith("_forward"):
        return from_pair(found, gradient)
    more = len(positional_names(gradient)) - len(positional_names(found))
    return from_functions(found, gradient) if more > 0 else from_value_and_gradient(found, gradient)


class _Either:
    """A function that returns (value, gradient) or (y, backprop), which only its result tells."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.input_names = positional_names(function)

    def __str__(self) -> str:
        return str(self.function.__name__)

    def forward(self, params: Any, *inputs: Any, **options: Any) -> Any:
        """As `from_callback` or `from_value_and_gradient`."""
        result = self.function(*inputs, **options)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ScratchnetError(
                f"there is no gradient to check: {self} returns neither (value, gradient) nor (y, backprop), and the "
                f"file has no function {self}_gradient, or {self}_backward for a name that ends in _forward"
            )
        adapt: Any = from_callback if callable(result[1]) else from_value_and_gradient
        adapter = adapt(lambda *_: result)
        y, cache = adapter.forward(params, *inputs)
        return y, (adapter, cache)

    def backward(self, dy: Any, cache: Any) -> Any:
        """The gradient."""
        adapter, inner = cache
        return adapter.backward(dy, inner)


def verdict(name: str, report: Any) -> list[str]:
    """What a report says, for somebody who has never read one."""
    if report:
        checked = ", ".join(tensor.name for tensor in itertools.islice(report.tensors, 8))
        lines = [f"PASS: backward of {name} is the derivative of its forward, for {checked}."]
        if report.vacuous:
            lines.append(
                f"But the gradient of {', '.join(report.vacuous)} was zero everywhere, so nothing was proved there."
            )
        return lines
    lines = [f"FAIL: {problem}" for problem in report.problems]
    for tensor in reversed(report.failed):
        if (found := tensor.mismatch) is None:
            lines.append(f"FAIL: the gradient of {tensor.name} is wrong.")
            continue
        at = f" at {tensor.name}{list(found.index)}" if found.index else ""
        lines.append(
            f"FAIL: the gradient of {tensor.name} is wrong{at}: backward says {found.analytic:.6g}, but by forward "
            f"it is {found.numeric:.6g}."
        )
        lines += [f"      Hint: {found.hint}."] if found.hint else []
        lines += [f"      Where: {found.where}."] if found.where else []
    if report.undecided:
        lines.append(
            f"UNDECIDED: differences are too coarse here to judge the gradient of {', '.join(report.undecided)}."
        )
    return lines
