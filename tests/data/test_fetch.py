"""Whatever a server does, a download ends: in time, with bounded bytes, and in one line that says how to go on."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scratchnet.data import fetch
from scratchnet.data.download import ARCHIVES, download
from scratchnet.errors import DataError

NAME = "images_background.zip"


class Hostile(BaseHTTPRequestHandler):
    """Handles a connection as `server.conduct` says, while the client still reads."""

    def do_GET(self) -> None:
        with suppress(OSError):
            self.server.conduct(self)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hostile(monkeypatch) -> Iterator[ThreadingHTTPServer]:
    """A server to give a `conduct` to, and a client of little patience."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetch, "TIMEOUT", 0.3)
    monkeypatch.setitem(ARCHIVES, NAME, replace(ARCHIVES[NAME], size=1000))
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.ended = threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "new" / "folder"


def refusal_of(folder: Path, url: str) -> str:
    with pytest.raises(DataError) as refusal:
        download(folder, names=[NAME], base_url=url)
    assert str(refusal.value).isprintable()
    return str(refusal.value)


def head(handler: Hostile, **headers: object) -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def drip(handler: Hostile, piece: bytes) -> None:
    """A few bytes a second, for ever."""
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(piece)


def drip_body(handler: Hostile) -> None:
    head(handler, Content_Length=10_000)
    drip(handler, b"x")


def drip_body_of_unknown_length(handler: Hostile) -> None:
    head(handler)
    drip(handler, b"x")


def drip_chunk_header(handler: Hostile) -> None:
    head(handler, Transfer_Encoding="chunked")
    drip(handler, b"0")


def drip_headers(handler: Hostile) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
    drip(handler, b"x")


def drip_status(handler: Hostile) -> None:
    drip(handler, b"H")


@pytest.mark.parametrize(
    "conduct", [drip_body, drip_body_of_unknown_length, drip_chunk_header, drip_headers, drip_status]
)
def test_a_connection_that_drips_is_given_up_wherever_it_drips(conduct, hostile, folder):
    hostile.conduct = conduct
    message = refusal_of(folder, hostile.url)
    assert "bytes per second" in message
    assert "run it again" in message


def flood(handler: Hostile) -> None:
    head(handler)
    while not handler.server.ended.is_set():
        handler.wfile.write(bytes(1 << 16))


def boast(handler: Hostile) -> None:
    head(handler, Content_Length=10**12)
    handler.server.ended.wait()


@pytest.mark.parametrize("conduct", [flood, boast])
def test_a_body_without_end_is_given_up_and_not_kept(conduct, hostile, folder):
    hostile.conduct = conduct
    assert "sends more than" in refusal_of(folder, hostile.url)
    assert list(folder.iterdir()) == []


def fail(handler: Hostile) -> None:
    handler.send_error(503, "Under\x1b[31m construction")


def hang_up(handler: Hostile) -> None:
    handler.connection.close()


def promise_more(handler: Hostile) -> None:
    head(handler, Content_Length=100)
    handler.wfile.write(b"x" * 50)


def another_part(handler: Hostile) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", "bytes 7-49/50")
    handler.end_headers()
    handler.wfile.write(b"x" * 43)


@pytest.mark.parametrize("conduct", [fail, hang_up, promise_more, another_part])
def test_a_server_in_trouble_is_one_line(conduct, hostile, folder):
    hostile.conduct = conduct
    assert hostile.url in refusal_of(folder, hostile.url)
    assert not (folder / NAME).exists()
