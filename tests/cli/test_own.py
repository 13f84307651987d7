"""The commands on pictures of one's own."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from commands import TINY
from own import write_own

from scratchnet.checkpoint import load_model, load_model_with_notes
from scratchnet.cli import training
from scratchnet.oneshot.baselines import BASELINES

COUNTS = {"one": 1, "two": 2, **{f"c{n}": 3 + n % 4 for n in range(9)}}
SMALL = [*TINY, "--set=hands=1"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return write_own(tmp_path_factory.mktemp("own") / "letters", COUNTS)


@pytest.fixture(scope="module")
def queries(tmp_path_factory):
    """One more picture of each class, as a flat folder."""
    folder = tmp_path_factory.mktemp("queries")
    drawn = write_own(folder / "classes", dict.fromkeys(COUNTS, 7))
    for name in COUNTS:
        file = next((drawn / name).glob("w6.*"))
        file.rename(folder / f"{name}{file.suffix}")
    return [next(folder.glob(f"{name}.*")) for name in COUNTS]


def test_training_on_a_folder_takes_the_recipe_for_it_and_says_what_it_found(ask, own, tmp_path):
    answer = ask("train", "--data", own, *SMALL, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    pictures = sum(COUNTS.values())
    assert f"{own}: {pictures} pictures of 11 classes, 1 to 6 a class\n" in answer.err
    assert "1 class has one picture, which is only a support\n" in answer.err
    assert (
        f"kept out of training, to validate by: 9 of {pictures} pictures, of 9 classes that all train\n" in answer.err
    )
    assert "recipe own, seed 0" in answer.err
    _, notes = load_model_with_notes(tmp_path / "run")
    recipe = notes["recipe"]
    assert (recipe["data"], recipe["n_way"], recipe["both_ways"]) == ("own", 5, False)  # a class of one asks nothing


def test_training_on_a_folder_as_json_has_the_summary(ask, own, tmp_path):
    found = ask("train", "--data", own, *SMALL, "--out", tmp_path / "run", "--json").json
    assert found["data"] == {
        "folder": str(own),
        "pictures": sum(COUNTS.values()),
        "classes": 11,
        "alphabets": 1,
        "least": 1,
        "most": 6,
        "left_out": 0,
        "skipped": [],
    }


def test_a_run_on_a_folder_is_resumed_to_the_same_bits(ask, own, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert ask("train", "--data", own, *SMALL, "--out", whole).code == 0
    assert ask("train", "--data", own, *SMALL, "--out", parts, "--minutes", "1e-9").code == 0
    assert len((parts / "log.jsonl").read_text().splitlines()) == 1
    assert ask("train", "--data", own, "--resume", "--out", parts).code == 0
    assert (parts / "weights.npz").read_bytes() == (whole / "weights.npz").read_bytes()


@pytest.mark.parametrize("recipe", ["glyphs", "quick"])
def test_any_recipe_trains_on_a_folder(ask, own, tmp_path, recipe):
    frame = ["--pictures", "ink"]
    answer = ask("train", "--data", own, "--recipe", recipe, *frame, *SMALL, "--out", tmp_path / "run", "--json")
    assert answer.json["data"]["classes"] == 11


def test_pairs_train_on_a_folder(ask, own, tmp_path):
    settings = ["objective=pairs", "pairs=12", "both_ways=false", "batch_size=4"]
    options = [f"--set={setting}" for setting in settings]
    assert ask("train", "--data", own, *SMALL, *options, "--out", tmp_path / "run").code == 0


def test_grey_pictures_are_a_setting_of_the_network(ask, own, tmp_path):
    assert ask("train", "--data", own, "--pictures", "grey", *SMALL, "--out", tmp_path / "run").code == 0
    assert load_model(tmp_path / "run").frame == "grey"
    found = ask("evaluate", tmp_path / "run", "--data", own, "--trials", "20", "--json").json
    assert found["results"]["scratchnet"]["trials"] >= 20
    assert ask("classify", next((own / "c3").iterdir()), own, "--model", tmp_path / "run").code == 0


def test_evaluating_on_a_folder_asks_about_its_classes_next_to_the_baselines(ask, run, own, all_baselines):
    answer = ask("evaluate", run, "--pictures", "ink", "--data", own, "--trials", "40")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "random trials, letters: 11-way 1-shot, each query judged on its own"
    assert [line[:30].strip() for line in lines[1:]] == ["scratchnet", *BASELINES]
    assert answer.err.startswith(f"{own}: 42 pictures of 11 classes")
    found = ask("evaluate", run, "--pictures", "ink", "--data", own, "--way", "4", "--shot", "2", "--json").json
    assert (found["on"], found["way"], found["shot"]) == ("own", 4, 2)


@pytest.mark.parametrize("option", [["--figures"], ["--pairs", "9"]])
def test_what_needs_omniglot_is_refused_on_a_folder(refused, run, own, option):
    assert "do not apply to pictures of your own" in refused("evaluate", run, "--data", own, *option)


def test_a_damaged_picture_stops_every_command_unless_it_is_skipped(ask, refused, run, tmp_path):
    folder = write_own(tmp_path / "own", dict.fromkeys("abcdef", 4))
    (folder / "c" / "w1x.png").write_bytes(b"nothing")
    for command in (["train", *SMALL, "--out", tmp_path / "new"], ["evaluate", run, "--pictures", "ink"]):
        message = refused(*command, "--data", folder)
        assert "w1x.png" in message
        assert "--skip-damaged" in message
    answer = ask("train", *SMALL, "--out", tmp_path / "new", "--data", folder, "--skip-damaged")
    assert answer.code == 0
    assert "skipped: 1 that cannot be read" in answer.err


def test_writers_are_kept_apart(ask, refused, own, tmp_path):
    answer = ask("train", "--data", own, "--writers", r"w(\d)", *SMALL, "--out", tmp_path / "run", "--json")
    assert answer.code == 0
    assert "finds no writer" in refused("train", "--data", own, "--writers", "(x)", *SMALL, "--out", tmp_path / "x")


def test_several_examples_of_a_class_score_as_their_mean(ask, own, run):
    query = next((own / "c3").iterdir())
    ranking = ask("classify", query, own, "--model", run, "--json").json["ranking"]
    assert len(ranking) == 11
    net = load_model(run)
    for place in ranking:
        scores = net.scores([query], sorted((own / place["class"]).iterdir()))
        assert place["score"] == pytest.approx(float(np.mean(scores)), abs=1e-4)
    assert ask("classify", query, "--support", own, "--model", run, "--json").json["ranking"] == ranking
    assert ask("classify", query, "--model", run, "--json", own).json["ranking"] == ranking


def test_queries_come_one_by_one_or_as_a_folder_and_answers_as_lines_json_or_csv(ask, own, run, queries):
    lines = ask("classify", *queries, own, "--model", run).out.splitlines()
    assert [line.split()[-1] for line in lines] == [str(query) for query in queries]
    found = ask("classify", *queries, own, "--model", run, "--json").json["queries"]
    assert [answer["query"] for answer in found] == [str(query) for query in queries]
    table = list(csv.DictReader(io.StringIO(ask("classify", *queries, own, "--model", run, "--csv").out)))
    for row, answer in zip(table, found, strict=True):
        best, second = answer["ranking"][:2]
        assert (row["query"], row["class"], row["next"]) == (answer["query"], best["class"], second["class"])
        assert float(row["score"]) == best["score"]
    folder = ask("classify", own / "c3", own, "--model", run, "--json").json["queries"]
    assert [answer["query"] for answer in folder] == [str(file) for file in sorted((own / "c3").iterdir())]


def test_a_query_that_fits_no_class_is_rejected_by_a_threshold_that_is_stated(ask, own, run, queries):
    found = json.loads(ask("classify", *queries, own, "--model", run, "--reject", "--json").out)
    rejection = found["rejection"]
    assert rejection["strangers"] == sum(COUNTS.values())
    for answer in found["queries"]:
        assert answer["accepted"] == (answer["ranking"][0]["score"] > rejection["threshold"])
    first, *lines = ask("classify", *queries, own, "--model", run, "--reject").out.splitlines()
    assert "examples with their class kept out: wrongly accepted" in first
    assert [("no class" not in line) for line in lines] == [answer["accepted"] for answer in found["queries"]]
    table = list(csv.DictReader(io.StringIO(ask("classify", *queries, own, "--reject", "--model", run, "--csv").out)))
    assert [bool(row["class"]) for row in table] == [answer["accepted"] for answer in found["queries"]]


def test_what_cannot_be_told_is_refused(refused, own, run, tmp_path):
    few = write_own(tmp_path / "few", {"a": 2, "b": 3})
    query = next((few / "a").iterdir())
    share = ["--reject", "--wrongly-accepted", "0.05"]
    assert "2 classes are too few" in refused("classify", query, few, "--model", run, *share)
    assert "give one" in refused("classify", query, few, "--model", run, "--csv", "--json")
    assert "give queries, and last the folder" in refused("classify", few, "--model", run)
    assert "expected a share" in refused("classify", query, few, "--reject", "--wrongly-accepted", "2")


def test_fine_tuning_says_how_good_the_network_was_and_is(ask, own, run, tmp_path):
    few = ["--set=epochs=1", "--set=steps=2", "--set=n_way=5", "--set=validation_trials=20"]
    answer = ask("train", "--from", run, "--data", own, *few, "--pictures", "ink", "--out", tmp_path / "tuned")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[1] == "on what was kept out of training:"
    assert lines[2].split()[0] == str(run)
    assert lines[3].split()[0] == "fine-tuned"
    assert ("it became worse" in answer.out) == (float(lines[2].split()[1][:-1]) > float(lines[3].split()[1][:-1]))
    tuned, notes = load_model_with_notes(tmp_path / "tuned")
    assert (tuned.frame, notes["recipe"]["start"]) == ("ink", str(run))
    again = ask("train", "--resume", "--data", own, "--out", tmp_path / "tuned", "--json").json
    assert again["before"]["trials"] == again["after"]["trials"] >= 20


def test_a_network_that_became_worse_is_not_kept_and_that_is_no_error(ask, own, run, tmp_path, monkeypatch):
    few = ["--set=epochs=1", "--set=steps=2", "--set=n_way=5", "--set=lr=0"]
    spoiled = {name: 0 * value for name, value in load_model(run).params.items()}
    monkeypatch.setattr(training, "train", spoiling(training.train, spoiled))
    answer = ask("train", "--from", run, "--data", own, *few, "--pictures", "ink", "--out", tmp_path / "tuned")
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == f"it became worse, so the weights are those of {run}, as they were"
    for name, value in load_model(tmp_path / "tuned").params.items():
        np.testing.assert_array_equal(value, load_model(run).params[name])


def spoiling(train, params):
    def train_badly(*arguments, **options):
        return replace(train(*arguments, **options), params=params)

    return train_badly
