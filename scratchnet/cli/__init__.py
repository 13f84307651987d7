"""The command line: `scratchnet COMMAND`, or `python -m scratchnet COMMAND`.

Exit codes: 0 for success; 1 if a check failed; 2 for bad usage or input, with one line on stderr; 128 plus the signal
number if stopped by a signal, so 130 for Ctrl-C; 141, silently, if the reader of the output has closed the pipe.
"""

from collections.abc import Sequence

from scratchnet.backend import get_precision, set_precision
from scratchnet.cli import (
    bench,
    evaluation,
    exchange,
    explain,
    gradcheck,
    index,
    info,
    paper,
    plot,
    recognition,
    training,
)
from scratchnet.cli.options import Commands, Parser
from scratchnet.common.console import note
from scratchnet.common.version import VERSION
from scratchnet.errors import ScratchnetError
from scratchnet.train import Interrupted, exit_code

PIPE_CLOSED = 141  # 128 + SIGPIPE, as a shell reports it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default that of sys.argv; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
        set_precision(getattr(options, "precision", None) or get_precision())
        return int(options.run(options))
    except (Interrupted, KeyboardInterrupt) as stop:
        return _say(str(stop) or "interrupted", exit_code(stop))
    except ScratchnetError as error:
        return _say(str(error), 2)
    except BrokenPipeError:
        return PIPE_CLOSED
    except OSError as error:
        place = error.filename or "a file"
        return _say(f"{place}: {error.strerror or error}; check the path, its permissions and the disk", 2)
    except MemoryError as error:
        return _say(f"out of memory ({error}): use a smaller batch, --set batch_size=N or --pairs N", 2)


def _say(message: str, code: int) -> int:
    """Print a message on stderr; returns the exit code."""
    note(f"scratchnet: {message}")
    return code


def _parser() -> Parser:
    parser = Parser(prog="scratchnet", description="One-shot image recognition with a Siamese network from scratch.")
    parser.add_argument("--version", action="version", version=f"scratchnet {VERSION}")
    commands = Commands(parser)
    for group in (training, evaluation, recognition, exchange, index, explain, plot, gradcheck, bench, paper, info):
        group.add_to(commands)
    return parser
