"""The page as a file: one, whole, and not in need of anything."""

import base64
import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.explain.examples import example
from scratchnet.explain.page import page, write_page
from scratchnet.layers import Conv2d, Flatten, Linear, Sequential, WeightedL1
from scratchnet.models.siamese import SiameseNet


@pytest.fixture(scope="module")
def html(explained) -> str:
    return page(explained, 4)


def part(html: str, name: str) -> str:
    return re.search(rf'<script type="[a-z/]+" id="{name}">(.*?)</script>', html, re.DOTALL)[1]


def test_it_loads_nothing_from_anywhere(html):
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"<(link|img|script|iframe)[^>]+(src|href)=(?!\"data:)", html)


def test_its_arrays_are_those_of_the_trace(html, found):
    facts = json.loads(part(html, "facts"))
    packed = np.frombuffer(gzip.decompress(base64.b64decode(part(html, "arrays"))), "<f4")
    for name, value in found.arrays.items():
        start, shape = facts["layout"][name]
        assert shape == list(value.shape)
        assert np.array_equal(packed[start : start + value.size].reshape(shape), value, equal_nan=True)


def test_the_score_is_told_to_the_last_digit(html, explained):
    facts = json.loads(part(html, "facts"))
    assert facts["modes"]["compare"]["p"] == explained.trace.probability
    assert facts["modes"]["batch"]["pairs"] == 8
    assert facts["modes"]["alone"]["pairs"] == 1


def test_it_is_the_same_each_time_but_for_the_times(html, explained):
    def without_times(text: str) -> str:
        return re.sub(r'"(ms|backwardMs)": [0-9.e-]+', "", text)

    assert without_times(page(explained, 4)) == without_times(html)


class Halved:
    """A layer of somebody's own."""

    def init(self, rng):
        return {}

    def forward(self, params, x):
        return x / 2, None

    def backward(self, dy, cache):
        return dy / 2, {}


def test_a_layer_of_somebodys_own_is_shown_without_an_explanation():
    encoder = Sequential(
        {"conv": Conv2d(1, 5, 3), "own": Halved(), "flatten": Flatten(), "linear": Linear(5 * 18 * 18, 4)}
    )
    net = SiameseNet(encoder, WeightedL1(4), image_size=20)
    net.params = net.init(np.random.default_rng(0))
    facts = json.loads(part(page(example(net), 3), "facts"))
    own = facts["layers"][1]
    assert (own["name"], own["kind"], own["type"]) == ("own", "other", "Halved")
    assert len(facts["channels"][2]) == 3


def test_a_head_of_somebodys_own_is_refused(explained):
    other = replace(explained.trace, head=replace(explained.trace.head, layer=Halved()))
    with pytest.raises(ScratchnetError, match="the page explains networks with the head WeightedL1, not"):
        page(replace(explained, trace=other), 2)


def test_a_name_cannot_end_the_script(explained):
    named = replace(explained, names=("</script><b>", "b"))
    facts = json.loads(part(page(named, 2), "facts"))
    assert facts["names"] == ["</script><b>", "b"]


def test_it_is_written_whole_or_not_at_all(explained, tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        write_page(tmp_path / "nowhere" / "page.html", explained, 2)
    write_page(tmp_path / "page.html", explained, 2)
    assert (tmp_path / "page.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert len(list(tmp_path.iterdir())) == 1
