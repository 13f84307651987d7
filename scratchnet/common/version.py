"""The version, in a file that the build can read without importing NumPy, and the location of the code."""

import os

VERSION = "0.2.0"
# The package folder; reported because an installed copy and an edited clone look alike otherwise.
CODE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
