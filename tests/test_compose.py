"""The Compose file: what it says of each service and store, and that Compose's own loader takes it."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ladder.compose import FIRST_PORT, SLOTS, alongside, as_text, compose, host_ports, published, running
from ladder.contract.overlay import Overlay
from ladder.errors import CheckFailed
from ladder.strict_yaml import load, parse
from sandbox.binaries import Target, ensure
from sandbox.progress import Silent
from tests.support import ROOT, put

LITE = ROOT / "gitops" / "envs" / "preview"
NAMES = tuple(sorted(folder.name for folder in LITE.iterdir()))
DIGESTS = {name: f"sha256:{number:064x}" for number, name in enumerate(NAMES)}
LOADER = Target(
    "compose-go",
    "github.com/compose-spec/compose-go/v2/cmd",
    ROOT / "tests" / "compose",
    "github.com/compose-spec/compose-go/v2",
)
"""The loader and validator of Docker Compose itself, as a command."""


def overlay(name: str, changes: Mapping[str, Any] | None = None) -> Overlay:
    """A real service's overlay at tier lite, with other values at some paths."""
    values: dict[str, Any] = dict(load(LITE / name / "values.yaml").value)
    for path, value in (changes or {}).items():
        put(values, path, value)
    return Overlay.model_validate_json(json.dumps(values))


OVERLAYS = {name: overlay(name) for name in NAMES}


def made(services: Mapping[str, Overlay] = OVERLAYS, *chosen: str, **edits: Path) -> dict[str, Any]:
    return compose(services, DIGESTS, edits, chosen or None)["services"]


@pytest.fixture(scope="session")
def loader() -> Path:
    return ensure(Silent(), targets=(LOADER,))[LOADER.name]


def loaded(loader: Path, text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """What the loader makes of the file: its JSON on standard output, with no variable set."""
    (directory / "compose.yaml").write_text(text, encoding="utf-8")
    command = [loader, "-format", "json", "compose.yaml"]
    return subprocess.run(command, cwd=directory, env={}, capture_output=True, text=True, check=False)


def test_a_service_runs_at_its_digest_and_with_its_variables() -> None:
    for name in NAMES:
        service = made()[name]
        assert service["image"] == f"{OVERLAYS[name].service.image}@{DIGESTS[name]}"
        assert "build" not in service
    assert made()["web"]["environment"]["API_URL"] == "http://api:8080"
    assert made()["worker"]["environment"]["DATABASE_HOST"] in made()


def test_what_a_chosen_service_calls_runs_too_and_nothing_else() -> None:
    assert set(made(OVERLAYS, "web")) == {"web", "api", "api-database", "api-cache", "api-objects"}
    assert set(made(OVERLAYS, "worker")) == {"worker", "api-database", "api-cache", "api-objects"}
    assert running(OVERLAYS, ["web"]) == ["api", "web"]
    assert alongside(OVERLAYS, {"web"}) == {"api": ["web"]}
    assert alongside(OVERLAYS, {"web", "api"}) == {}


def test_a_store_runs_once_as_large_as_its_owner_says_and_only_where_it_is_used() -> None:
    without = {"dependencies.stores": {}, "dependencies.objects": {"enabled": False}, "scale.stores": {}}
    assert set(made({"api": overlay("api", without)})) == {"api"}
    limits = {"cpu": "750m", "memory": "1Gi"}
    path = "scale.stores.cache.resources.limits"
    services = {**OVERLAYS, "api": overlay("api", {path: limits, "scale.stores.cache.storage": "1Mi"})}
    for chosen in ((), ("worker",)):
        found = made(services, *chosen)["api-cache"]["deploy"]["resources"]["limits"]
        assert found == {"cpus": "0.75", "memory": f"{(1024 + 1 + 64) * 1024**2}b"}


def test_a_service_waits_for_its_stores_and_for_what_it_calls() -> None:
    healthy = {"condition": "service_healthy"}
    assert made()["web"]["depends_on"] == {"api": healthy, "api-objects": healthy}
    assert set(made()["worker"]["depends_on"]) == {"api-cache", "api-database", "api-objects"}


def test_services_that_call_each_other_do_not_wait_for_each_other() -> None:
    """Compose refuses a circle; beside one, every order there is stays."""
    circle = {"api": overlay("api", {"dependencies.services": {"web": {"port": 8080}}})}
    for services in (OVERLAYS, {**OVERLAYS, **circle}):
        waits = {name: set(service.get("depends_on", ())) for name, service in made(services).items()}
        assert list(TopologicalSorter(waits).static_order())
        assert set().union(*waits.values()) <= set(waits)
        assert ("api" in waits["web"]) == (services is OVERLAYS)
        assert "api-objects" in waits["web"]


def test_ports_are_published_on_loopback_only_http_first_and_stores_not_at_all() -> None:
    for name, service in made().items():
        ports = service.get("ports", [])
        assert [port["name"] for port in ports] == sorted(port["name"] for port in ports)
        assert {port["host_ip"] for port in ports} <= {"127.0.0.1"}
        assert bool(ports) == (name in NAMES)
    (http, metrics) = made()["web"]["ports"]
    assert (http["target"], metrics["target"]) == (8080, 9090)
    assert int(metrics["published"]) == int(http["published"]) + 1


def test_a_choice_of_services_moves_no_port() -> None:
    for name in NAMES:
        assert made(OVERLAYS, name)[name]["ports"] == made()[name]["ports"]


some_names = st.sets(st.text("abcxyz-", min_size=1, max_size=8), max_size=30)


@given(some_names, st.sampled_from([30, 100, SLOTS]))
def test_no_two_ports_of_this_machine_are_the_same(names: set[str], slots: int) -> None:
    first = host_ports(names, slots)
    ports = [port for name in names for _, _, port in published(OVERLAYS["web"], first[name])]
    assert len(set(ports)) == 2 * len(names)
    assert all(FIRST_PORT <= port < FIRST_PORT + 2 * slots for port in ports)


@given(some_names, st.sampled_from([30, 100, SLOTS]))
def test_a_service_that_comes_or_goes_moves_no_port_but_of_names_that_lead_to_one_slot(
    names: set[str], slots: int
) -> None:
    alone = {name: host_ports({name}, slots)[name] for name in names}
    shared = {port for port, times in Counter(alone.values()).items() if times > 1}
    ports = host_ports(names, slots)
    assert {name: ports[name] for name in names if alone[name] not in shared} == {
        name: port for name, port in alone.items() if port not in shared
    }


def test_more_services_than_slots_are_refused() -> None:
    assert sorted(host_ports({"a", "b", "c"}, 3).values()) == [FIRST_PORT, FIRST_PORT + 2, FIRST_PORT + 4]
    with pytest.raises(CheckFailed, match="4 services: at most 3"):
        host_ports({"a", "b", "c", "d"}, 3)


def test_every_slot_is_below_the_ports_of_outgoing_connections() -> None:
    assert FIRST_PORT + 2 * SLOTS <= 32768


def test_every_container_is_confined() -> None:
    for service in made().values():
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
        assert not {"privileged", "cap_add", "network_mode", "volumes", "pid"} & set(service)


def test_an_edited_service_is_built_from_its_directory_and_anew_when_it_changes() -> None:
    for given_, path in ((Path("web"), "./web"), (Path("../web"), "../web"), (Path("/src/web"), "/src/web")):
        service = made(OVERLAYS, web=given_)["web"]
        assert "image" not in service
        assert service["build"] == {"context": path}
        (watch,) = service["develop"]["watch"]
        assert (watch["action"], watch["path"]) == ("rebuild", path)
        assert ".git/" in watch["ignore"]
        changed = {"image", "build", "develop"}
        assert {key: value for key, value in service.items() if key not in changed} == {
            key: value for key, value in made()["web"].items() if key not in changed
        }
    assert "build" not in made(OVERLAYS, web=Path("web"))["api"]


def test_a_name_that_looks_like_a_repository_is_still_a_directory(loader: Path, tmp_path: Path) -> None:
    text = as_text(compose(OVERLAYS, DIGESTS, {"web": Path("github.com/acme/web")}), "")
    built = json.loads(loaded(loader, text, tmp_path).stdout)["services"]["web"]["build"]
    assert built["context"] == str(tmp_path / "github.com" / "acme" / "web")


@pytest.mark.parametrize("chosen", [(), *((name,) for name in NAMES)])
@pytest.mark.parametrize("edits", [{}, {"web": Path("web")}])
def test_composes_own_loader_takes_the_file_as_it_is_meant(
    chosen: tuple[str, ...], edits: dict[str, Path], loader: Path, tmp_path: Path
) -> None:
    document = compose(OVERLAYS, DIGESTS, edits, chosen or None)
    run = loaded(loader, as_text(document, "header"), tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    services = json.loads(run.stdout)["services"]
    assert set(services) == set(document["services"])
    for name, service in document["services"].items():
        for key in ("image", "environment", "healthcheck", "command", "entrypoint", "user", "tmpfs", "deploy"):
            assert services[name].get(key) == service.get(key), (name, key)


@pytest.mark.parametrize(
    ("key", "value"),
    [("imagee", "x"), ("ports", [{"target": 80, "host": 1}]), ("healthcheck", {"test": 5}), ("read_only", "perhaps")],
)
def test_composes_own_loader_refuses_what_the_specification_does_not_have(
    key: str, value: Any, loader: Path, tmp_path: Path
) -> None:
    document = compose(OVERLAYS, DIGESTS, {})
    document["services"]["web"][key] = value
    run = loaded(loader, as_text(document, ""), tmp_path)
    assert run.returncode == 1
    assert "web" in run.stderr


HOSTILE = [
    *("$HOME", "${NAME}", "${NAME:?missing}", "$$", "a$", "{{ a }}"),
    *("yes", "no", "0x10", "1_000", "1:30", "null", "~", "", "2024-01-01"),
    *(" a ", "a: b", "# a", "- a", "*a", "&a", "!a", "{a}", "%a", "@a", "'", '"', "\\", "\\n", "a\nb", "é", "\t"),
]


def test_values_reach_the_container_as_they_are(loader: Path, tmp_path: Path) -> None:
    document = compose(OVERLAYS, DIGESTS, {}, ["web"])
    hostile = {f"V{number}": value for number, value in enumerate(HOSTILE)}
    document["services"]["web"]["environment"] = hostile
    document["services"]["web"]["command"] = HOSTILE
    run = loaded(loader, as_text(document, "a\nb: c\n"), tmp_path)
    assert run.returncode == 0, run.stderr
    web = json.loads(run.stdout)["services"]["web"]
    assert web["environment"] == hostile
    assert web["command"] == HOSTILE


@given(st.text(max_size=40), st.text(max_size=40))
def test_the_header_is_a_comment_and_nothing_more(header: str, value: str) -> None:
    text = as_text({"name": value}, header)
    assert yaml.safe_load(text) == {"name": value.replace("$", "$$")}


def test_the_file_is_the_same_each_time_and_read_alike_by_every_parser() -> None:
    text = as_text(compose(OVERLAYS, DIGESTS, {"web": Path("../web")}), "header")
    shuffled = {name: OVERLAYS[name] for name in reversed(NAMES)}
    assert text == as_text(compose(shuffled, DIGESTS, {"web": Path("../web")}), "header")
    assert parse(text, file="compose.yaml").value == yaml.safe_load(text)


class Answers(BaseHTTPRequestHandler):
    """Answers with the status set for a path, and 200 elsewhere."""

    statuses: Mapping[str, int] = {}

    def do_GET(self) -> None:
        self.send_response(type(self).statuses.get(self.path, 200))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("tool", ["wget", "curl"])
def test_a_health_check_passes_only_while_every_probe_does(
    tool: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run as Compose runs it, where the image has only this one of the two tools."""
    for program in ("sh", tool):
        found = shutil.which(program)
        assert found, f"{program} is needed for this test"
        (tmp_path / program).symlink_to(found)
    service = made({**OVERLAYS, "web": overlay("web", {"service.ports.http": port})})["web"]
    kind, command = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"

    def passes(**statuses: int) -> bool:
        monkeypatch.setattr(Answers, "statuses", {f"/{path}": status for path, status in statuses.items()})
        run = subprocess.run(["sh", "-c", command], env={"PATH": str(tmp_path)}, capture_output=True, check=False)
        return run.returncode == 0

    assert passes()
    assert passes(other=500)
    for path in ("started", "healthz", "readyz"):
        assert not passes(**{path: 503})
        assert not passes(**{path: 404})
    (tmp_path / tool).unlink()
    assert not passes()
