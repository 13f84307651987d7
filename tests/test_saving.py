"""What is written can be read back, bit for bit; anything else is refused before a file is touched."""

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from scratchnet import checkpoint
from scratchnet.backend import to_host
from scratchnet.checkpoint import DESCRIPTION, load_arrays, load_model_with_notes, save_arrays, save_model
from scratchnet.errors import CheckpointError
from scratchnet.files.quantise import STORAGES
from scratchnet.layers import Conv2d, Sequential, WeightedL1
from scratchnet.models.networks import build, compact

files = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TINY = {"name": "compact", "image_size": 8, "width": 1, "features": 2}
WEIGHT = "encoder.conv1.weight"


def edited(**changes):
    """Changes some parameters of a network."""
    return lambda net: replace(
        net,
        params=net.params
        | {name.replace("__", "."): change(net.params[name.replace("__", ".")]) for name, change in changes.items()},
    )


def with_value(value, array):
    spoilt = array.copy()
    spoilt.flat[-1] = value
    return spoilt


def without(name, net):
    return replace(net, params={key: value for key, value in net.params.items() if key != name})


def described(net, **changes):
    return replace(net, architecture={**net.architecture, **changes})


def reordered(net):
    return replace(net, encoder=Sequential(dict(sorted(net.encoder.layers.items()))))


# Networks that could not be read again: the change, and the refusal.
REFUSED = {
    "float64": (edited(encoder__conv1__weight=np.float64), "weight as float64 .*, expected float32 .*astype"),
    "float16": (edited(head__bias=np.float16), "head.bias as float16"),
    "another byte order": (edited(head__bias=lambda v: v.astype(">f4")), "head.bias as >f4"),
    "NaN": (edited(head__bias=partial(with_value, np.nan)), "a NaN or an infinity in head.bias: go back"),
    "infinity": (edited(encoder__conv1__weight=partial(with_value, -np.inf)), "a NaN or an infinity in " + WEIGHT),
    "another shape": (edited(encoder__conv1__weight=lambda v: v[:, :1]), "as float32 .*, expected float32"),
    "a scalar for an array": (edited(head__bias=lambda v: v[0]), r"head.bias as float32 \(\), expected float32 \(1,\)"),
    "a missing one": (partial(without, "head.bias"), "the network has no head.bias"),
    "none at all": (lambda net: replace(net, params={}), "the network has no encoder.conv1.weight"),
    "one too many": (
        lambda net: replace(net, params=net.params | {"more": net.params["head.bias"]}),
        "has more, which the architecture lacks",
    ),
    "no architecture": (lambda net: replace(net, architecture={}), "no architecture to rebuild it from"),
    "None for one": (lambda net: replace(net, architecture=None), "no architecture to rebuild it from"),
    "an unknown one": (partial(described, name="resnet"), "unknown architecture 'resnet'"),
    "another size": (partial(described, width=2), "the (head|encoder) of the network is not"),
    "an option it lacks": (partial(described, depth=3), "does not take these options"),
    "one that JSON lacks": (partial(described, width=np.int64(1)), "int64 is not JSON serializable"),
    "a NaN in it": (partial(described, width=float("nan")), "architecture could not be read back"),
    "another frame": (
        lambda net: replace(net, frame="ink"),
        "the frame of the network is not the one that its architecture describes",
    ),
    "another image size": (lambda net: replace(net, image_size=9), "the image_size of the network is not"),
    "another head": (lambda net: replace(net, head=WeightedL1(3)), "the head of the network is not"),
    "another layer": (
        lambda net: replace(net, encoder=Sequential({"conv1": Conv2d(1, 1, 3)})),
        "the encoder of the network is not",
    ),
    "another order of layers": (reordered, "the encoder of the network is not"),
}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("kind", REFUSED)
def test_a_network_that_could_not_be_read_again_is_not_written(kind, storage, tmp_path):
    path, (change, complaint) = tmp_path / "net.npz", REFUSED[kind]
    save_model(path, build(TINY))
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=complaint) as refusal:
        save_model(path, change(build(TINY)), storage=storage)
    assert str(refusal.value).startswith(f"{path} is not written: ")
    assert "\n" not in str(refusal.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("note", [np.float32(1), object(), float("nan"), {1, 2}, b"bytes", {"a": {"b": float("inf")}}])
def test_notes_that_could_not_be_read_again_are_refused(note, tmp_path, tiny_net):
    with pytest.raises(CheckpointError, match="is not written, its description could not be read back"):
        save_model(tmp_path / "net.npz", tiny_net, note=note)
    assert not list(tmp_path.iterdir())


def test_a_note_that_contains_itself_is_refused(tmp_path, tiny_net):
    circle = []
    circle.append(circle)
    with pytest.raises(CheckpointError, match="is not written"):
        save_model(tmp_path / "net.npz", tiny_net, note=circle)


LARGEST = float(np.finfo(np.float32).max)
weights = st.floats(-LARGEST, LARGEST, width=32) | st.sampled_from([np.nan, np.inf, LARGEST, -LARGEST, 65504, 1e-45])
notes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@files
@given(data=st.data(), storage=st.sampled_from(STORAGES), note=notes)
def test_whatever_save_model_accepts_load_model_gives_back(data, storage, note, tmp_path):
    net, path = compact(image_size=8, width=1, features=2), tmp_path / "net.npz"
    name = data.draw(st.sampled_from(sorted(net.params)))
    net.params[name] = data.draw(arrays(np.float32, net.params[name].shape, elements=weights))
    path.unlink(missing_ok=True)
    try:
        save_model(path, net, storage=storage, note=note)
    except CheckpointError:
        assert not path.exists()
        return
    loaded, found = load_model_with_notes(path)
    assert found == {"note": json.loads(json.dumps(note))}
    assert (loaded.architecture, loaded.encoder, loaded.head) == (net.architecture, net.encoder, net.head)
    for key, value in net.params.items():
        if storage == "float32" or value.ndim < 2:
            assert to_host(loaded.params[key]).tobytes() == value.tobytes()
        assert np.isfinite(loaded.params[key]).all()


def test_a_weight_that_overflows_as_it_is_read_again_is_refused(tmp_path):
    net = build(TINY)
    net.params[WEIGHT][...] = LARGEST
    with pytest.raises(CheckpointError, match=f"as int8, has a NaN or an infinity in {WEIGHT}: store it as float32"):
        save_model(tmp_path / "net.npz", net, storage="int8")
    save_model(tmp_path / "net.npz", net)


array_names = st.text(max_size=8) | st.sampled_from(["a/b", "a.npy", "..", "/", "x" * 200, DESCRIPTION, "a\\b", "a\0b"])


@files
@given(
    held=st.dictionaries(
        array_names, arrays(scalar_dtypes(), array_shapes(min_dims=0, min_side=0, max_side=3)), max_size=3
    ),
    description=st.dictionaries(st.text(max_size=3) | st.sampled_from(["version", "arrays"]), notes, max_size=2),
)
def test_whatever_save_arrays_accepts_load_arrays_gives_back(held, description, tmp_path):
    path = tmp_path / "arrays.npz"
    path.unlink(missing_ok=True)
    try:
        save_arrays(path, held, description)
    except CheckpointError:
        assert not path.exists()
        return
    found, notes = load_arrays(path)
    assert list(found) == list(held)
    for name, value in held.items():
        again = found[name]
        assert (again.dtype, again.shape, again.tobytes()) == (value.dtype, value.shape, value.tobytes())
    assert {**notes, "version": None} == {**json.loads(json.dumps(description)), "version": None}


@pytest.mark.parametrize("name", ["version", "arrays"])
def test_a_description_has_no_names_that_every_file_has(name, tmp_path):
    with pytest.raises(CheckpointError, match=re.escape(f"its description has a '{name}'")):
        save_arrays(tmp_path / "a.npz", {}, {name: 1})


NO_NUMBERS = [np.array([None]), np.array(["text"]), np.zeros(2, "i4,f4"), np.array(["2026-11-27"], "M8[D]")]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: str(value.dtype))
def test_arrays_of_anything_but_numbers_are_not_written(value, tmp_path):
    with pytest.raises(CheckpointError, match="expected numbers"):
        save_arrays(tmp_path / "a.npz", {"a": value}, {})
    assert not list(tmp_path.iterdir())


def test_more_arrays_than_can_be_read_back_are_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "MAX_ARRAYS", 3)
    with pytest.raises(CheckpointError, match="3 arrays are too many: expected fewer than 3"):
        save_arrays(tmp_path / "many.npz", {name: np.zeros(1) for name in "abc"}, {})
    assert not list(tmp_path.iterdir())
