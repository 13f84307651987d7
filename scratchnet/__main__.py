"""The program: `scratchnet COMMAND`, or `python -m scratchnet COMMAND`.

Sets up streams and signals before importing anything slow.
"""

import os
import signal
import sys

STOPPED = 128  # plus the signal number: the exit code that a shell reports for a program stopped by a signal


def main() -> int:
    """Run the command in sys.argv; returns the exit code."""
    _open_streams()
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # SIGINT is ignored after `&`
    if interruptible:
        signal.signal(signal.SIGINT, _leave)
    try:
        from scratchnet.cli import main as run  # noqa: PLC0415
    except Exception as error:  # a broken library can fail in any way
        return _not_started(error)
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP; leave that alone
            signal.signal(number, _stop)
    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:  # before or after `run`, which handles its own
        return STOPPED + signal.SIGINT
    finally:
        if interruptible:
            signal.signal(signal.SIGINT, _leave)


def _not_started(error: Exception) -> int:
    """Report in one line why the program cannot be imported; returns the exit code."""
    from scratchnet.common.console import note  # noqa: PLC0415

    reason = (str(error).strip().splitlines() or [""])[0]
    note(
        f"scratchnet: cannot be imported, {type(error).__name__}: {reason}; "
        f'{sys.executable} -c "import scratchnet.cli" shows where'
    )
    return 2


def _open_streams() -> None:
    """Open closed standard streams, so that no file of ours takes their numbers and receives what C code prints."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115


def _leave(number: int, _frame: object) -> None:
    """Exit at once: an import leaves nothing to clean up, and might swallow an exception."""
    os._exit(STOPPED + number)


def _stop(number: int, _frame: object) -> None:
    """Exit through every `finally`, so that no temporary file or child process is left behind."""
    raise SystemExit(STOPPED + number)


if __name__ == "__main__":
    sys.exit(main())
