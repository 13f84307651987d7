"""Figures are drawn and saved without a screen, in our style, and leave matplotlib as it was."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from scratchnet.errors import ScratchnetError
from scratchnet.explain.plots.curves import curves
from scratchnet.explain.plots.gradients import gradient_norms
from scratchnet.explain.plots.page import COLOURS, coloured, save


@pytest.fixture
def figure(log_of):
    return curves({"a run": log_of(3)})


def test_a_figure_is_saved_as_its_suffix_says(figure, tmp_path):
    save(figure, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.width == pytest.approx(7.2 * 200, abs=1)
    save(figure, tmp_path / "curves.SVG")
    assert "<svg" in (tmp_path / "curves.SVG").read_text()


@pytest.mark.parametrize("name", ["curves.pdf", "curves", "curves.png.txt"])
def test_another_format_is_refused_and_nothing_is_written(name, figure, tmp_path):
    with pytest.raises(ScratchnetError, match=r"pictures are written as \.png or \.svg"):
        save(figure, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_log_is_the_same_file(suffix, log_of, tmp_path):
    log = log_of(4)
    for name in ("first", "second"):
        save(curves({"a run": log}), tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"first.{suffix}").read_bytes() == (tmp_path / f"second.{suffix}").read_bytes()


def test_drawing_neither_loads_pyplot_nor_changes_the_settings(tmp_path):
    code = f"""
import sys, matplotlib
before = matplotlib.rcParams.copy()
from scratchnet.explain.plots.curves import curves
from scratchnet.explain.plots.page import save
log = [dict(epoch=1, loss=1.0, validation=0.5, images_per_second=1.0)]
save(curves(dict(run=log)), {str(tmp_path / "curves.png")!r})
assert "matplotlib.pyplot" not in sys.modules
assert dict.__eq__(matplotlib.rcParams, before)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "curves.png").exists()


def test_settings_of_a_user_change_no_picture(matplotlib, log_of, tmp_path):
    log = log_of(2)
    save(curves({"a run": log}), tmp_path / "ours.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 30}):
        save(curves({"a run": log}), tmp_path / "theirs.png")
    assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()


def seen_by(colour, vision):
    """A colour (3,) as seen without one kind of cone: Machado, Oliveira and Fernandes 2009, severity 1, linear RGB."""
    matrices = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "normal": np.eye(3),
    }
    return np.array(matrices[vision]) @ (np.array(colour) ** 2.2)


@pytest.mark.parametrize("vision", ["normal", "protan", "deutan"])
def test_the_colours_of_runs_stay_apart_for_people_who_see_fewer(vision, matplotlib):
    seen = [seen_by(matplotlib.colors.to_rgb(colour), vision) for colour in COLOURS]
    apart = [np.abs(one - other).max() for i, one in enumerate(seen) for other in seen[:i]]
    assert min(apart) > 0.1


@pytest.mark.parametrize("name", ["_hidden", "$x_1$", "$\\broken{$", "a" * 200, "\u5b57\u6bcd"])
def test_a_run_may_have_any_name(name, log_of, tmp_path):
    for runs in ([name], [name, "other"]):
        for draw in (curves, gradient_norms):
            figure = draw({run: log_of(2) for run in runs})
            save(figure, tmp_path / "drawn.png")
            shown = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
            shown += [
                figure.get_suptitle().replace("\n", ""),
                *(axes.get_title(loc="left") for axes in figure.get_axes()),
            ]
            assert any(name[-20:] in text for text in shown)


def test_a_drawing_is_as_opaque_as_its_ink():
    rgba = coloured(np.array([[0.0, 0.5], [1.0, 1.5]]), "#FF0000")
    assert rgba[..., 3].tolist() == [[0.0, 0.5], [1.0, 1.0]]
    assert (rgba[..., :3] == [1.0, 0.0, 0.0]).all()
