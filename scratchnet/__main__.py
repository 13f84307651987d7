"""The program: `scratchnet COMMAND`, or `python -m scratchnet COMMAND`.

It sees to streams and signals before it imports anything that takes time.
"""

import os
import signal
import sys

STOPPED = 128  # and the number of the signal: what a shell reports of a program that it has stopped


def main() -> int:
    """Run the command of sys.argv; returns the exit code."""
    _open_streams()
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else it is ignored, as after `&`
    if interruptible:
        signal.signal(signal.SIGINT, _leave)
    try:
        from scratchnet.cli import main as run  # noqa: PLC0415
    except Exception as error:  # a broken library fails in many ways, and in many lines
        return _not_started(error)
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_DFL:  # ignored under nohup
            signal.signal(number, _stop)
    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:  # before or after what `run` does about it
        return STOPPED + signal.SIGINT
    finally:
        if interruptible:
            signal.signal(signal.SIGINT, _leave)


def _not_started(error: Exception) -> int:
    """Say in one line why the program cannot be imported; returns the exit code."""
    from scratchnet.common.console import note  # noqa: PLC0415

    reason = (str(error).strip().splitlines() or [""])[0]
    note(
        f"scratchnet: cannot be imported, {type(error).__name__}: {reason}; "
        f'{sys.executable} -c "import scratchnet.cli" shows where'
    )
    return 2


def _open_streams() -> None:
    """Open what is closed, so that no file of ours gets the number of a standard stream, and with it what C prints."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115


def _leave(number: int, _frame: object) -> None:
    """End at once: an import has begun nothing that would need an end, and might swallow an exception."""
    os._exit(STOPPED + number)


def _stop(number: int, _frame: object) -> None:
    """End by way of every `finally`, so that no temporary file and no other process is left."""
    raise SystemExit(STOPPED + number)


if __name__ == "__main__":
    sys.exit(main())
