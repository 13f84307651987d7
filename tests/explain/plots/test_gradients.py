"""The gradient norms in a picture are those of the log, layer by layer."""

import pytest

from scratchnet.errors import DataError
from scratchnet.explain.plots.gradients import gradient_norms

LAYERS = ("encoder.conv1", "encoder.norm1", "encoder.linear", "head")


def used(figure):
    return [axes for axes in figure.get_axes() if axes.axison]


def test_each_line_is_the_norm_of_a_layer_over_the_epochs(log_of):
    log = log_of(5)
    (axes,) = used(gradient_norms({"a run": log}))
    assert axes.get_yscale() == "log"
    drawn = [list(zip(*line.get_data(), strict=True)) for line in axes.lines]
    assert drawn == [[(record["epoch"], record["gradient_norms"][layer]) for record in log] for layer in LAYERS]


def test_the_legend_names_the_layers_from_the_output_down(log_of):
    figure = gradient_norms({"a run": log_of(2)})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["head", "linear", "norm1", "conv1"]


@pytest.mark.parametrize("runs", [1, 3, 8])
def test_every_run_has_a_panel_with_its_name_and_all_share_one_scale(runs, log_of):
    figure = gradient_norms({f"run {k}": log_of(3) for k in range(runs)})
    assert len(used(figure)) == runs
    assert len({axes.get_ylim() for axes in used(figure)}) == 1
    assert len({axes.get_xlim() for axes in used(figure)}) == 1
    names = figure.get_suptitle() + " ".join(axes.get_title(loc="left") for axes in used(figure))
    assert all(f"run {k}" in names for k in range(runs))


def test_a_layer_has_one_colour_in_all_panels_also_where_another_lacks_it(log_of):
    one, other = used(gradient_norms({"one": log_of(2), "other": log_of(2, norms=("encoder.conv1", "head"))}))
    assert len(other.lines) == 2
    assert [line.get_color() for line in other.lines] == [one.lines[0].get_color(), one.lines[3].get_color()]


def test_normalisation_is_dashed_with_hollow_marks(log_of):
    (axes,) = used(gradient_norms({"a run": log_of(2)}))
    assert [str(line.get_markerfacecolor()) == "#FFFFFF" for line in axes.lines] == [False, True, False, False]
    assert [line.get_linestyle() == "-" for line in axes.lines] == [True, False, True, True]


def test_an_epoch_that_was_not_measured_is_left_out(log_of):
    log = log_of(3)
    log[1] = log[1] | {"gradient_norms": None}
    (axes,) = used(gradient_norms({"a run": log}))
    assert axes.lines[0].get_xdata().tolist() == [1, 3]


def test_a_gradient_of_zero_has_no_place_on_a_scale_of_powers(log_of):
    log = log_of(3)
    log[0]["gradient_norms"]["head"] = 0.0
    (axes,) = used(gradient_norms({"a run": log}))
    assert axes.lines[3].get_xdata().tolist() == [2, 3]


def test_an_epoch_alone_is_marked_at_a_whole_number(log_of):
    (axes,) = used(gradient_norms({"a run": log_of(1)}))
    assert axes.get_xticks().tolist() == [1]


def test_a_log_without_norms_is_refused_by_name(log_of):
    with pytest.raises(DataError, match="the log of old has no gradient norms: it is one of"):
        gradient_norms({"new": log_of(2), "old": log_of(2, norms=())})
