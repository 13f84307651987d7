"""A GPU if there is one, and everywhere our kernels on the host, so that the tests themselves are tested."""

from collections.abc import Iterator

import pytest

from scratchnet.backend import Device, get_device, set_precision
from scratchnet.errors import BackendError


@pytest.fixture
def cuda() -> Device:
    """A GPU; skips the test, with the reason, if there is none."""
    try:
        return get_device("cuda")
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["kernels", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Device:
    """The stand-in with our kernels, then a GPU."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["float32", "tf32"])
def precision(request: pytest.FixtureRequest, device: Device) -> Iterator[str]:
    """The precision in which a GPU multiplies matrices; the stand-in has float32 alone."""
    if request.param == "tf32" and device.name != "cuda":
        pytest.skip("the stand-in has no TF32")
    set_precision(request.param)
    yield request.param
    set_precision("float32")
