"""Options that several verbs have, checked as they are read."""

from __future__ import annotations

import click
from pydantic import TypeAdapter, ValidationError

from ladder.contract.types import Digest, Login
from ladder.errors import InputError, Problem

__all__ = ["DIGEST", "LOGIN"]


class _Login(click.ParamType[str]):
    name = "login"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's signature
        try:
            return TypeAdapter(Login).validate_python(value)
        except ValidationError as error:
            accepted = "letters, digits and single hyphens, at most 39; of an App with [bot] at its end"
            raise InputError(_problem(param, "is no login of GitHub's", value, accepted, "octocat")) from error


class _Digest(click.ParamType[str]):
    name = "digest"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 - as above
        try:
            return TypeAdapter(Digest).validate_python(value)
        except ValidationError as error:
            accepted = "sha256: and 64 digits or letters a to f; a tag does not say what it will be tomorrow"
            raise InputError(_problem(param, "is no digest", value, accepted, f"sha256:{'0a' * 32}")) from error


LOGIN = _Login()
DIGEST = _Digest()


def _problem(param: click.Parameter | None, message: str, found: str, accepted: str, example: str) -> Problem:
    option = param.opts[0] if param is not None else ""
    return Problem(file=option, message=message, found=ascii(found[:120])[1:-1], accepted=accepted, example=example)
