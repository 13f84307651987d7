"""The version, alone in a file so that the build can read it without importing NumPy, and where the code lies."""

import os

VERSION = "0.2.0"
CODE = os.path.dirname(
    os.path.dirname(os.path.abspath(__file__))
)  # an installed copy and an edited clone look alike otherwise
