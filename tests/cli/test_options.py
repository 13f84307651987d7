"""Misspelt commands, options, settings and names: one line that suggests the right one."""

import pytest

from scratchnet.cli.options import Parser


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evalute", "m"], "invalid choice: 'evalute' (did you mean 'evaluate'?): choose from train, evaluate"),
        (["Train"], "invalid choice: 'Train' (did you mean 'train'?)"),
        (["help"], "invalid choice: 'help' (did you mean '--help'?)"),
        (["--vresion"], "unrecognized arguments: --vresion (did you mean --version?)"),
        (["train", "--epochs", "3"], "unrecognized arguments: --epochs (did you mean --set epochs=3?)"),
        (["train", "--epochs=3"], "unrecognized arguments: --epochs (did you mean --set epochs=3?)"),
        (["train", "-epochs", "3"], "unrecognized arguments: -epochs (did you mean --set epochs=3?)"),
        (["train", "--epochs"], "(did you mean --set epochs=VALUE?)"),
        (["train", "--batch-size", "8", "--json"], "(did you mean --set batch_size=8?)"),
        (["train", "--lr", "0.1", "--epochs", "3"], "(did you mean --set lr=0.1?)"),
        (["train", "--width", "8"], "(did you mean --set architecture.width=8?)"),
        (["train", "--architecture.widht", "8"], "(did you mean --set architecture.width=8?)"),
        (["train", "--recipie", "quick"], "unrecognized arguments: --recipie (did you mean --recipe?)"),
        (["train", "\N{EN DASH}seed", "3"], "(did you mean --seed?)"),
        (["train", "\N{EM DASH}json"], "(did you mean --json?)"),
        (["train", "epochs=3"], "unrecognized arguments: epochs=3 (did you mean --set epochs=3?)"),
        (["train", "--set", "lr=0.1", "epochs=3"], "epochs=3 (did you mean --set epochs=3?)"),
        (["train", "--set", "lr", "0.02"], "--set: lr: expected NAME=VALUE without spaces, such as lr=0.02"),
        (["train", "--set", "lr", "=", "0.02"], "--set: lr: expected NAME=VALUE without spaces"),
        (["train", "--set", "=3"], "--set: =3: expected NAME=VALUE without spaces, such as lr=0.02"),
        (["train", "--set", "lr="], "--set: lr=: expected NAME=VALUE without spaces"),
        (["train", "--set", "lr=0,02"], "lr=0,02 is not a number: the recipe has lr=0.05, write 0.02"),
        (["train", "--set", "epochs=3.0"], "epochs=3.0 is not a whole number: the recipe has epochs=12"),
        (["train", "--set", "architecture.widht=8"], "widht is no option of compact (did you mean 'width'?): there"),
        (["train", "--set", "epohcs=8"], "no setting 'epohcs' (did you mean 'epochs'?)"),
        (["train", "--set", "keep=lats"], "keep=lats is none of best, last (did you mean 'last'?)"),
        (["train", "--recipe", "quik"], "unknown recipe 'quik' (did you mean 'quick'?): choose one of glyphs, quick"),
        (["train", "--device", "cdua"], "unknown device 'cdua' (did you mean 'cuda'?)"),
        (["train", "--precision", "tf23"], "--precision: invalid choice: 'tf23' (did you mean 'tf32'?)"),
        (["evaluate", "--tirals", "3"], "unrecognized arguments: --tirals (did you mean --trials?)"),  # and no MODEL
        (["evaluate", "m", "--on", "oficial"], "invalid choice: 'oficial' (did you mean 'official'?)"),
        (["evaluate", "omnigolt"], "(omniglot) (did you mean 'omniglot'?)"),
        (["compare", "a.png", "b.png", "--model", "omnigolt"], "(did you mean 'omniglot'?)"),
        (["gradcheck", "--network", "compcat"], "(did you mean 'compact'?)"),
        (["bench", "--network", "koch2051"], "(did you mean 'koch2015'?)"),
        (["bench", "--against", "toch"], "(did you mean 'torch'?)"),
        (["download", "--only", "images_backgroud.zip"], "(did you mean 'images_background.zip'?)"),
    ],
)
def test_a_misspelling_is_refused_with_a_suggestion(arguments, message, refused):
    assert message in refused(*arguments)


@pytest.mark.parametrize("short", ["--rec", "--see", "--mem", "--resum", "--reci"])
def test_options_cannot_be_abbreviated(short, refused):
    """--res may be --resume today and ambiguous once another option begins like it."""
    assert f"unrecognized arguments: {short} (did you mean --" in refused("train", short, "3")


def test_arguments_that_only_look_like_options_are_left_alone():
    parser = Parser(prog="p")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--number", type=float)
    assert parser.parse_args(["--", "--weird", "-odd"]).files == ["--weird", "-odd"]
    assert parser.parse_args(["--number", "-1000", "a-b", "a--b"]).number == -1000
    assert parser.parse_args(["-"]).files == ["-"]
