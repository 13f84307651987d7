"""`index build`, `search` and `add` as people type them."""

import csv
import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from scratchnet.checkpoint import load_model
from scratchnet.errors import install_extra
from scratchnet.exchange.index import build, open_index


@pytest.fixture
def built(ask, glyphs, finished):
    assert ask("index", "build", "support", "signs", "--model", "run").out == "signs: 6 embeddings (6 new)\n"


def test_a_query_finds_its_like(built, ask):
    answer = ask("index", "search", "query.png", "signs", "--top", "3")
    assert answer.code == 0
    first, second, *hits = answer.out.splitlines()
    assert (first, second) == ("1 query, each compared with all 6 pictures", "query.png is most like")
    assert len(hits) == 3
    net, index = load_model("run"), open_index("signs")
    (expected,) = index.search(["query.png"], top=3)
    assert [line.split() for line in hits] == [[f"{hit.probability:.1%}", hit.name] for hit in expected]
    assert expected[0].score == pytest.approx(max(net.scores(["query.png"], sorted_pictures())[0]), abs=0.01)  # float16


def sorted_pictures():
    return [f"support/sign{i}.png" for i in range(6)]


def test_figures_and_tables_have_the_same_answers(built, ask):
    found = ask("index", "search", "support", "query.png", "signs", "--json").json
    assert (found["embeddings"], found["exact"]) == (6, True)
    assert [query["query"] for query in found["queries"]] == [*sorted_pictures(), "query.png"]
    assert [query["hits"][0]["name"] for query in found["queries"]][:6] == sorted_pictures()  # each is most like itself
    rows = list(csv.DictReader(io.StringIO(ask("index", "search", "support", "query.png", "signs", "--csv").out)))
    assert len(rows) == 7 * 5
    for row, hit in zip(rows, (hit for query in found["queries"] for hit in query["hits"]), strict=True):
        assert (row["name"], float(row["score"])) == (hit["name"], hit["score"])


def test_adding_says_what_is_new_and_what_was_there(built, ask):
    os.rename("query.png", "support/sign6.png")
    assert ask("index", "add", "support", "signs").out == "signs: 7 embeddings (1 new, 6 were there already)\n"
    with open("support/bad.png", "wb") as file:
        file.write(b"no picture")
    answer = ask("index", "add", "support", "signs", "--skip-damaged", "--json")
    assert answer.json == {"index": "signs", "rows": 7, "new": 0, "skipped": 1, "known": 7}


def test_embeddings_of_ones_own_keep_their_names(built, ask, finished):
    np.save("more.npy", np.random.default_rng(0).random((3, 8), np.float32))
    with open("names.txt", "w", encoding="utf-8") as file:
        file.write("x\ny\nz\n")
    assert ask("index", "add", "more.npy", "signs", "--names", "names.txt").out.startswith(
        "signs: 9 embeddings (3 new)"
    )
    assert {"x", "y", "z"} <= {hit.name for hit in open_index("signs").search(["query.png"], top=9)[0]}


def test_with_faiss_it_says_that_some_may_be_missed(ask, glyphs, finished):
    pytest.importorskip("faiss", reason=f"needs the extra index; {install_extra('index')}")
    assert ask("index", "build", "support", "signs", "--model", "run", "--faiss").code == 0
    fast, exact = (ask("index", "search", "query.png", "signs", *more).out.splitlines() for more in ([], ["--exact"]))
    assert fast[0] == "1 query, searched by faiss, which may miss some; --exact compares with all 6 pictures"
    assert fast[1:] == exact[1:]


def test_without_faiss_it_names_the_extra_before_any_work(refused, ask, glyphs, finished, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert 'neighbours need the library faiss; in your clone: pip install -e ".[index]"' in (
        ask("index", "build", "support", "signs", "--model", "run", "--faiss").err
    )


def test_what_does_not_work_is_refused_in_one_line(built, refused):
    assert "signs holds an index of 6 embeddings" in refused("index", "build", "support", "signs", "--model", "run")
    assert "support holds sign0.png, which belongs to no index" in refused("index", "build", "support", "support")
    assert "signs is all there is: give queries" in refused("index", "search", "signs")
    assert "holds no index: make one with" in refused("index", "search", "query.png", "support")
    assert "--names is for embeddings" in refused("index", "add", "support", "signs", "--names", "names.txt")
    assert "is not a folder: give a folder of pictures" in refused("index", "add", "query.png", "signs")
    assert "--json and --csv are two ways" in refused("index", "search", "query.png", "signs", "--json", "--csv")
    assert "(did you mean 'build'?)" in refused("index", "biuld", "support", "signs")
    assert "did you mean --faiss?" in refused("index", "build", "support", "new", "--fais")
    assert "arguments are required: ACTION" in refused("index")


def test_an_interrupted_build_says_how_to_go_on(ask, glyphs, finished, monkeypatch):
    monkeypatch.setattr(build, "SHARD_ROWS", 2)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build, "embeddings_in", interrupted)  # not reached: nothing was begun
        patch.setattr("scratchnet.exchange.index.sources.Pictures.embed", interrupted)
        answer = ask("index", "build", "support", "signs", "--model", "run")
    assert (answer.code, answer.err) == (
        128 + signal.SIGINT,
        "scratchnet: interrupted: the same command goes on where it stopped\n",
    )
    assert ask("index", "build", "support", "signs", "--model", "run").out == "signs: 6 embeddings (6 new)\n"


def test_it_runs_as_a_program(glyphs, finished):
    command = [sys.executable, "-m", "scratchnet", "index", "build", "support", "signs", "--model", "run"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "signs: 6 embeddings (6 new)\n"
