"""What an Argo CD AppProject permits, by the rules of the controller.

Rules: argo-cd v3.6.1, ``pkg/apis/application/v1alpha1/app_project_types.go``, and the globs of github.com/gobwas/glob.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ladder.check.template import NotUnderstood

__all__ = ["IN_CLUSTER", "Destination", "Project"]

IN_CLUSTER = ("https://kubernetes.default.svc", "in-cluster")
"""Server and name of the cluster Argo CD runs in."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A cluster by its server or its name, and a namespace in it."""

    server: str
    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Project:
    """An AppProject's ``spec`` and where it was recorded. A pattern that is not read here raises NotUnderstood."""

    urn: str
    spec: Mapping[str, Any]

    def permits_source(self, repository: str) -> bool:
        """Whether Applications may have a source in the repository. One pattern that denies decides."""
        url = _normalized(repository)
        agree = {pattern: _agrees(_normalized(pattern), url, "/") for pattern in self._list("sourceRepos")}
        return any(agree.values()) and not any(_denies(pattern) and not agrees for pattern, agrees in agree.items())

    def permits_destination(self, to: Destination) -> bool:
        """Whether Applications may go to the destination."""
        permitted = False
        for item in self._list("destinations"):
            server, name, namespace = (str(item.get(key, "")) for key in ("server", "name", "namespace"))
            on_cluster = (bool(to.server) and _agrees(server, to.server), bool(to.name) and _agrees(name, to.name))
            in_namespace = _agrees(namespace, to.namespace)
            if any(on_cluster) and in_namespace:
                permitted = True
            elif _denies(server, name) if in_namespace else on_cluster[0] and _denies(namespace):
                return False
        return permitted

    def _list(self, field: str) -> Sequence[Any]:
        return self.spec.get(field) or []


def _denies(*patterns: str) -> bool:
    return any(pattern.startswith("!") for pattern in patterns)


def _normalized(repository: str) -> str:
    """As Argo CD compares https, file and oci URLs, case aside; a ``!`` in front stays."""
    return repository.strip().lower().removesuffix(".git")


def _agrees(pattern: str, value: str, separators: str = "") -> bool:
    """Whether the value matches, or where the pattern begins with ``!``, does not."""
    if _denies(pattern):
        return _expression(pattern[1:], separators).fullmatch(value) is None
    return pattern == "*" or _expression(pattern, separators).fullmatch(value) is not None


@lru_cache(maxsize=1024)
def _expression(pattern: str, separators: str) -> re.Pattern[str]:
    """``*`` and ``?`` stop at separators, ``**`` does not. Classes, alternatives and escapes are not read."""
    if set(pattern) & set("[]{}\\"):
        raise NotUnderstood(f"the pattern {pattern}; known are *, ** and ?")
    one = f"[^{re.escape(separators)}]" if separators else "."
    parts = {"**": ".*", "*": f"{one}*", "?": one}
    found: list[str] = re.findall(r"\*\*|.", pattern)
    return re.compile("".join(parts.get(part) or re.escape(part) for part in found), re.DOTALL)
