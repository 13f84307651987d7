"""`scratchnet gradcheck FILE.py:NAME`: somebody's layer or function, judged in words that a beginner understands."""

import argparse
import subprocess
import sys
from typing import Any

from scratchnet.cli.options import finish, over_zero
from scratchnet.common.console import note, say
from scratchnet.gradcheck import check
from scratchnet.gradcheck.source_files import inputs_for, load, verdict


def add_target(added: argparse.ArgumentParser) -> None:
    """Add the file to check, and its options."""
    added.add_argument(
        "target",
        nargs="?",
        metavar="FILE.py:NAME",
        help="check the layer or function of this name in a file, such as layers.py:Linear or 'net.py:Conv(3, 8)'",
    )
    added.add_argument(
        "--shape",
        type=shape,
        action="append",
        default=[],
        metavar="N,M",
        help="the shape of an input, once for each; () for a number (default: shapes that fit)",
    )
    added.add_argument(
        "--time-limit", type=over_zero, metavar="S", help="stop after this many seconds, as a failure (exit code 1)"
    )


def shape(text: str) -> tuple[int, ...]:
    """An argparse type: sizes with commas between them."""
    sizes = text.strip("()[] ").rstrip(",")
    try:
        return tuple(int(size) for size in sizes.split(",")) if sizes else ()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no shape, expected numbers such as 4,6") from error


def check_target(options: argparse.Namespace) -> int:
    """Check what `options.target` names; exit code 1 if it fails, or takes longer than --time-limit."""
    if options.time_limit:
        return _within(options.time_limit, options)
    name, layer = load(options.target)
    seed = options.seed or 0
    params, inputs = inputs_for(layer, options.shape, seed)

    def redraw(rng: Any) -> Any:
        return inputs_for(layer, options.shape, int(rng.integers(2**31)))

    report = check(layer, params, *inputs, seed=seed, method=options.method, redraw=redraw)
    lines = verdict(name, report)
    shapes = [list(value.shape) for value in inputs]
    if not options.json:
        say(*lines)
        if not options.shape:
            listed = " and ".join(str(tuple(sizes)) for sizes in shapes)
            say(f"Checked with inputs of shape {listed}, since they fit; --shape chooses others.")
        say("", *str(report).splitlines())
    figures = {
        "target": options.target,
        "passed": bool(report),
        "verdict": lines,
        "shapes": shapes,
        "seed": seed,
        "problems": list(report.problems),
        "undecided": list(report.undecided),
        "tensors": {
            tensor.name: {"passed": tensor.passed, "relative_error": tensor.error, "tolerance": tensor.allowed}
            for tensor in report.tensors
        },
    }
    return finish(options, figures, 0 if report else 1)


def _within(seconds: float, options: argparse.Namespace) -> int:
    """The same in a process of its own, which is stopped when the time is up: the file may hang or loop for ever."""
    arguments = [options.target, "--method", options.method]
    arguments += [f"--shape={','.join(map(str, sizes)) or '()'}" for sizes in options.shape]
    arguments += ["--seed", str(options.seed)] if options.seed is not None else []
    arguments += ["--json"] if options.json else []
    try:
        command = [sys.executable, "-m", "scratchnet", "gradcheck", *arguments]
        return subprocess.run(command, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        line = f"FAIL: {options.target} took longer than {seconds:g} seconds: is there a loop that never ends?"
        if not options.json:
            note(line)
        return finish(options, {"target": options.target, "passed": False, "verdict": [line]}, 1)
