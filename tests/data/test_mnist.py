"""The idx files of MNIST are read strictly: one wrong byte of structure, and they are refused."""

import gzip
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from disk import little_memory

from scratchnet.data.mnist import load_mnist
from scratchnet.errors import DataError

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def idx(array: np.ndarray, magic: int | None = None) -> bytes:
    magic = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def digits() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)


@pytest.fixture
def folder(digits, tmp_path) -> Path:
    (tmp_path / IMAGES).write_bytes(idx(digits))
    (tmp_path / LABELS).write_bytes(idx(np.array([7, 0, 9])))
    return tmp_path


def refusal_of(folder: Path) -> str:
    with pytest.raises(DataError) as refusal:
        load_mnist(folder)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_ink_is_grey_over_255_and_labels_are_whole_numbers(folder, digits):
    images, labels = load_mnist(folder)
    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    np.testing.assert_allclose(images, digits / 255, atol=1e-6)
    assert labels.tolist() == [7, 0, 9]


def test_packed_files_give_the_same(folder):
    plain = load_mnist(folder)
    for name in (IMAGES, LABELS):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    packed = load_mnist(folder)
    np.testing.assert_array_equal(packed[0], plain[0])
    np.testing.assert_array_equal(packed[1], plain[1])


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_file_is_refused_at_every_length(folder, packed):
    whole = (folder / LABELS).read_bytes()
    if packed:
        whole = gzip.compress(whole)
        (folder / LABELS).unlink()
    path = folder / (f"{LABELS}.gz" if packed else LABELS)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert path.name in refusal_of(folder)


def test_bytes_after_the_end_are_refused(folder):
    with open(folder / IMAGES, "ab") as file:
        file.write(b"\0")
    assert "more" in refusal_of(folder)


@pytest.mark.parametrize("magic", [0, 0x0801, 0x0D03, 0x01000803])
def test_another_magic_number_is_refused(folder, digits, magic):
    (folder / IMAGES).write_bytes(idx(digits, magic))
    assert IMAGES in refusal_of(folder)


def test_a_count_beyond_reason_is_refused_before_it_is_read(folder):
    (folder / IMAGES).write_bytes(struct.pack(">4I", 0x0803, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    assert "declares shape" in refusal_of(folder)


@pytest.mark.parametrize("shape", [(0, 2**32 - 1, 2**32 - 1), (2**32 - 1, 28, 28), (0, 28, 28), (10_001, 28, 28)])
def test_a_shape_that_no_test_set_has_is_refused(folder, shape):
    (folder / IMAGES).write_bytes(struct.pack(">4I", 0x0803, *shape))
    assert "declares shape" in refusal_of(folder)
    assert "expected (1 to 10,000, 28, 28)" in refusal_of(folder)


def test_a_little_gzip_of_a_great_many_zeros_is_not_unpacked(folder):
    for name, head in ((IMAGES, (0x0803, 100_000, 28, 28)), (LABELS, (0x0801, 100_000))):
        packer = zlib.compressobj(wbits=31)
        packed = packer.compress(struct.pack(f">{len(head)}I", *head))
        packed += b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
        (folder / name).unlink()
        (folder / f"{name}.gz").write_bytes(packed)
    with little_memory():
        assert "declares shape (100000, 28, 28)" in refusal_of(folder)


def test_what_follows_a_packed_file_is_refused(folder, digits):
    (folder / f"{IMAGES}.gz").write_bytes(2 * gzip.compress(idx(digits)))
    assert "something follows it" in refusal_of(folder)


def test_a_vast_file_is_not_read_whole(folder):
    os.truncate(folder / IMAGES, 3 << 30)
    assert "it has more than" in refusal_of(folder)


def test_names_with_a_dot_are_found(folder, digits):
    (folder / IMAGES).rename(folder / "t10k-images.idx3-ubyte")
    (folder / LABELS).rename(folder / "t10k-labels.idx1-ubyte")
    assert load_mnist(folder)[0].shape == digits.shape


def test_images_and_labels_must_be_equally_many(folder):
    (folder / LABELS).write_bytes(idx(np.array([7, 0])))
    assert "3 images" in refusal_of(folder)


def test_images_of_another_size_are_refused(folder, digits):
    (folder / IMAGES).write_bytes(idx(digits[:, :27]))
    assert "(3, 27, 28)" in refusal_of(folder)


def test_a_label_above_nine_is_refused(folder):
    (folder / LABELS).write_bytes(idx(np.array([7, 0, 10])))
    assert "label 10" in refusal_of(folder)


def test_a_packed_file_that_is_not_packed_is_refused(folder, digits):
    (folder / f"{IMAGES}.gz").write_bytes(idx(digits))
    assert f"{IMAGES}.gz" in refusal_of(folder)


def test_a_missing_file_is_named(folder):
    (folder / LABELS).unlink()
    assert LABELS in refusal_of(folder)


def test_the_real_test_set_has_ten_thousand_digits(real_data):
    images, labels = load_mnist(real_data)
    assert images.shape == (10_000, 28, 28)
    assert labels.shape == (10_000,)
    assert images.min() == 0
    assert images.max() == 1
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
