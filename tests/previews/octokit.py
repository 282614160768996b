"""GitHub's own description of its REST API, as npm's `@octokit/openapi` has it: the shapes, and an example of each."""

from __future__ import annotations

import copy
import fcntl
import functools
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jsonschema_rs import Draft202012Validator, ValidationError

__all__ = ["OPERATIONS", "Operation", "event", "example", "misasked", "violation"]

_FOLDER = Path(__file__).parent / "openapi"
_PACKAGE = _FOLDER / "node_modules" / "@octokit" / "openapi" / "generated"
_FILE = _PACKAGE / "api.github.com.json"
_EVENTS = _FOLDER / "node_modules" / "@octokit" / "webhooks-examples" / "api.github.com" / "index.json"

_REPOSITORY = "/repos/{owner}/{repo}"


@dataclass(frozen=True, slots=True)
class Operation:
    """Where the description has it, and which answer of it is meant."""

    path: str
    method: str = "get"
    status: int = 200


OPERATIONS = {
    "pulls": Operation(f"{_REPOSITORY}/pulls"),
    "pull": Operation(f"{_REPOSITORY}/pulls/{{pull_number}}"),
    "reviews": Operation(f"{_REPOSITORY}/pulls/{{pull_number}}/reviews"),
    "permission": Operation(f"{_REPOSITORY}/collaborators/{{username}}/permission"),
    "check-suites": Operation(f"{_REPOSITORY}/commits/{{ref}}/check-suites"),
    "token": Operation("/app/installations/{installation_id}/access_tokens", "post", 201),
    "commit-pulls": Operation(f"{_REPOSITORY}/commits/{{commit_sha}}/pulls"),
    "comments": Operation(f"{_REPOSITORY}/issues/{{issue_number}}/comments"),
    "comment": Operation(f"{_REPOSITORY}/issues/{{issue_number}}/comments", "post", 201),
    "edit": Operation(f"{_REPOSITORY}/issues/comments/{{comment_id}}", "patch"),
    "deployments": Operation(f"{_REPOSITORY}/deployments"),
    "deployment": Operation(f"{_REPOSITORY}/deployments", "post", 201),
    "deployment-status": Operation(f"{_REPOSITORY}/deployments/{{deployment_id}}/statuses", "post", 201),
}
"""What the plugin asks, and Argo CD's notifications."""


def example(name: str) -> Any:
    """An answer as the description shows it, free to be changed."""
    media = _media(name)
    (first, *_) = media["examples"].values()
    return copy.deepcopy(_description()["components"]["examples"][first["$ref"].rpartition("/")[2]]["value"])


def event(name: str, action: str) -> Any:
    """A webhook's body as npm's ``@octokit/webhooks-examples`` shows it, free to be changed."""
    _install()
    for told in cast("list[dict[str, Any]]", json.loads(_EVENTS.read_text(encoding="utf-8"))):
        if told["name"] == name:
            return copy.deepcopy(next(each for each in told["examples"] if each["action"] == action))
    raise LookupError(name)


def violation(name: str, body: Any) -> str:
    """Where the answer is not of the described shape; empty where it is."""
    return _violation(name, body, asked=False)


def misasked(name: str, body: Any) -> str:
    """As ``violation``, of what is sent to GitHub."""
    return _violation(name, body, asked=True)


def _violation(name: str, body: Any, *, asked: bool) -> str:
    try:
        _validator(name, asked=asked).validate(body)
    except ValidationError as error:
        return f"{name}: {list(error.instance_path)}: {error.message}"[:400]
    return ""


def _media(name: str, *, asked: bool = False) -> dict[str, Any]:
    wanted = OPERATIONS[name]
    told = _description()["paths"][wanted.path][wanted.method]
    told = told["requestBody"] if asked else told["responses"][str(wanted.status)]
    return cast("dict[str, Any]", told["content"]["application/json"])


@functools.cache
def _validator(name: str, *, asked: bool) -> Draft202012Validator:
    schema, schemas = _media(name, asked=asked)["schema"], _description()["components"]["schemas"]
    return Draft202012Validator({**_plain(schema), "components": {"schemas": _plain(schemas)}})


def _plain(schema: Any) -> Any:
    """OpenAPI 3.0's ``nullable`` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [_plain(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    made = {key: _plain(value) for key, value in cast("dict[str, Any]", schema).items() if key != "nullable"}
    return {"anyOf": [{"type": "null"}, made]} if cast("dict[str, Any]", schema).get("nullable") is True else made


@functools.cache
def _description() -> dict[str, Any]:
    _install()
    description = cast("dict[str, Any]", json.loads(_FILE.read_text(encoding="utf-8")))
    for name in ("pull-request", "pull-request-simple"):
        # Null where the fork is deleted: github/rest-api-description#1811.
        head = description["components"]["schemas"][name]["properties"]["head"]["properties"]
        head["repo"] = {"nullable": True, "allOf": [head["repo"]]}
    return description


def _install() -> None:
    """As locked, once, however many test runs start together; of 385 MB one file is kept."""
    lock = _FOLDER / "package-lock.json"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        marker = _FOLDER / "node_modules" / ".package-lock.json"
        if marker.exists() and marker.stat().st_mtime >= lock.stat().st_mtime:
            return
        npm = shutil.which("npm") or "npm"
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=_FOLDER,
            check=True,
            capture_output=True,
            timeout=300,
        )
        for file in _PACKAGE.glob("*.json"):
            if file != _FILE:
                file.unlink()
