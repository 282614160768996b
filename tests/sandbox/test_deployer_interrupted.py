"""The deployer killed, refused, throttled, left without answers, and in its own way; on real servers."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Event, Thread

import pytest

from ladder.errors import CheckFailed
from ladder.recording import Recording
from sandbox.connection import Sandbox
from sandbox.deployer import Change, Patience, Target, destroy, drift, up
from tests.sandbox.test_deployer_support import (
    Answer,
    Program,
    Request,
    actions,
    aws,
    every_type,
    keys_of,
    kube,
    names,
    proxied,
)

pytestmark = pytest.mark.servers

THROTTLED = Answer(
    400,
    {"Content-Type": "application/x-amz-json-1.1"},
    '{"__type": "ThrottlingException", "message": "Rate exceeded"}',
)
SLOW_DOWN = Answer(
    503, {"Content-Type": "application/xml"}, "<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"
)
TOO_MANY = Answer(429, {"Retry-After": "0"}, "too many requests")
Work = Callable[[Recording, Target], tuple[Change, ...]]


@pytest.fixture(scope="module")
def target(sandbox: Sandbox) -> Target:
    return Target.of(sandbox, "444455556666", "eu-west-1").with_patience(Patience(request=5, trouble=10, settle=30))


def impatient(target: Target) -> Target:
    return target.with_patience(Patience(request=0.5, trouble=2, settle=10))


def light(stack: str) -> Program:
    """Both servers, and no namespace to wait for."""
    program = Program(stack)
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    program.object("rbac.authorization.k8s.io/v1", "ClusterRole", f"{stack}-reader", rules=rules)
    program.bucket(f"{stack}-b")
    program.key("key")
    return program


def killed_after_first_write(work: Work, recording: Recording, target: Target) -> bool:
    """Run in a child that gets SIGKILL after its first write, before it hears of it; False if it had none to make."""
    ours, theirs = Pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no thread of this process holds what the child needs
        child = os.fork()
    if child == 0:
        _run_child(work, recording, theirs)
    with proxied(target) as proxy:
        alive = Event()

        def kill(request: Request) -> None:
            if request.writes and not alive.is_set():
                alive.set()
                os.kill(child, signal.SIGKILL)

        proxy.afterwards = kill
        ours.send(proxy.target)
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    theirs.close()
    assert os.WEXITSTATUS(status) == 0, ours.recv() if ours.poll() else "the child failed"
    return False


def _run_child(work: Work, recording: Recording, pipe: Connection) -> None:
    try:
        work(recording, pipe.recv())
    except BaseException:  # noqa: BLE001 -- the parent fails with it
        pipe.send(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def kills_until_done(work: Work, recording: Recording, target: Target, check: Callable[[], None]) -> int:
    """Kill run after run at its first write, each going on where the last one died, until one has nothing to write."""
    kills = 0
    while killed_after_first_write(work, recording, target):
        check()
        kills += 1
        assert kills < 100
    return kills


def test_up_and_destroy_killed_after_each_write_in_turn_converge(sandbox: Sandbox) -> None:
    """A kill after a read leaves what the write before it left, so every write in turn is every case."""
    target = Target.of(sandbox, "777788889999", "eu-west-1")
    program = every_type("killed")
    recording = program.recording()

    def nothing_doubled() -> None:
        assert len(keys_of(target, "killed")) <= 1

    assert kills_until_done(up, recording, target, nothing_doubled) >= len(recording.resources)
    with proxied(target) as proxy:
        assert actions(up(recording, proxy.target)) == {"same"}
        assert proxy.writes == []

    changed = every_type("killed")
    for gone in ("web", "grant", "killed-data-BucketLifecycleConfiguration"):
        del changed.resources[gone]
    changed.change("quota", spec={"hard": {"pods": "6"}})
    assert kills_until_done(up, changed.recording(), target, nothing_doubled) == 4
    assert drift(changed.recording(), target) == ()

    assert kills_until_done(destroy, changed.recording(), target, nothing_doubled) >= 9
    assert destroy("killed", target) == ()
    (key,) = keys_of(target, "killed")
    assert aws(target, "kms", "describe_key", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert kube(target, "GET", "/api/v1/namespaces/killed-services") == {}
    assert aws(target, "iam", "list_roles")["Roles"] == []
    assert aws(target, "s3", "list_buckets")["Buckets"] == []


def first(count: int, answer: Answer, chosen: Callable[[Request], bool]) -> Callable[[Request], Answer | None]:
    """Give the answer to the first so many requests of the chosen ones."""
    left = iter(range(count))

    def instead(request: Request) -> Answer | None:
        return answer if chosen(request) and next(left, None) is not None else None

    return instead


def always(answer: Answer, chosen: Callable[[Request], bool]) -> Callable[[Request], Answer | None]:
    return lambda request: answer if chosen(request) else None


@pytest.mark.parametrize(
    ("case", "server", "operations", "answer"),
    [
        ("too-many", "kubernetes", "", TOO_MANY),
        ("broken", "kubernetes", "", Answer(500, {}, "etcd is away")),
        ("dropped", "kubernetes", "", Answer()),
        ("hanging", "kubernetes", "", Answer(hang=True)),
        ("throttled", "aws", "Key", THROTTLED),
        ("slow-down", "aws", "/", SLOW_DOWN),
        ("garbled", "aws", "", Answer(502, {}, "<html>bad gateway</html>")),
        ("dropped-aws", "aws", "", Answer()),
    ],
)
def test_passing_trouble_is_retried_and_up_succeeds(
    target: Target, case: str, server: str, operations: str, answer: Answer
) -> None:
    recording = light(case).recording()
    chosen = _every_other(server, operations)
    with proxied(target) as proxy:
        proxy.instead = first(4, answer, chosen)
        patience = Patience(request=0.7 if answer.hang else 5, trouble=10, settle=10)
        assert actions(up(recording, proxy.target.with_patience(patience))) == {"create"}
    assert len(keys_of(target, case)) == 1


def _every_other(server: str, operations: str) -> Callable[[Request], bool]:
    """Every other one of the server's requests that are named so, reads and writes alike."""
    seen: list[Request] = []

    def chosen(request: Request) -> bool:
        if request.server != server or operations not in request.operation:
            return False
        seen.append(request)
        return len(seen) % 2 == 1

    return chosen


@pytest.mark.parametrize(
    ("case", "operation", "answer", "told"),
    [
        ("no-api", "PATCH /apis/rbac", Answer(500, {}, "etcd is away"), "500: etcd is away"),
        ("mute-api", "PATCH /apis/rbac", Answer(hang=True), "ReadTimeout"),
        ("full-api", "PATCH /apis/rbac", TOO_MANY, "429: too many requests"),
        ("no-kms", "CreateKey", THROTTLED, "Rate exceeded"),
        ("no-s3", "PUT /no-s3-b", SLOW_DOWN, "SlowDown"),
    ],
)
def test_lasting_trouble_ends_in_a_clear_error_and_running_again_resumes(
    target: Target, case: str, operation: str, answer: Answer, told: str
) -> None:
    recording = light(case).recording()
    with proxied(target) as proxy:
        proxy.instead = always(answer, lambda request: request.operation.startswith(operation))
        with pytest.raises(CheckFailed) as caught:
            up(recording, impatient(proxy.target))
    text = str(caught.value)
    assert told in text
    assert f"up of {case} stopped: urn:pulumi:{case}::" in text
    assert text.endswith("running it again goes on from here")
    assert "before that: " in text
    assert names(up(recording, target), "create")
    assert len(keys_of(target, case)) == 1


def test_a_creation_whose_answer_is_lost_is_not_repeated(target: Target) -> None:
    creations = ["CreateKey", "PUT /lost-b", "CreateRole", "CreateAlias"]
    program = light("lost")
    program.add("aws:iam/role:Role", "role", {"name": "lost-r", "assumeRolePolicy": "{}"}, id="lost-r")
    key = program.resources["key"]
    alias = {"name": "alias/lost", "targetKeyId": key.outputs["keyId"]}
    program.add("aws:kms/alias:Alias", "alias", alias, dependencies=(key.urn,))
    recording = program.recording()
    with proxied(target) as proxy:
        proxy.afterwards = first(len(creations), Answer(), lambda request: request.operation in creations)
        up(recording, proxy.target)
        assert [proxy.writes.count(creation) for creation in creations] == [1, 1, 1, 1]
    assert drift(recording, target) == ()


def test_the_second_of_two_ups_is_refused_naming_the_first(target: Target) -> None:
    recording = light("twice").recording()
    entered, release = Event(), Event()

    def hold(request: Request) -> Answer | None:
        entered.set()
        release.wait(30)
        return None

    with proxied(target) as proxy:
        proxy.instead = hold
        results: list[Iterable[Change]] = []
        running = Thread(target=lambda: results.append(up(recording, proxy.target)))
        running.start()
        try:
            assert entered.wait(30)
            with pytest.raises(
                CheckFailed, match=rf"^up of twice is refused: up by .*pid {os.getpid()}, has run since"
            ):
                up(recording, target)
        finally:
            release.set()
            running.join(60)
    assert [actions(result) for result in results] == [{"create"}]
