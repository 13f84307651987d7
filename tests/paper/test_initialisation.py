"""The study of the initialisation: eight between printed and corrected, each made once, and a table and a picture."""

import json

import numpy as np
import pytest

from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.models.networks import koch2015
from scratchnet.paper import initialisation
from scratchnet.paper.initialisation import INITS, PRINTED, WINDOW, learnt_at, network, picture, rows


def test_the_eight_lie_between_printed_and_corrected(tiny):
    assert INITS[0] == PRINTED
    assert INITS[-1] == "biases and convolutions and dense"
    assert len(set(INITS)) == 8
    options = {name: value for name, value in tiny.architecture.items() if name != "name"}
    ends = {init: koch2015(3, init, **options).params for init in ("literal", "corrected")}
    for init in INITS:
        params = network(3, init, architecture=tiny.architecture).params
        parts = {
            "biases": {name for name in params if name.endswith("bias")},
            "convolutions": {f"encoder.conv{number}.weight" for number in range(1, 5)},
            "dense": {"encoder.linear.weight", "head.weight"},
        }
        corrected = set().union(*(names for part, names in parts.items() if part in init))
        for name, value in params.items():
            np.testing.assert_array_equal(value, ends["corrected" if name in corrected else "literal"][name])


def test_it_has_learnt_once_a_window_of_steps_is_below():
    loss = [0.7] * 30 + [0.6] * 30
    assert learnt_at(loss) == 30 + 11, "eleven of the last twenty"
    assert learnt_at(loss[:40]) is None
    assert learnt_at([0.1] * WINDOW) == WINDOW


def test_a_study_makes_each_once_and_goes_on(begin, tmp_path, monkeypatch):
    made = []
    replay = initialisation.replay

    def counted(*arguments, inits, **options):
        made.extend(inits)
        return replay(*arguments, inits=inits, **options)

    monkeypatch.setattr(initialisation, "replay", counted)
    begun = begin("initialisation")
    monkeypatch.setattr(begun, "deadline", 0.0)
    assert not begun.run()
    assert made == []
    monkeypatch.setattr(initialisation, "INITS", INITS[:3])
    assert begin("initialisation").run()
    monkeypatch.setattr(initialisation, "INITS", INITS)
    assert begin("initialisation").run()
    assert made == INITS
    held = json.loads((tmp_path / "out" / "TABLE.json").read_text())["initialisation"]
    assert [row["corrected"] for row in held] == INITS
    assert all(row["steps"] == 21 and 0 <= row["saturated"] <= 1 for row in held)
    text = (tmp_path / "out" / "TABLE.md").read_text()
    assert text.count("| not in 21 |") + sum(row["learnt_at"] is not None for row in held) == 8


def test_a_damaged_file_is_named(begin, tmp_path):
    folder = tmp_path / "out" / "initialisation"
    folder.mkdir(parents=True)
    (folder / "as-printed.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"as-printed\.json is damaged .*: remove it to make it again"):
        rows(folder)


def test_the_picture_has_a_line_for_each_in_every_panel(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: the extra `paper`")
    record = {"loss": [0.7] * 40, "saturated": [0.1] * 4, "different": [0.01] * 4}
    figure = picture(dict.fromkeys(INITS, record))
    assert [len(axes.lines) for axes in figure.axes] == [9, 8, 8]  # and the line of a guess


def test_without_matplotlib_there_is_no_picture_and_no_failure(tmp_path, monkeypatch):
    def missing():
        raise ScratchnetError("not installed")

    monkeypatch.setattr(initialisation, "expect_matplotlib", missing)
    initialisation.draw(tmp_path)
    assert list(tmp_path.iterdir()) == []
