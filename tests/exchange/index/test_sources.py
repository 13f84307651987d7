"""What can be taken into an index, and what is refused before anything is written."""

import numpy as np
import pytest

from scratchnet.errors import DataError
from scratchnet.exchange.index import Array, Pictures


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rows_are_called_by_their_numbers_or_by_the_lines_of_a_file(dtype, tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(6, dtype=dtype).reshape(3, 2))
    assert Array(tmp_path / "rows.npy").names == [f"{tmp_path / 'rows.npy'}[{i}]" for i in range(3)]
    (tmp_path / "names.txt").write_text("one\nzwei\ntröis\n", encoding="utf-8")
    assert Array(tmp_path / "rows.npy", tmp_path / "names.txt").names == ["one", "zwei", "tröis"]


def test_the_digest_changes_with_the_file_and_the_names(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((3, 2)))
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    one, named = Array(tmp_path / "rows.npy"), Array(tmp_path / "rows.npy", tmp_path / "names.txt")
    assert one.digest == Array(tmp_path / "rows.npy").digest != named.digest
    np.save(tmp_path / "rows.npy", np.zeros((4, 2)))
    assert Array(tmp_path / "rows.npy").digest != one.digest


FILES = {
    "missing": (None, "No such file"),
    "a text": (b"embeddings", "is damaged, or no .npy file"),
    "objects": (np.array([[{}]], object), "is damaged, or no .npy file"),
    "numbers in a row": (np.zeros(3), r"holds float64 \(3,\), expected embeddings \(N, D\) of floats"),
    "integers": (np.zeros((3, 2), int), r"holds int64 \(3, 2\), expected"),
    "none": (np.zeros((0, 2)), "holds no embeddings"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_without_embeddings_is_refused(kind, tmp_path):
    content, complaint = FILES[kind]
    if isinstance(content, bytes):
        (tmp_path / "rows.npy").write_bytes(content)
    elif content is not None:
        np.save(tmp_path / "rows.npy", content, allow_pickle=True)
    with pytest.raises(DataError, match=complaint) as refusal:
        Array(tmp_path / "rows.npy")
    assert "rows.npy" in str(refusal.value)


def test_names_that_are_too_few_or_unreadable_are_refused(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((3, 2)))
    (tmp_path / "names.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="has 2 names for 3 embeddings"):
        Array(tmp_path / "rows.npy", tmp_path / "names.txt")
    (tmp_path / "names.txt").write_bytes(b"\xff\n\xff\n\xff\n")
    with pytest.raises(DataError, match="give a text file in UTF-8"):
        Array(tmp_path / "rows.npy", tmp_path / "names.txt")


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not a folder: give a folder of pictures, or embeddings"):
        Pictures(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match="holds no pictures"):
        Pictures(tmp_path)
