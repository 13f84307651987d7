"""Weights stored small: float32 again once loaded, within the error that is documented, and never silently wrong."""

import numpy as np
import pytest

from scratchnet.backend import to_host
from scratchnet.checkpoint import fitting, load_arrays, load_model, save_arrays, save_model
from scratchnet.errors import CheckpointError
from scratchnet.files.quantise import STORAGES, dequantise, quantise
from scratchnet.models.networks import compact

SMALL = ["float16", "int8"]
ROUNDING = 1 + 2.0**-22  # of the arithmetic in float32 itself


def stored_and_loaded(weight, storage):
    arrays, stored = quantise({"weight": weight}, storage)
    assert stored == {"weight": storage}
    assert arrays["weight"].dtype == storage
    return dequantise(arrays, stored, "file")["weight"]


def weights_of_many_sizes(rng, shape=(40, 50, 16)):
    """Normal numbers, with a different scale for each output unit, from 1e-7 to 1e3."""
    return (rng.standard_normal(shape) * np.logspace(-7, 3, shape[-1])).astype(np.float32)


def test_float16_is_within_its_documented_error(rng):
    weight = weights_of_many_sizes(rng)
    error = np.abs(stored_and_loaded(weight, "float16") - weight)
    size = np.abs(weight)
    worst = np.where(size < 2.0**-14, 2.0**-25, size / 2**11)
    assert np.all(error <= worst)
    assert np.max(error / worst) > 0.99  # nor is the error documented too large


def test_int8_is_within_half_a_step_of_each_output_unit(rng):
    weight = weights_of_many_sizes(rng)
    error = np.abs(stored_and_loaded(weight, "int8") - weight)
    worst = np.abs(weight).max(axis=(0, 1)) / 127 / 2
    assert np.all(error <= ROUNDING * worst)
    assert np.all(error.max(axis=(0, 1)) > 0.98 * worst)


def test_int8_rounds_to_the_nearest_and_keeps_the_ends_and_zero():
    weight = np.array([[127.0], [-127.0], [0.0], [3.4], [3.6], [-3.4], [-3.6]], np.float32)
    assert stored_and_loaded(weight, "int8")[:, 0].tolist() == [127, -127, 0, 3, 4, -3, -4]


@pytest.mark.parametrize("storage", SMALL)
def test_a_unit_of_zeros_and_tensors_of_nothing_stay_so(storage):
    weight = np.array([[0.0, 1.0], [0.0, -2.0]], np.float32)
    np.testing.assert_array_equal(stored_and_loaded(weight, storage)[:, 0], 0)
    assert stored_and_loaded(np.zeros((0, 3), np.float32), storage).shape == (0, 3)


def test_the_smallest_numbers_there_are_do_no_harm():
    weight = np.array([[5e-324, 1e-45, 1e-44], [0, 0, -1e-44]]).astype(np.float32)
    assert np.abs(stored_and_loaded(weight, "int8") - weight).max() < 1e-43


@pytest.mark.parametrize("storage", STORAGES)
def test_only_weights_of_two_axes_or_more_are_stored_small(storage, tiny_net):
    arrays, stored = quantise(tiny_net.params, storage)
    dense = {name for name, value in tiny_net.params.items() if value.ndim > 1}
    assert {"encoder.conv1.weight", "encoder.linear.weight"} <= dense
    assert stored == ({} if storage == "float32" else dict.fromkeys(stored, storage))
    assert set(stored) == (set() if storage == "float32" else dense)
    for name, value in tiny_net.params.items():
        if name not in stored:
            assert arrays[name] is value


@pytest.mark.parametrize("storage", STORAGES)
def test_a_network_comes_back_in_float32_and_judges_nearly_alike(storage, tmp_path, tiny_net, rng, device):
    path = tmp_path / "net.npz"
    save_model(path, tiny_net.to_device(device), storage=storage, note="kept")
    loaded = load_model(path)
    assert {value.dtype for value in loaded.params.values()} == {np.dtype("float32")}
    assert list(loaded.params) == list(tiny_net.params)
    a, b = rng.random((2, 4, 16, 16)).astype(np.float32)
    step = {"float32": 0, "float16": 2e-3, "int8": 2e-2}[storage]
    np.testing.assert_allclose(loaded.scores(a, b), to_host(tiny_net.scores(a, b)), rtol=0, atol=step)
    _, description = load_arrays(path)
    assert description["notes"] == {"note": "kept"}
    assert set(description.get("storage", {}).values()) == ({storage} - {"float32"})


def test_a_file_is_a_half_and_a_quarter_of_the_size(tmp_path):
    net = compact(image_size=16, width=16, features=256)
    sizes = {}
    for storage in STORAGES:
        save_model(tmp_path / storage, net, storage=storage)
        sizes[storage] = (tmp_path / storage).stat().st_size
    assert sizes["float16"] < 0.55 * sizes["float32"]
    assert sizes["int8"] < 0.3 * sizes["float32"]


def test_a_float32_file_is_what_it_always_was(tmp_path, tiny_net):
    save_model(tmp_path / "new.npz", tiny_net, loss=1.0)
    notes = {"architecture": dict(tiny_net.architecture), "notes": {"loss": 1.0}}
    save_arrays(tmp_path / "old.npz", tiny_net.params, notes)
    assert (tmp_path / "new.npz").read_bytes() == (tmp_path / "old.npz").read_bytes()


# Refusals


@pytest.mark.parametrize("storage", SMALL)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_not_written(storage, value, tmp_path, tiny_net):
    tiny_net.params["encoder.conv2.weight"][1, 1, 0, 0] = value
    with pytest.raises(CheckpointError, match=r"a NaN or an infinity in encoder\.conv2\.weight"):
        save_model(tmp_path / "net.npz", tiny_net, storage=storage)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("storage", SMALL)
def test_a_weight_that_is_nan_cannot_be_stored_small(storage):
    with pytest.raises(CheckpointError, match=f"weight has a NaN or an infinity, which {storage} cannot represent"):
        quantise({"weight": np.array([[1.0, np.nan]], np.float32)}, storage)


def test_weights_too_large_for_float16_are_not_written(tmp_path, tiny_net):
    tiny_net.params["encoder.conv1.weight"][0, 0, 0, 0] = -65520
    with pytest.raises(CheckpointError, match="too large for float16: store it as int8"):
        save_model(tmp_path / "net.npz", tiny_net, storage="float16")
    tiny_net.params["encoder.conv1.weight"][0, 0, 0, 0] = -65504
    save_model(tmp_path / "net.npz", tiny_net, storage="float16")
    assert load_model(tmp_path / "net.npz").params["encoder.conv1.weight"].min() == -65504


def test_an_unknown_storage_is_refused_with_those_there_are(tmp_path, tiny_net):
    with pytest.raises(CheckpointError, match=r"'int4' is unknown.*: choose one of float32, float16, int8"):
        save_model(tmp_path / "net.npz", tiny_net, storage="int4")
    assert not list(tmp_path.iterdir())


WEIGHT, SCALE = "encoder.conv1.weight", "encoder.conv1.weight.scale"


def without(name):
    def change(arrays, stored):
        del arrays[name]

    return change


def instead(name, make):
    def change(arrays, stored):
        arrays[name] = make(arrays[name])

    return change


def listed(name, storage):
    def change(arrays, stored):
        stored[name] = storage

    return change


def set_to(value):
    def make(array):
        array = array.copy()
        array[0] = value
        return array

    return make


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without(SCALE), f"has {SCALE} as nothing, expected float32 (2,)"),
        (instead(SCALE, lambda s: s[:1]), f"has {SCALE} as float32 (1,), expected float32 (2,)"),
        (instead(SCALE, lambda s: s.astype(np.float64)), f"has {SCALE} as float64 (2,), expected float32 (2,)"),
        (instead(SCALE, set_to(np.nan)), f"has a NaN or an infinity in {WEIGHT}"),
        (instead(SCALE, set_to(3e38)), f"has a NaN or an infinity in {WEIGHT}"),
        (without(WEIGHT), f"has {WEIGHT} as nothing, expected int8"),
        (instead(WEIGHT, lambda w: w.astype(np.float32)), f"has {WEIGHT} as float32, expected int8"),
        (instead(WEIGHT, lambda w: w[:3]), f"has {WEIGHT} as float32 (3, 5, 1, 2), expected float32 (5, 5, 1, 2)"),
        (instead(WEIGHT, lambda w: w[..., :1]), f"has {SCALE} as float32 (2,), expected float32 (1,)"),
        (listed(WEIGHT, "int4"), f"stores {WEIGHT} as int4, which is unknown"),
        (listed(WEIGHT, ["int8"]), f"stores {WEIGHT} as ['int8'], which is unknown"),
        (listed(WEIGHT, "float16"), f"has {WEIGHT} as int8, expected float16"),
        (listed("zebra", "int8"), "has zebra as nothing, expected int8"),
        (lambda arrays, stored: stored.pop(WEIGHT), f"has {WEIGHT} as int8 (5, 5, 1, 2), expected float32"),
    ],
)
def test_a_small_file_whose_parts_do_not_fit_is_refused_by_name(change, message, tmp_path, tiny_net):
    path = tmp_path / "net.npz"
    save_model(path, tiny_net, storage="int8")
    arrays, description = load_arrays(path)
    del description["version"]
    change(arrays, description["storage"])
    save_arrays(path, arrays, description)
    with pytest.raises(CheckpointError) as refusal:
        load_model(path)
    assert str(refusal.value).startswith(f"{path} ")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_infinity_in_float16_is_refused(tmp_path, tiny_net):
    path = tmp_path / "net.npz"
    save_model(path, tiny_net, storage="float16")
    arrays, description = load_arrays(path)
    del description["version"]
    arrays[WEIGHT][0, 0, 0, 0] = np.inf
    save_arrays(path, arrays, description)
    with pytest.raises(CheckpointError, match=r"NaN or an infinity in encoder\.conv1\.weight"):
        load_model(path)


@pytest.mark.parametrize("stored", [3, ["int8"], "int8"])
def test_a_storage_that_is_no_table_is_refused(stored, tmp_path, tiny_net):
    path = tmp_path / "net.npz"
    save_arrays(path, tiny_net.params, {"architecture": dict(tiny_net.architecture), "storage": stored})
    with pytest.raises(CheckpointError, match="does not describe a network"):
        load_model(path)


def test_what_was_unpacked_is_all_that_the_network_takes(tiny_net, tmp_path):
    arrays, stored = quantise(tiny_net.params, "int8")
    fitting(dequantise(arrays, stored, tmp_path), tiny_net.params, tmp_path)  # no scales are left over
