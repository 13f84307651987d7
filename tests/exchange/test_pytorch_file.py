"""PyTorch's files: PyTorch reads what we write, we read what it writes, and nothing else is read or run."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from helpers import same_bits

from scratchnet.errors import CheckpointError
from scratchnet.exchange.pytorch_file import read_pt, write_pt
from scratchnet.exchange.state_dict import network_of
from scratchnet.files import zips
from scratchnet.models.networks import compact

BY_TORCH = Path(__file__).parent / "by_torch.pt"  # the state dict of `tiny_net`, by torch.save of PyTorch 2.13


@pytest.fixture
def tensors(rng):
    shapes = {"a.weight": (4, 3, 2, 5), "a.bias": (4,), "scalar": (), "last": (300, 7)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def torch():
    return pytest.importorskip("torch", reason="needs torch: pip install torch")


def same(one, other):
    return list(one) == list(other) and all(np.array_equal(one[name], other[name]) for name in one)


def test_what_is_written_is_read_back_bit_for_bit(tensors, tmp_path):
    write_pt(tmp_path / "net.pt", tensors)
    assert same(read_pt(tmp_path / "net.pt"), tensors)


@pytest.mark.parametrize("mapped", [False, True])
def test_pytorch_reads_it_as_weights_alone(mapped, tensors, tmp_path):
    write_pt(tmp_path / "net.pt", tensors)
    read = torch().load(tmp_path / "net.pt", weights_only=True, mmap=mapped)
    assert isinstance(read, OrderedDict)
    assert same({name: value.numpy() for name, value in read.items()}, tensors)


def test_every_tensor_begins_where_it_can_be_mapped(tensors, tmp_path):
    write_pt(tmp_path / "net.pt", tensors)
    with open(tmp_path / "net.pt", "rb") as file:
        starts = [member.start for member in zips.read_directory(file, 100) if "/data/" in member.name]
    assert len(starts) == len(tensors)
    assert not any(start % 64 for start in starts)


def test_a_file_that_pytorch_wrote_is_read(tiny_net):
    net = network_of(read_pt(BY_TORCH), tiny_net.architecture, BY_TORCH)
    assert same_bits(net.params, compact(seed=1, image_size=16, width=2, features=8).params)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8", "bool"])
def test_pytorch_writes_views_and_shared_storages(dtype, rng, tmp_path):
    library = torch()
    whole = library.from_numpy(rng.integers(0, 2, (6, 5, 4)).astype(dtype))
    parts = {
        "whole": whole,
        "turned": whole.permute(2, 0, 1),
        "part": whole[1:3, :, 2],
        "none": whole[:0],
        "one": whole[3, 2, 1],
    }
    library.save(parts, tmp_path / "net.pt")
    assert same(read_pt(tmp_path / "net.pt"), {name: value.numpy() for name, value in parts.items()})


def save_by_torch(tmp_path, value, **options):
    torch().save(value, tmp_path / "net.pt", **options)
    return tmp_path / "net.pt"


def refusal(path):
    with pytest.raises(CheckpointError) as refused:
        read_pt(path)
    message = str(refused.value)
    assert message.startswith(f"{path} is damaged, or no state dict (")
    assert message.endswith("): in PyTorch, write it with torch.save(model.state_dict(), FILE)")
    return message


def test_what_is_no_state_dict_is_refused_with_what_it_is(tmp_path):
    library = torch()
    module = library.nn.Linear(2, 3)
    assert "it holds a torch.nn.modules.linear.Linear" in refusal(save_by_torch(tmp_path, module))
    assert "'model' in it is no tensor" in refusal(save_by_torch(tmp_path, {"model": module.state_dict()}))
    assert "'epoch' in it is no tensor" in refusal(save_by_torch(tmp_path, {**module.state_dict(), "epoch": 3}))
    assert "BINFLOAT" in refusal(save_by_torch(tmp_path, {"lr": 0.1}))
    assert "it holds no dictionary" in refusal(save_by_torch(tmp_path, library.zeros(2)))
    half = {"a": library.zeros(2, dtype=library.bfloat16)}
    assert "torch BFloat16Storage, which NumPy has not" in refusal(save_by_torch(tmp_path, half))
    old = {"_use_new_zipfile_serialization": False}
    assert "it has no directory at its end" in refusal(save_by_torch(tmp_path, module.state_dict(), **old))


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def with_pickle(tmp_path, content, **files):
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in {"data.pkl": content, **files}.items():
            archive.writestr(f"net/{name}", value)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_in_a_file_is_run(protocol, tmp_path):
    trap = pickle.dumps({"weight": Trap(tmp_path / "sprung")}, protocol)
    refusal(with_pickle(tmp_path, trap))
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists()  # it was a trap


PICKLES = {
    "empty": b"",
    "no pickle": b"state dict",
    "cut off": b"\x80\x02}X\x01\0\0\0a",
    "a call of a storage": b"\x80\x02ctorch\nFloatStorage\n)R.",
    "a call with too little": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "nothing on the stack": b"\x80\x02R.",
    "no mark": b"\x80\x02}u.",
    "a memo that is empty": b"\x80\x02h\x05.",
    "a number as a name": b"\x80\x02}K\x01K\x02s.",
    "items of no dictionary": b"\x80\x02)X\x01\0\0\0aK\x02s.",
    "attributes of no dictionary": b"\x80\x02)}b.",
    "a storage without a name": b"\x80\x02)Q.",
    "a number for a dictionary": b"\x80\x02K\x01.",
}


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_that_is_none_of_ours_is_refused(kind, tmp_path):
    refusal(with_pickle(tmp_path, PICKLES[kind]))


def test_a_tensor_beyond_its_storage_is_refused(tmp_path, tensors):
    write_pt(tmp_path / "net.pt", {"a": np.arange(6, dtype=np.float32).reshape(2, 3)})
    with zipfile.ZipFile(tmp_path / "net.pt") as archive:
        files = {name.removeprefix("archive/"): archive.read(name) for name in archive.namelist()}
    good = files.pop("data.pkl")
    shape, strides = (b"(J\x02\0\0\0J\x03\0\0\0t", b"(J\x03\0\0\0J\x01\0\0\0t")
    assert shape in good
    assert strides in good
    assert read_pt(with_pickle(tmp_path, good, **files))["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    for old, new in (
        (shape, b"(J\x02\0\0\0J\x04\0\0\0t"),  # longer than the storage
        (strides, b"(J\x04\0\0\0J\x01\0\0\0t"),  # a stride that leaves it
        (strides, b"(J\xff\xff\xff\xffJ\x01\0\0\0t"),  # one that goes back
        (strides, b"(J\x03\0\0\0t"),  # too few
        (shape, b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft"),  # more than there is memory
        (b"J\0\0\0\0", b"J\x01\0\0\0"),  # an offset
    ):
        refusal(with_pickle(tmp_path, good.replace(old, new), **files))
    refusal(with_pickle(tmp_path, good, **(files | {"data/0": b"12345"})))
    refusal(with_pickle(tmp_path, good, **{name: value for name, value in files.items() if name != "data/0"}))
    refusal(with_pickle(tmp_path, good, **(files | {"byteorder": b"big"})))


def test_a_damaged_file_is_refused_or_reads_the_same(tensors, tmp_path, rng):
    path = tmp_path / "net.pt"
    write_pt(path, tensors)
    whole = path.read_bytes()
    for place in rng.integers(0, len(whole), 300):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.integers(8)]) + whole[place + 1 :])
        try:
            assert same(read_pt(path), tensors), place  # a bit of padding or of a date
        except CheckpointError:
            continue
    for length in rng.integers(0, len(whole), 50):
        path.write_bytes(whole[:length])
        refusal(path)
