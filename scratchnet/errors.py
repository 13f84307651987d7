"""The exceptions of scratchnet: one family, so that one `except ScratchnetError` catches them all.

A message says what was given, what was expected and what to do about it.
"""


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
