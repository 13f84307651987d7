"""`scratchnet compare` and `scratchnet classify`."""

from dataclasses import replace

import numpy as np
import pytest
from commands import Answer
from PIL import Image

from scratchnet.checkpoint import load_model, save_model


def test_compare_prints_the_probability_that_the_network_gives(ask, run, glyphs):
    support, query = glyphs
    other = support / "sign1.png"
    expected = load_model(run).similarity([query], [other])[0]
    answer = ask("compare", query, other, "--model", run)
    assert answer == Answer(0, f"{expected:.1%} that {query} and {other} show the same character\n", "")
    assert ask("compare", query, other, "--model", run, "--json").json == {
        "a": str(query),
        "b": str(other),
        "probability": pytest.approx(float(expected)),
    }


def test_classify_ranks_the_supports_by_their_scores(ask, run, glyphs):
    support, query = glyphs
    files = sorted(support.glob("*.png"))
    scores = load_model(run).scores([query], files)[0]
    ranking = ask("classify", query, "--support", support, "--model", run, "--json").json["ranking"]
    assert [place["class"] for place in ranking] == [files[i].stem for i in np.argsort(-scores)]
    assert [place["score"] for place in ranking] == pytest.approx(sorted(scores.tolist(), reverse=True))
    assert [place["probability"] for place in ranking] == pytest.approx(
        [ask("compare", query, support / f"{place['class']}.png", "--model", run, "--json").json["probability"]
         for place in ranking]
    )  # fmt: skip
    first, *lines = ask("classify", query, "--support", support, "--model", run).out.splitlines()
    assert first == f"{query} best matches {ranking[0]['class']}; probability of the same character:"
    assert lines == [f"  {place['probability']:6.1%}  {place['class']}" for place in ranking[:5]]


def test_classify_scores_in_views_and_aligned(ask, run, glyphs):
    support, query = glyphs
    files = sorted(support.glob("*.png"))
    arguments = "classify", query, "--support", support, "--model", run, "--json"
    found = ask(*arguments, "--views", "2", "--align", "3").json
    scores = load_model(run).scores([query], files, views=2, align=3)[0]
    assert (found["views"], found["align"]) == (2, 3)
    assert {place["class"]: place["score"] for place in found["ranking"]} == pytest.approx(
        {file.stem: float(score) for file, score in zip(files, scores, strict=True)}, rel=1e-4, abs=1e-4
    )


def test_only_a_network_that_frames_the_ink_aligns_unless_told_otherwise(ask, run, glyphs, tmp_path):
    support, query = glyphs
    page, ink = load_model(run), tmp_path / "ink.npz"
    assert page.frame == "page"
    framed = replace(page, frame="ink", architecture={**page.architecture, "frame": "ink"})
    save_model(ink, framed, recipe={"data": "omniglot"})
    usual, none, five = (
        ask("classify", query, support, "--model", ink, "--json", *options).json
        for options in ([], ["--align", "0"], ["--align", "5"])
    )
    assert usual == five
    assert (usual["align"], none["align"]) == (5, 0)
    assert usual["ranking"] != none["ranking"]
    for other, data in ((page, "omniglot"), (framed, "own"), (framed, "glyphs")):
        save_model(ink, other, recipe={"data": data})
        assert ask("classify", query, support, "--model", ink, "--json").json["align"] == 0


def test_classify_says_that_the_notes_of_a_network_are_damaged(refused, run, glyphs, tmp_path):
    support, query = glyphs
    save_model(tmp_path / "net.npz", load_model(run), recipe=["omniglot"])
    line = refused("classify", query, support, "--model", tmp_path / "net.npz")
    assert "the notes in" in line
    assert "are damaged" in line


def test_classify_rejects_by_scores_of_the_same_kind(ask, run, glyphs):
    support, query = glyphs
    files = sorted(support.glob("*.png"))
    scores = load_model(run).scores(files, files, align=99)
    found = ask("classify", query, support, "--model", run, "--reject", "--align", "5", "--json").json
    np.fill_diagonal(scores, -np.inf)
    assert found["rejection"]["threshold"] == pytest.approx(scores.max(axis=1).max(), rel=1e-3)


def test_classify_draws_how_a_query_is_aligned(ask, refused, run, glyphs, tmp_path):
    pytest.importorskip("matplotlib")
    support, query = glyphs
    arguments = "classify", query, "--support", support, "--model", run
    answer = ask(*arguments, "--align", "2", "--plot", "fit.png")
    assert answer.out.splitlines()[-1] == "fit.png"
    assert ask(*arguments, "--align", "2", "--plot", "fit.png", "--json").json["picture"] == "fit.png"
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")
    assert "give --align 5 and a single query" in refused(*arguments, "--plot", "fit.png")
    assert "give --align 5 and a single query" in refused(*arguments, query, "--align", "2", "--plot", "fit.png")
    assert "pictures are written as .png or .svg" in refused(*arguments, "--align", "2", "--plot", "fit.jpg")


def test_classify_says_which_files_it_leaves_out(ask, run, glyphs):
    support, query = glyphs
    pictures = ask("classify", query, "--support", support, "--model", run)
    for name in ("b.doc", "a.txt", ".hidden"):
        (support / name).write_text("no picture, not looked at")
    with_others = ask("classify", query, "--support", support, "--model", run)
    assert with_others.out == pictures.out
    assert pictures.err == ""
    line = "scratchnet: left out 2 files that are no pictures (.txt 1, .doc 1)\n"
    assert with_others.err == line


def test_two_images_of_one_class_are_refused(refused, run, glyphs):
    support, query = glyphs
    first = min(support.glob("*.png"))
    first.with_suffix(".bmp").write_bytes(first.read_bytes())
    line = refused("classify", query, "--support", support, "--model", run)
    assert f"two images of class {first.stem}, {first.stem}.bmp and {first.stem}.png: make a folder for each" in line


def text(path):
    path.write_text("not a picture\n")


def vast(path):
    Image.new("1", (12_000, 12_000)).save(path)
    assert path.stat().st_size < 100_000


BAD_PICTURES = {
    "missing": lambda path: None,
    "text": text,
    "empty": lambda path: path.touch(),
    "vast": vast,
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("make", BAD_PICTURES.values(), ids=BAD_PICTURES)
def test_a_picture_that_cannot_be_read_is_one_line_with_its_name(make, refused, run, glyphs, tmp_path):
    support, query = glyphs
    bad = tmp_path / "bad.png"
    make(bad)
    for arguments in (["compare", query, bad], ["compare", bad, query], ["classify", bad, "--support", support]):
        assert f"{bad} " in refused(*arguments, "--model", run).replace(": ", " ")


def test_a_bad_picture_among_the_supports_is_named(refused, run, glyphs):
    support, query = glyphs
    text(support / "sign9.png")
    assert "sign9.png" in refused("classify", query, "--support", support, "--model", run)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "absent is not a folder"),
        ("query.png", "query.png is not a folder"),
        ("empty", "empty holds no pictures, it holds nothing"),
        ("texts", "texts holds no pictures, it holds a.txt"),
    ],
)
def test_a_support_that_holds_no_images_is_refused(name, message, refused, run, glyphs, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    text(tmp_path / "texts" / "a.txt")
    line = refused("classify", glyphs[1], "--support", name, "--model", run)
    assert message in line
    assert "expected a folder for each class" in line


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_network_that_answers_with_a_nan_is_an_error(refused, run, glyphs, tmp_path):
    support, query = glyphs
    net = load_model(run)
    net.params = {name: value * np.float32(1e30) for name, value in net.params.items()}
    save_model(tmp_path / "huge.npz", net)
    for command in (("compare", query, support / "sign1.png"), ("classify", query, "--support", support)):
        assert "answers with a NaN or an infinity" in refused(*command, "--model", tmp_path / "huge.npz", "--json")
