"""The best matches are those with the highest logits, the head's own, on every device."""

from dataclasses import replace

import numpy as np
import pytest
from siamese_nets import images, placed

from scratchnet.backend import to_device
from scratchnet.errors import DataError, NonFiniteError, ScratchnetError, ShapeError
from scratchnet.exchange.index import build_index, open_index, search
from scratchnet.layers import sigmoid


def by_hand(net, h, embeddings, top):
    """All rows in the order of their logits, which `scores_of` gives, and those logits."""
    scores = net.scores_of(h, embeddings)
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return rows, np.take_along_axis(scores, rows, axis=1)


@pytest.mark.parametrize("top", [1, 5, 100])
def test_exact_search_ranks_every_embedding_by_the_head(top, folder, embeddings, tiny_net, device, rng):
    index = open_index(folder, device=device)
    h = rng.random((3, 8), np.float32)
    rows, scores = index.nearest(to_device(h, device), top=top)
    expected_rows, expected = by_hand(tiny_net, h, embeddings, top)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    assert len(index) == len(embeddings)


def test_many_rows_are_compared_in_blocks_and_the_best_of_all_are_kept(folder, embeddings, tiny_net, monkeypatch, rng):
    h = rng.random((2, 8), np.float32)
    whole = open_index(folder).nearest(h, top=2)
    monkeypatch.setattr(search, "BLOCK_ROWS", 3)
    rows, scores = open_index(folder).nearest(h, top=2)
    np.testing.assert_array_equal(rows, whole[0])
    np.testing.assert_allclose(scores, whole[1], rtol=1e-5)


@pytest.mark.parametrize("top", [1, 2, 3, 7])
def test_of_equal_matches_the_first_win(top):
    scores = np.array([[1, 3, 3, 2, 3, 3, 0, 3] * 8, [5] * 64], np.float32)
    rows = np.broadcast_to(np.arange(64), scores.shape)
    found, best = search._best(rows, scores, top)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(best, np.take_along_axis(scores, expected, axis=1))


def test_a_hit_has_a_name_and_the_probability_that_similarity_gives(folder, tiny_net, rng):
    query = images(rng, 1)
    (hits,) = open_index(folder).search(query, top=3)
    rows, scores = open_index(folder).nearest(tiny_net.embed(query), top=3)
    assert [hit.name for hit in hits] == [f"{folder.parent / 'first.npy'}[{row}]" for row in rows[0]]
    np.testing.assert_allclose([hit.score for hit in hits], scores[0])
    np.testing.assert_allclose([hit.probability for hit in hits], sigmoid(scores[0]))


def test_names_are_found_across_shards(folder):
    index = open_index(folder)
    rows = [22, 0, 3, 4, 21, 4]
    assert [name.rpartition("[")[2] for name in index.names(rows)] == [f"{row}]" for row in rows]
    assert index.names([]) == []


def test_what_cannot_be_asked_is_refused(folder, rng):
    index = open_index(folder)
    with pytest.raises(ScratchnetError, match="top=0: ask for 1 answer or more"):
        index.nearest(rng.random((1, 8), np.float32), top=0)
    with pytest.raises(ShapeError, match=r"h has shape \(1, 7\), expected embeddings \(Q, 8\)"):
        index.nearest(rng.random((1, 7), np.float32))
    with pytest.raises(NonFiniteError, match="has a NaN or an infinity"):
        index.nearest(np.full((1, 8), np.nan, np.float32))
    with pytest.raises(ScratchnetError, match="has no neighbours: search it exactly"):
        index.nearest(rng.random((1, 8), np.float32), exact=False)


def test_an_index_that_is_none_says_how_to_make_one(tmp_path):
    with pytest.raises(DataError, match="holds no index: make one with `scratchnet index build SOURCE"):
        open_index(tmp_path / "nowhere")


def test_faiss_finds_what_exact_search_finds_where_it_looks_at_everything(
    faiss, source, embeddings, tiny_net, tmp_path, rng
):
    """Positive weights included: its candidates are ranked by their true logits."""
    net = placed(tiny_net, "cpu")
    net.params["head.weight"][:] = rng.uniform(-3, 1, 8)
    assert (net.params["head.weight"] > 0).any()
    build_index(tmp_path / "index", source, net, neighbours=True)
    index, h = open_index(tmp_path / "index"), rng.random((3, 8), np.float32)
    rows, scores = index.nearest(h, top=10, exact=False)
    expected_rows, expected = index.nearest(h, top=10, exact=True)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert replace(index).nearest(h, top=10)[0].tolist() == rows.tolist()  # without `exact`, by faiss


def test_where_faiss_finds_fewer_than_asked_for_there_are_fewer_answers(source, tiny_net, tmp_path, rng, monkeypatch):
    build_index(tmp_path / "index", source, tiny_net)
    monkeypatch.setattr(search, "candidates", lambda *_: np.array([[5, -1, 3, -1]]))
    monkeypatch.setattr(search.Index, "_neighbours", None)
    index, query = open_index(tmp_path / "index"), images(rng, 1)
    rows, scores = index.nearest(tiny_net.embed(query), top=3, exact=False)
    assert sorted(rows[0][:2]) == [3, 5]
    assert (rows[0][2], scores[0][2]) == (-1, -np.inf)
    assert [hit.name for hit in index.search(query, top=3, exact=False)[0]] == index.names(rows[0][:2])


@pytest.mark.parametrize("spoilt", ["a flipped bit", "cut off", "gone", "another shard"])
def test_a_damaged_shard_is_refused_by_its_name(spoilt, folder, rng):
    path = folder / "000001.npz"
    whole = path.read_bytes()
    place = len(whole) // 2  # among the embeddings and names
    spoil = {
        "a flipped bit": lambda: path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]),
        "cut off": lambda: path.write_bytes(whole[:-9]),
        "gone": path.unlink,
        "another shard": lambda: path.write_bytes((folder / "000005.npz").read_bytes()),
    }
    open_index(folder).check()
    spoil[spoilt]()
    with pytest.raises(ScratchnetError, match=r"000001\.npz"):
        open_index(folder).check()
    if spoilt != "a flipped bit":  # which may be in the names
        with pytest.raises(DataError, match=r"000001\.npz is damaged"):
            open_index(folder).nearest(rng.random((1, 8), np.float32))


def test_every_flipped_bit_of_an_embedding_is_noticed(folder, embeddings, rng):
    path = folder / "000001.npz"
    whole = path.read_bytes()
    begin = whole.index(embeddings[4:8].astype(np.float16).tobytes())
    for place in range(begin, begin + 4 * 8 * 2):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.integers(8)]) + whole[place + 1 :])
        with pytest.raises(DataError, match="its checksum is wrong"):
            open_index(folder).nearest(rng.random((1, 8), np.float32))
