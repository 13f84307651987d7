"""The exceptions of scratchnet: one family, so that a single `except ScratchnetError` catches them all.

A message says what was given, what was expected, and what to do about it.
"""

LONGEST = 2000  # characters of a message; names in damaged files can be longer than that
REINSTALL = "in your clone: git restore scratchnet/pretrained, then pip install -e ."


def install_extra(*names: str) -> str:
    """Instructions for installing an extra, or one of several, for use in a message.

    They install from the clone, never by name: the project called scratchnet on PyPI is a different one. The quotes are
    double because cmd.exe knows no others, and the install is editable so that later changes to the clone take effect.
    """
    first, *others = (f'".[{name}]"' for name in names)
    return " or ".join([f"in your clone: pip install -e {first}", *others])


def one_line(text: str) -> str:
    """Return `text` as one printable line: line breaks, control characters and the like become escape sequences.

    Names and reasons in messages come from files and file systems and may contain anything. A text longer than LONGEST
    loses its middle.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class ScratchnetError(Exception):
    """The base class; raised directly only for misuse that fits none of the subclasses.

    `str` of it is one printable line, whatever the message contains.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class DataError(ScratchnetError):
    """Images, archives or labels that are missing, damaged or of the wrong kind."""


class CheckpointError(ScratchnetError):
    """A saved network or run that is missing, damaged or of a different architecture."""


class BackendError(ScratchnetError):
    """A device that is unavailable or out of memory, or arrays that live on different devices."""


class OutOfMemoryError(BackendError, MemoryError):
    """The host or a device is out of memory; the message says how to use less."""


class ShapeError(ScratchnetError, ValueError):
    """An array of the wrong shape or dtype; the message gives both."""


class NonFiniteError(ScratchnetError):
    """A NaN or an infinity where training needs a finite number."""


class InUseError(ScratchnetError):
    """A folder or file that another process is writing to; the message names that process."""
