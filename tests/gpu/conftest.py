"""A GPU where there is one; and everywhere our kernels run on the host, so that the tests themselves are tested."""

from collections.abc import Iterator

import pytest

from scratchnet.backend import Device, get_device, set_precision
from scratchnet.errors import BackendError


@pytest.fixture
def cuda() -> Device:
    """A GPU; skips where there is none, and says why."""
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
    """In which a GPU multiplies matrices; to a stand-in it is all the same, so one will do."""
    if request.param == "tf32" and device.name != "cuda":
        pytest.skip("the stand-in has no TF32")
    set_precision(request.param)
    yield request.param
    set_precision("float32")
