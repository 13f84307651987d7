"""The display of progress: on a terminal, in a file, and where neither can be written to."""

import sys

import pytest
from short_runs import RUN, TINY, outcome

from scratchnet.train import train
from scratchnet.train.progress import Display, Progress


def test_the_progress_bar_waits_for_the_first_losses(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    progress = Progress()
    with Display(TINY, 4, progress, quiet=False) as display:
        display.batch(progress, 4)
        assert "loss" not in display.bar.postfix
        assert "images/s" in display.bar.postfix
        progress.losses += [2.0, 3.0]
        display.batch(progress, 4)
        assert display.bar.postfix.startswith("loss 2.500, ")


def test_progress_is_a_line_per_epoch_on_stderr_and_nothing_when_quiet(split, tmp_path, capsys):
    train(TINY, split, tmp_path / "shown")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 4
    assert lines[0] == f"recipe glyphs, seed 11, run folder {tmp_path / 'shown'}"
    assert [line.split("loss")[0].split() for line in lines[1:]] == [["epoch", f"{k}/3"] for k in (1, 2, 3)]
    train(TINY, split, tmp_path / "quiet", quiet=True)
    assert capsys.readouterr() == ("", "")


class Gone:
    """stderr of a terminal that was closed, or on a full disk."""

    encoding, closed = "utf-8", False

    def __init__(self, terminal):
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def fileno(self):
        raise OSError("no descriptor")

    def write(self, _text):
        raise OSError(5, "Input/output error")

    def flush(self):
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("stderr", [Gone(True), Gone(False), None], ids=["terminal", "file", "closed"])
def test_progress_that_cannot_be_shown_stops_no_training(stderr, split, tmp_path, monkeypatch, whole, capsys):
    monkeypatch.setattr(sys, "stderr", stderr)
    train(RUN, split, tmp_path)
    assert outcome(tmp_path) == whole
    assert capsys.readouterr().out == ""
