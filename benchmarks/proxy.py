"""A proxy on loopback between a client and a real server of objects: it writes requests down, and plays faults.

Requests are passed on as they came, with the name of the host that the client signed for.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PIECE = 256 * 1024
PATIENCE = 60  # seconds that the server may take
# What a request is for, by its method and its query. A name that is in the query alone is enough where no value stands.
VERBS = (
    ("POST", "uploads", "CREATE"),  # S3
    ("PUT", "partNumber", "PART"),
    ("POST", "uploadId", "COMPLETE"),
    ("DELETE", "uploadId", "ABORT"),
    ("POST", "delete", "DELETE MANY"),
    ("GET", "list-type", "LIST"),
    ("GET", "uploads", "LIST UPLOADS"),
    ("POST", "upload_id", "PART"),  # GCS
    ("PUT", "upload_id", "PART"),
    ("POST", "uploadType=resumable", "CREATE"),
    ("POST", "uploadType=multipart", "PUT"),
    ("DELETE", "upload_id", "ABORT"),
    ("GET", "alt=media", "GET"),
    ("PUT", "comp=blocklist", "COMPLETE"),  # Azure
    ("PUT", "comp=block", "PART"),
    ("GET", "comp=list", "LIST"),
    ("GET", "restype=container", "BUCKET"),
    ("HEAD", "restype=container", "BUCKET"),
)
CONDITIONS = ("if-match", "if-none-match", "range", "x-ms-range")


@dataclass
class Request:
    """One request: ``sent`` and ``received`` are the bytes of the bodies; without an answer the ``status`` is 0."""

    method: str
    target: str
    headers: Mapping[str, str]
    sent: int = 0
    received: int = 0
    status: int = 0
    fault: str = ""

    @property
    def path(self) -> str:
        """The path, which ends in the object's key, unquoted; GCS names a new object in the query."""
        parts = urlsplit(self.target)
        return unquote(f"{parts.path}/{self.query['name']}" if "name" in self.query else parts.path)

    @property
    def query(self) -> dict[str, str]:
        """What is asked by name, such as ``partNumber``."""
        return {name: found[0] for name, found in parse_qs(urlsplit(self.target).query, keep_blank_values=True).items()}

    @property
    def conditions(self) -> dict[str, str]:
        """The range that is asked for, and what has to be true."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = {name: value for name, value in self.query.items() if name.startswith("if")}
        return {**asked, **{name: headers[name] for name in CONDITIONS if name in headers}}

    @property
    def verb(self) -> str:
        """What the request is for, in a word, whichever the protocol."""
        for method, asked, verb in VERBS:
            name, _, value = asked.partition("=")
            if method == self.method and name in self.query and value in {"", self.query[name]}:
                return verb
        if self.path.startswith("/storage/v1/b/") and self.method == "GET":
            _, objects, key = self.path.partition("/o")
            return "HEAD" if key.strip("/") else "LIST" if objects else "BUCKET"
        return "BUCKET" if self.method == "HEAD" and "/" not in self.path.strip("/") else self.method

    def __str__(self) -> str:
        conditions = "".join(f" {name}: {value}" for name, value in self.conditions.items())
        fault = f" [{self.fault}]" if self.fault else ""
        return f"{self.verb} {self.path}{conditions}, {self.sent} up, {self.received} down, {self.status}{fault}"


@dataclass
class Answer:
    """What the server answered, the whole of it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


class Lost(Exception):  # noqa: N818 - it ends an exchange, as was meant
    """The connection to the client is gone."""


class Exchange(BaseHTTPRequestHandler):
    """One connection of a client, and the acts that a fault is made of."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(Lost, ConnectionError):
            super().handle()

    def pass_on(self) -> None:
        """Carry out one request, with the fault that is next for it."""
        self.noted = Request(self.command, self.path, dict(self.headers.items()))
        fault = self.server.note(self.noted)
        if fault is None:
            self._stream()
        else:
            fault(self)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = pass_on  # noqa: N815 - as http.server names them

    @property
    def is_gcs(self) -> bool:
        """Whether the request is one to GCS."""
        return self.path.startswith(("/storage/", "/upload/", "/download/", "/batch/"))

    def take(self, share: float = 1) -> bytes:
        """Take a share of the request's body from the client."""
        most = int(int(self.headers.get("Content-Length", 0)) * share)
        return b"".join(self._pieces(most))

    def ask(self, body: bytes | None = None) -> Answer:
        """Let the server carry out the request, with this body in place of the client's, and give its answer."""
        with self._asked([self.take() if body is None else body]) as found:
            return Answer(found.status, found.getheaders(), found.read())

    def give(self, answer: Answer, share: float = 1, *, length: bool = True) -> None:
        """Answer the client, with a share of the body; without a length, what is sent is said to be all."""
        body = answer.body[: int(len(answer.body) * share)]
        self._head(answer.status, answer.headers, len(answer.body) if length else None)
        if self.command != "HEAD":
            self._give(body, chunked=not length)
            if not length:
                self._give(b"", chunked=True)

    def complain(self, status: int, code: str) -> None:
        """Answer with an error in the manner of the server, which does not see the request."""
        self.take()
        if self.is_gcs:
            kind = "application/json"
            body = json.dumps({"error": {"code": status, "message": code, "errors": [{"reason": code}]}})
        else:
            kind = "application/xml"
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>played by a proxy</Message></Error>"
        self.give(Answer(status, [("Content-Type", kind), ("x-ms-error-code", code)], body.encode()))

    def reset(self) -> None:
        """End the connection without a word."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._end()

    def close(self) -> None:
        """End the connection in good order."""
        self.connection.shutdown(socket.SHUT_WR)
        self._end()

    def stall(self) -> None:
        """Say nothing more, for as long as the proxy runs."""
        self.server.stopping.wait()
        self._end()

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _end(self) -> None:
        self.server.open.discard(self.connection)
        self.close_connection = True
        self.connection.close()
        raise Lost

    def _stream(self) -> None:
        pieces = self._pieces(int(self.headers.get("Content-Length", 0)))
        try:
            with self._asked(pieces) as found:
                length = found.getheader("Content-Length")
                self._head(found.status, found.getheaders(), None if length is None else int(length))
                if self.command == "HEAD" or found.status in {204, 304}:
                    return
                while piece := found.read(PIECE):
                    self._give(piece, chunked=length is None)
                if length is None:
                    self._give(b"", chunked=True)
        except (OSError, http.client.HTTPException):
            self.reset()  # as a server that is not there any more

    def _pieces(self, most: int) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield self._took(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        while most > 0:
            piece = self._took(self.rfile.read1(min(most, PIECE)))
            most -= len(piece)
            yield piece

    def _took(self, piece: bytes) -> bytes:
        if not piece:
            raise Lost
        self.noted.sent += len(piece)
        return piece

    @contextlib.contextmanager
    def _asked(self, pieces: Any) -> Iterator[http.client.HTTPResponse]:
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=PATIENCE)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"expect", "connection"}:
                    upstream.putheader(name, value)
            upstream.putheader("Connection", "close")
            chunked = "Transfer-Encoding" in self.headers
            upstream.endheaders(pieces, encode_chunked=chunked)
            yield upstream.getresponse()
        finally:
            upstream.close()

    def _head(self, status: int, headers: list[tuple[str, str]], length: int | None) -> None:
        self.noted.status = status
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"connection", "content-length", "keep-alive", "transfer-encoding"}:
                self.send_header(name, value.replace(self.server.origin, self.server.url))
        if length is not None:
            self.send_header("Content-Length", str(length))
        elif self.command != "HEAD" and status not in {204, 304}:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _give(self, piece: bytes, *, chunked: bool) -> None:
        self.noted.received += len(piece)
        try:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        except OSError:
            raise Lost from None


Fault = Callable[[Exchange], None]


@dataclass
class Play:
    """A fault that waits for ``times`` requests of one ``verb`` (any, if empty) with ``within`` in their path."""

    name: str
    fault: Fault
    times: float
    verb: str
    within: str


class Proxy(socketserver.ThreadingTCPServer):
    """The proxy before the server that some storage options reach; ``options`` reach the proxy instead."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        text = json.dumps(options)
        self.origin = re.findall(r"http://127\.0\.0\.1:\d+", text)[0]
        self.upstream = ("127.0.0.1", int(self.origin.rpartition(":")[2]))
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.options: dict[str, Any] = json.loads(text.replace(self.origin, self.url))
        self.requests: list[Request] = []
        self.played: Counter[str] = Counter()
        self.open: set[socket.socket] = set()
        self.stopping = threading.Event()
        self._plays: list[Play] = []
        self._lock = threading.Lock()

    def play(self, name: str, fault: Fault, *, times: float = 1, verb: str = "", within: str = "") -> None:
        """Let a fault happen to the next requests of a kind: the one that was asked for first is played first."""
        with self._lock:
            self._plays.append(Play(name, fault, times, verb, within))

    def note(self, request: Request) -> Fault | None:
        """Write a request down, and give the fault that is played on it."""
        with self._lock:
            self.requests.append(request)
            for play in self._plays:
                if play.times > 0 and play.verb in {"", request.verb} and play.within in request.path:
                    play.times -= 1
                    request.fault = play.name
                    self.played[play.name] += 1
                    return play.fault
        return None

    @property
    def waiting(self) -> float:
        """How many faults are still to be played."""
        return sum(play.times for play in self._plays)

    def verbs(self, within: str = "") -> list[str]:
        """Give what the requests were for, in order."""
        return [request.verb for request in list(self.requests) if within in request.path]

    def clear(self) -> None:
        """Forget the requests, and the faults that have not happened."""
        with self._lock:
            self.requests.clear()
            self._plays.clear()


@contextlib.contextmanager
def before(options: Mapping[str, Any]) -> Iterator[Proxy]:
    """Run a proxy before the server that these storage options reach."""
    with Proxy(options) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.stopping.set()
            proxy.shutdown()
            thread.join()
            for connection in list(proxy.open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
