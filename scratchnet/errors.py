"""The exceptions of scratchnet: one family, so that one `except ScratchnetError` catches them all.

A message says what was given, what was expected and what to do about it.
"""

LONGEST = 2000  # characters of a message; names in damaged files can be longer
REINSTALL = "in your clone: git restore scratchnet/pretrained, then pip install -e ."


def install_extra(*names: str) -> str:
    """How to install an extra, or one of several, for a message.

    From the clone, never by name: the project called scratchnet on PyPI is another one. Double quotes, as cmd.exe
    knows no others; editable, or a later change of the clone would not run.
    """
    first, *others = (f'".[{name}]"' for name in names)
    return " or ".join([f"in your clone: pip install -e {first}", *others])


def one_line(text: str) -> str:
    """`text` on one line and safe to print: line breaks, control characters and the like become escapes.

    Names and reasons in messages come from files and file systems, and can hold anything. Of a text longer than
    LONGEST the middle is left out.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class ScratchnetError(Exception):
    """The root of the family; raised itself only for bad usage that fits none below.

    Its text is one printable line, whatever the message was made of.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class DataError(ScratchnetError):
    """Images, archives or labels that are missing, damaged or not what they should be."""


class CheckpointError(ScratchnetError):
    """A saved network or run that is missing, damaged or of another architecture."""


class BackendError(ScratchnetError):
    """A device that cannot be used or has too little memory, or arrays that live on different devices."""


class OutOfMemoryError(BackendError, MemoryError):
    """Too little memory on the host or on a device; the message says what would need less."""


class ShapeError(ScratchnetError, ValueError):
    """An array of the wrong shape or dtype; the message gives both."""


class NonFiniteError(ScratchnetError):
    """A NaN or an infinity where training needs a number."""


class InUseError(ScratchnetError):
    """A folder or file that another process is writing; the message names the process."""
