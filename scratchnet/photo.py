"""Read photos and scans of one character; the work is done in `scratchnet.images.photo`."""

from scratchnet.images.photo import read_character

__all__ = ["read_character"]
