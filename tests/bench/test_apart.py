"""`scratchnet bench --apart`: each library in a process of its own, in turns."""

import json
from dataclasses import asdict, replace

import pytest
from bench_parts import TINY, Mirror, never

from scratchnet.bench import apart, peers
from scratchnet.bench.peers import Embedder, Variant
from scratchnet.errors import ScratchnetError

pytestmark = pytest.mark.usefixtures("same_package")
STEP = {"workload": asdict(TINY), "embed": False}


def test_a_process_runs_what_it_is_asked_for_and_says_how_long_it_took():
    with apart.Contender({"workload": asdict(TINY), "embed": True}) as contender:
        assert 0 < contender.seconds(apart.ONE) < 60
        assert 0 < contender.seconds(apart.MANY) < 60
    assert contender._process.returncode == 0


def test_a_process_that_fails_is_one_line():
    with (
        apart.Contender(STEP | {"peer": "nonesuch", "number": 0}) as contender,
        pytest.raises(ScratchnetError, match=r"^does not run: .*nonesuch"),
    ):
        contender.seconds(apart.STEP)


@pytest.fixture
def contenders(monkeypatch):
    """In place of processes: one second for us, two for all others; and the order in which they are asked."""
    asked = []

    class Instead:
        def __init__(self, task):
            self.name = task.get("peer") or task.get("frame") or "ours"

        def __enter__(self):
            return self

        def __exit__(self, *error):
            asked.append(f"{self.name} ended")

        def seconds(self, function):
            asked.append(f"{self.name} {function}")
            return 1.0 if self.name == "ours" else 2.0

    monkeypatch.setattr(apart, "Contender", Instead)
    return asked


def test_steps_take_turns_and_the_first_round_does_not_count(contenders, monkeypatch):
    variants = [Variant("eager", Mirror), Variant("compiled", never, compiled=True)]
    monkeypatch.setattr(peers, "load", lambda name, device: variants)
    figures = dict(apart.sections(TINY, 2, against=["torch"]))
    assert contenders == ["ours step", "torch step"] * 3 + ["torch ended", "ours ended"]
    ours, eager = figures["steps apart"]
    assert ours == {"name": "scratchnet", "median_ms": 1000.0, "least_ms": 1000.0, "most_ms": 1000.0}
    assert eager["name"] == "eager"
    assert eager["ratio"]["median"] == 0.5


def test_embedding_has_a_row_for_the_frame(contenders, monkeypatch, tiny_net):
    monkeypatch.setattr(peers, "load_embedders", lambda name, device: [Embedder("eager", never)])
    framed = replace(tiny_net, frame="ink")
    monkeypatch.setattr(type(TINY), "prepare", lambda self: type("Prepared", (), {"net": framed}))
    figures = dict(apart.sections(TINY, 1, against=["torch"], embed=True))
    assert contenders[:6] == ["ours many", "ink many", "torch many"] * 2
    rows = figures["embedding apart"]
    assert [row["name"] for row in rows] == ["scratchnet", "scratchnet, framing included", "eager"]
    assert rows[2]["batch_ratio"]["median"] == rows[2]["single_ratio"]["median"] == 0.5
    assert rows[2]["framed_ratio"]["median"] == 1.0


def test_the_command_shows_both(bench, contenders, monkeypatch):
    monkeypatch.setattr(peers, "load", lambda name, device: [Variant("eager", Mirror)])
    monkeypatch.setattr(peers, "load_embedders", lambda name, device: [Embedder("eager", never)])
    code, out, err = bench("--apart", "--against", "torch")
    assert (code, err) == (0, "")
    assert "eager       2000.0 ms (2000.0 - 2000.0); ratio 0.50 (0.50 - 0.50)" in out
    code, out, _ = bench("--apart", "--embed", "--against", "torch", "--json")
    assert code == 0
    assert json.loads(out).keys() == {"code", "workload", "machine", "embedding apart"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--apart"], "--apart compares: add --against torch, or drop it"),
        (["--apart", "--against", "torch", "--memory-peak"], "--memory-peak has processes of its own"),
        (["--apart", "--against", "torch", "--photos"], "--photos times reading alone"),
    ],
)
def test_options_that_clash_are_one_line(arguments, message, bench):
    code, out, err = bench(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
