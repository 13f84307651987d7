"""Devices and processors for the tests of the backend."""

import os

import pytest
from strict_array import STRICT

from scratchnet import backend


@pytest.fixture
def fresh_devices(monkeypatch, default_device):
    """The CPU and the strict stand-in alone: a device that a test registers is gone afterwards."""
    monkeypatch.setattr(backend.device, "_devices", {"cpu": backend.CPU, "strict": STRICT})


@pytest.fixture
def processors(monkeypatch):
    """A machine of eight processors, with no limit on threads in the environment."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for variable in ("SCRATCHNET_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
