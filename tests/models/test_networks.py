"""The architectures are the paper's and ours, to the parameter, and can be built again from their description."""

import re

import numpy as np
import pytest

from scratchnet.backend import device_of, to_host
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.models import networks as models
from scratchnet.models.networks import build, compact, koch2015, parameter_count
from scratchnet.models.siamese import SiameseNet

KOCH_SHAPES = {
    "encoder.conv1.weight": (10, 10, 1, 64),
    "encoder.conv1.bias": (64,),
    "encoder.conv2.weight": (7, 7, 64, 128),
    "encoder.conv2.bias": (128,),
    "encoder.conv3.weight": (4, 4, 128, 128),
    "encoder.conv3.bias": (128,),
    "encoder.conv4.weight": (4, 4, 128, 256),
    "encoder.conv4.bias": (256,),
    "encoder.linear.weight": (9216, 4096),
    "encoder.linear.bias": (4096,),
    "head.weight": (4096,),
    "head.bias": (1,),
}


def shapes(net: SiameseNet) -> dict[str, tuple[int, ...]]:
    return {name: value.shape for name, value in net.params.items()}


@pytest.fixture(scope="module")
def koch() -> SiameseNet:
    """The whole network of the paper: 156 MB, built once."""
    return koch2015(seed=0)


@pytest.fixture(scope="module")
def narrow() -> dict[str, SiameseNet]:
    """Both initialisations of the paper's convolutions, with a dense layer of 256 features, not 4096."""
    return {init: koch2015(seed=1, init=init, features=256) for init in ("literal", "corrected")}


def test_the_papers_network_has_38_951_745_parameters(koch):
    assert parameter_count(koch.params) == 38_951_745


def test_the_papers_network_has_the_papers_shapes_in_its_order(koch):
    assert list(shapes(koch).items()) == list(KOCH_SHAPES.items())
    assert {value.dtype.name for value in koch.params.values()} == {"float32"}


def test_the_papers_feature_maps_have_the_papers_sizes(narrow):
    net = narrow["corrected"]
    x, caches = np.zeros((105, 105, 1, 1), np.float32), {}
    for name, layer in net.encoder.layers.items():
        params = {key: net.params[f"encoder.{name}.{key}"] for key in layer.init(np.random.default_rng(0))}
        x, _ = layer.forward(params, x)
        caches[name] = x.shape
    assert {name: caches[name] for name in ("pool1", "pool2", "pool3", "conv4")} == {
        "pool1": (48, 48, 1, 64),
        "pool2": (21, 21, 1, 128),
        "pool3": (9, 9, 1, 128),
        "conv4": (6, 6, 1, 256),
    }


@pytest.mark.parametrize(
    ("pattern", "mean", "deviation"),
    [(r"conv\d\.weight$", 0, 0.01), (r"(linear|head)\.weight$", 0, 0.2), (r"bias$", 0.5, 0.01)],
    ids=["convolutions", "dense layers", "biases"],
)
def test_the_literal_initialisation_has_the_papers_means_and_deviations(narrow, pattern, mean, deviation):
    values = [value.ravel() for name, value in narrow["literal"].params.items() if re.search(pattern, name)]
    assert len(values) >= 2
    for part in [*values, np.concatenate(values)]:
        assert abs(part.mean() - mean) < 5 * deviation / np.sqrt(part.size)
        if part.size > 1:
            assert abs(part.std() / deviation - 1) < 5 / np.sqrt(2 * part.size)


def test_literally_most_sigmoids_start_saturated_and_corrected_almost_none(narrow):
    (alphabet,) = generate_alphabets(1, characters=4, drawers=1, image_size=105)
    saturated = {}
    for init, net in narrow.items():
        h = net.embed(alphabet.images[:, 0])
        saturated[init] = np.mean((h < 1 / (1 + np.exp(4))) | (h > 1 / (1 + np.exp(-4))))  # |z| > 4
    assert saturated["literal"] > 0.6
    assert saturated["corrected"] < 0.02


def test_corrected_twins_of_different_characters_start_apart(narrow):
    (alphabet,) = generate_alphabets(1, characters=2, drawers=1, image_size=105)
    h1, h2 = narrow["corrected"].embed(alphabet.images[:, 0])
    literal1, literal2 = narrow["literal"].embed(alphabet.images[:, 0])
    assert np.abs(h1 - h2).mean() > 5 * np.abs(literal1 - literal2).mean()


SMALL = {
    "koch2015": {"image_size": 65, "channels": (2, 3, 2, 3), "features": 4},
    "compact": {"image_size": 16, "width": 2, "features": 4, "frame": "ink"},
}


@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_weights(name):
    one, again, other = (models.ARCHITECTURES[name](seed=seed, **SMALL[name]) for seed in (3, 3, 4))
    for key, value in one.params.items():
        np.testing.assert_array_equal(value, again.params[key])
    assert not np.array_equal(one.params["encoder.linear.weight"], other.params["encoder.linear.weight"])


@pytest.mark.parametrize("name", SMALL)
def test_every_device_starts_with_the_same_weights(name, device):
    here, there = (models.ARCHITECTURES[name](seed=3, device=place, **SMALL[name]) for place in ("cpu", device))
    for key, value in there.params.items():
        assert device_of(value) is device
        np.testing.assert_array_equal(to_host(value), here.params[key])


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in SMALL), ("compact", {"norm": False})])
def test_a_network_can_be_built_again_from_its_description(name, options):
    net = models.ARCHITECTURES[name](seed=3, **SMALL[name], **options)
    again = build(net.architecture, seed=5)
    assert shapes(again) == shapes(net)
    assert (again.encoder, again.head, again.image_size) == (net.encoder, net.head, net.image_size)
    assert again.architecture == net.architecture
    assert again.frame == net.frame == SMALL[name].get("frame", "page")
    rng = np.random.default_rng(0)
    assert again.embed(rng.random((2, net.image_size, net.image_size), np.float32)).shape == (2, 4)


def test_the_whole_network_describes_itself(koch):
    assert koch.architecture == {
        "name": "koch2015",
        "image_size": 105,
        "channels": [64, 128, 128, 256],
        "features": 4096,
    }


def test_another_initialisation_is_an_error():
    with pytest.raises(ScratchnetError, match="init 'zeros' is neither 'corrected' nor 'literal'"):
        koch2015(init="zeros", **SMALL["koch2015"])


@pytest.mark.parametrize("image_size", [64, 20, 0])
def test_too_few_pixels_for_the_papers_layers_are_an_error(image_size):
    with pytest.raises(ScratchnetError, match=f"image_size {image_size} .* 65"):
        koch2015(image_size=image_size, channels=(2, 3, 2, 3), features=4)


@pytest.mark.parametrize(
    ("architecture", "complaint"),
    [
        ({"name": "vgg"}, "unknown architecture 'vgg': there are koch2015, compact"),
        ({}, "unknown architecture None"),
        ({"name": "compact", "depth": 3}, "architecture 'compact' does not take these options: .*depth"),
        ({"name": "koch2015", "channels": [2, 3]}, "architecture 'koch2015' has channels=.* which is of another kind"),
        ({"name": "compact", "frame": "box"}, "unknown frame 'box': choose one of page, ink"),
        ({"name": "koch2015", "width": 16}, "architecture 'koch2015' does not take these options: .*width"),
        ({"name": "koch2015", "image_size": 12}, "architecture 'koch2015' does not take these options: .*image_size"),
        ({"name": "compact", "width": "wide"}, "architecture 'compact' has width=32, which is of another kind than"),
        ({"name": "compact", "norm": "no"}, "architecture 'compact' has norm=True, which is of another kind than"),
        ({"name": "compact", "norm": 0}, "architecture 'compact' has norm=True, which is of another kind than norm=0"),
        ({"name": "compact", "width": False}, "architecture 'compact' has width=32, which is of another kind than"),
    ],
)
def test_a_description_that_fits_no_architecture_is_refused(architecture, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        build(architecture)


@pytest.mark.parametrize(("image_size", "side"), [(16, 2), (24, 3), (48, 6)])
def test_compact_halves_the_image_three_times_and_doubles_its_width_twice(image_size, side):
    net = compact(image_size=image_size, width=4, features=10)
    weights = {name: shape for name, shape in shapes(net).items() if len(shape) > 1}
    assert weights == {
        "encoder.conv1.weight": (5, 5, 1, 4),
        "encoder.conv2.weight": (3, 3, 4, 8),
        "encoder.conv3.weight": (3, 3, 8, 8),
        "encoder.conv4.weight": (3, 3, 8, 16),
        "encoder.conv5.weight": (3, 3, 16, 16),
        "encoder.conv6.weight": (3, 3, 16, 16),
        "encoder.linear.weight": (side * side * 16, 10),
    }


def test_compact_pools_behind_every_second_convolution_from_the_first():
    layers = list(compact(image_size=16, width=2, features=4).encoder.layers)
    assert [name for name in layers if name.startswith(("conv", "pool"))] == [
        "conv1",
        "pool1",
        "conv2",
        "conv3",
        "pool3",
        "conv4",
        "conv5",
        "pool5",
        "conv6",
    ]


def test_compact_without_batch_norm_is_the_same_network_but_for_it():
    normed, plain = (compact(seed=3, image_size=16, width=2, features=4, norm=norm) for norm in (True, False))
    others = [name for name in normed.encoder.layers if not name.startswith("norm")]
    assert list(plain.encoder.layers) == others
    assert len(normed.encoder.layers) == len(others) + 6
    assert list(plain.params) == [name for name in normed.params if ".norm" not in name]
    for name, value in plain.params.items():
        np.testing.assert_array_equal(value, normed.params[name])


def test_batch_norm_is_in_the_description_only_where_it_is_left_out():
    assert compact(image_size=16, width=2, features=4).architecture == {
        "name": "compact",
        "image_size": 16,
        "width": 2,
        "features": 4,
    }
    assert compact(image_size=16, width=2, features=4, norm=False).architecture["norm"] is False


def test_running_statistics_are_no_parameters_to_train():
    net = compact(image_size=16, width=2, features=4)
    running = [value for name, value in net.params.items() if name.endswith(("running_mean", "running_var"))]
    assert len(running) == 12
    everything = sum(value.size for value in net.params.values())
    assert parameter_count(net.params) == everything - sum(value.size for value in running)


def test_too_few_pixels_for_three_poolings_are_an_error():
    with pytest.raises(ScratchnetError, match=r"image_size 7 .* 8 or more"):
        models.compact(image_size=7)


def test_smaller_kernels_take_smaller_images():
    net = koch2015(image_size=35, kernels=(4, 3, 2, 2), channels=(2, 3, 2, 3), features=4)
    assert shapes(net)["encoder.conv2.weight"] == (3, 3, 2, 3)
    assert shapes(net)["encoder.linear.weight"] == (2 * 2 * 3, 4)
    assert models.pixels_after(35, (4, 3, 2, 2)) == 2
    with pytest.raises(ScratchnetError, match="image_size 18 leaves no pixel after conv4: give 27 or more"):
        koch2015(image_size=18, kernels=(4, 3, 2, 2))


def test_batch_norm_and_frame_are_options_of_the_papers_network():
    net = koch2015(norm=True, frame="ink", init="literal", **SMALL["koch2015"])
    again = build(net.architecture)
    assert (again.frame, shapes(again)) == ("ink", shapes(net))
    assert set(net.architecture) == {"name", "image_size", "channels", "features", "norm", "frame"}
    assert "encoder.norm4.running_var" in net.params
    np.testing.assert_array_equal(net.params["encoder.norm1.weight"], 1)  # which the paper does not initialise
    np.testing.assert_array_equal(net.params["encoder.norm1.running_var"], 1)
