"""Data are found through the option, else the environment, else the cache folder."""

from pathlib import Path

import pytest

from scratchnet.data.locate import cache_folder, find_data
from scratchnet.errors import DataError

NAMES = ("images_background.zip", "images_background")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A machine of which nothing is known but an empty cache folder."""
    monkeypatch.delenv("SCRATCHNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize("subfolder", ["", "omniglot", "omniglot-py", "mnist"])
def test_the_file_may_lie_in_the_folder_or_in_a_known_subfolder(home, subfolder):
    path = put(home / "data" / subfolder / "images_background.zip")
    assert find_data(home / "data", *NAMES) == path
    assert find_data(str(home / "data"), *NAMES) == path


def test_the_first_name_wins(home):
    (home / "data" / "images_background").mkdir(parents=True)
    assert find_data(home / "data", *NAMES) == home / "data" / "images_background"
    archive = put(home / "data" / "images_background.zip")
    assert find_data(home / "data", *NAMES) == archive


def test_the_option_may_be_the_file_or_folder_itself(home):
    archive = put(home / "my_own_name.zip")
    assert find_data(archive, *NAMES) == archive
    folder = home / "images_background"
    folder.mkdir()
    assert find_data(folder, *NAMES) == folder


def test_the_option_goes_before_the_environment_and_that_before_the_cache(home, monkeypatch):
    cached = put(home / "cache" / "scratchnet" / "images_background.zip")
    assert find_data(None, *NAMES) == cached
    named = put(home / "named" / "images_background.zip")
    monkeypatch.setenv("SCRATCHNET_DATA", str(home / "named"))
    assert find_data(None, *NAMES) == named
    given = put(home / "given" / "images_background.zip")
    assert find_data(home / "given", *NAMES) == given


def test_an_option_without_the_file_does_not_fall_back_to_other_data(home):
    put(home / "cache" / "scratchnet" / "images_background.zip")
    (home / "given").mkdir()
    with pytest.raises(DataError, match="given"):
        find_data(home / "given", *NAMES)


def test_the_cache_folder_follows_the_convention(home, monkeypatch):
    assert cache_folder() == home / "cache" / "scratchnet"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: home)
    assert cache_folder() == home / ".cache" / "scratchnet"


@pytest.mark.parametrize("option", [None, "given"])
def test_what_is_not_there_is_one_line_with_the_place_and_the_mend(home, option):
    place = home / option if option else cache_folder()
    with pytest.raises(DataError) as refusal:
        find_data(option and place, *NAMES)
    message = str(refusal.value)
    assert "\n" not in message
    for part in (str(place), *NAMES, "omniglot-py/", "scratchnet download", "--data"):
        assert part in message
