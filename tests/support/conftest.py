"""The strict stand-in as a device."""

import pytest
from strict_array import STRICT, strict

from scratchnet import backend
from scratchnet.backend import register_device


@pytest.fixture
def strict_device(monkeypatch):
    """Registers the stand-in for one test, with no synchronisation counted yet."""
    monkeypatch.setattr(backend.device, "_devices", dict(backend.device._devices))
    register_device(STRICT)
    strict.synchronisations = 0
