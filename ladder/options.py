"""Options that several verbs have, checked as they are read."""

from __future__ import annotations

from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from ladder.contract.types import Digest, GitBranch, Login
from ladder.errors import InputError, Problem

__all__ = ["BRANCH", "DIGEST", "LOGIN"]


class _Typed(click.ParamType[str]):
    """A string by the contract's rule of its type."""

    def __init__(self, name: str, kind: Any, accepted: str, example: str) -> None:
        self.name = name
        self._rule: TypeAdapter[str] = TypeAdapter(kind)
        self._accepted, self._example = accepted, example

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's signature
        try:
            return self._rule.validate_python(value)
        except ValidationError as error:
            raise InputError(
                Problem(
                    file=param.opts[0] if param is not None else "",
                    message=f"is no {self.name}",
                    found=ascii(value[:120])[1:-1],
                    accepted=self._accepted,
                    example=self._example,
                )
            ) from error


LOGIN = _Typed(
    "login of GitHub's",
    Login,
    "letters, digits and single hyphens, at most 39; of an App with [bot] at its end",
    "octocat",
)
DIGEST = _Typed(
    "digest",
    Digest,
    "sha256: and 64 digits or letters a to f; a tag does not say what it will be tomorrow",
    f"sha256:{'0a' * 32}",
)
BRANCH = _Typed("branch", GitBranch, "a branch's name, without refs/heads/", "new-service")
