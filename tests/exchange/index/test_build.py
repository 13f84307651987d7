"""Building and adding: whole or not at all, resumed where it stopped, one writer; nothing that was there is lost."""

import json
from dataclasses import replace

import numpy as np
import pytest
from commands import drawing
from helpers import everything_in

from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import DataError, InUseError
from scratchnet.exchange.index import Array, Pictures, add_to_index, build_index, open_index, store
from scratchnet.files.locks import locked
from scratchnet.models.networks import compact


@pytest.fixture
def letters(tmp_path):
    (alphabet,) = generate_alphabets(1, characters=3, drawers=2, image_size=32, seed=8)
    for character, drawer in np.ndindex(3, 2):
        folder = tmp_path / "letters" / f"sign{character}"
        folder.mkdir(parents=True, exist_ok=True)
        drawing(folder / f"w{drawer}.png", alphabet.images[character, drawer])
    return tmp_path / "letters"


class Stop(Exception):
    pass


def stopped(after):
    """A progress that raises once this many items are done."""

    def progress(done, _total):
        if done >= after:
            raise Stop

    return progress


def second(tmp_path, rng, rows=9):
    np.save(tmp_path / "second.npy", rng.random((rows, 8), np.float32))
    return Array(tmp_path / "second.npy")


def test_the_shards_hold_every_embedding_in_order_as_float16(folder, embeddings):
    shards = sorted(folder.glob("*.npz"))
    assert [path.name for path in shards] == [*(f"{i:06}.npz" for i in range(6)), "network.npz"]
    manifest = store.read_manifest(folder)
    rows = [store.embeddings_in(folder, part, 8) for part in manifest.shards]
    assert [len(block) for block in rows] == [4, 4, 4, 4, 4, 3]
    np.testing.assert_array_equal(np.concatenate(rows), embeddings.astype(np.float16))
    assert all(isinstance(block.base, np.memmap) or isinstance(block.base.base, np.memmap) for block in rows)


def test_pictures_are_embedded_by_the_network_and_called_by_their_paths(letters, tiny_net, tmp_path):
    taken = build_index(tmp_path / "index", Pictures(letters), tiny_net)
    assert (taken.rows, taken.new, taken.skipped, taken.known) == (6, 6, 0, 0)
    index = open_index(tmp_path / "index")
    paths = sorted(letters.rglob("*.png"))
    rows, _ = index.nearest(tiny_net.embed(paths), top=1)
    assert index.names(rows[:, 0]) == [str(path) for path in paths]


def test_only_what_the_index_has_not_is_added(letters, tiny_net, tmp_path):
    build_index(tmp_path / "index", Pictures(letters), tiny_net)
    before = everything_in(tmp_path / "index")
    assert add_to_index(tmp_path / "index", Pictures(letters)).new == 0
    assert everything_in(tmp_path / "index") == before
    drawing(letters / "sign0" / "w7.png", np.eye(32, dtype=bool))
    taken = add_to_index(tmp_path / "index", Pictures(letters))
    assert (taken.rows, taken.new, taken.known) == (7, 1, 6)
    assert open_index(tmp_path / "index").names([6]) == [str(letters / "sign0" / "w7.png")]
    for path, content in before.items():
        assert path.name == "index.json" or path.read_bytes() == content


def test_a_picture_that_cannot_be_read_stops_or_is_left_out(letters, tiny_net, tmp_path):
    bad = letters / "sign1" / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"bad\.png"):
        build_index(tmp_path / "index", Pictures(letters), tiny_net)
    with pytest.raises(DataError, match="is not finished, 0 embeddings are there: run `scratchnet index build` again"):
        open_index(tmp_path / "index")
    taken = build_index(tmp_path / "index", Pictures(letters), tiny_net, on_error="skip")
    assert (taken.rows, taken.skipped) == (6, 1)
    assert str(bad) not in open_index(tmp_path / "index").names(range(6))


def test_a_folder_of_which_nothing_can_be_read_makes_no_index(tiny_net, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of its 1 pictures can be read"):
        build_index(tmp_path / "index", Pictures(tmp_path / "letters"), tiny_net, on_error="skip")
    with pytest.raises(DataError, match="is not finished"):
        open_index(tmp_path / "index")


def test_what_was_stopped_goes_on_where_it_stopped(folder, source, tiny_net, tmp_path, monkeypatch):
    again = tmp_path / "again"
    with pytest.raises(Stop):
        build_index(again, source, tiny_net, progress=stopped(9))
    asked, embed = [], Array.embed

    def recorded(own, net, items, on_error):
        asked.extend(items)
        return embed(own, net, items, on_error)

    monkeypatch.setattr(Array, "embed", recorded)
    build_index(again, source, tiny_net)
    assert asked == list(range(12, 23))
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_an_index_is_searched_as_it_was_until_all_is_added(folder, embeddings, rng, tmp_path):
    more, h = second(tmp_path, rng), rng.random((1, 8), np.float32)
    before = open_index(folder).nearest(h, top=50)
    with pytest.raises(Stop):
        add_to_index(folder, more, progress=stopped(8))
    index = open_index(folder)
    assert len(index) == 23
    for one, other in zip(index.nearest(h, top=50), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert add_to_index(folder, more).rows == 32
    assert len(open_index(folder)) == 32
    np.testing.assert_array_equal(index.nearest(h, top=50)[0], before[0])  # the one that is open still sees the old


def test_a_damaged_shard_of_a_stopped_task_is_noticed_when_it_goes_on(source, tiny_net, tmp_path):
    with pytest.raises(Stop):
        build_index(tmp_path / "index", source, tiny_net, progress=stopped(8))
    path = tmp_path / "index" / "000000.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"000000\.npz is damaged"):
        build_index(tmp_path / "index", source, tiny_net)
    assert build_index(tmp_path / "index", source, tiny_net, restart=True).rows == 23
    open_index(tmp_path / "index").check()


def test_another_source_does_not_finish_a_stopped_task(folder, rng, tmp_path):
    more = second(tmp_path, rng)
    with pytest.raises(Stop):
        add_to_index(folder, more, progress=stopped(4))
    np.save(tmp_path / "third.npy", rng.random((2, 8), np.float32))
    third = Array(tmp_path / "third.npy")
    with pytest.raises(DataError, match=r"second\.npy was not taken in to its end: finish it with the same command"):
        add_to_index(folder, third)
    changed = second(tmp_path, rng, rows=10)
    with pytest.raises(DataError, match=r"second\.npy has changed: .* forget it with --restart"):
        add_to_index(folder, changed)
    assert add_to_index(folder, third, restart=True).rows == 25
    assert not (folder / "000007.npz").exists()  # of the task that was forgotten


def test_another_network_does_not_finish_a_stopped_build(source, tiny_net, tmp_path):
    with pytest.raises(Stop):
        build_index(tmp_path / "index", source, tiny_net, progress=stopped(4))
    other = compact(seed=2, image_size=16, width=2, features=8)
    with pytest.raises(DataError, match="was begun with another network"):
        build_index(tmp_path / "index", source, other)
    assert build_index(tmp_path / "index", source, other, restart=True).rows == 23


def test_a_folder_that_is_used_is_refused(folder, source, tiny_net, tmp_path):
    before = everything_in(tmp_path)
    with pytest.raises(DataError, match="holds an index of 23 embeddings: add to it"):
        build_index(folder, source, tiny_net)
    with pytest.raises(DataError, match=r"holds first\.npy, which belongs to no index: name a new folder"):
        build_index(tmp_path, source, tiny_net)
    with pytest.raises(DataError, match="holds no index"):
        add_to_index(tmp_path / "nowhere", source)
    with locked(folder / store.LOCK, "it", "wait"), pytest.raises(InUseError, match="is in use by process"):
        add_to_index(folder, source)
    assert everything_in(tmp_path) == before


def test_embeddings_that_float16_cannot_hold_are_refused_by_name(embeddings, tiny_net, tmp_path):
    for value in (np.nan, np.inf, 1e5):
        spoilt = embeddings.copy()
        spoilt[5, 2] = value
        np.save(tmp_path / "bad.npy", spoilt)
        with pytest.raises(
            DataError, match=r"bad.npy\[5\] has an embedding with a NaN, an infinity, or a number too l"
        ):
            build_index(tmp_path / "index", Array(tmp_path / "bad.npy"), tiny_net, restart=True)


def test_an_array_of_another_network_is_refused(tiny_net, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros((3, 9), np.float16))
    with pytest.raises(DataError, match="embeddings of 9 numbers, but those of the network have 8"):
        build_index(tmp_path / "index", Array(tmp_path / "wide.npy"), tiny_net)


def test_a_stopped_build_may_go_on_with_neighbours_or_without(faiss, source, tiny_net, tmp_path):
    for before, after in ((False, True), (True, False)):
        folder = tmp_path / f"{before}"
        with pytest.raises(Stop):
            build_index(folder, source, tiny_net, neighbours=before, progress=stopped(8))
        build_index(folder, source, tiny_net, neighbours=after)
        assert (store.read_manifest(folder).neighbours is not None) == after


def test_neighbours_are_extended_and_their_old_file_goes(faiss, source, tiny_net, tmp_path, rng):
    build_index(tmp_path / "index", source, tiny_net, neighbours=True)
    add_to_index(tmp_path / "index", second(tmp_path, rng))
    assert [path.name for path in (tmp_path / "index").glob("neighbours*")] == ["neighbours.32"]
    index, h = open_index(tmp_path / "index"), rng.random((2, 8), np.float32)
    np.testing.assert_array_equal(index.nearest(h, exact=False)[0], index.nearest(h, exact=True)[0])


@pytest.mark.parametrize("spoilt", ["a flipped bit", "cut off", "gone"])
def test_damaged_neighbours_are_refused_before_faiss_reads_them(spoilt, faiss, source, tiny_net, tmp_path, rng):
    build_index(tmp_path / "index", source, tiny_net, neighbours=True)
    path = tmp_path / "index" / "neighbours.23"
    whole = path.read_bytes()
    path.unlink()
    if spoilt != "gone":
        path.write_bytes(whole[:-5] if spoilt == "cut off" else whole[:999] + bytes([whole[999] ^ 1]) + whole[1000:])
    with pytest.raises(DataError, match=r"neighbours.23 is damaged \((its checksum is wrong|No such file.*)\)"):
        open_index(tmp_path / "index").nearest(rng.random((1, 8), np.float32))


EMPTY = {"format": 1, "features": 8, "shards": [], "neighbours": None, "task": None}
MANIFESTS = {
    "no JSON": "{",
    "of a later version": json.dumps({**EMPTY, "format": 2}),
    "without shards": '{"format": 1, "features": 8}',
    "a shard elsewhere": json.dumps({**EMPTY, "shards": [{"file": "../a.npz", "rows": 1}]}),
    "neighbours elsewhere": json.dumps({**EMPTY, "neighbours": {"file": "/a", "rows": 1, "checksum": 0}}),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_damaged_manifest_is_refused(kind, folder):
    (folder / "index.json").write_text(MANIFESTS[kind])
    with pytest.raises(DataError, match=r"index\.json is damaged"):
        open_index(folder)


def test_the_manifest_is_read_back_as_it_was_written(folder):
    manifest = store.read_manifest(folder)
    task = store.Task("here", "0f", 3, 1, manifest.shards[:1])
    kept = replace(manifest, neighbours=store.Neighbours("neighbours.23", 23, 5), task=task)
    store.write_manifest(folder, kept)
    assert store.read_manifest(folder) == kept
