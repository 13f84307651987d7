"""An .npz is read strictly: numbers only, uncompressed, and as many as its headers declare."""

import io
import zipfile

import numpy as np
import pytest

from scratchnet.files.npz import open_npz

ARRAYS = {
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 4), np.float32),
    "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
    "mask": np.array([True, False]),
    "waves": np.array([1 + 2j]),
    "big-endian": np.arange(3, dtype=">i4"),
}


def npy(array) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array))
    return file.getvalue()


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_outlines_and_arrays_are_those_that_numpy_wrote(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    with open_npz(tmp_path / "a.npz") as file:
        assert {name: (o.shape, o.dtype) for name, o in file.outlines.items()} == {
            name: (array.shape, array.dtype) for name, array in ARRAYS.items()
        }
        for name, array in ARRAYS.items():
            found = file.read(name)
            assert found.tobytes("A") == array.tobytes("A")
            assert found.flags.f_contiguous == array.flags.f_contiguous


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"a.npy": npy(np.array(["text"]))}, "a.npy holds <U4, expected numbers"),
        ({"a.npy": b"\x93NUMPY" + bytes(100)}, "a.npy does not begin like an array"),
        ({"a.npy": npy(np.zeros(4))[:-1]}, "a.npy declares float64 .* but holds 31 bytes"),
        ({"a.npy": npy(np.zeros(4)) + b"x"}, "a.npy declares float64 .* but holds 33 bytes"),
        ({"readme.txt": b"hello"}, "readme.txt is not an array"),
    ],
    ids=["text", "another header", "too few bytes", "too many bytes", "no array"],
)
def test_anything_but_whole_arrays_of_numbers_is_refused(members, complaint, tmp_path):
    with pytest.raises(ValueError, match=complaint), open_npz(zipped(tmp_path / "a.npz", members)):
        pass


def test_a_pickle_is_refused_before_it_could_run(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([print], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npy holds \|O, expected numbers"), open_npz(tmp_path / "a.npz"):
        pass


def test_a_compressed_array_and_an_empty_file_are_refused(tmp_path):
    packed = zipped(tmp_path / "a.npz", {"a.npy": npy(np.zeros(100))}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"a\.npy is compressed"), open_npz(packed):
        pass
    (tmp_path / "empty.npz").touch()
    with pytest.raises(ValueError, match="it is empty"), open_npz(tmp_path / "empty.npz"):
        pass


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: content[:-1] + b"\xff", "the checksum of a is wrong"),
        (lambda content: content[:-1], "a is cut off"),
    ],
    ids=["another byte", "a byte less"],
)
def test_an_array_that_changed_after_it_was_listed_is_refused(change, complaint, tmp_path):
    """The checksum covers the header and the content."""
    path = zipped(tmp_path / "a.npz", {"a.npy": npy(np.arange(100_000.0))})
    with open_npz(path) as file:
        member = file.outlines["a"].member
        whole = path.read_bytes()
        start, end = member.start, member.start + member.packed
        path.write_bytes(whole[:start] + change(whole[start:end]))
        with pytest.raises(ValueError, match=complaint):
            file.read("a")
