"""Parameters in the axis order of other libraries and back."""

import numpy as np
import pytest
from bench_parts import TINY

from scratchnet.bench.workload import Workload
from scratchnet.exchange.channels_first import channels_first


@pytest.mark.parametrize("workload", [TINY, Workload("koch2015", 2, "cpu", {"image_size": 80, "features": 8})])
def test_parameters_come_back_from_the_order_of_other_libraries(workload):
    net = workload.prepare().net
    there = channels_first(net, net.params)
    assert there["encoder.conv2.weight"].shape == net.params["encoder.conv2.weight"].shape[::-1]
    assert not np.array_equal(there["encoder.linear.weight"], net.params["encoder.linear.weight"])
    for name, value in channels_first(net, there, inverse=True).items():
        np.testing.assert_array_equal(value, net.params[name])
