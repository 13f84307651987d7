"""`scratchnet explain` on the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from scratchnet.checkpoint import load_model


@pytest.fixture
def two(tmp_path, rng):
    """Two pictures."""
    paths = tmp_path / "one.png", tmp_path / "two.png"
    for path in paths:
        Image.fromarray((255 * rng.random((40, 40))).astype(np.uint8)).save(path)
    return paths


def test_without_pictures_it_shows_two_drawings_of_ours(ask, bundle, tiny_net):
    bundle("omniglot", tiny_net)
    answer = ask("explain")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].split()[:4] == ["layer", "type", "y", "parameters"]
    assert lines[1].startswith("conv1 ")
    assert lines[-1] == "See where every number comes from: scratchnet explain --html page.html"


def test_the_score_is_that_of_compare(ask, run, two):
    compared = ask("compare", *two, "--model", run, "--json").json
    explained = ask("explain", *two, "--model", run, "--json").json
    assert explained["probability"] == pytest.approx(compared["probability"], rel=1e-5)
    assert (explained["a"], explained["b"]) == ("one.png", "two.png")
    assert explained["step"]["pairs"] == 8
    assert [layer["name"] for layer in explained["layers"]][-1] == "head"


def test_the_label_of_the_step_can_be_different(ask, run, two):
    taught = {
        same: ask("explain", *two, "--model", run, "--json", *options).json
        for same, options in ((True, ()), (False, ("--different",)))
    }
    assert taught[True]["step"]["loss"] != taught[False]["step"]["loss"]
    assert [taught[same]["same"] for same in (True, False)] == [True, False]


def test_the_page_is_written_and_its_size_told(ask, run, two, tmp_path):
    page = tmp_path / "page.html"
    answer = ask("explain", *two, "--model", run, "--html", page, "--channels", 2)
    assert answer.out == f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in a browser\n"
    html = page.read_text(encoding="utf-8")
    facts = json.loads(html.partition('id="facts">')[2].partition("</script>")[0])
    assert facts["names"] == ["one.png", "two.png"]
    assert max(map(len, facts["channels"])) == 2


def test_the_network_is_left_as_it_was(ask, run, two):
    before = load_model(run).params
    ask("explain", *two, "--model", run, "--html", "page.html")
    after = load_model(run).params
    assert all(np.array_equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_pictures_is_refused(refused, run, two, count):
    line = refused("explain", *[two[0]] * count, "--model", run)
    assert f"explain takes two images or none, got {count}" in line


def test_a_file_that_is_no_picture_is_named(refused, run, two, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    assert "notes.png" in refused("explain", two[0], tmp_path / "notes.png", "--model", run)


def test_a_folder_that_is_not_there_is_named_before_anything_is_computed(refused, tmp_path):
    page = tmp_path / "nowhere" / "page.html"
    assert f"--html {page}: there is no folder {page.parent}" in refused("explain", "--model", "none", "--html", page)


def test_channels_without_a_page_or_out_of_range_are_refused(refused, run, two):
    assert "--channels is for the page: add --html FILE" in refused("explain", "--channels", 4)
    line = refused("explain", *two, "--model", run, "--html", "page.html", "--channels", 1000)
    assert "1000 channels: give 1 to 32, or the page is too large to open" in line


def test_our_drawings_are_of_two_characters_where_that_is_the_label(ask, run):
    same, different = (ask("explain", "--model", run, "--json", *options).json for options in ((), ("--different",)))
    assert same["probability"] != different["probability"]
    assert not different["same"]
