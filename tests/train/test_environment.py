"""A run that goes on in another environment says so."""

from short_runs import RUN, stopped

from scratchnet.checkpoint import load_arrays, save_arrays
from scratchnet.train import STATE, train
from scratchnet.train import state as state_module


def test_another_environment_gives_a_warning_of_one_line(split, tmp_path, steps, capsys, monkeypatch):
    stopped(RUN, split, tmp_path, steps)
    here = state_module.environment

    def elsewhere(device):
        return here(device) | {"threads": "99", "BLAS": "another 1.0", "news": "unknown then"}

    monkeypatch.setattr(state_module, "environment", elsewhere)
    train(RUN, split, tmp_path, resume=True, quiet=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path} goes on with other BLAS (then ")
    assert "now another 1.0), threads (then " in line
    assert line.endswith("its numbers may differ by rounding from those of a run that was never stopped")
    assert "news" not in line


def test_the_same_environment_gives_no_warning(split, tmp_path, steps, capsys):
    stopped(RUN, split, tmp_path, steps)
    train(RUN, split, tmp_path, resume=True, quiet=True)
    assert capsys.readouterr().err == ""


def test_another_number_of_pieces_gives_a_warning(split, tmp_path, steps, capsys, monkeypatch):
    stopped(RUN, split, tmp_path, steps)
    arrays, saved = load_arrays(tmp_path / STATE)
    del saved["version"]
    saved["environment"]["pieces of a batch"] = "2"
    save_arrays(tmp_path / STATE, arrays, saved)
    train(RUN, split, tmp_path, resume=True, quiet=True)
    assert "goes on with other pieces of a batch (then 2, now 1): its" in capsys.readouterr().err
