"""Rules over the Applications that ApplicationSets generate, as Argo CD's controllers hold them.

Rules: argo-cd v3.6.1, ``applicationset/controllers`` (names, projects) and ``ValidatePermissions`` in ``util/argo``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from ladder.check.findings import Finding, Tally
from ladder.check.projects import IN_CLUSTER, Destination, Project
from ladder.check.repository import Repository
from ladder.check.template import NotUnderstood
from ladder.contract.types import DNS_LABEL
from ladder.strict_yaml import YamlPath, dotted

__all__ = ["Applications", "ChartUse", "Origin"]

LONGEST_NAME = 63
"""An Application's name is also the value of a label, where Argo CD tracks by label."""

_SPEC: YamlPath = ("spec", "template", "spec")
_NAME: YamlPath = ("spec", "template", "metadata", "name")


@dataclass(frozen=True, slots=True)
class Origin:
    """The ApplicationSet that makes an Application, and where its sources stand in it."""

    urn: str
    namespace: str
    sources: YamlPath


@dataclass(frozen=True, slots=True)
class ChartUse:
    """A chart in ``folder``, told ``values`` for ``namespace`` by the ApplicationSet ``urn``."""

    urn: str
    folder: str
    namespace: str
    values: Any


@dataclass(slots=True)
class Applications:
    """Every Application of one cluster, added one after the other.

    ``folders`` are the AppProjects through which each environment of the tree is delivered.
    """

    repository: Repository
    projects: Mapping[tuple[str, str], Project]
    """By namespace and name."""
    tally: Tally = field(default_factory=lambda: Tally("Application"))
    owners: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    folders: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    charts: list[ChartUse] = field(default_factory=list[ChartUse])
    """The uses of charts of the repository itself."""
    answers: dict[tuple[str, object], bool] = field(default_factory=dict[tuple[str, object], bool])
    """What a project permits, by its URN and what was asked: most Applications ask the same."""

    def add(self, application: Mapping[str, Any], origin: Origin) -> None:
        """Hold one Application against every rule."""
        one = _Application(self, origin, str(application.get("metadata", {}).get("name", "")))
        one.check(application.get("spec") or {})


@dataclass(frozen=True, slots=True)
class _Application:
    all: Applications
    origin: Origin
    name: str

    def check(self, spec: Mapping[str, Any]) -> None:
        self._name()
        named = str(spec.get("project", ""))
        project = self._project(named)
        destination: Mapping[str, Any] = spec.get("destination") or {}
        self._destination(destination, project)
        sources: Sequence[Mapping[str, Any]] = spec.get("sources") or ([spec["source"]] if spec.get("source") else [])
        if not sources:
            self._find("application/source", self.origin.sources, "has no source", "none", "one or more")
        references = {f"${source['ref']}": str(source.get("repoURL", "")) for source in sources if source.get("ref")}
        for source in sources:
            self._source(source, project, str(destination.get("namespace", "")))
            helm: Mapping[str, Any] = source.get("helm") or {}
            files: Sequence[str] = helm.get("valueFiles") or []
            for file in files:
                self._value_file(file, references, named)

    def _name(self) -> None:
        if not DNS_LABEL.fullmatch(self.name) or len(self.name) > LONGEST_NAME:
            accepted = f"a DNS label of at most {LONGEST_NAME}: a-z, 0-9 and -, a letter first"
            found = f"{self.name} ({len(self.name)} characters)"
            self._find("application/name", _NAME, "makes a name that cannot be taken", found, accepted)
        owners, key = self.all.owners, (self.origin.namespace, self.name)
        if key in owners:
            twice = owners[key] == self.origin.urn
            message = (
                "makes one name twice: Argo CD refuses the Application"
                if twice
                else (f"makes a name that {owners[key]} makes too: each overwrites the other's Application")
            )
            accepted = "a name that differs with each parameter set" if twice else "a name of its own in the cluster"
            self._find("application/duplicate-name", _NAME, message, self.name, accepted)
        owners.setdefault(key, self.origin.urn)

    def _project(self, name: str) -> Project | None:
        project = self.all.projects.get((self.origin.namespace, name))
        if project is None:
            known = [own for namespace, own in self.all.projects if namespace == self.origin.namespace]
            message = "names no AppProject that the stack declares beside the ApplicationSet"
            accepted = ", ".join(known) or "an AppProject"
            self._find("application/project", (*_SPEC, "project"), message, name or "nothing", accepted)
        return project

    def _destination(self, given: Mapping[str, Any], project: Project | None) -> None:
        rule, path = "application/destination", (*_SPEC, "destination")
        server, cluster, namespace = (str(given.get(key, "")) for key in ("server", "name", "namespace"))
        found = f"{server or cluster or 'no cluster'}, namespace {namespace or 'not given'}"
        if bool(server) == bool(cluster) or not namespace:
            message = "is not one cluster, by server or by name, and a namespace"
            self._find(rule, path, message, found, "server or name, and namespace")
            return
        if server == IN_CLUSTER[0] or cluster == IN_CLUSTER[1]:
            server, cluster = IN_CLUSTER
        if project and not self._permitted(path, project, Destination(server, cluster, namespace)):
            items: Sequence[Mapping[str, Any]] = project.spec.get("destinations") or []
            known = [f"{item.get('server') or item.get('name')}, namespace {item.get('namespace')}" for item in items]
            message = f"is refused by the AppProject {project.urn}"
            mend = "deliver to what it permits, or add to its spec.destinations"
            self._find(rule, path, message, found, "; ".join(known) or "nothing", mend)

    def _source(self, source: Mapping[str, Any], project: Project | None, namespace: str) -> None:
        rule, path, contract = "application/source", self.origin.sources, self.all.repository.delivery
        url, revision = str(source.get("repoURL", "")), str(source.get("targetRevision", ""))
        if not url or not any(source.get(key) for key in ("path", "chart", "ref")):
            message = "is a source without a repository, or with neither path, chart nor ref"
            self._find(rule, path, message, url or "nothing", "repoURL, and path, chart or ref")
            return
        if url == contract.repository and revision != contract.branch:
            message = "reads the tree at another revision than delivery.branch of the stack"
            self._find("applicationset/other-tree", path, message, revision, contract.branch)
        if url == contract.repository and source.get("path"):
            helm: Mapping[str, Any] = source.get("helm") or {}
            self._chart(str(source["path"]), helm.get("valuesObject"), namespace)
        if project and not self._permitted(path, project, url):
            message = f"is refused by the AppProject {project.urn}"
            mend = "take a source it permits, or add to its spec.sourceRepos"
            accepted = ", ".join(project.spec.get("sourceRepos") or []) or "nothing"
            self._find(rule, path, message, url, accepted, mend)

    def _chart(self, folder: str, values: Any, namespace: str) -> None:
        """A chart of the repository itself, and what it is told."""
        chart = self.all.repository.tree.root / folder
        if not (chart / "Chart.yaml").is_file():
            accepted = "a folder of the repository with a Chart.yaml"
            self._find("application/chart", self.origin.sources, "has no chart at its path", folder, accepted)
            return
        self.all.charts.append(ChartUse(self.origin.urn, folder, namespace, values or {}))
        schema = chart / "values.schema.json"
        if not schema.is_file():
            return
        validator = jsonschema_rs.validator_for(json.loads(schema.read_text(encoding="utf-8")))
        for error in validator.iter_errors(values or {}):
            where = dotted(tuple(error.instance_path)) or "its values"
            message = f"tells the chart {folder} what its schema refuses, at {where}: {error.message}"
            accepted = f"values as {folder}/values.schema.json has them"
            self._find("application/chart", self.origin.sources, message, where, accepted)

    def _value_file(self, file: str, references: Mapping[str, str], project: str) -> None:
        rule, path, repository = "application/value-file", self.origin.sources, self.all.repository
        reference, _, below = file.partition("/")
        if not reference.startswith("$"):
            if not (repository.tree.chart / file).is_file():
                self._find(rule, path, "is a file that the chart does not have", file, "$<ref>/<path in the tree>")
        elif reference not in references:
            known = ", ".join(references) or "a source with a ref"
            self._find(rule, path, "names a ref that no source of the Application has", reference, known)
        elif references[reference] != repository.delivery.repository:
            message = "is not delivery.repository of the stack"
            accepted = repository.delivery.repository
            self._find("applicationset/other-tree", path, message, references[reference], accepted)
        elif not repository.holds(below):
            self._find(rule, path, "is a file that the tree does not have", below, "a file of the tree")
        elif service := repository.folders.get(below.rpartition("/")[0]):
            self.all.folders.setdefault(service.environment, set()).add(project)

    def _permitted(self, path: YamlPath, project: Project, asked: str | Destination) -> bool:
        """Whether the project permits a repository or a destination."""
        key = (project.urn, asked)
        try:
            if key not in self.all.answers:
                source = isinstance(asked, str)
                self.all.answers[key] = project.permits_source(asked) if source else project.permits_destination(asked)
        except NotUnderstood as error:
            message = "is held against an AppProject that this check does not understand"
            self._find("application/not-understood", path, message, str(error), "exact names, *, ** and ?")
            return True
        return self.all.answers[key]

    def _find(self, rule: str, path: YamlPath, message: str, found: str, accepted: str, mend: str = "") -> None:
        finding = Finding(
            rule=rule,
            where=self.origin.urn,
            path=dotted(path),
            message=message,
            found=found,
            accepted=accepted,
            mend=mend,
        )
        self.all.tally.add(self.name or "without a name", finding)
