"""The AWS stand-in: moto's IAM, STS, KMS and S3 in a process of its own, whose state survives even SIGKILL.

Every request that changed something is appended to a journal together with the time and the random seed it ran under,
before its answer is sent. Starting replays the journal under the same times and seeds, so that ids, keys, secrets and
dates come back as they were.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import parse_qs

from sandbox.credentials import DeniedError, SignedRequest, account_of, verify

if TYPE_CHECKING:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

__all__ = ["Cloud", "Journal", "main"]

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], object]

SERVICES = frozenset({"iam", "kms", "s3", "sts"})
PRIVATE_PATHS = ("/moto-api", "/latest/meta-data/", "/latest/api/", "/favicon.ico")
READ_PREFIXES = ("Describe", "Generate", "Get", "List", "Simulate")
READ_KMS = frozenset({"Decrypt", "Encrypt", "ReEncrypt", "Sign", "Verify", "VerifyMac"})
PRESERVED_NAMES = "moto.preserved_header_names"


class Clock:
    """The time moto sees: real, or what it was when a journaled request ran."""

    def __init__(self) -> None:
        self._fixed: datetime | None = None

    def fix(self, at: datetime | None) -> None:
        self._fixed = at

    def utcnow(self) -> datetime:
        """Naive UTC, which is what moto works with."""
        return (self._fixed or datetime.now(UTC)).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that changed something, and all its outcome depends on."""

    time: str
    seed: str
    environ: dict[str, Any]
    body: bytes

    def as_line(self) -> bytes:
        body = base64.b64encode(self.body).decode()
        return json.dumps([self.time, self.seed, self.environ, body], separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        time, seed, environ, body = json.loads(line)
        return cls(time, seed, environ, base64.b64decode(body))


class Journal:
    """An append-only file of entries, one a line. A torn last line, from a process killed while writing, is dropped."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._path = path

    def entries(self) -> Iterable[Entry]:
        whole = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                yield Entry.of_line(line)
                whole += len(line)
        os.ftruncate(self._descriptor, whole)

    def append(self, entry: Entry) -> None:
        """The kernel has it when this returns, so killing the process loses nothing."""
        rest = memoryview(entry.as_line())
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class Cloud:
    """The WSGI application: authenticates, serialises, answers through moto, and journals what changed."""

    def __init__(self, secret: str, journal: Journal) -> None:
        self._secret = secret
        self._journal = journal
        self._clock = Clock()
        self._lock = threading.Lock()
        self._moto = _moto(self._clock)

    def replay(self) -> int:
        """Bring back the journaled state; returns the number of requests replayed."""
        count = 0
        for entry in self._journal.entries():
            self._run(entry)
            count += 1
        return count

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        from werkzeug.wsgi import get_input_stream

        body = get_input_stream(environ).read()
        with self._lock:
            try:
                account = self._authenticate(environ, body)
            except DeniedError as denied:
                return _refuse(environ, start_response, str(denied))
            entry = Entry(datetime.now(UTC).isoformat(), secrets.token_hex(16), _kept(environ, account), body)
            mutating = _is_mutating(environ, body)
            status, headers, answer = self._run(entry) if mutating else self._ask(entry)
            if mutating and status.startswith("2"):
                self._journal.append(entry)
        start_response(status, headers)
        return [answer]

    def _authenticate(self, environ: Environ, body: bytes) -> str:
        """The account the request's credentials belong to; raises DeniedError."""
        path = str(environ.get("RAW_URI") or environ["PATH_INFO"]).partition("?")[0]
        if path.startswith(PRIVATE_PATHS):
            raise DeniedError(f"{path} is not part of the sandbox")
        headers = {name[5:].replace("_", "-").lower(): str(environ[name]) for name in environ if name[:5] == "HTTP_"}
        for original in cast("dict[str, str]", environ.get(PRESERVED_NAMES) or {}).values():
            headers[original.lower()] = headers[original.lower().replace("_", "-")]
        headers |= {
            "content-type": environ.get("CONTENT_TYPE", ""),
            "content-length": environ.get("CONTENT_LENGTH", ""),
        }
        request = SignedRequest(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers, body)
        access_key, service = verify(request, self._secret_key_of)
        if service not in SERVICES:
            raise DeniedError(f"the sandbox has no {service}, only {', '.join(sorted(SERVICES))}")
        if _asks_for_asymmetric_key(environ, body):
            raise DeniedError("the sandbox keeps symmetric KMS keys only")
        return account_of(self._secret, access_key) or _issued(access_key)[0]

    def _secret_key_of(self, access_key: str) -> str | None:
        from sandbox.credentials import derive

        account = account_of(self._secret, access_key)
        return derive(self._secret, account).secret_access_key if account else _issued(access_key)[1]

    def _run(self, entry: Entry) -> tuple[str, list[tuple[str, str]], bytes]:
        """Run a request under the entry's time and seed: twice the same entry gives twice the same result."""
        from moto.moto_api._internal import mock_random

        mock_random.seed(entry.seed)
        self._clock.fix(datetime.fromisoformat(entry.time))
        try:
            return self._ask(entry)
        finally:
            self._clock.fix(None)
            mock_random.seed()

    def _ask(self, entry: Entry) -> tuple[str, list[tuple[str, str]], bytes]:
        environ: Environ = {
            **entry.environ,
            "CONTENT_LENGTH": str(len(entry.body)),
            "wsgi.input": BytesIO(entry.body),
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        seen: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            seen.append((status, headers))

        answer = b"".join(self._moto(environ, start_response))
        status, headers = seen[-1]
        return status, headers, answer


def _moto(clock: Clock) -> DomainDispatcherApplication:
    """moto's application, with its sources of time and randomness replaced by ones that can be replayed."""
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    import moto.core.utils

    # Before any service is imported: each takes its own reference.
    moto.core.utils.utcnow = clock.utcnow

    import moto.kms.models as kms
    import moto.s3.models as s3
    from moto.moto_api._internal import mock_random
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    real_urandom = os.urandom

    def urandom(size: int) -> bytes:
        """Replayable for moto itself; the libraries below it keep the real source, as how often they ask varies."""
        frame = inspect.currentframe()
        caller = frame.f_back.f_globals.get("__name__", "") if frame and frame.f_back else ""
        return mock_random.randbytes(size) if caller.startswith("moto.") else real_urandom(size)

    os.urandom = urandom

    create_bucket = s3.FakeBucket.__init__

    def create_dated_bucket(self: s3.FakeBucket, *arguments: Any, **named: Any) -> None:
        create_bucket(self, *arguments, **named)
        self.creation_date = clock.utcnow().replace(tzinfo=UTC)

    def no_private_key(_key_spec: str) -> None:
        """moto makes an RSA key for every symmetric key too, which is slow and cannot be replayed."""

    s3.FakeBucket.__init__ = create_dated_bucket
    setattr(kms, "generate_private_key", no_private_key)  # noqa: B010 -- moto does not export the name it looks up
    return DomainDispatcherApplication(create_backend_app)


def _issued(access_key: str) -> tuple[str, str | None]:
    """Account and secret of a key that IAM or STS here has issued; ``("", None)`` for any other."""
    from moto.iam.models import iam_backends

    for account, partitions in list(iam_backends.items()):
        key = partitions["aws"].access_keys.get(access_key)
        if key is not None and key.status == "Active":
            return account, key.secret_access_key
    return "", None


def _kept(environ: Environ, account: str) -> dict[str, Any]:
    """What of a WSGI environment is worth keeping: texts, without what belongs to the connection."""
    texts = {name: value for name, value in environ.items() if isinstance(value, str)}
    texts.pop("HTTP_TRANSFER_ENCODING", None)
    names = cast("dict[str, str]", environ.get(PRESERVED_NAMES) or {})
    return {**texts, PRESERVED_NAMES: names, "HTTP_X_MOTO_ACCOUNT_ID": account}


def _action(environ: Environ, body: bytes) -> str:
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rpartition(".")[2]
    form = str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")
    query = body.decode(errors="replace") if form else str(environ.get("QUERY_STRING", ""))
    return parse_qs(query).get("Action", [""])[0]


def _is_mutating(environ: Environ, body: bytes) -> bool:
    action = _action(environ, body)
    if action:
        # The first mention of a key that AWS manages creates it, even in a request that only reads.
        return b"alias/aws/" in body or (not action.startswith(READ_PREFIXES) and action not in READ_KMS)
    return environ["REQUEST_METHOD"] not in {"GET", "HEAD", "OPTIONS"}


def _asks_for_asymmetric_key(environ: Environ, body: bytes) -> bool:
    if not str(environ.get("HTTP_X_AMZ_TARGET", "")).endswith(".CreateKey"):
        return False
    try:
        wanted = json.loads(body or b"{}")
    except ValueError:
        return False
    spec = wanted.get("KeySpec") or wanted.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    return not str(spec).startswith(("SYMMETRIC", "HMAC"))


def _refuse(environ: Environ, start_response: StartResponse, reason: str) -> Iterable[bytes]:
    if "HTTP_X_AMZ_TARGET" in environ:
        kind, text = "application/x-amz-json-1.1", json.dumps({"__type": "AccessDeniedException", "message": reason})
    else:
        from xml.sax.saxutils import escape

        error = f"<Code>AccessDenied</Code><Message>{escape(reason)}</Message>"
        s3 = "/s3/aws4_request" in str(environ.get("HTTP_AUTHORIZATION", ""))
        kind = "application/xml"
        text = f"<Error>{error}</Error>" if s3 else f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else text.encode()
    status = HTTPStatus.FORBIDDEN
    start_response(f"{status.value} {status.phrase}", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def main(arguments: list[str] | None = None) -> None:
    """Serve on 127.0.0.1; SIGTERM ends the process at once, which the journal makes harmless."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.cloud")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--secrets", type=Path, required=True)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    cloud = Cloud(json.loads(options.secrets.read_text())["aws"], Journal(options.journal))
    print(f"{cloud.replay()} requests replayed", file=sys.stderr, flush=True)

    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 -- the base's
            self.log("info", "%s %s", f"{self.command} {self.path.partition('?')[0]}", code)

    make_server("127.0.0.1", options.port, cloud, threaded=True, request_handler=Handler).serve_forever()


if __name__ == "__main__":
    main()
