"""Archives arrive whole and verified or not at all, and an interrupted download goes on where it broke off."""

import hashlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scratchnet.data import fetch as module
from scratchnet.data.download import ARCHIVES, HOME, Archive, content_digest, download, verify
from scratchnet.data.locate import find_data
from scratchnet.errors import DataError, InUseError
from scratchnet.files.locks import locked

NAME = "images_background.zip"
PART = f"{NAME}.part"


class Server(ThreadingHTTPServer):
    """Serves `content` at every path, and records the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.content = b""
        self.ranges = True
        self.break_after: int | None = None  # bytes, once
        self.stall = threading.Event()
        self.stall.set()
        self.redirect = ""
        self.nonsense = False
        self.requests: list[tuple[str, str | None]] = []  # path and Range header


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content, wanted = self.server.content, self.headers["Range"]
        self.server.requests.append((self.path, wanted))
        if self.server.nonsense:
            self.wfile.write(b"hello, who is there?\r\n")
            return
        if self.server.redirect:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end, self.server.break_after = self.server.break_after, None
        self.wfile.write(content[start:end])
        self.wfile.flush()
        self.server.stall.wait()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stall.set()
        server.shutdown()
        thread.join()


def pack(images: np.ndarray, compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("images_background/readme.txt", "two drawings")
        for number, image in enumerate(images):
            with archive.open(f"images_background/Greek/character01/0001_{number:02}.png", "w") as member:
                Image.fromarray(image).save(member, "PNG", compress_level=compression)
    return file.getvalue()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).random((2, 300, 320)) < 0.5


@pytest.fixture
def original(images, server, tmp_path, monkeypatch) -> bytes:
    """A zip that stands for Lake's: on the server, and its digests in the list."""
    content = pack(images, zipfile.ZIP_DEFLATED)
    (tmp_path / "original.zip").write_bytes(content)
    digests = hashlib.sha256(content).hexdigest(), content_digest(tmp_path / "original.zip")
    monkeypatch.setitem(ARCHIVES, NAME, Archive(NAME, len(content), *digests))
    server.content = content
    return content


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "new" / "folder"


def refusal_of(folder: Path, base_url: str, name: str = NAME) -> str:
    with pytest.raises(DataError) as refusal:
        download(folder, names=[name], base_url=base_url)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_an_archive_arrives_whole_and_alone(server, original, folder):
    assert download(folder, names=[NAME], base_url=server.url) == [folder / NAME]
    assert (folder / NAME).read_bytes() == original
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert server.requests == [(f"/{NAME}", None)]


def test_progress_counts_up_to_the_whole(server, original, folder):
    seen: list[tuple[str, int, int | None]] = []
    download(folder, names=[NAME], base_url=server.url, progress=lambda *state: seen.append(state))
    assert seen[0] == (NAME, 0, len(original))
    assert seen[-1] == (NAME, len(original), len(original))
    counts = [done for _, done, _ in seen]
    assert counts == sorted(counts)


def test_an_intact_archive_is_not_asked_for_again(server, original, folder):
    download(folder, names=[NAME], base_url=server.url)
    server.requests.clear()
    assert download(folder, names=[NAME], base_url=server.url) == [folder / NAME]
    assert server.requests == []


def test_a_damaged_archive_is_replaced(server, original, folder):
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(original[:-1])
    download(folder, names=[NAME], base_url=server.url)
    assert (folder / NAME).read_bytes() == original


def test_a_broken_connection_is_resumed_where_it_stopped(server, original, folder):
    server.break_after = 5000
    assert "again" in refusal_of(folder, server.url)
    assert (folder / PART).read_bytes() == original[:5000]
    assert not (folder / NAME).exists()
    counts: list[int] = []
    download(folder, names=[NAME], base_url=server.url, progress=lambda name, done, total: counts.append(done))
    assert server.requests[-1] == (f"/{NAME}", "bytes=5000-")
    assert counts[0] == 5000
    assert counts[-1] == len(original)
    assert (folder / NAME).read_bytes() == original
    assert not (folder / PART).exists()


def test_a_server_without_ranges_starts_from_the_beginning(server, original, folder):
    folder.mkdir(parents=True)
    (folder / PART).write_bytes(original[:5000])
    server.ranges = False
    counts: list[int] = []
    download(folder, names=[NAME], base_url=server.url, progress=lambda name, done, total: counts.append(done))
    assert (folder / NAME).read_bytes() == original
    assert len(server.requests) == 1
    assert (counts[0], counts[-1]) == (0, len(original))


def test_a_part_of_other_bytes_is_given_up_for_a_fresh_start(server, original, folder):
    folder.mkdir(parents=True)
    (folder / PART).write_bytes(b"stale" * 1000)
    download(folder, names=[NAME], base_url=server.url)
    assert (folder / NAME).read_bytes() == original
    assert [wanted for _, wanted in server.requests] == ["bytes=5000-", None]


def test_a_part_longer_than_the_archive_is_given_up_for_a_fresh_start(server, original, folder):
    folder.mkdir(parents=True)
    (folder / PART).write_bytes(b"stale" * 10_000)
    download(folder, names=[NAME], base_url=server.url)
    assert (folder / NAME).read_bytes() == original
    assert [wanted for _, wanted in server.requests] == ["bytes=50000-", None]  # the first answered with 416


def test_a_part_that_was_complete_only_gets_its_name(server, original, folder):
    folder.mkdir(parents=True)
    (folder / PART).write_bytes(original)
    download(folder, names=[NAME], base_url=server.url)
    assert (folder / NAME).read_bytes() == original
    assert len(server.requests) == 1  # answered with 416: there is no more


@pytest.mark.parametrize("wrong", [b"", b"<html>please log in</html>"], ids=["nothing", "a web page"])
def test_wrong_bytes_are_refused_and_leave_nothing(server, original, folder, wrong):
    server.content = wrong
    assert NAME in refusal_of(folder, server.url)
    assert list(folder.iterdir()) == []


def test_one_other_pixel_is_refused_and_a_damaged_archive_is_kept_until_then(server, original, images, folder):
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(b"before")
    images[1, 7, 9] ^= True
    server.content = pack(images, zipfile.ZIP_DEFLATED)
    assert hashlib.sha256(server.content).hexdigest() in refusal_of(folder, server.url)
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert (folder / NAME).read_bytes() == b"before"


def test_an_archive_packed_anew_is_accepted(server, original, images, folder):
    server.content = pack(images, zipfile.ZIP_STORED)
    assert server.content != original
    download(folder, names=[NAME], base_url=server.url)
    assert (folder / NAME).read_bytes() == server.content
    verify(folder / NAME)


def test_the_content_digest_sees_names_and_texts(tmp_path):
    digests = set()
    for number, (name, content) in enumerate([("a.txt", b"1"), ("b.txt", b"1"), ("a.txt", b"2")]):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            archive.writestr(name, content)
        digests.add(content_digest(tmp_path / f"{number}.zip"))
    assert len(digests) == 3


def test_without_a_content_digest_only_the_very_file_counts(original, images, tmp_path, monkeypatch):
    monkeypatch.setitem(ARCHIVES, NAME, replace(ARCHIVES[NAME], content_digest=None))
    (tmp_path / NAME).write_bytes(original)
    verify(tmp_path / NAME)
    (tmp_path / NAME).write_bytes(pack(images, zipfile.ZIP_STORED))
    with pytest.raises(DataError, match="not Lake's"):
        verify(tmp_path / NAME)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://example.com",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "file://localhost/tmp",
        "example.com",
        "",
    ],
)
def test_an_address_that_is_not_https_is_refused(folder, base_url):
    assert "https" in refusal_of(folder, base_url)


@pytest.mark.parametrize("target", ["http://example.com/a.zip", "ftp://example.com/a.zip"])
def test_a_redirect_away_from_https_is_refused(server, original, folder, target):
    server.redirect = target
    assert f"{target} is not an https address" in refusal_of(folder, server.url)


def test_a_server_that_cannot_be_used_is_one_line_that_says_to_run_it_again(server, original, folder):
    server.redirect = server.url  # round in circles
    assert "run it again" in refusal_of(folder, server.url)
    server.nonsense = True
    assert "run it again" in refusal_of(folder, server.url)
    with Server() as other:
        closed = other.url
    assert "run it again" in refusal_of(folder, closed)


def test_a_server_that_falls_silent_is_given_up_and_resumed(server, original, folder, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    server.break_after = 5000
    server.stall.clear()
    assert "resumes" in refusal_of(folder, server.url)
    server.stall.set()
    download(folder, names=[NAME], base_url=server.url)
    assert server.requests[-1][1] == "bytes=5000-"
    assert (folder / NAME).read_bytes() == original


def test_a_folder_that_cannot_be_made_is_one_line(server, original, tmp_path):
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refusal_of(tmp_path / "file", server.url)


def test_an_unknown_archive_is_refused_with_the_known_names(folder, tmp_path):
    assert NAME in refusal_of(folder, HOME, "images_foreground.zip")
    with pytest.raises(DataError, match="images_evaluation"):
        verify(tmp_path / "images_foreground.zip")


def test_a_missing_archive_does_not_verify(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        verify(tmp_path / NAME)


def test_the_runs_lie_in_their_own_folder_of_the_repository():
    assert HOME.startswith("https://")
    assert ARCHIVES["all_runs.zip"].path == "one-shot-classification/all_runs.zip"


@pytest.mark.parametrize("name", [name for name, archive in ARCHIVES.items() if archive.content_digest])
def test_the_real_archives_verify_by_their_content(real_data, name, monkeypatch):
    archive = ARCHIVES[name]
    monkeypatch.setitem(ARCHIVES, name, replace(archive, file_digest="other bytes"))
    verify(find_data(real_data, name))


DOWNLOAD = """
import sys
from pathlib import Path
from scratchnet.data import download as module
folder, url, size, digest, content = sys.argv[1:]
module.ARCHIVES["images_background.zip"] = module.Archive("images_background.zip", int(size), digest, content)
module.download(folder, names=["images_background.zip"], base_url=url)
"""


def test_several_processes_fetch_one_archive_once_and_all_of_them_succeed(server, original, folder):
    archive = ARCHIVES[NAME]
    arguments = [str(folder), server.url, str(archive.size), archive.file_digest, archive.content_digest]
    processes = [subprocess.Popen([sys.executable, "-c", DOWNLOAD, *arguments]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (folder / NAME).read_bytes() == original
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert len(server.requests) == 1


def test_a_download_that_gets_nowhere_is_not_waited_for_without_end(server, original, folder, monkeypatch):
    folder.mkdir(parents=True)
    monkeypatch.setattr("scratchnet.data.download.TIMEOUT", 0.05)
    with locked(folder / f".{NAME}.lock", "it", "wait"), pytest.raises(InUseError, match="the download of"):
        download(folder, names=[NAME], base_url=server.url)
    assert server.requests == []


@pytest.mark.parametrize("name", [NAME, PART])
@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_where_one_is_to_come_is_refused_at_once(name, kind, server, original, folder):
    if kind == "pipe" and not hasattr(os, "mkfifo"):
        pytest.skip("needs pipes in folders")
    folder.mkdir(parents=True)
    (folder / name).mkdir() if kind == "folder" else os.mkfifo(folder / name)
    assert f"{folder / name} is not a file" in refusal_of(folder, server.url)
    assert server.requests == []
