"""Bundled networks on the command line, and the script that makes them."""

import importlib.util
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from scratchnet import pretrained
from scratchnet.checkpoint import load_model, save_model
from scratchnet.models.networks import compact

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bundle.py"


@pytest.fixture
def omniglot(bundle, tiny_net):
    """A stand-in for the default network of the commands."""
    bundle("omniglot", tiny_net)
    return load_model("omniglot")


def test_compare_takes_the_bundled_network_where_none_is_named(ask, glyphs, omniglot):
    support, query = glyphs
    other = support / "sign1.png"
    expected = omniglot.similarity([query], [other])[0]
    assert ask("compare", query, other).out == f"{expected:.1%} that {query} and {other} show the same character\n"
    assert ask("compare", query, other, "--model", "omniglot").out == ask("compare", query, other).out


def test_classify_takes_the_bundled_network_where_none_is_named(ask, glyphs, omniglot):
    support, query = glyphs
    found = ask("classify", query, "--support", support, "--json").json
    assert found == ask("classify", query, "--support", support, "--model", "omniglot", "--json").json
    scores = omniglot.scores([query], sorted(support.glob("*.png")))[0]
    assert found["ranking"][0]["score"] == pytest.approx(max(scores.tolist()))


def test_a_path_of_that_name_is_taken_only_where_it_is_named(ask, glyphs, omniglot):
    support, query = glyphs
    images = query, support / "sign1.png"
    other = compact(seed=9, image_size=24, width=2, features=8)
    save_model("omniglot", other)
    for net, model in ((omniglot, []), (other, ["--model", "omniglot"])):
        expected = net.similarity(*([image] for image in images))[0]
        assert ask("compare", *images, *model, "--json").json["probability"] == pytest.approx(float(expected))


@pytest.mark.parametrize("command", ["compare", "classify"])
def test_no_bundled_network_is_one_line_that_says_what_to_do(command, bundle, glyphs, refused):
    support, query = glyphs
    arguments = {"compare": [query, query], "classify": [query, "--support", support]}[command]
    line = refused(command, *arguments)
    assert "no network called omniglot is bundled with this scratchnet (there is none)" in line
    assert "train one with `scratchnet train` and give its run folder with --model" in line


def test_evaluate_takes_bundled_networks_by_name(ask, bundle, tiny_net):
    bundle("one", tiny_net)
    bundle("two", compact(seed=9, image_size=16, width=2, features=8))
    results = ask("evaluate", "one", "two", "--on", "glyphs", "--trials", "20", "--no-baselines", "--json").json[
        "results"
    ]
    assert list(results) == ["one", "two", "ensemble of 2"]


def test_an_unknown_name_lists_the_bundled_ones(refused, bundle, tiny_net):
    bundle("one", tiny_net)
    assert "three does not exist" in refused("evaluate", "three")
    assert "bundled network (one)" in refused("evaluate", "three")


def test_info_lists_the_bundled_networks_with_their_size_and_first_figure(ask, bundle, tiny_net):
    assert re.search(r"^bundled +none$", ask("info").out, flags=re.MULTILINE)
    bundle("one", tiny_net)
    path = bundle("two", tiny_net, "float32")
    (line,) = [line for line in ask("info").out.splitlines() if line.startswith("bundled")]
    one, two = line.removeprefix("bundled").split("), ")
    assert one.strip() == "one (0.0 MB; 95.0% (92.4% - 96.7%) of 400 trials, official runs"
    assert two.startswith("two (")
    told = ask("info", "--json").json["bundled"]
    assert list(told) == ["one", "two"]
    assert told["two"]["bytes"] == path.stat().st_size
    assert (told["two"]["figure"]["correct"], told["two"]["figure"]["trials"]) == (380, 400)


# benchmarks/bundle.py


@pytest.fixture
def bundle_script():
    """The main function of the script."""
    spec = importlib.util.spec_from_file_location("bundle_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_the_script_bundles_a_run_with_a_card_that_is_true(bundle, bundle_script, run, ask, capsys):
    bundle_script(
        [str(run), "tiny", "--summary", "Tries hard.", "--trials", "40", "--pairs", "20", "--limit", "Small."]
    )
    assert capsys.readouterr().out.startswith("tiny: ")
    card = pretrained.card("tiny")
    assert pretrained.names() == ["tiny"]
    assert (card.storage["weights"], card.limits[-1], card.seed) == ("int8", "Small.", 0)
    assert card.as_markdown() == (pretrained.FOLDER / "tiny.md").read_text()
    found = ask("evaluate", "tiny", "--figures", "--trials", "40", "--pairs", "20", "--json").json["figures"]
    assert [{"task": each["task"], **each["results"]["scratchnet"]} for each in found] == [
        {name: value for name, value in figure.items() if name not in ("way", "shot", "align")}
        for figure in card.figures
    ]
    train, again = card.commands
    assert train.startswith("scratchnet train --recipe glyphs --out RUN ")
    assert "--set=batch_size=2" in train
    assert "--set=lr" not in train  # as in the recipe
    assert again == "python benchmarks/bundle.py RUN tiny --storage int8 --summary 'Tries hard.' --limit=Small."


def test_the_command_of_a_card_trains_the_same_again(bundle, bundle_script, run, ask, tmp_path):
    bundle_script([str(run), "tiny", "--summary", "Tries hard.", "--trials", "20", "--pairs", "20"])
    train = pretrained.card("tiny").commands[0]
    assert ask(*shlex.split(train)[1:], "--json").code == 0
    assert (tmp_path / "RUN" / "weights.npz").exists()
    assert json.loads((tmp_path / "RUN" / "recipe.json").read_text()) == pretrained.card("tiny").recipe


def test_the_script_measures_a_bundled_network_again(bundle, bundle_script, run):
    few = ["--trials", "20", "--pairs", "20"]
    bundle_script([str(run), "tiny", "--summary", "Tries hard.", *few])
    path, true = pretrained.FOLDER / "tiny.json", pretrained.card("tiny")
    wrong, other = {**true.figures[0], "correct": 1, "accuracy": 0.05}, {**true.figures[0], "task": "on paper"}
    invented = replace(true, figures=[wrong, other])
    path.write_text(invented.as_json())
    bundle_script(["--again", "tiny", *few])
    again = "python benchmarks/bundle.py --again tiny"
    assert pretrained.card("tiny") == replace(true, figures=[*true.figures, other], commands=[*true.commands, again])


def test_the_script_writes_the_cards_for_people_again(bundle, bundle_script, tiny_net):
    path = bundle("one", tiny_net).with_suffix(".md")
    path.write_text("out of date")
    bundle_script(["--cards"])
    assert path.read_text() == pretrained.card("one").as_markdown()


def test_a_folder_called_as_the_bundled_network_hides_it_from_no_command(ask, glyphs, omniglot):
    Path("omniglot", "images_background").mkdir(parents=True)
    support, query = glyphs
    for command in (
        ["compare", query, query, "--model", "omniglot"],
        ["classify", query, "--support", support, "--model", "omniglot"],
        ["evaluate", "omniglot", "--on", "glyphs", "--trials", "20", "--no-baselines"],
        ["bench", "--network", "omniglot", "--pairs", "2", "--rounds", "1"],
    ):
        assert ask(*command, "--json").json
