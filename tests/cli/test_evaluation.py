"""`scratchnet evaluate`."""

import re
from dataclasses import replace

import pytest

from scratchnet.checkpoint import load_model_with_notes, save_model
from scratchnet.models.networks import compact
from scratchnet.oneshot import tasks as figures
from scratchnet.oneshot.baselines import BASELINES
from scratchnet.oneshot.trials import count_correct


def test_evaluate_prints_the_network_next_to_the_baselines(ask, run, all_baselines):
    answer = ask("evaluate", run, "--trials", "40")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == "random trials, glyphs: 20-way 1-shot, each query judged on its own"
    assert [line[:30].strip() for line in lines[1:]] == ["scratchnet", *BASELINES]
    assert all("of 40, 95 % interval" in line for line in lines[1:])


def test_evaluate_as_json_reports_the_figures(ask, run, all_baselines):
    found = ask("evaluate", run, "--json", "--trials", "30", "--way", "10", "--shot", "3", "--pairs", "20").json
    assert (found["model"], found["on"], found["way"], found["shot"]) == (str(run), "glyphs", 10, 3)
    assert set(found["results"]) == {"scratchnet", *BASELINES}
    for result in (*found["results"].values(), found["verification"]):
        assert result["accuracy"] == result["correct"] / result["trials"]
        low, high = result["interval"]
        assert 0 <= low <= result["accuracy"] <= high <= 1
    assert found["results"]["scratchnet"]["trials"] == 30
    assert found["verification"]["trials"] == 20


def test_evaluate_without_baselines_prints_the_network_alone(ask, run):
    answer = ask("evaluate", run, "--trials", "20", "--no-baselines", "--pairs", "10", "--across")
    assert "verification, same or different, on " in answer.out
    assert "across alphabets" in answer.out
    assert not any(name in answer.out for name in BASELINES)


@pytest.mark.parametrize("option", ["--pairs 10", "--way 5", "--across", "--trials 40", "--seed 1"])
def test_options_of_random_trials_are_refused_on_the_official_runs(option, run, refused):
    option = option.split()
    message = refused("evaluate", run, "--on", "official", *option)
    assert f"{option[0]} does not apply to the official runs; choose other data with --on" in message


def test_the_background_set_is_refused_as_the_evaluation_set(run, refused, real_data, tmp_path):
    data = tmp_path / "images_evaluation.zip"
    data.symlink_to(real_data / "omniglot" / "images_background.zip")
    assert "is not the evaluation set, it has " in refused("evaluate", run, "--on", "evaluation", "--data", data)


def test_the_seed_of_evaluate_chooses_the_trials(ask, run):
    def results(seed):
        return ask("evaluate", run, "--json", "--seed", seed, "--trials", "60").json["results"]

    assert results(1) == results(1)
    assert results(1) != results(2)


def test_evaluate_takes_the_official_runs_from_the_environment_or_an_option(ask, run, real_data, monkeypatch):
    arguments = "evaluate", run, "--on", "official", "--json", "--no-baselines"
    by_option = ask(*arguments, "--data", real_data).json["results"]
    monkeypatch.setenv("SCRATCHNET_DATA", str(real_data))
    assert ask(*arguments).json["results"] == by_option
    assert by_option["scratchnet"]["trials"] == 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "absent.zip"], "absent.zip"),
        (["--on", "official", "--data", "absent"], "no all_runs.zip or all_runs in absent"),
        (["--on", "official"], "scratchnet download"),
        (["--on", "background", "--data", "absent"], "images_background"),
        (["--on", "evaluation", "--data", "absent"], "absent"),
        (["--on", "mnist", "--data", "absent"], "t10k-images-idx3-ubyte"),
        (["--way", "21"], "no alphabet has 21 characters"),
        (["--shot", "12"], "13 drawers"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_evaluate_refuses_what_it_cannot_find(arguments, message, refused, run):
    assert message in refused("evaluate", run, *arguments)


# Several networks, several looks at a query


def rows(answer):
    """The names of the rows of the first table."""
    return [line[2:].split("  ")[0] for line in answer.out.splitlines() if line.startswith("  ")]


@pytest.fixture
def other(tmp_path):
    """An untrained network for images of the same size."""
    recipe = {"data": "glyphs", "architecture": {"image_size": 16}}
    save_model(tmp_path / "other.npz", compact(seed=5, image_size=16, width=2, features=8), recipe=recipe)
    return "other.npz"


def test_several_networks_are_evaluated_one_by_one_and_together(ask, run, other):
    arguments = "--on", "glyphs", "--trials", "60", "--pairs", "20"
    answer = ask("evaluate", run, other, *arguments)
    assert (answer.code, answer.err) == (0, "")
    assert rows(answer) == [str(run), other, "ensemble of 2", "pixel nearest neighbour"]
    names = rows(answer)[:3]
    verified = [line for line in answer.out.splitlines() if line.startswith("verification, same or different")]
    assert all(f", {name}:  " in line for name, line in zip(names, verified, strict=True))
    found = ask("evaluate", run, other, *arguments, "--json").json
    assert found["models"] == [str(run), other]
    assert list(found["results"]) == rows(answer)
    assert list(found["verification"]) == rows(answer)[:3]


def test_every_network_meets_the_same_trials_and_pairs_as_alone(ask, run, other):
    arguments = "--on", "glyphs", "--trials", "100", "--seed", "3", "--pairs", "40", "--json", "--no-baselines"
    together = ask("evaluate", run, other, *arguments).json
    for model in (str(run), other):
        alone = ask("evaluate", model, *arguments).json
        assert together["results"][model] == alone["results"]["scratchnet"]
        assert together["verification"][model] == alone["verification"]


def test_the_pairs_of_a_seed_do_not_depend_on_the_trials(ask, run):
    found = [ask("evaluate", run, "--pairs", "50", "--trials", trials, "--json").json for trials in (20, 200)]
    assert found[0]["verification"] == found[1]["verification"]


def test_an_ensemble_is_judged_by_its_mean_scores(ask, run, other):
    results = ask("evaluate", run, other, "--on", "glyphs", "--trials", "100", "--json").json["results"]
    nets, notes = zip(*(load_model_with_notes(model) for model in (run, other)), strict=True)
    alphabets = figures.unseen("glyphs", data=None, recipes=[notes[0]["recipe"]]).trials
    task = figures.random_task("glyphs", alphabets, trials=100, seed=0)
    correct = sum(
        count_correct(sum(net.scores(each.query, each.support) for net in nets), each.support_labels, each.query_labels)
        for each in task.runs
    )
    assert results["ensemble of 2"]["correct"] == correct


def test_query_warps_add_a_row_for_each_network(ask, run, other):
    answer = ask("evaluate", run, "--trials", "60", "--query-warps", "2")
    assert rows(answer) == ["scratchnet", "scratchnet, 2 query warps", "pixel nearest neighbour"]
    several = ask("evaluate", run, other, "--on", "glyphs", "--trials", "60", "--query-warps", "2", "--json").json
    assert list(several["results"]) == [
        str(run), other, "ensemble of 2", f"{run}, 2 query warps", f"{other}, 2 query warps",
        "ensemble of 2, 2 query warps", "pixel nearest neighbour",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words", "ways"),
    [
        (["--views", "2"], "2 views", {"views": 2}),
        (["--align", "3"], "best 3 aligned", {"align": 3}),
        (["--views", "8", "--align", "2"], "8 views, best 2 aligned", {"views": 8, "align": 2}),
        (["--align", "0"], "", {}),
    ],
)
def test_ways_of_scoring_are_named_in_the_row_and_count_right_answers(options, words, ways, ask, run):
    name = f"scratchnet, {words}" if words else "scratchnet"
    answer = ask("evaluate", run, "--trials", "60", *options)
    assert rows(answer) == [name, "pixel nearest neighbour"]
    found = ask("evaluate", run, "--trials", "60", "--pairs", "20", "--json", *options).json
    assert (found["views"], found["align"]) == (ways.get("views", 1), ways.get("align", 0))
    net, notes = load_model_with_notes(run)
    task = figures.random_task(
        "glyphs", figures.unseen("glyphs", data=None, recipes=[notes["recipe"]]).trials, trials=60, seed=0
    )
    assert found["results"][name]["correct"] == sum(
        count_correct(net.scores(each.query, each.support, **ways), each.support_labels, each.query_labels)
        for each in task.runs
    )
    assert found["verification"]["trials"] == 20


def test_networks_that_frame_the_ink_align_unless_told_otherwise(ask, run, tmp_path):
    net, notes = load_model_with_notes(run)
    ink = tmp_path / "ink.npz"
    save_model(
        ink,
        replace(net, frame="ink", architecture={**net.architecture, "frame": "ink"}),
        **notes | {"recipe": {"data": "omniglot"}},
    )
    trials = ["--on", "glyphs", "--trials", "20", "--no-baselines"]
    assert rows(ask("evaluate", ink, *trials)) == ["scratchnet, best 5 aligned"]
    assert rows(ask("evaluate", ink, *trials, "--align", "0")) == ["scratchnet"]
    both = ask("evaluate", ink, run, *trials, "--json").json
    assert both["align"] == 0
    assert list(both["results"]) == [str(ink), str(run), "ensemble of 2"]


@pytest.mark.parametrize("options", [["--views", "3"], ["--align", "-1"], ["--align", "many"]])
def test_other_numbers_of_views_and_matches_are_refused(options, refused, run):
    assert f"argument {options[0]}" in refused("evaluate", run, *options)


def test_the_atlas_is_of_the_trials_that_were_counted(ask, run, other, tmp_path):
    pytest.importorskip("matplotlib")
    arguments = "evaluate", run, "--trials", "40", "--no-baselines", "--atlas", "pictures/atlas.png"
    answer = ask(*arguments)
    assert answer.out.splitlines()[-1] == "pictures/atlas.png"
    assert (tmp_path / "pictures" / "atlas.png").read_bytes().startswith(b"\x89PNG")
    found = ask(*arguments, "--json").json
    by_alphabet = found["atlas"]["by_alphabet"].values()
    assert sum(each["correct"] for each in by_alphabet) == found["results"]["scratchnet"]["correct"]
    several = ask("evaluate", run, other, "--on", "glyphs", "--trials", "40", "--atlas", "both.svg", "--json").json
    by_alphabet = several["atlas"]["by_alphabet"].values()
    assert sum(each["correct"] for each in by_alphabet) == several["results"]["ensemble of 2"]["correct"]


def test_an_atlas_of_many_kinds_of_trials_or_of_another_format_is_refused(refused, run):
    pytest.importorskip("matplotlib")
    assert "--atlas draws the trials of one kind" in refused("evaluate", run, "--figures", "--atlas", "atlas.png")
    assert "pictures are written as .png or .svg" in refused("evaluate", run, "--atlas", "atlas.bmp")


# All the figures of a card


def test_figures_measures_every_kind_and_verification(ask, run):
    answer = ask("evaluate", run, "--figures", "--trials", "40", "--pairs", "20")
    assert (answer.code, answer.err) == (0, "")
    titles = [line for line in answer.out.splitlines() if line[0] != " "]
    assert titles[0] == "random trials, glyphs: 20-way 1-shot, each query judged on its own"
    assert titles[-1].startswith("verification, same or different, on ")
    assert sum("-shot across alphabets, the easier task, each" in title for title in titles) == 4
    assert answer.out.count("95 % interval") == 6
    found = ask("evaluate", run, "--figures", "--trials", "40", "--pairs", "20", "--json").json
    assert found["on"] == "glyphs"
    *trials, verified = found["figures"]
    assert [(each["task"], each["way"], each["shot"]) for each in trials] == [
        ("random trials, glyphs", 20, 1),
        ("random trials, glyphs", 20, 1),
        ("random trials, glyphs", 20, 5),
        ("random trials, glyphs", 5, 1),
        ("random trials, glyphs", 5, 5),
    ]
    assert re.match(r"verification, same or different, on (\S+), (\S+), the threshold chosen on ", verified["task"])
    for each in found["figures"]:
        result = each["results"]["scratchnet"]
        assert result["trials"] == (20 if each is verified else 40)
        assert result["interval"][0] <= result["accuracy"] <= result["interval"][1]


def test_each_figure_equals_that_of_its_command(ask, run):
    arguments = "evaluate", run, "--json", "--no-baselines", "--trials", "40", "--pairs", "20", "--seed", "6"
    found = ask(*arguments, "--figures").json["figures"]
    within = ask(*arguments).json
    across = ask(*arguments, "--across", "--way", "5", "--shot", "5").json
    assert found[0]["results"] == within["results"]
    assert found[4]["results"] == across["results"]
    assert found[5]["results"]["scratchnet"] == within["verification"]


@pytest.fixture
def trained_on(tmp_path, tiny_net):
    """Saves a network whose notes say that it was trained on Omniglot but for these alphabets."""

    def save(*kept_out):
        save_model("trained.npz", tiny_net, recipe={"data": "omniglot", "validation_alphabets": kept_out})
        return "trained.npz"

    return save


def test_where_all_alphabets_were_trained_on_figures_are_the_official_ones_and_say_why(ask, trained_on, real_data):
    arguments = "evaluate", trained_on(), "--figures", "--no-baselines", "--data", real_data
    answer = ask(*arguments)
    assert answer.out.splitlines()[0].startswith("official runs only: training has seen every alphabet")
    assert answer.out.splitlines()[1].startswith("official runs: 20-way 1-shot")
    assert answer.out.count("95 % interval") == 1
    found = ask(*arguments, "--json").json
    assert "official runs only" in found["note"]
    assert [each["task"] for each in found["figures"]] == ["official runs"]


def test_figures_on_the_alphabets_kept_out_come_with_the_official_runs(ask, trained_on, real_data):
    few = "--trials", "20", "--pairs", "20"
    found = ask("evaluate", trained_on("Korean", "Futurama"), "--figures", *few, "--data", real_data, "--json").json
    assert found["on"] == "background"
    assert "note" not in found
    assert [each["task"].split(",")[0] for each in found["figures"]] == [
        "official runs", *["random trials"] * 5, "verification",
    ]  # fmt: skip
    assert set(found["figures"][0]["results"]) == {"scratchnet", "pixel nearest neighbour"}
    assert set(found["figures"][1]["results"]) == {"scratchnet"}


def test_a_network_that_has_seen_all_alphabets_is_not_judged_on_them(trained_on, refused, real_data):
    message = refused("evaluate", trained_on(), "--on", "background", "--data", real_data)
    assert "all alphabets of the background set were trained on, none is left unseen" in message


@pytest.mark.parametrize("option", ["--way 5", "--shot 5", "--across"])
def test_options_that_figures_sets_itself_are_refused(option, run, refused):
    message = refused("evaluate", run, "--figures", *option.split())
    assert f"{option.split()[0]} does not apply to --figures" in message


def test_digits_have_no_such_figures(run, refused):
    assert "mnist has 10" in refused("evaluate", run, "--figures", "--on", "mnist")
