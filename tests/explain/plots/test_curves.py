"""Learning curves show the numbers of the logs, of one run or many, validated or not."""

from itertools import accumulate

import numpy as np
import pytest

from scratchnet.errors import DataError
from scratchnet.explain.plots.curves import curves


def panels(figure):
    return figure.get_axes()


def points(line):
    return list(zip(*line.get_data(), strict=True))


def texts(figure):
    legends = [text.get_text() for legend in figure.legends for text in (*legend.get_texts(), legend.get_title())]
    return " ".join([figure.get_suptitle(), figure.get_supxlabel(), *legends])


def test_the_curves_are_the_losses_and_validations_of_the_log(log_of):
    log = log_of(5)
    loss, validation = panels(curves({"a run": log}))
    assert points(loss.lines[0]) == [(record["epoch"], record["loss"]) for record in log]
    assert points(validation.lines[0]) == [(record["epoch"], 100 * record["validation"]) for record in log]
    assert "a run" in texts(loss.figure)


def test_the_band_is_the_interval_of_the_log(log_of):
    log = log_of(4)
    (band,) = panels(curves({"a run": log}))[1].collections
    corners = band.get_paths()[0].vertices
    for record in log:
        of_epoch = corners[corners[:, 0] == record["epoch"], 1]
        assert (of_epoch.min(), of_epoch.max()) == pytest.approx([100 * end for end in record["interval"]])


@pytest.mark.parametrize("runs", [1, 3, 4, 8])
def test_bands_are_drawn_for_few_runs_and_explained_where_they_are(runs, log_of):
    figure = curves({f"run {k}": log_of(3) for k in range(runs)})
    assert len(panels(figure)[1].collections) == (runs if runs <= 3 else 0)
    assert ("Band" in texts(figure)) == (runs <= 3)


@pytest.mark.parametrize("runs", [1, 3, 8, 32])
def test_no_two_runs_look_alike(runs, log_of):
    figure = curves({f"run {k}": log_of(2) for k in range(runs)})
    lines = panels(figure)[0].lines
    assert len(lines) == runs
    assert len({(line.get_color(), str(line.get_linestyle()), line.get_marker()) for line in lines}) == runs
    if runs > 1:
        assert all(f"run {k}" in texts(figure) for k in range(runs))


def test_without_a_validation_there_is_one_panel(log_of):
    (loss,) = panels(curves({"a run": log_of(3, validated=False)}))
    assert loss.get_title(loc="left") == "Training loss"


def test_a_run_without_a_validation_beside_one_with_it_has_its_loss_alone(log_of):
    loss, validation = panels(curves({"one": log_of(3, validated=False), "other": log_of(3)}))
    assert [len(line.get_xdata()) for line in loss.lines] == [3, 3]
    assert [len(line.get_xdata()) for line in validation.lines] == [0, 3]
    assert validation.lines[1].get_color() == loss.lines[1].get_color()


def test_an_epoch_alone_is_a_point_with_its_interval_at_a_whole_number(log_of):
    log = log_of(1)
    loss, validation = panels(curves({"a run": log}))
    assert loss.get_xticks().tolist() == [1]
    assert loss.lines[0].get_marker() == "o"
    ((bottom, top),) = validation.collections[0].get_segments()
    assert (bottom[1], top[1]) == pytest.approx([100 * end for end in log[0]["interval"]])


def test_epochs_are_marked_at_whole_numbers(log_of):
    for axes in panels(curves({"a run": log_of(3)})):
        assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_the_epoch_that_is_kept_has_a_ring(log_of):
    log = log_of(4)
    figure = curves({"a run": log}, kept={"a run": 3})
    ring = panels(figure)[1].lines[-1]
    assert points(ring) == [(3, 100 * log[2]["validation"])]
    assert ring.get_markerfacecolor() == "none"
    assert "Ring: the epoch whose network is kept." in texts(figure)
    assert "Ring" not in texts(curves({"a run": log}))


def test_curves_against_images_and_minutes_add_up_the_log(log_of):
    log = log_of(4)
    images = list(accumulate(record["seconds"] * record["images_per_second"] / 1000 for record in log))
    minutes = list(accumulate(record["seconds"] / 60 for record in log))
    for against, expected, label in (("images", images, "thousands"), ("minutes", minutes, "minutes")):
        for axes in panels(curves({"a run": log}, against=against)):
            np.testing.assert_allclose(axes.lines[0].get_xdata(), expected)
            assert label in axes.get_xlabel()


def test_no_accuracy_is_over_a_hundred_percent(log_of):
    log = [record | {"validation": 1.0, "interval": [0.99, 1.0]} for record in log_of(3)]
    assert panels(curves({"a run": log}))[1].get_ylim()[1] <= 100


def test_a_log_of_0_1_has_curves(log_of):
    plain = [
        {name: record[name] for name in ("epoch", "loss", "validation", "images_per_second")} for record in log_of(2)
    ]
    figure = curves({"a run": plain})
    assert len(panels(figure)) == 2
    assert "Band" not in texts(figure)


def test_a_log_without_epochs_or_times_is_refused_by_name(log_of):
    with pytest.raises(DataError, match="the log of empty has no epoch yet"):
        curves({"full": log_of(2), "empty": []})
    timeless = [{k: v for k, v in record.items() if k != "seconds"} for record in log_of(2)]
    with pytest.raises(DataError, match="the log of old has no times: draw it against epochs"):
        curves({"old": timeless}, against="minutes")
