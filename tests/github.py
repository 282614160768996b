"""A stand-in for GitHub's REST API on loopback: the few paths that are read, in the shapes that GitHub documents."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.support import ROOT

__all__ = ["REPOSITORY", "Standin", "environment", "healthy", "serving"]

REPOSITORY = "acme/environment-ladder"
_BASE = f"/repos/{REPOSITORY}"
_MOMENT = "2026-11-20T09:00:00Z"


@dataclass
class Standin:
    """What it answers, by path: a body, or a status and a body. ``asked`` has each request's method, path and token."""

    answers: dict[str, Any]
    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def ruleset(self) -> dict[str, Any]:
        return self.answers[f"{_BASE}/rulesets/42"]

    def rule(self, type_: str) -> dict[str, Any]:
        (found,) = [each for each in self.ruleset["rules"] if each["type"] == type_]
        return found

    def at(self, path: str) -> Any:
        return self.answers[f"{_BASE}{path}"]

    def put(self, path: str, answer: Any) -> None:
        self.answers[f"{_BASE}{path}"] = answer


def healthy() -> dict[str, Any]:
    """The answers about a repository that is as it should be."""
    ruleset = json.loads((ROOT / ".github" / "rulesets" / "main.json").read_text(encoding="utf-8"))
    head = {
        "id": 42,
        "source_type": "Repository",
        "source": REPOSITORY,
        "node_id": "RRS_lACkVXNlcs4AAAA",
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
        "current_user_can_bypass": "never",
    }
    listed = {key: ruleset[key] for key in ("name", "target", "enforcement")}
    live = copy.deepcopy(ruleset)
    live["rules"].reverse()
    pull = next(each for each in live["rules"] if each["type"] == "pull_request")["parameters"]
    pull["required_reviewers"] = []
    environments = {
        f"/environments/{stack}{suffix}": environment(f"{stack}{suffix}", reviewed=stack == "prod" and not suffix)
        for stack in ("dev", "staging", "prod")
        for suffix in ("", "-preview", "-observe")
    } | {"/environments/promotion": environment("promotion", reviewed=False)}
    answers = {
        "": {"id": 1296269, "full_name": REPOSITORY, "private": True, "default_branch": "main"},
        "/rulesets": [{**head, **listed}],
        "/rulesets/42": {**head, **live},
        "/codeowners/errors": {"errors": []},
        **environments,
        **{
            f"{path}/deployment-branch-policies": {
                "total_count": 1,
                "branch_policies": [{"id": 361471, "node_id": "MDE2OkdhdGUx", "name": "main"}],
            }
            for path in environments
        },
    }
    return {f"{_BASE}{path}": answer for path, answer in answers.items()}


def environment(name: str, *, reviewed: bool) -> dict[str, Any]:
    """A deployment environment that only branches named for it may use."""
    rules: list[dict[str, Any]] = [{"id": 3756, "node_id": "MDQ6R2F0ZTM3NTY=", "type": "branch_policy"}]
    if reviewed:
        team = {"id": 1, "node_id": "MDQ6VGVhbTE=", "name": "Platform", "slug": "platform"}
        rules.append(
            {
                "id": 3755,
                "node_id": "MDQ6R2F0ZTM3NTU=",
                "type": "required_reviewers",
                "prevent_self_review": True,
                "reviewers": [{"type": "Team", "reviewer": team}],
            }
        )
    return {
        "id": 161088068,
        "node_id": "MDExOkVudmlyb25tZW50MTYxMDg4MDY4",
        "name": name,
        "url": f"https://api.github.com{_BASE}/environments/{name}",
        "html_url": f"https://github.com/{REPOSITORY}/deployments/activity_log?environments_filter={name}",
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
        "protection_rules": rules,
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
    }


@contextmanager
def serving(standin: Standin) -> Iterator[Standin]:
    """Serve the answers on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            standin.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
            answer = standin.answers.get(path, (404, {"message": "Not Found", "status": "404"}))
            status, body = answer if isinstance(answer, tuple) else (200, answer)
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    standin.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield standin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
