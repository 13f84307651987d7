"""Every numbered equation of a docstring is named by the lines of code that compute it, and by a test that holds them.

The equations that `scratchnet explain` shows have their tests in scratchnet/explain/proofs.py, and tests/explain
changes their lines. The table below has all others; their lines are changed here.
"""

import ast
import inspect
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import scratchnet
from scratchnet.explain.proofs import SOURCES

ROOT = Path(__file__).parents[1]
PACKAGE = Path(scratchnet.__file__).parent
EQUATION = re.compile(r"^ *\S.*\s{2,}\((\d)\)[.,;]?$", re.MULTILINE)
NAMED = re.compile(r"\((\d)\)")

# The equation: a part of the line that names it, what takes that part's place, and the test that then fails.
POOLED = "tests/layers/test_conv_pool_relu.py::test_it_gives_what_the_three_layers_give"
IN_PIECES = "tests/train/test_gradients.py::test_the_pieces_add_up_to_the_gradients_and_the_loss_of_the_whole"
SPECTRA = "tests/ops/test_equals.py::test_every_convolution_is_the_definition"
TRANSFORM = "tests/ops/test_dft.py::test_the_components_are_sums_with_cosines_and_sines"
THREE_PRODUCTS = "tests/ops/test_dft.py::test_three_products_are_one_of_complex_numbers"
BOTH_WAYS = "tests/test_losses.py::test_the_n_way_loss_in_both_directions_by_hand"
FOLDED = "tests/models/test_inference.py::test_in_float64_to_the_last_digits"
TF32 = "tests/gradcheck/test_precision.py::test_factors_of_eleven_bits_pass_as_such_and_not_as_float32"
COSINES = "tests/images/test_augment.py::test_elastic_shifts_are_the_series_of_cosines_that_the_docstring_gives"
ALIGNED = "tests/images/test_align.py::test_"
STROKES = "tests/images/test_augment.py::test_strokes_move_by_their_share_towards_the_dilation_or_the_erosion"
ON_RANKS = "tests/parallel/test_batchnorm.py::test_ranks_compute_what_one_process_does"
TESTED = {
    "layers/batchnorm2d.py BatchNorm2d (3)": (
        "rescale(dy, weight / std)", "rescale(dy, std)", "tests/layers/test_batchnorm2d.py::test_evaluation_by_hand"
    ),
    "layers/conv_pool_relu.py ConvPoolReLU (1)": ("pool.backward(dy, winners", "pool.backward(2 * dy, winners", POOLED),
    "layers/conv_pool_relu.py ConvPoolReLU (2)": ("sum_pixels(dy * (winners", "sum_pixels(dy + (winners", POOLED),
    "losses.py NWayCrossEntropy (1)": (
        "(probabilities - target)", "(probabilities + target)", "tests/test_losses.py::test_the_n_way_loss_by_hand"
    ),
    "losses.py NWayCrossEntropy (2)": ("log_of_columns / 2", "log_of_columns / 3", BOTH_WAYS),
    "losses.py NWayCrossEntropy (3)": ("(probabilities - target)", "(probabilities + target)", BOTH_WAYS),
    "models/inference.py (1)": (
        "else (f * weight, None)", "else (weight, None)", FOLDED
    ),
    "ops/cuda/conv_dft.py (2)": ("spectra.x[u].swapaxes(-1, -2)", "-spectra.x[u].swapaxes(-1, -2)", SPECTRA),
    "ops/cuda/conv_dft.py (3)": ("product_x, W, +1", "-product_x, W, +1", SPECTRA),
    "ops/fast/conv_dft.py (1)": ("multiply(V", "-multiply(V", SPECTRA),
    "ops/fast/conv_dft.py (2)": ("multiply(V", "-multiply(V", SPECTRA),
    "ops/fast/conv_dft.py (3)": ("multiply(Z, turned)", "-multiply(Z, turned)", SPECTRA),
    "ops/fast/dft.py (1)": ("first.T * rows_of_each(N1)", "first.T", TRANSFORM),
    "ops/fast/dft.py (2)": ('"uba,bk->uka"', '"uba,kb->uka"', TRANSFORM),
    "ops/fast/spectra.py (1)": ("[0, 1, 1, 0]", "[0, 1, -1, 0]", THREE_PRODUCTS),
    "ops/fast/spectra.py (2)": ("[-1, -1, 0]", "[-1, 1, 0]", THREE_PRODUCTS),
    "ops/fast/conv_winograd.py (1)": ("back_rows[: pixels.shape[2]], R", "-back_rows[: pixels.shape[2]], R", SPECTRA),
    "ops/fast/conv_winograd.py (2)": ("dU += V", "dU -= V", SPECTRA),
    "ops/fast/conv_winograd.py (3)": ("matmul(Z", "matmul(-Z", SPECTRA),
    "images/augment.py ElasticRanges (1)": ("@ B.T", "@ B.T / 2", COSINES),
    "images/augment.py thicken (1)": ("s * (dilated", "2 * s * (dilated", STROKES),
    "images/align.py (1)": ("p @ B.T", "-p @ B.T", f"{ALIGNED}a_field_is_the_sum_of_its_functions"),
    "images/align.py (2)": (
        "moved - s", "moved + s", f"{ALIGNED}residuals_are_what_is_moved_less_what_it_is_compared_with"
    ),
    "images/align.py (3)": (
        "scaled * scaled", "scaled", f"{ALIGNED}the_energy_is_the_sum_of_squares_in_standard_deviations"
    ),
    "images/align.py (4)": (
        "slopes[:, a, :, None]", "-slopes[:, a, :, None]", f"{ALIGNED}the_jacobian_is_the_derivative_of_the_residuals"
    ),
    "images/align.py (5)": (
        "-xp.linalg", "xp.linalg", f"{ALIGNED}a_step_ends_where_the_gradient_of_the_quadratic_is_zero"
    ),
    "models/scoring.py (1)": (
        "(PLAIN + WARPED)", "PLAIN", "tests/models/test_scoring.py::test_a_picture_and_itself_need_no_warping"
    ),
    "exchange/index/neighbours.py (1)": (
        "np.maximum(-", "2 * np.maximum(-",
        "tests/exchange/index/test_neighbours.py::test_the_logit_is_minus_a_distance_where_no_weight_is_positive",
    ),
    "gradcheck/precision.py (1)": ("+ UNIT_ROUNDOFF", "* UNIT_ROUNDOFF", TF32),
    "gradcheck/precision.py (2)": ("math.sqrt(2", "1e-3 * math.sqrt(2", TF32),
    "gradcheck/precision.py (3)": ("+ operand_roundoff", "+ 0 * operand_roundoff", TF32),
    "oneshot/rejection.py (1)": (
        "(1 - share) - 1e-9", "(1 - 2 * share) - 1e-9",
        "tests/oneshot/test_rejection.py::test_the_threshold_is_the_lowest_that_the_share_allows",
    ),
    "parallel/batchnorm.py RanksBatchNorm2d (1)": ("own_mean / K", "own_mean", ON_RANKS),
    "parallel/batchnorm.py RanksBatchNorm2d (2)": ("offset * offset", "0 * offset", ON_RANKS),
    "parallel/batchnorm.py RanksBatchNorm2d (3)": ("of_all[1] / std", "of_all[1]", ON_RANKS),
    "parallel/cost.py (1)": (
        "self.work / ranks + self.fixed", "self.work + self.fixed",
        "tests/parallel/test_cost.py::test_ranks_share_the_work_and_each_has_what_all_have",
    ),
    "parallel/cost.py (2)": (
        "2 * (ranks - 1)", "(ranks - 1)", "tests/parallel/test_cost.py::test_a_ring_sends_almost_everything_twice"
    ),
    "train/gradients.py (1)": ("value + more", "0.5 * value + more", IN_PIECES),
    "train/gradients.py (2)": ("+= gradient", "-= gradient", IN_PIECES),
}  # fmt: skip


def modules():
    return {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


def comments(source):
    """The numbers that each line's comment names, by line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: NAMED.findall(token.string)
        for token in tokens
        if token.type == tokenize.COMMENT and NAMED.search(token.string)
    }


def equations():
    """Every numbered equation, "layers/linear.py Linear (1)", and the lines whose comments name it."""
    found = {}
    for name, path in modules().items():
        source = path.read_text(encoding="utf-8")
        named = comments(source)
        tree = ast.parse(source)
        for node in [tree, *ast.walk(tree)][1:]:
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                continue
            for number in EQUATION.findall(ast.get_docstring(node) or ""):
                inside = range(node.lineno, node.end_lineno + 1) if isinstance(node, ast.ClassDef) else range(10**6)
                scope = "" if isinstance(node, ast.Module) else f"{node.name} "
                lines = [line for line, numbers in named.items() if number in numbers and line in inside]
                found[f"{name} {scope}({number})"] = (path, lines or [k for k, n in named.items() if number in n])
    return found


EQUATIONS = equations()


def shown():
    """The equations that `scratchnet explain` shows, each with a test of its own."""
    files = {}
    for documented, number, _, _ in SOURCES.values():
        if number.startswith("("):
            path = Path(inspect.getfile(documented)).relative_to(PACKAGE).as_posix()
            scope = "" if inspect.ismodule(documented) else f"{documented.__name__} "
            files[f"{path} {scope}{number}"] = documented
    return files


def test_all_equations_are_found():
    assert {
        "ops/conv.py (3)",
        "layers/linear.py Linear (2)",
        "layers/batchnorm2d.py BatchNorm2d (4)",
    } <= EQUATIONS.keys()
    assert len(EQUATIONS) >= 34


@pytest.mark.parametrize("equation", EQUATIONS)
def test_lines_of_code_name_the_equation(equation):
    assert EQUATIONS[equation][1], f"no comment of this file says which line computes {equation}"


@pytest.mark.parametrize("equation", EQUATIONS)
def test_a_test_holds_the_equation(equation):
    assert equation in shown() or equation in TESTED, f"name a test of {equation} in {__name__}.TESTED"


def test_no_line_names_an_equation_that_is_not_there():
    for name, path in modules().items():
        sources = {name, "ops/conv.py"} if name.startswith(("ops/", "layers/conv2d")) else {name}
        known = {
            number for equation in EQUATIONS if equation.split()[0] in sources for number in NAMED.findall(equation)
        }
        named = {number for numbers in comments(path.read_text(encoding="utf-8")).values() for number in numbers}
        assert named <= known, f"{name} names {sorted(named - known)}, and no docstring has these"


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy of the package, to change."""
    copy = tmp_path_factory.mktemp("changed") / "scratchnet"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    return copy


@pytest.mark.parametrize("equation", TESTED)
def test_the_test_fails_when_the_line_is_changed(equation, changed):
    path, lines = EQUATIONS[equation]
    was, becomes, test = TESTED[equation]
    original = path.read_text(encoding="utf-8")
    source = original.splitlines(keepends=True)
    (line,) = [line for line in lines if was in source[line - 1]]
    source[line - 1] = source[line - 1].replace(was, becomes)
    copy = changed / path.relative_to(PACKAGE)
    copy.write_text("".join(source), encoding="utf-8")
    options = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(ROOT)]
    environment = os.environ | {"PYTHONPATH": str(changed.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-m", "pytest", *options, test]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    finally:
        copy.write_text(original, encoding="utf-8")
    assert done.returncode == 1, done.stdout  # 1: a test failed; anything else, and nothing was proved
    assert "1 failed" in done.stdout
