"""The exceptions of scratchnet: one family, so that one `except ScratchnetError` catches them all.

A message says what was given, what was expected and what to do about it.
"""

REINSTALL = "in your clone: git restore scratchnet/pretrained, then pip install -e ."


def install_extra(*names: str) -> str:
    """How to install an extra, or one of several, for a message.

    From the clone, never by name: the project called scratchnet on PyPI is another one. Double quotes, as cmd.exe
    knows no others; editable, or a later change of the clone would not run.
    """
    first, *others = (f'".[{name}]"' for name in names)
    return " or ".join([f"in your clone: pip install -e {first}", *others])


class ScratchnetError(Exception):
    """The root of the family; raised itself only for bad usage that fits none below."""


class DataError(ScratchnetError):
    """Images, archives or labels that are missing, damaged or not what they should be."""


class CheckpointError(ScratchnetError):
    """A saved network or run that is missing, damaged or of another architecture."""


class BackendError(ScratchnetError):
    """A device that cannot be used or has too little memory, or arrays that live on different devices."""


class ShapeError(ScratchnetError):
    """An array of the wrong shape or dtype; the message spells both out."""


class NonFiniteError(ScratchnetError):
    """A NaN or an infinity where training needs a number."""
