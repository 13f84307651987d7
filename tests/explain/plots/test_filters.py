"""The filters in a picture are the kernels of the first layer, all on one scale around zero."""

import numpy as np
import pytest

from scratchnet.errors import DataError
from scratchnet.explain.plots.filters import filters, first_kernels
from scratchnet.models.networks import koch2015


def shown(figure):
    """The arrays of the pictures in order, without the colour bar."""
    return [image for axes in figure.get_axes() for image in axes.get_images()]


def test_each_picture_is_the_kernel_of_its_channel(tiny_net):
    kernels = first_kernels(tiny_net)
    figure = filters(kernels, name="tiny")
    weight = tiny_net.params["encoder.conv1.weight"]
    assert len(shown(figure)) == weight.shape[3] == 2
    for channel, image in enumerate(shown(figure)):
        np.testing.assert_array_equal(image.get_array(), weight[:, :, 0, channel])
    assert figure.get_suptitle() == "First layer of tiny: 2 filters of 5 x 5"


def test_one_scale_around_zero_serves_all_filters(rng):
    kernels = rng.standard_normal((40, 3, 3))
    limits = {image.get_clim() for image in shown(filters(kernels, name="many"))}
    assert limits == {(-np.abs(kernels).max(), np.abs(kernels).max())}


def test_every_channel_of_the_papers_network_is_shown():
    net = koch2015(0, image_size=65, channels=(64, 2, 2, 2), features=4)
    assert first_kernels(net).shape == (64, 10, 10)
    assert len(shown(filters(first_kernels(net), name="koch2015"))) == 64


def test_filters_of_zeros_are_blank():
    assert shown(filters(np.zeros((3, 2, 2)), name="new"))[0].get_clim() == (-1.0, 1.0)


def test_a_network_that_does_not_begin_with_a_convolution_has_no_filters(tiny_net):
    tiny_net.params = {name: value for name, value in tiny_net.params.items() if value.ndim != 4}
    with pytest.raises(DataError, match="does not begin with a convolution of one input channel"):
        first_kernels(tiny_net)
