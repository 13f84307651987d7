"""The version, alone in a file so that the build can read it without importing NumPy, and where the code lies."""

from pathlib import Path

VERSION = "0.1.0"
CODE = Path(__file__).absolute().parent  # an installed copy and an edited clone look alike otherwise
