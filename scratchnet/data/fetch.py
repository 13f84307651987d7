"""Download one file over https: resumable, and bounded in size and in waiting time."""

import http.client
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from scratchnet.errors import DataError

TIMEOUT = 30.0  # seconds
SLOWEST = 1024  # bytes per second, averaged over TIMEOUT
_BLOCK = 1 << 16


def fetch(url: str, part: Path, most: int, progress: Callable[[int, int | None], None]) -> None:
    """Download `url` to `part`, resuming where an earlier attempt stopped if the server supports it.

    progress: called with the bytes so far, and the total if the server reports it. If the connection fails, `part` is
    kept; if there are more than `most` bytes, it is removed.

    Raises DataError for an address that is not https, and for more than `most` bytes; OSError or HTTPException if the
    connection fails, stalls, or is slower than SLOWEST.
    """
    _require_secure(url)
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    with _Watchdog() as watchdog:
        try:
            response = watchdog.opener().open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            with error:
                if done and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return  # there is nothing beyond what we have; the digest will show whether it is complete
                raise
        with response:
            resumes = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
            done = done if resumes else 0
            total = None if response.length is None else done + response.length
            with open(part, "ab" if resumes else "wb") as file:
                progress(done, total)
                while max(done, total or 0) <= most and (block := response.read1(_BLOCK)):
                    file.write(block)
                    done += len(block)
                    watchdog.bytes += len(block)
                    progress(done, total)
                file.flush()
                os.fsync(file.fileno())
    if max(done, total or 0) > most:
        part.unlink()
        raise DataError(f"{url} sends more than {most:,} bytes, far more than the archive has: nothing is kept")
    if total is not None and done < total:
        raise ConnectionError(f"the connection broke after {done:,} of {total:,} bytes")


class _Watchdog:
    """Closes a connection that delivers fewer than SLOWEST bytes per second over a TIMEOUT.

    The timeout of the socket cannot do this: it starts again with every byte, in the headers and in the body.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.slow = False
        self._sockets: list[socket.socket] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self.slow:  # whatever error closing the connection has caused
            raise TimeoutError(f"fewer than {SLOWEST:,} bytes per second arrived for {TIMEOUT:g} seconds")

    def watch(self, connection: socket.socket) -> None:
        self._sockets.append(connection)

    def connection(self, kind: type["_Connection"]) -> Callable[..., "_Connection"]:
        """A factory of connections of this kind that are watched once they are open."""

        def make(host: str, /, **options: Any) -> _Connection:
            connection = kind(host, **options)
            connection.watchdog = self
            return connection

        return make

    def opener(self) -> urllib.request.OpenerDirector:
        """An opener whose connections are watched, and that follows redirects to https only."""
        return urllib.request.build_opener(_HTTPHandler(self), _HTTPSHandler(self), _SecureRedirects)

    def _watch(self) -> None:
        before = 0
        while not self._done.wait(TIMEOUT):
            if self.bytes - before < SLOWEST * TIMEOUT:
                self.slow = True
                for connection in self._sockets:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            before = self.bytes


class _Connection(http.client.HTTPConnection):
    watchdog: _Watchdog

    def connect(self) -> None:
        super().connect()
        self.watchdog.watch(self.sock)


class _TLSConnection(_Connection, http.client.HTTPSConnection):
    pass


class _HTTPHandler(urllib.request.HTTPHandler):
    def __init__(self, watchdog: _Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._watchdog.connection(_Connection), req)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def __init__(self, watchdog: _Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._watchdog.connection(_TLSConnection), req)


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            _require_secure(newurl)
        except DataError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_secure(url: str) -> None:
    """Raise DataError for any address that is neither https nor on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")):
        raise DataError(f"{url} is not an https address, and unencrypted downloads are refused: use https")
