"""Cards of bundled networks: complete, the same for people, and refused when they are damaged."""

import json
from dataclasses import fields

import pytest

from scratchnet import pretrained
from scratchnet.errors import CheckpointError
from scratchnet.oneshot.trials import wilson_interval
from scratchnet.pretrained.card import Card

every_bundled_network = pytest.mark.parametrize("name", pretrained.names())


def refusal_of(name):
    with pytest.raises(CheckpointError) as refusal:
        pretrained.card(name)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@every_bundled_network
def test_the_card_of_a_bundled_network_is_complete(name):
    card = pretrained.card(name)
    assert {"name", "source", "licence", "used"} <= card.data.keys()
    assert {"weights", "bytes", "stored_correct", "float32_correct"} <= card.storage.keys()
    assert card.storage["stored_correct"] == card.figures[0]["correct"]
    for figure in card.figures:
        assert figure["accuracy"] == figure["correct"] / figure["trials"]
        assert figure["interval"] == pytest.approx(list(wilson_interval(figure["correct"], figure["trials"])))


@every_bundled_network
def test_the_committed_card_for_people_is_up_to_date(name):
    file = pretrained.FOLDER / f"{name}.md"
    found = file.read_text(encoding="utf-8") if file.is_file() else ""
    assert found == pretrained.card(name).as_markdown(), "write it again: python benchmarks/bundle.py --cards"


def test_a_card_comes_back_from_its_file(bundle, tiny_net):
    bundle("stand-in", tiny_net, limits=["Blaue Tinte"])
    card = pretrained.card("stand-in")
    assert Card.read(pretrained.FOLDER / "stand-in.json") == card
    assert card.limits == ["Blaue Tinte"]


def test_the_card_for_people_has_everything_that_the_json_has(bundle, tiny_net):
    bundle("stand-in", tiny_net)
    card = pretrained.card("stand-in")
    text = card.as_markdown()
    assert text.startswith("# stand-in\n\nTells stand-ins apart.")
    assert "| official runs, 20-way 1-shot, within one alphabet | 380 | 400 | 95.0% | 92.4% - 96.7% |" in text
    expected = [
        *card.data.values(),
        *card.limits,
        *card.commands,
        card.machine,
        card.date,
        card.sha256,
        "seed 0",
        "int8",
    ]
    expected += [f"{name:22} {json.dumps(value)}" for name, value in card.recipe.items()]
    expected += [
        f"{card.parameters:,} parameters",
        "0.5 hours",
        "380 are right with these weights and\n381 with float32 weights",
    ]
    for each in expected:
        assert each in text, each
    assert card.headline() == "95.0% (92.4% - 96.7%) of 400 trials, official runs"


def test_a_card_that_is_missing_is_refused(bundle, tiny_net):
    path = bundle("stand-in", tiny_net)
    path.with_suffix(".json").unlink()
    assert f"{path.with_suffix('.json')} is no card of a network" in refusal_of("stand-in")


@pytest.mark.parametrize("text", ["", "[1]", "3", "{}", '{"name": "x"}', "\xff"])
def test_a_damaged_card_is_refused(text, bundle, tiny_net):
    path = bundle("stand-in", tiny_net)
    path.with_suffix(".json").write_bytes(text.encode("latin-1"))
    assert "is no card of a network" in refusal_of("stand-in")


@pytest.mark.parametrize("field", [field.name for field in fields(Card)])
@pytest.mark.parametrize("empty", [False, True], ids=["missing", "empty"])
def test_an_incomplete_card_is_refused_and_the_missing_field_named(field, empty, bundle, tiny_net):
    path = bundle("stand-in", tiny_net).with_suffix(".json")
    plain = json.loads(path.read_text())
    plain |= {field: ""}
    if not empty:
        del plain[field]
    path.write_text(json.dumps(plain))
    assert f"'{field}'" in refusal_of("stand-in")
