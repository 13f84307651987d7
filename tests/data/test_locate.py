"""Data are found through the option, else the environment, else the cache folder."""

from pathlib import Path

import pytest

from scratchnet.data.locate import cache_folder, find_data
from scratchnet.errors import DataError

NAMES = ("images_background.zip", "images_background")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A machine with an empty cache folder and nothing else."""
    monkeypatch.delenv("SCRATCHNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    "subfolder",
    ["", "omniglot", "omniglot-py", "mnist", "python", "omniglot/python", "omniglot-master/python", "MNIST/raw"],
)
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
def test_what_is_not_there_is_one_line_with_the_place_and_the_remedy(home, option):
    place = home / option if option else cache_folder()
    with pytest.raises(DataError) as refusal:
        find_data(option and place, *NAMES)
    message = str(refusal.value)
    assert "\n" not in message
    for part in (str(place), *NAMES, "omniglot-py/", "scratchnet download", "--data"):
        assert part in message


def test_the_runs_are_found_in_a_clone_of_lakes_repository_packed_or_not(home):
    runs = home / "omniglot" / "python" / "one-shot-classification"
    put(runs / "run01" / "class_labels.txt")
    for place in (home, home / "omniglot", home / "omniglot" / "python", runs):
        assert find_data(place, "all_runs.zip", "all_runs") == runs
    packed = put(runs / "all_runs.zip")
    for place in (home, home / "omniglot", home / "omniglot" / "python", runs):
        assert find_data(place, "all_runs.zip", "all_runs") == packed


def test_an_unpacked_set_may_have_any_name_but_that_of_another(home):
    drawing = "Greek/character01/0001_01.png"
    put(home / "mine" / drawing)
    assert find_data(home / "mine", *NAMES) == home / "mine"
    put(home / "images_evaluation" / drawing)
    with pytest.raises(DataError, match="there is images_evaluation"):
        find_data(home / "images_evaluation", *NAMES)


def test_a_set_beside_the_one_named_is_found(home):
    put(home / "images_background.zip")
    put(home / "all_runs.zip")
    assert find_data(home / "images_background.zip", "all_runs.zip", "all_runs") == home / "all_runs.zip"


def test_a_small_set_may_stand_for_the_background_set(home):
    small = put(home / "images_background_small1.zip")
    assert find_data(small, *NAMES) == small


def test_links_to_folders_are_followed(home):
    put(home / "elsewhere" / "images_background.zip")
    (home / "data").mkdir()
    (home / "data" / "omniglot").symlink_to(home / "elsewhere")
    assert find_data(home / "data", *NAMES).is_file()


@pytest.mark.parametrize(
    ("files", "listing"),
    [
        (
            ["python/images_evaluation.zip", "images_background_small1/x"],
            "there is images_background_small1, python/images_evaluation.zip",
        ),
        (["notes.txt", ".hidden"], "there is notes.txt"),
        ([], "there is no folder"),
    ],
)
def test_what_is_there_instead_is_listed(home, files, listing):
    for name in files:
        put(home / "data" / name)
    with pytest.raises(DataError) as refusal:
        find_data(home / "data", *NAMES)
    assert listing in str(refusal.value)


def test_the_home_of_a_user_that_is_not_there_is_one_line(home):
    with pytest.raises(DataError, match="the folder of an unknown user"):
        find_data("~no-such-user-here", *NAMES)


def test_a_user_without_a_home_keeps_data_in_the_current_folder(home, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.chdir(home)
    cached = put(home / ".cache" / "scratchnet" / "images_background.zip")
    assert find_data(None, *NAMES) == cached
