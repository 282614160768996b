"""What answers like a server: in-process for the plugin's clients, or on a loopback port for its process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx

__all__ = ["Asked", "Reply", "StandIn", "client", "serving"]


@dataclass(frozen=True)
class Asked:
    """A request: ``query`` has the last value of each name, ``headers`` lower-case names."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    url: str
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What is answered, after ``delay`` seconds."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0


@dataclass
class StandIn:
    """Keeps what it was asked. ``trouble`` answers in place of itself wherever it returns something."""

    url: str = "http://127.0.0.1:9"
    asked: list[Asked] = field(default_factory=list[Asked])
    trouble: Callable[[Asked], Reply | None] = lambda _: None

    def reply(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def handle(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        return self.trouble(asked) or self.reply(asked)


def client(standin: StandIn) -> httpx.AsyncClient:
    """A client that reaches the stand-in without a socket."""

    def handle(request: httpx.Request) -> httpx.Response:
        reply = standin.handle(_asked(request.method, str(request.url), dict(request.headers)))
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)

    return httpx.AsyncClient(base_url=standin.url, transport=httpx.MockTransport(handle))


@contextmanager
def serving(standin: StandIn) -> Iterator[None]:
    """Serve it on a port of its own, which becomes its ``url``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # a whole answer in one packet

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def do_PATCH(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            reply = standin.handle(_asked(self.command, f"{standin.url}{self.path}", headers, body))
            time.sleep(reply.delay)
            self.send_response_only(reply.status)
            for name, value in {"Date": self.date_time_string(), **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)
            self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    standin.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _asked(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Asked:
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return Asked(method, parts.path, query, headers, url, body)
