"""What an ApplicationSet's generators give: the parameters its template is rendered with.

Rules: argo-cd v3.6.1, ``applicationset/generators``. Lists and git are evaluated over the tree; pull requests and a
plugin's answers are not known offline, and samples of them stand for whatever comes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, cast

from ladder.check.findings import Finding
from ladder.check.repository import Repository
from ladder.check.template import BadSyntax, NotUnderstood, TemplateError, normalized, render, render_all
from ladder.errors import InputError
from ladder.strict_yaml import YamlPath, dotted
from ladder.tree import Service

__all__ = ["PLUGIN_ANSWER", "PULL_REQUESTS", "Evaluation", "Parameters", "rule_of"]

Parameters = dict[str, Any]

KINDS = (
    "clusterDecisionResource",
    "clusters",
    "git",
    "list",
    "matrix",
    "merge",
    "oci",
    "plugin",
    "pullRequest",
    "scmProvider",
)
"""The generators there are."""

DEEPEST = 2
"""A matrix or merge may hold another, and that one none: deeper ones are dropped in silence."""

PULL_REQUESTS: tuple[Parameters, ...] = tuple(
    {
        "number": number,
        "title": f"Change {number}",
        "branch": f"change-{number}",
        "branch_slug": f"change-{number}",
        "target_branch": "main",
        "target_branch_slug": "main",
        "head_sha": number * 40,
        "head_short_sha": number * 8,
        "head_short_sha_7": number * 7,
        "author": "someone",
        "labels": ["preview"],
    }
    for number in ("1", "2")
)
"""Two pull requests: what is made for each must differ."""

PLUGIN_ANSWER: Parameters = {
    "sha": "1" * 40,
    "tier": "lite",
    "expires": "2031-12-31T23:59:59Z",
    "host": "pr-1.previews.example",
    "seed": "1",
    "running": "{}",
}
"""A plugin's answer, and ``services``: a list of ``{name, repository, digest, chart}`` (``previews.app``)."""


def rule_of(error: TemplateError) -> str:
    """The rule that a template breaks."""
    match error:
        case BadSyntax():
            return "applicationset/template-syntax"
        case NotUnderstood():
            return "applicationset/not-understood"
        case _:
            return "applicationset/template-field"


class _Unknown(Exception):
    """A generator that gives nothing to go on; why has been told."""


@dataclass(slots=True)
class Evaluation:
    """Evaluates one ApplicationSet's generators; ``findings`` is what is wrong with them.

    ``previews`` are the services that samples of a plugin's answer name.
    """

    urn: str
    repository: Repository
    previews: Sequence[Service]
    findings: list[Finding] = field(default_factory=list[Finding])

    def parameters(self, generators: Any) -> list[Parameters] | None:
        """Every parameter set, or None where that cannot be known; why is among the findings."""
        path: YamlPath = ("spec", "generators")
        if not isinstance(generators, list) or not generators:
            self._find(path, "one-kind", "is empty: nothing is generated", "none", ", ".join(KINDS))
            return None
        made: list[Parameters] = []
        whole = True
        for index, generator in enumerate(cast("list[Any]", generators)):
            try:
                made += self._of(generator, (*path, index), {}, 0)
            except _Unknown:
                whole = False
        return made if whole else None

    def _of(self, generator: Any, path: YamlPath, outer: Parameters, depth: int) -> list[Parameters]:
        given = cast("Mapping[str, Any]", generator if isinstance(generator, Mapping) else {})
        kind = self._kind(given, path)
        body: Mapping[str, Any] = given[kind] or {}
        path = (*path, kind)
        if kind in {"matrix", "merge"} and depth >= DEEPEST:
            found = f"{depth + 1} levels"
            message = "is nested too deeply: Argo CD drops it, and then has no parameters"
            raise self._find(path, "nesting", message, found, f"at most {DEEPEST} levels of matrix and merge")
        for key in ("selector", "template"):
            if given.get(key) or body.get(key):
                raise self._not_understood(path, f"{key} of a generator")
        if outer:
            body = self._rendered(body, outer, path)
        made = self._evaluated(kind, body, path, depth)
        return [self._with_values(parameters, body, path) for parameters in made]

    def _kind(self, given: Mapping[str, Any], path: YamlPath) -> str:
        kinds = [name for name in given if name not in {"selector", "template"}]
        unknown = [name for name in kinds if name not in KINDS]
        accepted = ", ".join(KINDS)
        if unknown:
            message = "is an unknown generator: the API server drops it, and what it generated is deleted"
            raise self._find((*path, unknown[0]), "unknown-generator", message, unknown[0], accepted)
        if len(kinds) != 1:
            message = "is not one generator: inside of a matrix or merge Argo CD takes exactly one in each item"
            raise self._find(path, "one-kind", message, ", ".join(kinds) or "none", f"one of {accepted}")
        return kinds[0]

    def _evaluated(self, kind: str, body: Mapping[str, Any], path: YamlPath, depth: int) -> list[Parameters]:
        match kind:
            case "list":
                return self._list(body, path)
            case "git":
                return self._git(body, path)
            case "matrix":
                return self._matrix(body, path, depth)
            case "merge":
                return self._merge(body, path, depth)
            case "pullRequest":
                return [dict(parameters) for parameters in PULL_REQUESTS]
            case "plugin":
                return [self._plugin(body)]
            case _:
                raise self._not_understood(path, f"the generator {kind}")

    def _list(self, body: Mapping[str, Any], path: YamlPath) -> list[Parameters]:
        if body.get("elementsYaml"):
            raise self._not_understood((*path, "elementsYaml"), "elementsYaml")
        elements: list[Any] = body.get("elements") or []
        if not elements:
            raise self._find((*path, "elements"), "empty-list", "is empty: nothing is generated", "[]", "elements")
        return [dict(element) for element in elements]

    def _git(self, body: Mapping[str, Any], path: YamlPath) -> list[Parameters]:
        self._of_the_contract(body, path)
        files: list[Any] = body.get("files") or []
        directories: list[Any] = body.get("directories") or []
        if bool(files) == bool(directories):
            found = "both" if files else "neither"
            raise self._find(path, "one-kind", "has not files or directories: one is looked at", found, "one of them")
        field_ = "files" if files else "directories"
        look: Callable[[str], set[str]] = self.repository.files if files else self.repository.directories
        matched = self._matched(files or directories, (*path, field_), look)
        made: list[Parameters] = []
        for place in sorted(matched):
            if files:
                made += [{**item, "path": _file_path(place)} for item in self._objects(place, path)]
            else:
                made.append({"path": _path(place)})
        prefix = body.get("pathParamPrefix")
        return [_prefixed(parameters, prefix) for parameters in made] if prefix else made

    def _matched(self, items: Sequence[Any], path: YamlPath, look: Callable[[str], set[str]]) -> set[str]:
        included: set[str] = set()
        excluded: set[str] = set()
        for index, item in enumerate(items):
            pattern, place = str(item.get("path", "")), (*path, index, "path")
            self._below_the_tree(pattern, place)
            try:
                found = look(pattern)
            except NotUnderstood as error:
                raise self._not_understood(place, str(error)) from None
            if not found:
                message = "matches nothing in the tree: what was generated from it is deleted"
                self._find(place, "empty-glob", message, pattern, "a pattern that matches files of the tree")
            (excluded if item.get("exclude") else included).update(found)
        return included - excluded

    def _objects(self, file: str, path: YamlPath) -> list[Mapping[str, Any]]:
        try:
            return self.repository.objects(file)
        except InputError as error:
            wrong = error.problems[0]
            message = f"reads {file}, which {wrong.message}"
            raise self._find(path, "file", message, wrong.found, wrong.accepted) from None

    def _of_the_contract(self, body: Mapping[str, Any], path: YamlPath) -> None:
        delivery = self.repository.delivery
        for key, contract, accepted in (
            ("repoURL", "repository", delivery.repository),
            ("revision", "branch", delivery.branch),
        ):
            if body.get(key) != accepted:
                message = f"is not delivery.{contract} of the stack"
                raise self._find((*path, key), "other-tree", message, str(body.get(key)), accepted)

    def _below_the_tree(self, pattern: str, path: YamlPath) -> None:
        tree = self.repository.delivery.path
        if not pattern.startswith(f"{tree}/"):
            message = "is not below delivery.path of the stack"
            raise self._find(path, "other-tree", message, pattern, f"{tree}/…")

    def _plugin(self, body: Mapping[str, Any]) -> Parameters:
        services = [
            {
                "name": each.name,
                "repository": each.overlay.service.image if index == 0 else "",
                "digest": each.version.image.digest,
                "chart": each.version.chart.digest,
            }
            for index, each in enumerate(self.previews)
        ]
        answer = {**PLUGIN_ANSWER, "services": services}
        given: Any = body.get("input") or {}
        return {**answer, "generator": {"input": {"parameters": given.get("parameters") or {}}}}

    def _matrix(self, body: Mapping[str, Any], path: YamlPath, depth: int) -> list[Parameters]:
        children: list[Any] = body.get("generators") or []
        if len(children) != 2:
            message = "is not two generators, which is what Argo CD's matrix takes"
            raise self._find((*path, "generators"), "matrix-children", message, str(len(children)), "2")
        place = (*path, "generators")
        first = self._of(children[0], (*place, 0), {}, depth + 1)
        return [
            _merged(theirs, mine) for mine in first for theirs in self._of(children[1], (*place, 1), mine, depth + 1)
        ]

    def _merge(self, body: Mapping[str, Any], path: YamlPath, depth: int) -> list[Parameters]:
        children: list[Any] = body.get("generators") or []
        keys: list[str] = body.get("mergeKeys") or []
        if len(children) < 2 or not keys:
            message = "has not two generators or more, and keys to join them by"
            found = f"{len(children)} generators, {len(keys)} keys"
            raise self._find(path, "merge-children", message, found, "two generators or more, one key or more")
        sets = [self._of(child, (*path, "generators", at), {}, depth + 1) for at, child in enumerate(children)]
        base, *others = (self._by_keys(made, keys, path) for made in sets)
        for other in others:
            for key in base.keys() & other.keys():
                base[key] = _merged(base[key], other[key])
        return list(base.values())

    def _by_keys(self, made: Sequence[Parameters], keys: Sequence[str], path: YamlPath) -> dict[str, Parameters]:
        found: dict[str, Parameters] = {}
        for parameters in made:
            key = json.dumps([parameters.get(name) for name in keys], sort_keys=True)
            if key in found:
                accepted = "values that differ between the sets of one generator"
                raise self._find((*path, "mergeKeys"), "merge-children", "does not tell sets apart", key, accepted)
            found[key] = parameters
        return found

    def _with_values(self, parameters: Parameters, body: Mapping[str, Any], path: YamlPath) -> Parameters:
        values: Mapping[str, str] | None = body.get("values")
        if not values:
            return parameters
        return {**parameters, "values": self._rendered(values, parameters, (*path, "values"))}

    def _rendered(self, body: Mapping[str, Any], outer: Parameters, path: YamlPath) -> Mapping[str, Any]:
        """With the parameters of the generator before; ``values`` may name what only this one gives."""
        try:
            made: dict[str, Any] = render_all({key: item for key, item in body.items() if key != "values"}, outer)
            given: Mapping[str, str] = body.get("values") or {}
            values = {key: _if_given(text, outer) for key, text in given.items()}
        except TemplateError as error:
            raise self._template(error, path) from None
        return {**made, "values": values} if values else made

    def _template(self, error: TemplateError, path: YamlPath) -> _Unknown:
        self.findings.append(
            Finding(
                rule=rule_of(error),
                where=self.urn,
                path=dotted((*path, *error.path)),
                message=f"is a template that cannot be rendered: {error}",
            )
        )
        return _Unknown()

    def _not_understood(self, path: YamlPath, what: str) -> _Unknown:
        message = "is not understood by this check, which so cannot say what is generated"
        return self._find(
            path, "not-understood", message, what, "list, git, pullRequest, plugin, matrix and merge, written plainly"
        )

    def _find(self, path: YamlPath, rule: str, message: str, found: str, accepted: str) -> _Unknown:
        self.findings.append(
            Finding(
                rule=f"applicationset/{rule}",
                where=self.urn,
                path=dotted(path),
                message=message,
                found=found,
                accepted=accepted,
            )
        )
        return _Unknown()


def _path(folder: str) -> Parameters:
    path = PurePosixPath(folder)
    base = path.name
    return {"path": folder, "basename": base, "basenameNormalized": normalized(base), "segments": folder.split("/")}


def _file_path(file: str) -> Parameters:
    name = PurePosixPath(file).name
    folder = PurePosixPath(file).parent.as_posix()
    return {**_path(folder), "filename": name, "filenameNormalized": normalized(name)}


def _prefixed(parameters: Parameters, prefix: str) -> Parameters:
    return {**{key: value for key, value in parameters.items() if key != "path"}, prefix: {"path": parameters["path"]}}


def _merged(under: Parameters, over: Parameters) -> Parameters:
    """Both, deeply; ``over`` wins where it says something (rule: mergo.Merge with override)."""
    made = dict(under)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(under.get(key), dict):
            made[key] = _merged(under[key], cast("Parameters", value))
        elif value or key not in under:
            made[key] = value
    return made


def _if_given(text: str, values: Parameters) -> str:
    """The text rendered, or as it is where it names what these values lack."""
    try:
        return render(text, values)
    except (BadSyntax, NotUnderstood):
        raise
    except TemplateError:
        return text
