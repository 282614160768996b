"""A stand-in for GitHub on loopback as an App that comments and deploys sees it, held against GitHub's own shapes."""

from __future__ import annotations

import base64
import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.previews.octokit import example, misasked, violation
from tests.previews.serving import Asked, Reply, StandIn

__all__ = ["AppStandIn"]

_PAGE = 30
_LONGEST = 600
"""Seconds that GitHub lets a token of an App's own be valid for."""


@dataclass
class AppStandIn(StandIn):
    """One repository, and an App installed in it. ``pulls`` has the open pull requests that each commit is in.

    ``invalid`` is what was asked or answered and is not of GitHub's shape, or was asked of something else.
    """

    repository: str = "acme/shop"
    app: int = 1234
    installation: int = 5678
    pulls: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    comments: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    deployments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    statuses: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tokens: set[str] = field(default_factory=set[str])
    invalid: set[str] = field(default_factory=set[str])
    _key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def key(self) -> str:
        """The App's private key, as GitHub gives it to its owner."""
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        return self._key.private_bytes(encoding, form, serialization.NoEncryption()).decode()

    def of_pull(self, number: int) -> list[str]:
        """The comments of a pull request, the oldest first."""
        return [each["body"] for each in self.comments.values() if each["issue_url"].endswith(f"/issues/{number}")]

    def told(self, sha: str) -> list[dict[str, Any]]:
        """The statuses of the commit's deployments, the oldest first."""
        urls = [each["url"] for each in self.deployments if each["sha"] == sha]
        return [each for each in self.statuses if each["deployment_url"] in urls]

    def reply(self, asked: Asked) -> Reply:
        base = re.escape(f"/api/v3/repos/{self.repository}")
        for method, pattern, answer in (
            ("GET", rf"{base}/commits/([0-9a-f]{{40}})/pulls", self._pulls),
            ("GET", rf"{base}/issues/([0-9]+)/comments", self._comments),
            ("POST", rf"{base}/issues/([0-9]+)/comments", self._comment),
            ("PATCH", rf"{base}/issues/comments/([0-9]+)", self._edit),
            ("GET", rf"{base}/(deployments)", self._deployments),
            ("POST", rf"{base}/(deployments)", self._deployment),
            ("POST", rf"{base}/deployments/([0-9]+)/statuses", self._status),
        ):
            match = re.fullmatch(pattern, asked.path) if asked.method == method else None
            if match:
                return answer(asked, match[1]) if self._is_known(asked) else self._refused(401, "Bad credentials")
        if asked.method == "POST" and asked.path == f"/api/v3/app/installations/{self.installation}/access_tokens":
            return self._token(asked)
        self.invalid.add(f"nothing here is asked by {asked.method} {asked.path}")
        return self._refused(404, "Not Found")

    def _is_known(self, asked: Asked) -> bool:
        return asked.headers.get("authorization", "").removeprefix("token ") in self.tokens

    def _token(self, asked: Asked) -> Reply:
        if not self._is_own(asked.headers.get("authorization", "").removeprefix("Bearer ")):
            return self._refused(401, "A JSON web token could not be decoded")
        token = f"ghs_{secrets.token_hex(18)}"
        self.tokens.add(token)
        ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._answer("token", 201, example("token") | {"token": token, "expires_at": ends})

    def _is_own(self, token: str) -> bool:
        """Whether the App itself signed it, for no longer than GitHub lets it."""
        try:
            signed, _, signature = token.rpartition(".")
            header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
            self._key.public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, InvalidSignature):
            return False
        lasts = claims["exp"] - claims["iat"]
        return header["alg"] == "RS256" and str(claims["iss"]) == str(self.app) and 0 < lasts <= _LONGEST

    def _pulls(self, _: Asked, sha: str) -> Reply:
        told = example("commit-pulls")[0] | {"requested_teams": []}
        return self._answer("commit-pulls", 200, [told | {"number": each} for each in self.pulls.get(sha, [])])

    def _comments(self, asked: Asked, number: str) -> Reply:
        size, page = int(asked.query.get("per_page", _PAGE)), int(asked.query.get("page", "1"))
        found = [each for each in self.comments.values() if each["issue_url"].endswith(f"/issues/{number}")]
        return self._answer("comments", 200, found[size * (page - 1) : size * page])

    def _comment(self, asked: Asked, number: str) -> Reply:
        wanted = self._wanted("comment", asked)
        made = example("comment") | {
            "id": len(self.comments) + 1,
            "issue_url": f"{self.url}/api/v3/repos/{self.repository}/issues/{number}",
            "body": wanted["body"],
        }
        self.comments[made["id"]] = made
        return self._answer("comment", 201, made)

    def _edit(self, asked: Asked, identifier: str) -> Reply:
        self.comments[int(identifier)]["body"] = self._wanted("edit", asked)["body"]
        return self._answer("edit", 200, self.comments[int(identifier)])

    def _deployments(self, asked: Asked, _: str) -> Reply:
        named = {name: asked.query[name] for name in ("ref", "environment") if name in asked.query}
        found = [each for each in self.deployments if named.items() <= each.items()]
        return self._answer("deployments", 200, found[::-1])

    def _deployment(self, asked: Asked, _: str) -> Reply:
        wanted = self._wanted("deployment", asked)
        number = len(self.deployments) + 1
        made = example("deployment") | {
            "id": number,
            "url": f"{self.url}/api/v3/repos/{self.repository}/deployments/{number}",
            "sha": wanted["ref"],
            "production_environment": wanted.get("environment", "production") == "production",
            **{name: value for name, value in wanted.items() if name not in {"auto_merge", "required_contexts"}},
        }
        self.deployments.append(made)
        return self._answer("deployment", 201, made)

    def _status(self, asked: Asked, number: str) -> Reply:
        wanted = self._wanted("deployment-status", asked)
        own = {"id": len(self.statuses) + 1, "deployment_url": self.deployments[int(number) - 1]["url"]}
        made = example("deployment-status") | {"environment_url": "", **wanted, **own}
        self.statuses.append(made)
        return self._answer("deployment-status", 201, made)

    def _wanted(self, name: str, asked: Asked) -> dict[str, Any]:
        wanted = json.loads(asked.body)
        self.invalid |= set(filter(None, [misasked(name, wanted)]))
        return wanted

    def _answer(self, name: str, status: int, body: Any) -> Reply:
        self.invalid |= set(filter(None, [violation(name, body)]))
        return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=utf-8"})

    def _refused(self, status: int, message: str) -> Reply:
        body = {"message": message, "status": str(status)}
        return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=utf-8"})


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
