"""`scratchnet bench --photos`: reading and cleaning photos next to decoding them."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from scratchnet.bench import photos
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.images.framing import frame_ink
from scratchnet.images.photo import read_character
from scratchnet.images.strokes import grown

SIZE = (576, 432)


@pytest.mark.parametrize("kind", photos.KINDS)
def test_the_photos_show_the_character_that_is_read(kind):
    (alphabet,) = generate_alphabets(1, characters=1, drawers=1, image_size=105, seed=3)
    read, drawn = (
        frame_ink(np.asarray(ink, np.float32)[None], 48)[0] > 0.5
        for ink in (read_character(photos.photo(kind, SIZE)), alphabet.images[0, 0])
    )
    assert (read & ~grown(drawn)).sum() < 0.02 * read.sum()
    assert (drawn & ~grown(read)).sum() < 0.02 * drawn.sum()


def test_a_row_has_the_size_and_how_much_longer_than_decoding_reading_takes(monkeypatch):
    def in_turns(steps, rounds, device):
        assert list(steps) == ["decode", "read"]
        assert steps["read"]().ndim == 2
        return {"decode": [0.001, 0.002, 0.001], "read": [0.002, 0.003, 0.004]}

    monkeypatch.setattr(photos, "in_turns", in_turns)
    row = photos.measure("lined", SIZE, rounds=3)
    image = Image.open(io.BytesIO(photos.photo("lined", SIZE)))
    assert (row["photo"], row["width"], row["height"]) == ("lined", *image.size)
    assert row["read_ms"] == pytest.approx({"median": 3, "least": 2, "most": 4})
    assert row["beyond"] == pytest.approx({"median": 1, "least": 0.5, "most": 3})


def test_the_command_prints_a_line_for_every_photo(bench, monkeypatch):
    monkeypatch.setattr(photos, "SIZES", (SIZE,))
    code, out, err = bench("--photos")
    assert (code, err) == (0, "")
    for kind in photos.KINDS:
        spread = r"[\d.]+ \([\d.]+ - [\d.]+\)"
        assert re.search(rf"^{kind} +0\.2 +\d+ +{spread} +{spread} +-?[\d.]+$", out, re.MULTILINE)
    assert max(map(len, out.splitlines()[1:])) <= 120  # the first names the folder of the code
    figures = json.loads(bench("--photos", "--json")[1])
    assert figures.keys() == {"code", "machine", "photos"}
    assert [row["photo"] for row in figures["photos"]] == list(photos.KINDS)


@pytest.mark.parametrize("other", [["--embed"], ["--memory-peak"], ["--against", "torch"]])
def test_it_goes_with_no_other_measurement(bench, other):
    code, out, err = bench("--photos", *other)
    assert (code, out) == (2, "")
    assert "--photos times reading alone" in err
