"""Verifies any pair of forward and backward on plain arrays; knows none of our layers."""

from scratchnet.gradcheck.check import Report, TensorCheck, check

__all__ = ["Report", "TensorCheck", "check"]
