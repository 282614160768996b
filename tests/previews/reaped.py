"""The reaper as a whole over an API server's stand-in, and what it told."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from previews.moments import moment
from previews.reaper import main
from tests.previews.serving import Asked, Reply, StandIn, serving

__all__ = ["ApiServerStandIn", "Reaper", "Told"]

_NAMESPACES = "/api/v1/namespaces"
_APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"


@dataclass
class ApiServerStandIn(StandIn):
    """Objects by their paths. Pages are of ``size``, however many are asked for."""

    token: str = "reaper-token"
    objects: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    size: int = 100

    def namespace(self, name: str, expires: str | None, **more: Any) -> dict[str, Any]:
        """A namespace from now on, with the label of previews unless it has ``labels``."""
        made = _object(name, expires, more)
        made["metadata"].setdefault("labels", {"ladder.internal/preview": "true"})
        self.objects[f"{_NAMESPACES}/{name}"] = made
        return made

    def application(
        self, name: str, expires: str | None, project: str = "ladder-dev-previews", **more: Any
    ) -> dict[str, Any]:
        """An Application from now on, with Argo CD's finalizer unless it has ``finalizers``."""
        made = _object(name, expires, more)
        made["metadata"].setdefault("finalizers", ["resources-finalizer.argocd.argoproj.io"])
        made["spec"] = {"project": project}
        self.objects[f"{_APPLICATIONS}/{name}"] = made
        return made

    def names(self) -> set[str]:
        """What is there and not being deleted, e.g. ``namespaces/pr-7``."""
        left = {path for path, each in self.objects.items() if "deletionTimestamp" not in each["metadata"]}
        return {"/".join(path.split("/")[-2:]) for path in left}

    def finish(self) -> None:
        """Whoever has finalizers to see to does so."""
        self.objects = {
            path: each for path, each in self.objects.items() if "deletionTimestamp" not in each["metadata"]
        }

    def deletions(self, *, dry_run: bool) -> list[str]:
        """What was asked to be deleted, in the order of asking."""
        asked = [each for each in self.asked if each.method == "DELETE"]
        return [
            "/".join(each.path.split("/")[-2:]) for each in asked if bool(json.loads(each.body)["dryRun"]) is dry_run
        ]

    def reply(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return status(401, "Unauthorized")
        if asked.method == "GET" and asked.path in {_NAMESPACES, _APPLICATIONS}:
            return self._list(asked)
        if asked.method == "DELETE" and asked.path in self.objects:
            return self._delete(asked)
        return status(404, "not found")

    def _list(self, asked: Asked) -> Reply:
        found = [each for path, each in sorted(self.objects.items()) if path.rpartition("/")[0] == asked.path]
        if "labelSelector" in asked.query:
            key, _, value = asked.query["labelSelector"].partition("=")
            found = [each for each in found if each["metadata"].get("labels", {}).get(key) == value]
        start = int(asked.query.get("continue", "0"))
        rest = {"continue": str(start + self.size)} if len(found) > start + self.size else {}
        kind = "NamespaceList" if asked.path == _NAMESPACES else "ApplicationList"
        items = found[start : start + self.size]
        return reply(200, {"kind": kind, "metadata": {"resourceVersion": "1", **rest}, "items": items})

    def _delete(self, asked: Asked) -> Reply:
        options, metadata = json.loads(asked.body), self.objects[asked.path]["metadata"]
        assert (options["apiVersion"], options["kind"]) == ("v1", "DeleteOptions")
        for key, value in options["preconditions"].items():
            if metadata[key] != value:
                return status(409, f"the {key} in the precondition does not match")
        stays = asked.path.startswith(_NAMESPACES) or metadata.get("finalizers")
        if not options["dryRun"]:
            if stays:
                metadata["deletionTimestamp"] = moment(datetime.now(UTC))
            else:
                del self.objects[asked.path]
        return reply(200, {"kind": "Namespace"} if stays else {"kind": "Status", "status": "Success"})


def reply(code: int, body: Any) -> Reply:
    return Reply(code, json.dumps(body).encode(), {"Content-Type": "application/json"})


def status(code: int, message: str) -> Reply:
    return reply(code, {"kind": "Status", "status": "Failure", "message": message, "code": code})


def _object(name: str, expires: str | None, more: dict[str, Any]) -> dict[str, Any]:
    annotations = {} if expires is None else {"ladder.internal/expires": expires}
    annotations |= more.pop("annotations", {})
    own = {"name": name, "uid": f"uid-{name}", "resourceVersion": "41", "annotations": annotations}
    return {"metadata": {"creationTimestamp": moment(datetime.now(UTC) - timedelta(days=3)), **own, **more}}


@dataclass(frozen=True)
class Told:
    """How a run ended, and its log: as text, and as the objects of its lines."""

    code: int
    text: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def verdicts(self, event: str = "decided") -> dict[str, str]:
        """By what and name."""
        return {f"{each['what']} {each['namespace']}": each["verdict"] for each in self.lines if each["event"] == event}

    def last(self) -> dict[str, Any]:
        return self.lines[-1]


class Reaper:
    """Runs of the program against a stand-in on a loopback port; ``settings`` are the file's sections."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.server, self._folder, self._capsys = ApiServerStandIn(), folder, capsys
        (folder / "token").write_text(f"{self.server.token}\n", encoding="utf-8")
        cluster = {
            "url": self.server.url,
            "namespace": "argocd",
            "project": "ladder-dev-previews",
            "token": str(folder / "token"),
            "authority": None,
        }
        self.settings: dict[str, Any] = {
            "cluster": cluster,
            "grace": "1h",
            "maxAge": "336h",
            "most": 10,
            "dryRun": False,
        }

    def written(self) -> Path:
        file = self._folder / "settings.yaml"
        file.write_text(json.dumps(self.settings, indent=2), encoding="utf-8")
        return file

    def run(self) -> Told:
        self._capsys.readouterr()
        with serving(self.server), _own_log():
            self.settings["cluster"]["url"] = self.server.url
            code = main([str(self.written())])
        told = self._capsys.readouterr()
        assert told.out == ""
        return Told(code, told.err)


def ago(hours: float) -> str:
    """The time that many hours ago."""
    return moment(datetime.now(UTC) - timedelta(hours=hours))


@contextmanager
def _own_log() -> Iterator[None]:
    """The program sets up the process's log; afterwards it is as it was."""
    root, own = logging.getLogger(), logging.getLogger("previews")
    before = root.handlers[:], root.level, own.level
    try:
        yield
    finally:
        root.handlers[:], root.level, own.level = before
