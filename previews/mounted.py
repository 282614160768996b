"""What the settings of both programs are made of, and how their file is read. What is secret has files of its own."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

from ladder.contract.base import Settings
from ladder.contract.problems import FileKind, checked, of_violation
from ladder.contract.types import ApiUrl, DnsLabel, Text
from ladder.contract.violations import Violation
from ladder.errors import InputError, Problem
from ladder.strict_yaml import examine
from previews.fetching import Unavailable, content, secret, trusting

__all__ = ["ApiServer", "File", "no_token", "read_as", "unreadable", "violation"]

_Model = TypeVar("_Model", bound=Settings)


def _file_problem(value: str) -> str | None:
    path = re.fullmatch(r"/[A-Za-z0-9._/-]+", value)
    return None if path and "/../" not in f"{value}/" else "is not a plain absolute path"


File = Annotated[str, Text(_file_problem, "an absolute path", ("/var/run/secrets/previews/token",))]


class ApiServer(Settings):
    """The cluster's API server, and the namespace of Argo CD in it."""

    url: ApiUrl
    namespace: DnsLabel
    token: File
    authority: File | None
    """The certificate authority; null where the URL is http."""

    def violations(self) -> Iterator[Violation]:
        if self.authority is None and self.url.startswith("https"):
            message = "is null, so that nobody vouches for the API server"
            yield violation("cluster.authority", message, "null", "the file of the certificate authority")

    def problems(self) -> Iterator[Problem]:
        """Of its files."""
        yield from no_token(self.token, "cluster.token")
        try:
            trusting(self.authority)
        except ssl.SSLError:
            accepted = "certificates in PEM"
            yield Problem(file=str(self.authority), message="has no certificate (cluster.authority)", accepted=accepted)
        except OSError:
            yield from unreadable(self.authority, "cluster.authority")


def read_as(
    path: Path,
    model: type[_Model],
    together: Callable[[_Model], Iterator[Violation]],
    files: Callable[[_Model], Iterator[Problem]],
) -> _Model:
    """The settings of the file, by its model, joined rules and named files. Raises InputError with every problem."""
    document = examine(path)
    settings, problems = checked(document, model)
    if settings is None or problems:
        raise InputError(problems)
    kind = FileKind(model)
    problems = [of_violation(each, document, (), kind) for each in together(settings)]
    problems += files(settings)
    if problems:
        raise InputError(problems)
    return settings


def violation(path: str, message: str, found: str, accepted: str) -> Violation:
    return Violation(path=tuple(path.split(".")), message=message, found=found, accepted=accepted)


def no_token(file: str, place: str) -> Iterator[Problem]:
    """A problem where the file holds no token."""
    try:
        secret(Path(file), place)
    except Unavailable:
        yield Problem(file=file, message=f"holds no token ({place})", accepted="one line of visible ASCII")


def unreadable(file: str | None, place: str) -> Iterator[Problem]:
    """A problem where there is to be a file and it cannot be read."""
    try:
        content(Path(file), place) if file is not None else None
    except Unavailable:
        yield Problem(file=str(file), message=f"cannot be read ({place})", accepted="a readable file")
