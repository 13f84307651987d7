"""`scratchnet download` and `scratchnet info`."""

import numpy as np
import pytest
from strict_array import STRICT

from scratchnet import backend
from scratchnet.cli import info
from scratchnet.common.version import VERSION
from scratchnet.train.recipes import RECIPES

piped_and_on_a_terminal = pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])


@piped_and_on_a_terminal
@pytest.mark.parametrize(
    ("arguments", "folder", "names"),
    [([], "cache/scratchnet", sorted(info.ARCHIVES)), (["there", "--only", "all_runs.zip"], "there", ["all_runs.zip"])],
)
def test_download_fetches_the_named_files_into_the_named_folder(
    arguments, folder, names, terminal, ask, monkeypatch, tmp_path
):
    asked = []

    def fetch(where, *, names, progress):
        asked.append((tmp_path / where, sorted(names)))
        for name in names:
            progress(name, 0, 10)
            progress(name, 10, 10)

    monkeypatch.setattr(info, "fetch", fetch)
    answer = ask("download", *arguments, terminal=terminal)
    assert answer.code == 0
    assert (names[-1] in answer.err) == terminal
    assert asked == [(tmp_path / folder, names)]
    assert "complete and verified" in answer.out


def test_info_shows_what_it_runs_on(ask, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DATA", "some/folder")
    facts = ask("info", "--json").json
    assert (facts["scratchnet"], facts["numpy"], facts["device"]) == (VERSION, np.__version__, "cpu")
    assert facts["data"] == "some/folder"
    assert facts["recipes"] == list(RECIPES)
    assert facts["threads"] >= 1
    assert facts["ops"] == "fast"
    assert "available" in facts["cuda"]
    answer = ask("info")
    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.splitlines()] == list(facts)


def test_info_reports_a_gpu(ask, monkeypatch):
    monkeypatch.setitem(backend.device._devices, "cuda", STRICT)
    assert ask("info", "--json").json["cuda"] == "available"


def test_info_reports_a_device_that_cannot_be_used(ask, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DEVICE", "tpu")
    answer = ask("info", "--json")
    assert (answer.code, answer.json["device"]) == (0, "not available: SCRATCHNET_DEVICE=tpu: choose one of cpu, cuda")


def test_a_download_into_a_file_is_refused(refused, tmp_path):
    (tmp_path / "file").touch()
    assert refused("download", "file") == "scratchnet: file is a file, expected a folder: name another one\n"
