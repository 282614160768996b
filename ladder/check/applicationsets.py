"""Rules over the ApplicationSets that a stack declares: what the API server lets through, and Argo CD then refuses or,
worse, takes.

Whatever is recorded is walked, without knowing which component made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from ladder.check.applications import Applications, ChartUse, Origin
from ladder.check.findings import Finding, Tally
from ladder.check.generators import Evaluation, Parameters, rule_of
from ladder.check.projects import Project
from ladder.check.repository import Repository
from ladder.check.template import NotUnderstood, TemplateError, render, render_all, syntax
from ladder.errors import InputError
from ladder.recording import Recording, Resource
from ladder.strict_yaml import YamlPath, dotted, parse
from ladder.tree import Service

__all__ = ["Delivery", "delivery"]

APPLICATION_SET = "kubernetes:argoproj.io/v1alpha1:ApplicationSet"
APP_PROJECT = "kubernetes:argoproj.io/v1alpha1:AppProject"
MISSING_KEYS = "missingkey=error"

_TEMPLATE: YamlPath = ("spec", "template")
_PATCH: YamlPath = ("spec", "templatePatch")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one stack's ApplicationSets make of the tree.

    ``projects`` are the names of the AppProjects through which each environment of the tree is delivered, ``charts``
    the uses of charts of the repository itself.
    """

    findings: tuple[Finding, ...]
    applications: int
    projects: Mapping[str, frozenset[str]]
    charts: tuple[ChartUse, ...]


def delivery(recording: Recording, repository: Repository, previews: Sequence[Service]) -> Delivery:
    """Evaluate every ApplicationSet of the stack over the tree.

    ``previews`` are services that stand for those a plugin generator may name.
    """
    projects = {_identity(each): Project(each.urn, each.inputs["spec"]) for each in recording.of_type(APP_PROJECT)}
    applications = Applications(repository, projects)
    findings: list[Finding] = []
    made = 0
    for resource in recording.of_type(APPLICATION_SET):
        checked = _ApplicationSet(resource, findings, Tally("for"))
        try:
            made += _generated(checked, repository, previews, applications)
        except (AttributeError, KeyError, TypeError) as error:
            message = "is not of the shape that its schema gives, which rendering would say more of"
            findings.append(checked.finding("shape", ("spec",), message, str(error), "an ApplicationSet"))
        findings += checked.tally.findings()
    findings += applications.tally.findings()
    return Delivery(
        tuple(findings),
        made,
        {environment: frozenset(names) for environment, names in applications.folders.items()},
        tuple(applications.charts),
    )


def _generated(
    checked: _ApplicationSet, repository: Repository, previews: Sequence[Service], applications: Applications
) -> int:
    """How many Applications the set makes; each is held against every rule."""
    sound = checked.sound()
    evaluation = Evaluation(checked.resource.urn, repository, previews, checked.found)
    parameters = evaluation.parameters(checked.spec.get("generators"))
    rendered = [checked.rendered(each) for each in parameters or []] if sound else []
    made = [application for application in rendered if application is not None]
    for application in made:
        applications.add(application, checked.origin())
    return len(made)


def _identity(resource: Resource) -> tuple[str, str]:
    """Namespace and name."""
    metadata = resource.inputs["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])


@dataclass(slots=True)
class _ApplicationSet:
    resource: Resource
    found: list[Finding]
    tally: Tally

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.resource.inputs["spec"]

    def origin(self) -> Origin:
        spec: Mapping[str, Any] = self.spec["template"].get("spec") or {}
        key = next((key for key in ("sources", "source") if spec.get(key)), "")
        namespace, _ = _identity(self.resource)
        return Origin(self.resource.urn, namespace, (*_TEMPLATE, "spec", key) if key else _PATCH)

    def sound(self) -> bool:
        """Whether templates are Go's and parse, those that are never run included."""
        places: list[tuple[YamlPath, Any]] = [(_TEMPLATE, self.spec.get("template") or {})]
        places.append((_PATCH, self.spec.get("templatePatch") or ""))
        wrong = [(path, error) for start, value in places for path, error in syntax(value, start)]
        self.found += [self._template(path, error) for path, error in wrong]
        on = self.spec.get("goTemplate") is True
        if not on:
            message = "is not on: what a template names and nothing gives stays in it as text"
            found = str(self.spec.get("goTemplate", "not given")).lower()
            self.found.append(self.finding("go-template", ("spec", "goTemplate"), message, found, "true"))
        options: list[str] = self.spec.get("goTemplateOptions") or []
        if MISSING_KEYS not in options:
            message = "lets a template name what no generator gives, which becomes <no value>"
            path, found = ("spec", "goTemplateOptions"), ", ".join(options) or "none"
            self.found.append(self.finding("go-template", path, message, found, f'["{MISSING_KEYS}"]'))
        return on and not wrong

    def rendered(self, parameters: Parameters) -> Mapping[str, Any] | None:
        """The Application of one parameter set, or None; why is among the findings."""
        place = _TEMPLATE
        try:
            application = render_all(self.spec.get("template") or {}, parameters)
            place = _PATCH
            patch = render(self.spec.get("templatePatch") or "", parameters)
            return _patched(application, _read(patch)) if patch.strip() else application
        except TemplateError as error:
            finding = self._template((*place, *error.path), error)
        except InputError as error:
            wrong = error.problems[0]
            message = f"renders to what is not plain YAML: line {wrong.line} {wrong.message}"
            finding = self.finding("template-patch", _PATCH, message, wrong.found, wrong.accepted)
        self.tally.add(", ".join(_shown(parameters)), finding)
        return None

    def _template(self, path: YamlPath, error: TemplateError) -> Finding:
        message = f"is a template that cannot be rendered: {error}"
        return Finding(rule=rule_of(error), where=self.resource.urn, path=dotted(path), message=message)

    def finding(self, rule: str, path: YamlPath, message: str, found: str, accepted: str) -> Finding:
        return Finding(
            rule=f"applicationset/{rule}",
            where=self.resource.urn,
            path=dotted(path),
            message=message,
            found=found,
            accepted=accepted,
        )


def _shown(parameters: Parameters) -> Iterator[str]:
    """What tells a parameter set from others, in short."""
    for name, value in parameters.items():
        if name == "path":
            yield f"path {value['path']}"
        elif isinstance(value, str):
            yield f"{name} {value}"


@lru_cache(maxsize=16)
def _read(patch: str) -> Any:
    """Kept, because samples that differ where the patch does not look have one patch."""
    return parse(patch, file=dotted(_PATCH)).value


def _patched(application: Mapping[str, Any], patch: Any) -> Mapping[str, Any]:
    """The Application with ``templatePatch`` merged in; its project stays, as Argo CD sees to."""
    if not isinstance(patch, Mapping):
        raise NotUnderstood("a templatePatch that is no map")
    made = _merged(application, cast("Mapping[str, Any]", patch))
    return {**made, "spec": {**made["spec"], "project": application["spec"].get("project", "")}}


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Maps merge, null removes and all else replaces: of what Applications hold only finalizers merge otherwise."""
    made = dict(under)
    for key, value in over.items():
        if key.startswith("$"):
            raise NotUnderstood(f"{key} in templatePatch")
        if value is None:
            made.pop(key, None)
        elif isinstance(value, Mapping):
            below = made.get(key)
            held = cast("Mapping[str, Any]", below if isinstance(below, Mapping) else {})
            made[key] = _merged(held, cast("Mapping[str, Any]", value))
        else:
            made[key] = value
    return made
