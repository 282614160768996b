"""Stock Helm, sealed off from its user's settings: what the chart makes of values, as objects or as problems."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ladder.errors import CheckFailed, InputError, Problem
from ladder.strict_yaml import Document, YamlPath, dotted, load, parse
from sandbox import kubernetes_openapi
from sandbox.binaries import HELM, ensure
from sandbox.progress import Progress

__all__ = ["Manifest", "Release", "environment", "find", "render", "render_many"]

_SECONDS = 60
"""A chart that renders for longer never ends."""
_LONGEST_SHOWN = 120
_SEPARATOR = re.compile(r"^---$", re.MULTILINE)
_SOURCE = re.compile(r"^# Source: [^/\n]+/(.+)$", re.MULTILINE)
_SCHEMA = re.compile(r"(?P<indent> *)- at '(?P<pointer>.*?)': (?P<message>.*)")
_GROUP = "validation failed"
_ALTERNATIVES = re.compile("'(?:any|one)Of' failed")
_FAIL = re.compile(r"execution error at \([^/]+/(?P<source>[^:]+):(?P<line>\d+):\d+\): (?P<message>.*)", re.DOTALL)
_TEMPLATE = re.compile(r"[^/\s(]+/(?P<source>templates/[^:\s]+):(?P<line>\d+)")
_HINT = "\n\nUse --debug flag"


@dataclass(frozen=True, slots=True)
class Release:
    """What is rendered: a release's name, and its value files, later ones over earlier ones, relative to ``root``.

    ``namespace`` is the one it is said to be for, ``default`` if empty.
    """

    name: str
    files: tuple[Path, ...]
    root: Path
    namespace: str = ""

    def documents(self) -> Iterator[Document]:
        """The value files as they are read strictly. Raises InputError."""
        for file in self.files:
            yield load(self.root / file, name=file.as_posix())


@dataclass(frozen=True, slots=True)
class Manifest:
    """An object that the chart made; ``source`` is the template it comes from, e.g. ``templates/service.yaml``."""

    source: str
    document: Mapping[str, Any]


def find(progress: Progress) -> Path:
    """The pinned Helm: the one on PATH if it has that version, else one built for the sandbox.

    Raises CheckFailed when it cannot be built.
    """
    found = shutil.which(HELM.name)
    if found and _version(Path(found)) == HELM.version:
        return Path(found)
    return ensure(progress, targets=(HELM,))[HELM.name]


def environment(home: Path) -> dict[str, str]:
    """An environment in which Helm knows nothing of its user: no plugins, no registries, no cluster."""
    homes = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    return {"PATH": os.defpath, "HOME": str(home), **homes}


def render(helm: Path, chart: Path, release: Release) -> tuple[Manifest, ...]:
    """What the chart in the directory ``chart`` makes of the release.

    Raises InputError where the chart's schema or a template refuses the values or a template is wrong, naming file,
    line and path where Helm's words tell them; CheckFailed where Helm cannot work.
    """
    # Helm splits the option's value at commas, which a folder above the project may have in its name.
    files = [argument for file in release.files for argument in ("-f", file.as_posix())]
    version = kubernetes_openapi.version()
    command = [helm, "template", release.name, chart.absolute(), "--kube-version", version, *files]
    command += ["--namespace", release.namespace] if release.namespace else []
    with tempfile.TemporaryDirectory(prefix="helm.") as home:
        # One short run for each release: collecting garbage takes it a quarter of its time.
        variables = environment(Path(home)) | {"GOGC": "off"}
        try:
            done = subprocess.run(
                command, cwd=release.root, env=variables, capture_output=True, check=False, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise CheckFailed(f"helm template {release.name} took more than {_SECONDS} s") from error
    if done.returncode:
        raise _refusal(done.stderr.decode(errors="replace"), chart, release)
    return tuple(_manifests(done.stdout.decode(), release))


def render_many(
    helm: Path, chart: Path, releases: Sequence[Release], progress: Progress, *, jobs: int | None = None
) -> Generator[tuple[Release, tuple[Manifest, ...] | InputError]]:
    """Render every release, ``jobs`` at a time, one for each core if not given; in the order of ``releases``.

    What a release's values are refused for comes in place of its objects. Raises CheckFailed where Helm cannot work.
    """

    def one(release: Release) -> tuple[Manifest, ...] | InputError:
        try:
            return render(helm, chart, release)
        except InputError as error:
            return error

    progress.step(f"rendering {len(releases)} releases")
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        for done, pair in enumerate(zip(releases, pool.map(one, releases), strict=True), start=1):
            progress.advance(done, len(releases))
            yield pair


def _version(helm: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="helm.") as home:
        command = [helm, "version", "--short"]
        try:
            done = subprocess.run(
                command, env=environment(Path(home)), capture_output=True, text=True, check=False, timeout=_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
    return done.stdout.strip().partition("+")[0]


def _manifests(text: str, release: Release) -> Iterator[Manifest]:
    for part in _SEPARATOR.split(text):
        if all(not line.strip() or line.startswith("#") for line in part.splitlines()):
            continue
        named = _SOURCE.search(part)
        source = named[1] if named else ""
        document = parse(part, file=f"{source or 'a template'}, rendered for {release.files[0].as_posix()}").value
        yield Manifest(source, cast("Mapping[str, Any]", document if isinstance(document, dict) else {}))


def _refusal(text: str, chart: Path, release: Release) -> InputError | CheckFailed:
    """What Helm said, as problems of the file that is to be changed."""
    documents = tuple(release.documents())
    said = text.partition("Error: ")[2].partition(_HINT)[0].strip() or text.strip()
    if refused := tuple(_of_schema(said, documents)):
        return InputError(sorted(refused, key=lambda each: (each.file, each.line, each.path, each.message)))
    if failed := _FAIL.match(said):
        return InputError(_of_fail(failed, chart, documents))
    places = list(_TEMPLATE.finditer(said))
    if places:
        file, line = _shown(chart / places[-1]["source"], release.root), int(places[-1]["line"])
        found = f"for {release.files[0].as_posix()}: {' '.join(said.split())}"
        return InputError(Problem(file=file, line=line, message="cannot be rendered", found=found))
    return CheckFailed(f"helm template {release.name}: {said}")


def _of_schema(said: str, documents: Sequence[Document]) -> Iterator[Problem]:
    """A problem for each line of the schema's refusal; why each alternative failed stays with the line above."""
    lines = [found for line in said.splitlines() if (found := _SCHEMA.match(line))]
    while lines:
        refused, *lines = lines
        if refused["message"] == _GROUP:
            continue
        message = f"the chart's schema refuses it: {refused['message']}"
        while _ALTERNATIVES.match(refused["message"]) and lines and len(lines[0]["indent"]) > len(refused["indent"]):
            why = lines.pop(0)["message"]
            message += f"; {why}" if why != _GROUP else ""
        document, path, value = _place(refused["pointer"].split("/")[1:], documents)
        yield _problem(document, path, message, value)


def _of_fail(failed: re.Match[str], chart: Path, documents: Sequence[Document]) -> Problem:
    """A template's ``fail``: where its message begins with a path of the values, that is the place."""
    named, _, rest = failed["message"].partition(": ")
    document, path, value = _place(named.split("."), documents)
    by = f"({chart.name}/{failed['source']} refuses it)"
    if dotted(path) == named:
        return _problem(document, path, f"{rest} {by}", value)
    return _problem(documents[0], (), f"{failed['message']} {by}")


def _place(parts: Sequence[str], documents: Sequence[Document]) -> tuple[Document, YamlPath, Any]:
    """The file in which most of the path stands, the path as far as it does, and its value."""
    walks = [(document, *_walk(parts, document.value)) for document in documents]
    return max(walks, key=lambda walk: len(walk[1]))


def _walk(parts: Iterable[str], value: Any) -> tuple[YamlPath, Any]:
    path: YamlPath = ()
    for part in parts:
        name = part.replace("~1", "/").replace("~0", "~")
        step = int(name) if isinstance(cast("object", value), list) and name.isdecimal() else name
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            break
        path = (*path, step)
    return path, value


def _problem(document: Document, path: YamlPath, message: str, value: Any = None) -> Problem:
    found = _short(value) if path else ""
    return Problem(file=document.file, line=document.line(path), path=dotted(path), message=message, found=found)


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
