"""Checkpoints: the same bits after a round trip, and never silently other ones."""

import errno
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scratchnet import checkpoint
from scratchnet.backend import array_module, device_of, to_host
from scratchnet.checkpoint import (
    DESCRIPTION,
    WEIGHTS,
    fitting,
    load_arrays,
    load_model,
    load_model_with_notes,
    save_arrays,
    save_model,
)
from scratchnet.errors import CheckpointError
from scratchnet.files import atomic as files
from scratchnet.models.networks import build

ARCHITECTURES = {
    "compact": {"name": "compact", "image_size": 16, "width": 2, "features": 3, "frame": "ink"},
    "koch2015": {"name": "koch2015", "image_size": 65, "channels": [2, 3, 2, 3], "features": 4},
}


@pytest.fixture
def arrays(rng):
    """Arrays of many kinds: float32 and float64, Fortran order, strided, scalar, empty."""
    return {
        "encoder.conv1.weight": rng.standard_normal((2, 3, 4)).astype(np.float32),
        "double": rng.standard_normal((3, 2)),
        "fortran": np.asfortranarray(rng.standard_normal((3, 4))),
        "strided": rng.standard_normal((6, 4))[::2, ::-1],
        "scalar": np.float32(rng.standard_normal()),
        "empty": np.zeros((0, 3), np.float32),
        "special": np.array([np.nan, np.inf, -0.0, 5e-324]),
    }


@pytest.fixture
def saved(tmp_path, arrays):
    path = tmp_path / "arrays.npz"
    save_arrays(path, arrays, {"note": "Blaue Tinte, 3 Stück"})
    return path


def assert_same_bits(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        value = to_host(value)
        assert (name, found[name].dtype, found[name].shape) == (name, value.dtype, value.shape)
        assert to_host(found[name]).tobytes() == value.tobytes(), name


def refusal_of(load, path):
    with pytest.raises(CheckpointError) as refusal:
        load(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def resave(path, arrays, version=checkpoint.VERSION, **description):
    """A file as save_arrays writes it, but of any content."""
    text = json.dumps({"version": version, "arrays": list(arrays), **description}).encode()
    np.savez(path, **arrays, **{DESCRIPTION: np.frombuffer(text, np.uint8)})


def npy(descr="<f4", shape=(2,), content=bytes(8)):
    """The bytes of a .npy with an arbitrary header."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def test_arrays_and_description_come_back_bit_for_bit(saved, arrays):
    found, description = load_arrays(saved)
    assert_same_bits(found, arrays)
    assert description == {"version": checkpoint.VERSION, "note": "Blaue Tinte, 3 Stück"}


def test_the_same_content_makes_the_same_file(saved, arrays, tmp_path):
    save_arrays(tmp_path / "again.npz", arrays, {"note": "Blaue Tinte, 3 Stück"})
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_a_network_comes_back_bit_for_bit_and_judges_alike(architecture, tmp_path, rng):
    net = build(architecture, seed=7)
    for value in net.params.values():
        value += rng.random(value.shape).astype(value.dtype)  # also the running statistics, that a fresh one has alike
    save_model(tmp_path / WEIGHTS, net, recipe={"name": "x"}, loss=0.5)
    loaded, notes = load_model_with_notes(tmp_path / WEIGHTS)
    assert_same_bits(loaded.params, net.params)
    assert loaded.architecture == net.architecture
    assert loaded.frame == net.frame
    assert notes == {"recipe": {"name": "x"}, "loss": 0.5}
    a, b = rng.random((2, 3, net.image_size, net.image_size)).astype(np.float32)
    np.testing.assert_array_equal(loaded.scores(a, b), net.scores(a, b))


def test_a_run_folder_stands_for_its_weights(tmp_path, tiny_net):
    save_model(tmp_path / WEIGHTS, tiny_net)
    for source in (tmp_path, str(tmp_path), tmp_path / WEIGHTS):
        assert_same_bits(load_model(source).params, tiny_net.params)


def test_a_network_is_saved_from_and_loaded_to_any_device(tmp_path, tiny_net, device):
    save_model(tmp_path / WEIGHTS, tiny_net.to_device(device))
    loaded = load_model(tmp_path, device=device)
    assert array_module(*loaded.params.values()) is device.module
    assert {device_of(value).name for value in loaded.params.values()} == {device.name}
    assert_same_bits({name: to_host(value) for name, value in loaded.params.items()}, tiny_net.params)


def test_a_flipped_byte_anywhere_is_an_error_or_changes_nothing(saved, arrays, rng):
    whole, refused = saved.read_bytes(), 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= int(rng.integers(1, 256))
        saved.write_bytes(damaged)
        try:
            found, description = load_arrays(saved)
        except CheckpointError:
            refused += 1
        else:
            assert_same_bits(found, arrays)
            assert description["note"] == "Blaue Tinte, 3 Stück"
    assert refused > len(whole) / 2


def test_a_flipped_byte_in_a_network_is_one_clear_line(tmp_path, tiny_net, rng):
    path = tmp_path / WEIGHTS
    save_model(path, tiny_net)
    whole, messages = path.read_bytes(), []
    for position in rng.choice(len(whole), 60, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert_same_bits(load_model(path).params, tiny_net.params)
        except CheckpointError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all(message.startswith(str(path)) and "\n" not in message for message in messages)


def test_a_file_cut_off_anywhere_is_refused(saved):
    whole = saved.read_bytes()
    for length in range(0, len(whole), 7):
        saved.write_bytes(whole[:length])
        assert "use another copy" in refusal_of(load_arrays, saved)


@pytest.mark.parametrize(
    "content",
    [b"", b"lr=0.1\n", bytes(100), b"PK\5\6" + bytes(18), npy()],
    ids=["empty", "text", "zeros", "empty zip", "npy"],
)
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    path = tmp_path / WEIGHTS
    path.write_bytes(content)
    assert "use another copy" in refusal_of(load_model, path)


def test_a_file_or_folder_that_is_not_there_is_refused_with_what_was_expected(tmp_path):
    assert f"run folder with {WEIGHTS}" in refusal_of(load_model, tmp_path / "absent.npz")
    assert str(tmp_path / WEIGHTS) in refusal_of(load_model, tmp_path)


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_does_not_run(tmp_path):
    trap, path = tmp_path / "trapped", tmp_path / WEIGHTS
    resave(path, {"head.weight": np.array([Trap(trap)], dtype=object)}, architecture=ARCHITECTURES["compact"])
    refusal_of(load_model, path)
    assert not trap.exists()


def test_compressed_arrays_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / WEIGHTS
    np.savez_compressed(path, weight=np.zeros(100_000))
    assert "weight.npy is compressed" in refusal_of(load_model, path)


@pytest.mark.parametrize("shape", [(2**40,), (3,), (1,), (-2,), (2**31, 2**31, 0)])
def test_a_header_that_does_not_fit_its_content_is_refused(shape, tmp_path):
    path = tmp_path / WEIGHTS
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weight.npy", npy(shape=shape))
    message = refusal_of(load_arrays, path)
    assert "weight.npy declares float32" in message
    assert "holds 8 bytes" in message


def test_a_file_of_another_version_says_which_it_is(tmp_path, arrays):
    path = tmp_path / WEIGHTS
    resave(path, arrays, version=99)
    assert "has format 99" in refusal_of(load_arrays, path)


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"architecture": None},
        {"architecture": 3},
        {"architecture": {"name": ["compact"]}},
        {"architecture": {"name": "vgg"}},
        {"architecture": {"name": "compact", "width": "wide"}},
        {"architecture": {"name": "compact", "width": -1}},
        {"architecture": {"name": "compact", "colour": 1}},
        {"architecture": {"name": "koch2015", "channels": [1, 2]}},
        {"architecture": ARCHITECTURES["compact"], "notes": 3},
    ],
)
def test_a_description_of_no_network_is_refused(description, tmp_path, tiny_net):
    path = tmp_path / WEIGHTS
    resave(path, tiny_net.params, **description)
    assert "does not describe a network" in refusal_of(load_model, path)


@pytest.mark.parametrize("text", ["[1]", "3", "{}", "not json", '{"version": 1'])
def test_a_description_that_is_no_description_is_refused(text, tmp_path):
    path = tmp_path / WEIGHTS
    np.savez(path, **{DESCRIPTION: np.frombuffer(text.encode(), np.uint8)})
    assert "use another copy" in refusal_of(load_arrays, path)


def with_nan(value):
    value = value.copy()
    value.flat[-1] = np.nan
    return value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: {}, "has no head.weight"),
        (
            lambda value: {"head.weight": value.astype(np.float64)},
            "has head.weight as float64 (8,), expected float32 (8,)",
        ),
        (lambda value: {"head.weight": value.astype(">f4")}, "has head.weight as >f4 (8,), expected float32 (8,)"),
        (lambda value: {"head.weight": value[:5]}, "has head.weight as float32 (5,), expected float32 (8,)"),
        (lambda value: {"head.weight": value[:, None]}, "has head.weight as float32 (8, 1), expected float32 (8,)"),
        (lambda value: {"head.weight": value, "zebra": value}, "has zebra, which the architecture lacks"),
        (lambda value: {"head.weight": with_nan(value)}, "has a NaN or an infinity in head.weight"),
        (lambda value: {"head.weight": value / np.float32(0)}, "has a NaN or an infinity in head.weight"),
    ],
    ids=["missing", "dtype", "byte order", "length", "axes", "extra", "NaN", "infinity"],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_arrays_that_do_not_fit_the_architecture_are_named(change, message, tmp_path, tiny_net):
    path = tmp_path / WEIGHTS
    arrays = {name: value for name, value in tiny_net.params.items() if name != "head.weight"}
    resave(path, arrays | change(tiny_net.params["head.weight"]), architecture=tiny_net.architecture)
    assert message in refusal_of(load_model, path)


def test_weights_of_a_wider_network_do_not_fit_a_narrower_one(tmp_path, tiny_net):
    path = tmp_path / WEIGHTS
    wider = build({**tiny_net.architecture, "width": 4})
    resave(path, wider.params, architecture=tiny_net.architecture)
    message = refusal_of(load_model, path)
    assert "encoder.conv1.weight as float32 (5, 5, 1, 4), expected float32 (5, 5, 1, 2)" in message
    assert "a different architecture" in message


def test_arrays_are_put_in_the_order_of_the_network(tiny_net):
    backwards = dict(reversed(tiny_net.params.items()))
    assert list(fitting(backwards, tiny_net.params, Path("x"))) == list(tiny_net.params)


class FullDisk(io.FileIO):
    """A file whose write number `limit` fails."""

    limit = 0

    def write(self, content):
        self.limit -= 1
        if self.limit < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


def count_writes(path, arrays, monkeypatch):
    """How many writes saving takes, on a disk with room for all of them."""
    opened = []

    def open_counted(name, mode):
        opened.append(FullDisk(name, mode))
        opened[-1].limit = 10**6
        return opened[-1]

    with monkeypatch.context() as patch:
        patch.setattr(files, "open", open_counted, raising=False)
        save_arrays(path, arrays, {})
    return 10**6 - opened[0].limit


def test_whichever_write_fails_the_old_checkpoint_stays_and_no_litter(tmp_path, arrays, monkeypatch):
    path = tmp_path / WEIGHTS
    writes = count_writes(path, arrays, monkeypatch)
    old = path.read_bytes()
    assert writes > len(arrays)
    for limit in range(writes):

        def open_full(name, mode, limit=limit):
            file = FullDisk(name, mode)
            file.limit = limit
            return file

        with monkeypatch.context() as patch:
            patch.setattr(files, "open", open_full, raising=False)
            with pytest.raises(OSError, match="No space left"):
                save_arrays(path, {name: value + 1 for name, value in arrays.items()}, {})
        assert path.read_bytes() == old
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_save_that_fails_at_the_end_leaves_the_old_network(call, tmp_path, tiny_net, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / WEIGHTS
    save_model(path, tiny_net)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="Input/output"):
            save_model(path, build({**tiny_net.architecture, "width": 4}))
    assert_same_bits(load_model(path).params, tiny_net.params)
    assert list(tmp_path.iterdir()) == [path]


def test_a_description_that_json_cannot_hold_leaves_the_old_file(tmp_path, arrays, saved):
    old = saved.read_bytes()
    with pytest.raises(CheckpointError, match="object is not JSON serializable"):
        save_arrays(saved, arrays, {"note": object()})
    assert saved.read_bytes() == old
    assert list(tmp_path.iterdir()) == [saved]


def test_a_network_that_does_not_say_how_to_build_it_is_not_written(tmp_path, tiny_net):
    tiny_net.architecture = {}
    refusal = refusal_of(lambda path: save_model(path, tiny_net), tmp_path / WEIGHTS)
    assert "no architecture to rebuild it from" in refusal
    assert not list(tmp_path.iterdir())
