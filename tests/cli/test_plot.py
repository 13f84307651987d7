"""`scratchnet plot`: which pictures it draws, where it puts them, and what it refuses."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from commands import TINY
from PIL import Image

from scratchnet.checkpoint import WEIGHTS
from scratchnet.errors import install_extra
from scratchnet.explain.plots import pictures
from scratchnet.explain.plots.pictures import PICTURES
from scratchnet.explain.plots.subjects import find_subjects
from scratchnet.train import LOG, RECIPE, STATE

OF_LOGS, OF_NETWORKS = ["curves", "gradients"], ["filters", "embedding", "confusions", "warps"]


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib", reason=f"draws with matplotlib, an extra; {install_extra('study')}")


@pytest.fixture
def blank(matplotlib, monkeypatch):
    """Figures of nothing in place of the pictures, for tests of what is drawn of what; the arguments of each."""
    drawn = []
    figure = matplotlib.figure.Figure
    for name in ("curves", "gradient_norms", "filters", "embedding_map", "confusions", "warps"):

        def stand_in(*arguments, name=name, **options):
            drawn.append((name, arguments, options))
            return figure()

        monkeypatch.setattr(pictures, name, stand_in)
    return drawn


@pytest.fixture
def two(finished):
    """A second run beside the first."""
    shutil.copytree(finished, finished.parent / "second")
    return finished, finished.parent / "second"


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# What is drawn


@pytest.mark.usefixtures("matplotlib")
def test_all_pictures_of_a_run_go_into_a_folder_and_their_paths_are_printed(ask, finished, tmp_path):
    answer = ask("plot", finished)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [f"plots/{name}.png" for name in PICTURES]
    for line in answer.out.splitlines():
        with Image.open(tmp_path / line) as picture:
            assert picture.width > 600
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 20, line


@pytest.mark.usefixtures("blank")
def test_several_runs_share_their_curves_and_have_the_other_pictures_each(ask, two):
    figures = ask("plot", *two, "--json").json
    each = [f"plots/{name}-{run}.png" for name in OF_NETWORKS for run in ("run", "second")]
    assert figures == {"pictures": ["plots/curves.png", "plots/gradients.png", *each], "left_out": {}}


def test_the_curves_of_several_runs_are_those_of_their_logs(ask, two, blank):
    ask("plot", *two, "--only", "curves", "--x", "minutes")
    ((name, (logs,), options),) = blank
    assert (name, list(logs), options["against"]) == ("curves", ["run", "second"], "minutes")
    assert logs["run"] == find_subjects([str(two[0])])[0].log


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--out", "deep/er"], ["deep/er/curves.png", "deep/er/gradients.png"]),
        (["--out", "here", "--format", "svg"], ["here/curves.svg", "here/gradients.svg"]),
        (["--only", "curves", "--out", "mine.svg"], ["mine.svg"]),
        (["--only", "curves", "--out", "deep/mine.PNG"], ["deep/mine.PNG"]),
        (["--only", "gradients", "--out", "v1.2"], ["v1.2/gradients.png"]),
    ],
)
def test_out_is_a_folder_or_the_file_of_one_picture(arguments, expected, ask, finished, tmp_path):
    shutil.copy(finished / LOG, tmp_path / "a_log.jsonl")
    answer = ask("plot", "a_log.jsonl", *arguments)
    assert answer.code == 0
    assert answer.out.splitlines() == expected
    assert all((tmp_path / path).is_file() for path in expected)


def test_a_log_alone_is_named_after_its_file_and_has_no_pictures_of_a_network(ask, finished, tmp_path, blank):
    shutil.copy(finished / LOG, tmp_path / "seed_1.jsonl")
    assert ask("plot", "seed_1.jsonl", "--json").json["pictures"] == ["plots/curves.png", "plots/gradients.png"]
    assert [list(logs) for _, (logs,), _ in blank] == [["seed 1"], ["seed 1"]]


@pytest.mark.usefixtures("blank")
def test_a_weights_file_has_the_pictures_of_a_network(ask, finished):
    figures = ask("plot", finished / WEIGHTS, "--json").json
    assert figures["pictures"] == [f"plots/{name}.png" for name in OF_NETWORKS]


def test_a_bundled_network_is_shown_on_generated_alphabets_where_there_is_no_omniglot(ask, blank):
    assert ask("plot", "omniglot", "--json", "--only", "embedding", "warps").json["left_out"] == {}
    (_, _, of_map), (_, (drawings, _), of_warps) = blank
    assert "generated alphabets" in of_map["note"]
    assert "generated drawings" in of_warps["title"]
    assert drawings.shape[1:] == (48, 48)


def test_a_bundled_network_is_judged_on_the_official_runs_where_they_are(ask, blank, real_data):
    ask("plot", "omniglot", "--only", "confusions", "--data", str(real_data))
    ((_, (made,), options),) = blank
    assert (sum(choice.wrong for choice in made), len(made)) == (4, 400)  # as on its card
    assert "official runs" in options["task"]


def test_a_run_on_omniglot_is_shown_on_alphabets_that_it_was_not_trained_on(real_data, finished):
    recipe = (finished / RECIPE).read_text().replace('"data": "glyphs"', '"data": "omniglot"')
    kept = recipe.replace('"validation_alphabets": []', '"validation_alphabets": ["Korean"]')
    (finished / RECIPE).write_text(kept)
    (subject,) = find_subjects([str(finished)], real_data)
    assert [alphabet.name for alphabet in subject.unseen[0]] == ["Korean"]
    assert "Korean" not in [alphabet.name for alphabet in subject.training[0]]


def test_the_legend_says_which_runs_are_not_finished_and_the_ring_which_epoch_is_kept(finished):
    subject = find_subjects([str(finished)])[0]
    best = max(subject.log, key=lambda record: record["validation"])
    assert (subject.legend, subject.kept) == ("run", best["epoch"])
    lines = (finished / LOG).read_text().splitlines(keepends=True)
    (finished / LOG).write_text(lines[0])
    subject = find_subjects([str(finished)])[0]
    assert (subject.legend, subject.kept) == ("run, 1 of 2 epochs", 1)


def test_runs_of_the_same_name_are_told_apart_by_their_paths(two, tmp_path):
    for folder in ("a", "b"):
        shutil.copytree(two[0], tmp_path / folder / "run")
    assert [each.name for each in find_subjects(["a/run", "b/run"])] == ["a/run", "b/run"]
    assert pictures.planned(find_subjects(["a/run", "b/run"]), ["filters"]) == ["filters-a-run", "filters-b-run"]


# What is left out


@pytest.mark.usefixtures("blank")
def test_without_the_data_of_a_run_its_pictures_of_drawings_are_left_out_with_a_line_each(ask, finished):
    recipe = (finished / RECIPE).read_text().replace('"data": "glyphs"', '"data": "omniglot"')
    (finished / RECIPE).write_text(recipe)
    answer = ask("plot", finished)
    assert answer.code == 0
    assert answer.out.splitlines() == [f"plots/{name}.png" for name in ("curves", "gradients", "filters")]
    lines = answer.err.splitlines()
    assert [line.partition(":")[2].partition(":")[0] for line in lines] == [
        f" left out of {name}" for name in ("embedding", "confusions", "warps")
    ]
    assert all("fetch Omniglot with `scratchnet download DIR`" in line for line in lines)


@pytest.mark.usefixtures("blank")
def test_a_run_whose_first_epoch_has_not_ended_is_left_out(ask, two):
    for name in (LOG, WEIGHTS, STATE):
        (two[1] / name).unlink()
    figures = ask("plot", *two, "--only", "curves", "filters", "--json").json
    assert figures["pictures"] == ["plots/curves.png", "plots/filters-run.png"]
    assert figures["left_out"] == {
        "curves": [f"{two[1]} has no {LOG} yet: it is written at the end of the first epoch"],
        "filters-second": [f"{two[1]} has no {WEIGHTS} yet: it is written at the end of an epoch"],
    }


@pytest.mark.usefixtures("blank")
def test_a_log_without_gradient_norms_is_left_out_of_their_picture_alone(ask, finished, tmp_path):
    assert ask("train", *TINY, "--measured-steps", "0", "--out", "old", "--json").code == 0
    answer = ask("plot", finished, "old", "--only", *OF_LOGS)
    assert answer.out.splitlines() == ["plots/curves.png", "plots/gradients.png"]
    assert answer.err.startswith("scratchnet: left out of gradients: the log of old has no gradient norms")
    assert answer.err.count("\n") == 1


# What is refused


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "absent does not exist: expected a folder that `scratchnet train` made, a log.jsonl"),
        (["omniglott"], "(did you mean 'omniglot'?)"),
        (["."], ". holds no run"),
        (["run", "run"], "run is given twice"),
        (["run", "--only", "curve"], "did you mean 'curves'?"),
        (["run", "--out", "all.png"], "all.png is one file for 6 pictures, curves, gradients, filters"),
        (["run", "--out", "all.pdf"], "all.pdf: pictures are written as .png or .svg"),
        (["run", "--only", "curves", "--out", "a.svg", "--format", "png"], "a.svg is no PNG"),
        (["run/log.jsonl", "--only", "filters"], "run/log.jsonl can give none of filters"),
        (["omniglot", "--only", "curves"], "omniglot can give none of curves"),
        (["run", "--only", "curves", "--out", "run/recipe.json/x"], "Not a directory"),
        (["run", "--x", "hours"], "invalid choice: 'hours'"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_and_nothing_is_written(arguments, message, refused, finished):
    assert finished.name == "run"
    assert message in refused("plot", *arguments)


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "log.jsonl is empty: it gets a line at the end of each epoch"),
        ("{", "log.jsonl cannot be read (Expecting property name"),
        ('{"epoch": 1}\n', "the log[0] has no loss"),
        ('{"epoch": 1, "loss": NaN, "validation": null, "images_per_second": 1}\n', "the notes contain NaN"),
        (
            '{"epoch": 1, "loss": 1, "validation": null, "images_per_second": 1, "gradient_norms": {"head": "big"}}\n',
            'the log[0].gradient_norms["head"] is "big", expected a number',
        ),
        ('{"epoch": 1, "loss": 1, "validation": 1, "interval": [0, "x"], "images_per_second": 1}\n', '"x", expected'),
    ],
)
def test_an_empty_or_damaged_log_is_one_line(text, message, refused, finished):
    (finished / LOG).write_text(text)
    assert message in refused("plot", finished, "--only", "curves")
    assert message in refused("plot", finished / LOG)


@pytest.mark.usefixtures("matplotlib")
def test_damaged_weights_and_recipes_are_one_line(refused, finished):
    (finished / WEIGHTS).write_bytes(b"PK\3\4 no more")
    assert "weights.npz is damaged" in refused("plot", finished, "--only", "filters")
    (finished / RECIPE).write_text("{}")
    assert "recipe.json is damaged" in refused("plot", finished, "--only", "curves")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.usefixtures("blank")
def test_a_folder_that_cannot_be_written_is_one_line(refused, finished, tmp_path):
    (tmp_path / "sealed").mkdir(mode=0o500)
    assert "Permission denied; check the path" in refused("plot", finished, "--only", "curves", "--out", "sealed/x")


@pytest.mark.usefixtures("blank")
def test_a_full_disk_is_one_line(ask, finished, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = ask("plot", finished, "--only", "curves")
    assert answer.code == 2
    assert answer.err == (
        "scratchnet: plots/curves.png: No space left on device; check the path, its permissions and the disk\n"
    )
    assert files(tmp_path / "plots") == []


def test_without_matplotlib_one_line_says_what_to_install(refused, finished, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"] + ["matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert f"matplotlib, which is not installed; {install_extra('study')}" in refused("plot", finished)


@pytest.mark.usefixtures("matplotlib")
def test_the_committed_logs_have_curves(ask, tmp_path):
    logs = sorted((Path(__file__).parents[2] / "benchmarks" / "logs").glob("*.jsonl"))
    if not logs:
        pytest.skip("the benchmarks are not here, as in an installed package")
    assert ask("plot", *logs, "--only", "curves", "--x", "images", "--out", "curves.svg").code == 0
    drawn = (tmp_path / "curves.svg").read_text()
    assert "run 13 twin seed 0" in drawn
