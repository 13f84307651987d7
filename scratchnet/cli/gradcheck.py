"""`scratchnet gradcheck`."""

import argparse
import sys
from typing import Any

import numpy as np

from scratchnet import planted
from scratchnet.cli.gradcheck_file import add_target, check_target
from scratchnet.cli.options import Commands, at_least, finish, with_progress
from scratchnet.common.console import is_terminal, note, say
from scratchnet.common.version import CODE, VERSION
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.check import METHODS
from scratchnet.models.networks import ARCHITECTURES
from scratchnet.planted import cases


def add_to(commands: Commands) -> None:
    """Add `gradcheck`."""
    added = commands.add(
        "gradcheck", run, "Check the gradients of a file of yours, or of every layer, loss and network."
    )
    add_target(added)
    added.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="complex step, central differences of order 2 or 4, or whichever applies (default: auto)",
    )
    added.add_argument(
        "--seed", type=at_least(0), metavar="N", help="seed for points and directions (default: 0; for a quiz, random)"
    )
    instead = added.add_mutually_exclusive_group()
    instead.add_argument(
        "--network", choices=list(ARCHITECTURES), help="check every parameter of this network at full size"
    )
    instead.add_argument(
        "--self-test", action="store_true", help="test the checker itself: plant bugs and count how many it catches"
    )
    instead.add_argument("--quiz", action="store_true", help="plant a bug and guess it from the report")
    added.add_argument(
        "--seeds",
        type=at_least(1),
        metavar="N",
        help="points per planted bug and per correct layer in the self-test (default: 3)",
    )
    added.add_argument("--answer", action="store_true", help="show the answer to the quiz with this --seed")


def run(options: argparse.Namespace) -> int:
    """Run the checks, the self-test or a quiz; exit code 1 for a failure. Raises ScratchnetError if options clash."""
    if options.seeds and not options.self_test:
        raise ScratchnetError("--seeds requires --self-test")
    if options.answer and (not options.quiz or options.seed is None):
        raise ScratchnetError("--answer requires --quiz and the --seed of the quiz")
    if options.target:
        return check_target(options)
    if options.shape or options.time_limit:
        raise ScratchnetError("--shape and --time-limit go with FILE.py:NAME")
    if not options.json:
        say(f"scratchnet {VERSION} in {CODE}")
    if options.self_test:
        return _self_test(options, range(options.seed or 0, (options.seed or 0) + (options.seeds or 3)))
    if options.quiz:
        return _quiz(options, int(np.random.default_rng().integers(10**6)) if options.seed is None else options.seed)
    return _check_network(options) if options.network else _check_all(options)


def _finish(options: argparse.Namespace, figures: dict[str, Any], code: int = 0) -> int:
    """`finish` with the folder of the code that was checked, which may not be the clone being edited."""
    return finish(options, {"code": CODE} | figures, code)


def _check_all(options: argparse.Namespace) -> int:
    errors: dict[str, list[float]] = {}
    failed, seed = [], options.seed or 0
    for name, case in with_progress(options, cases.CASES.items()):
        report = case.check(seed, method=options.method)
        errors.setdefault(case.label or type(case.layer).__name__, []).append(report.error)
        if not report:
            failed.append(name)
            note(f"FAIL  {name}", *str(report).splitlines())
    if not options.json:
        say(f"{'':30} cases   largest relative error")
        for kind, values in errors.items():
            say(f"{kind:30} {len(values):5}   {max(values):.1e}")
        passed = len(cases.CASES) - len(failed)
        say(f"{passed} of {len(cases.CASES)} passed (method {options.method}, seed {seed})")
    figures = {
        "method": options.method,
        "seed": seed,
        "failed": failed,
        "largest_error": {kind: max(values) for kind, values in errors.items()},
    }
    return _finish(options, figures, code=1 if failed else 0)


def _check_network(options: argparse.Namespace) -> int:
    report = cases.whole_network(options.network, seed=options.seed or 0, method=options.method)
    if not options.json:
        say(*str(report).splitlines(), f"{options.network}: {'passed' if report else 'FAILED'}")
    return _finish(
        options,
        {
            "network": options.network,
            "seed": options.seed or 0,
            "passed": bool(report),
            "largest_error": report.error,
            "problems": list(report.problems),
            "failed": [tensor.name for tensor in report.failed],
        },
        code=0 if report else 1,
    )


def _self_test(options: argparse.Namespace, seeds: range) -> int:
    bugs, correct = planted.CATALOGUE | planted.STRANGERS, planted.correct_cases()
    outcomes = {name: planted.hunt(bug, seeds) for name, bug in with_progress(options, bugs.items())}
    false_alarms = [
        f"{name}, seed {seed}"
        for name, case in with_progress(options, correct.items())
        for seed in seeds
        if not case.check(seed)
    ]
    missed = [name for name, outcome in outcomes.items() if outcome.caught < outcome.seeds]
    planted_count, checks = len(bugs) * len(seeds), len(correct) * len(seeds)
    caught, redraws = (sum(counts) for counts in list(zip(*outcomes.values(), strict=True))[::2])
    if not options.json:
        for name, outcome in outcomes.items():
            verdict = "MISSED" if name in missed else "caught"
            say(f"{verdict} {outcome.caught:3} of {outcome.seeds}  {name:38} {bugs[name].story}")
        say(
            f"{len(bugs)} planted bugs at {len(seeds)} points each: {caught} of {planted_count} caught; "
            f"{redraws} points redrawn because the bug had no effect there"
        )
        say(
            f"{len(correct)} correct cases at {len(seeds)} points each: "
            f"{len(false_alarms)} false alarms in {checks} checks"
        )
    for alarm in false_alarms:
        note(f"FALSE ALARM  {alarm}")
    return _finish(
        options,
        {
            "seeds": len(seeds),
            "bugs": {name: outcome._asdict() for name, outcome in outcomes.items()},
            "planted": planted_count,
            "caught": caught,
            "missed": missed,
            "correct_checks": checks,
            "false_alarms": false_alarms,
        },
        code=1 if missed or false_alarms else 0,
    )


def _quiz(options: argparse.Namespace, seed: int) -> int:
    quiz = planted.make_quiz(seed)
    again = f"scratchnet gradcheck --quiz --seed {seed} --answer"
    figures = {"seed": seed, "layer": quiz.layer, "report": quiz.report, "stories": quiz.stories}
    answer = f"{quiz.answer}: {quiz.bug.name}. {quiz.bug.story}"
    if options.json:
        return _finish(options, figures | ({"answer": quiz.answer, "bug": quiz.bug.name} if options.answer else {}))
    say(
        f"Quiz {seed}: a bug has been planted in the backward of",
        "",
        *quiz.layer.splitlines(),
        "",
        "The checker reports:",
        "",
        *quiz.report.splitlines(),
        "",
        "What did the programmer do?",
    )
    for number, story in enumerate(quiz.stories, start=1):
        say(f"  {number}  {story}")
    if options.answer:
        say("", answer)
    elif is_terminal(sys.stdin) and (guess := _guess(len(quiz.stories))):
        say(f"{'Right' if guess == quiz.answer else 'No'}, {answer}")
    else:
        say("", f"To see the answer: {again}")
    return 0


def _guess(choices: int) -> int | None:
    """Ask until the reader types a number from 1 to `choices`; None for an empty line."""
    while text := _ask(f"1 to {choices}, or Enter to think about it: "):
        if text.isdigit() and 1 <= int(text) <= choices:
            return int(text)
    return None


def _ask(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""
