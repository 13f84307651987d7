"""The way in for photos and scans of one character; `scratchnet.images.photo` does the work."""

from scratchnet.images.photo import read_character

__all__ = ["read_character"]
