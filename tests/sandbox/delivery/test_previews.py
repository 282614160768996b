"""Previews on Argo CD's own controllers: born, moved and reaped, by the program, plugin, charts and tree as shipped.

One story in the order of its tests: every test starts from what those before it left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from components.namespace import pod_security
from sandbox.connection import Sandbox
from tests.previews.github_stand_in import Review, sha
from tests.previews.serving import Asked, Reply
from tests.sandbox.cluster import container, pod, until
from tests.sandbox.delivery.previewing import DEADLINE, PREVIEWS, Previewing, previewing

pytestmark = pytest.mark.servers

EXPIRES = "ladder.internal/expires"
DRY = {"dryRun": "All"}
GUARDED = {"ladder.internal/preview": "true", **pod_security()}


@pytest.fixture(scope="module")
def scene(delivery_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Previewing]:
    with previewing(delivery_sandbox, tmp_path_factory.mktemp("previews")) as made:
        yield made


def test_a_pull_request_becomes_an_environment(scene: Previewing) -> None:
    digest = scene.opened(7)
    until(lambda: scene.namespace(7), DEADLINE, scene.told(7))
    scene.settled(7)
    assert scene.image(7, "web") == f"{scene.registry.url.partition('://')[2]}/acme/previews/web@{digest}"
    assert scene.image(7, "api").startswith("ghcr.io/acme/shop/api@sha256:")


def test_its_namespace_is_guarded_as_the_environments_own(scene: Previewing) -> None:
    namespace = scene.namespace(7)
    assert namespace is not None
    labels, annotations = namespace["metadata"]["labels"], namespace["metadata"]["annotations"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["ladder.internal/preview"] == "true"
    assert annotations["ladder.internal/expires"] == scene.application(7)["metadata"]["annotations"][EXPIRES]
    inside = "/api/v1/namespaces/pr-7"
    quota = scene.cluster.call("GET", f"{inside}/resourcequotas/quota").body["spec"]["hard"]
    own = scene.cluster.call("GET", "/api/v1/namespaces/dev-services/resourcequotas/quota").body["spec"]["hard"]
    assert quota.keys() == own.keys()
    assert quota["requests.cpu"] == "1"
    assert scene.cluster.call("GET", f"{inside}/limitranges/limits").status == 200
    for name in ("default-deny", "allow-dns"):
        here, there = (
            scene.cluster.call("GET", f"/apis/networking.k8s.io/v1/namespaces/{each}/networkpolicies/{name}")
            for each in ("pr-7", "dev-services")
        )
        assert here.body["spec"] == there.body["spec"]


def test_it_has_no_secret_no_cloud_role_and_no_token(scene: Previewing) -> None:
    inside = "/api/v1/namespaces/pr-7"
    assert scene.items(f"{inside}/secrets") == []
    assert scene.items("/apis/external-secrets.io/v1/namespaces/pr-7/externalsecrets") == []
    accounts = scene.items(f"{inside}/serviceaccounts")
    assert not [each for each in accounts if "eks.amazonaws.com/role-arn" in each["metadata"].get("annotations", {})]
    pods = scene.items(f"{inside}/pods")
    assert pods
    for each in pods:
        assert each["spec"]["automountServiceAccountToken"] is False
        assert not [volume for volume in each["spec"].get("volumes", []) if "projected" in volume]


def test_it_answers_at_hosts_of_its_own(scene: Previewing) -> None:
    (route,) = scene.items("/apis/gateway.networking.k8s.io/v1/namespaces/pr-7/httproutes")
    assert route["spec"]["hostnames"] == ["shop.pr-7.acme-previews.dev"]


def test_a_push_moves_it_only_once_its_image_is_built(scene: Previewing) -> None:
    before = scene.image(7, "web")
    head = scene.pushed(7)
    until(lambda: f"no image of {head[:7]}" in scene.decided(7)[1], DEADLINE, scene.told(7))
    assert scene.image(7, "web") == before
    assert scene.decided(7)[0] == "admitted"
    digest = scene.build(head)
    until(lambda: scene.image(7, "web").endswith(digest), DEADLINE, scene.told(7))
    scene.settled(7)


def test_closed_it_is_gone_with_its_namespace(scene: Previewing) -> None:
    scene.closed(7)
    until(lambda: scene.gone(7), DEADLINE, scene.told(7))


def test_its_time_over_it_goes_though_the_pull_request_is_open_and_stays_gone(scene: Previewing) -> None:
    scene.opened(8, hours=72 - 25 / 3600)
    until(lambda: scene.namespace(8), DEADLINE, scene.told(8))
    until(lambda: scene.gone(8), DEADLINE, scene.told(8))
    asked = len(scene.github.asked)
    scene.tell(8)
    until(lambda: len(scene.github.asked) > asked + 2, DEADLINE)
    assert scene.gone(8)
    assert scene.decided(8)[0] == "refused"
    scene.closed(8)


def test_a_fork_enters_by_an_approval_of_its_head_and_leaves_with_the_next_push(scene: Previewing) -> None:
    scene.github.permissions["bob"] = "write"
    scene.opened(9, fork=True, author="mallory")
    until(lambda: "needs an approval" in scene.decided(9)[1], DEADLINE, scene.told(9))
    assert scene.gone(9)
    scene.change(9, "labeled", reviews=(Review("bob", sha(9), association="MEMBER"),))
    until(lambda: scene.namespace(9), DEADLINE, scene.told(9))
    scene.pushed(9)
    until(lambda: scene.gone(9), DEADLINE, scene.told(9))
    scene.closed(9)


def test_where_all_places_are_taken_the_next_one_waits_and_enters_when_one_leaves(scene: Previewing) -> None:
    for number in (11, 12, 13):
        scene.opened(number)
    until(lambda: scene.previews() == {"pr-11", "pr-12", "pr-13"}, DEADLINE, scene.told(13))
    scene.opened(14)
    until(lambda: scene.decided(14)[0] == "waiting", DEADLINE, scene.told(14))
    assert "3 of 3 places" in scene.decided(14)[1]
    assert "pr-14" not in scene.previews()
    scene.closed(11)
    until(lambda: "pr-14" in scene.previews(), DEADLINE, scene.told(14))
    until(lambda: scene.gone(11), DEADLINE, scene.told(11))
    scene.closed(12)
    scene.closed(13)
    until(lambda: scene.gone(12) and scene.gone(13), DEADLINE, scene.told(12))
    until(lambda: scene.namespace(14), DEADLINE, scene.told(14))
    scene.settled(14)


def refusing(status: int, body: bytes = b"{}") -> Callable[[Asked], Reply]:
    return lambda _: Reply(status, body, {"Content-Type": "application/json"})


def slowly(asked: Asked) -> Reply | None:
    """To the plugin, too late for it; Argo CD's own question has an answer."""
    return None if "go-github" in asked.headers.get("user-agent", "") else Reply(200, b"[]", delay=40.0)


TROUBLE: dict[str, Callable[[Asked], Reply | None]] = {
    "500": refusing(500),
    "404": refusing(404, b'{"message": "Not Found"}'),
    "403": refusing(403, b'{"message": "rate limit"}'),
    "garbage": refusing(200, b"<html>"),
}


@pytest.mark.parametrize("what", TROUBLE)
def test_trouble_at_github_takes_nothing_away(scene: Previewing, what: str) -> None:
    scene.github.trouble = TROUBLE[what]
    with scene.kept(14):
        scene.nudge()
        until(scene.failing, DEADLINE, scene.told(14))
    scene.github.trouble = lambda _: None
    scene.recovered(14)


def test_an_answer_too_late_for_the_plugin_takes_nothing_away(scene: Previewing) -> None:
    """It repeats what it decided of the same head, and says so."""
    scene.github.trouble = slowly
    with scene.kept(14):
        scene.nudge()
        until(scene.troubled, DEADLINE, scene.told(14))
        asked = len(scene.github.asked)
        scene.nudge()
        until(lambda: len(scene.github.asked) > asked, DEADLINE)
    scene.github.trouble = lambda _: None
    until(lambda: not scene.troubled(), DEADLINE, scene.told(14))


def test_an_empty_last_page_takes_nothing_away(scene: Previewing) -> None:
    def one_more(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/pulls") or asked.query.get("page", "1") != "1":
            return None
        told = scene.github.reply(asked)
        following = f'<{scene.github.url}{asked.path}?page=2&per_page=100>; rel="next"'
        return Reply(told.status, told.body, {**told.headers, "Link": following})

    scene.github.trouble = one_more
    with scene.kept(14):
        scene.nudge()
        asked = len(scene.github.asked)
        until(lambda: len(scene.github.asked) > asked + 4, DEADLINE)
    scene.github.trouble = lambda _: None


def test_a_registry_that_is_down_takes_nothing_away(scene: Previewing) -> None:
    scene.registry.stop()
    with scene.kept(14):
        scene.pushed(14)
        until(scene.failing, DEADLINE, scene.told(14))
    scene.registry.start()
    digest = scene.build(scene.github.pulls[14].sha)
    scene.recovered(14)
    until(lambda: scene.image(14, "web").endswith(digest), 2 * DEADLINE, scene.told(14))


def test_a_plugin_that_is_down_takes_nothing_away(scene: Previewing) -> None:
    scene.stop_plugin()
    with scene.kept(14):
        scene.nudge()
        until(scene.failing, DEADLINE, scene.told(14))
    scene.start_plugin()
    scene.recovered(14)


def test_a_token_that_is_not_the_plugins_is_refused_and_takes_nothing_away(scene: Previewing) -> None:
    scene.secret("another-token")
    with scene.kept(14):
        scene.nudge()
        until(lambda: "401" in scene.failing(), DEADLINE, scene.told(14))
    scene.secret()
    scene.recovered(14)


def test_the_reaper_takes_what_argo_cd_cannot_and_nothing_else(scene: Previewing) -> None:
    """GitHub's token is broken, and the time of one preview is over: nobody else would remove it."""
    scene.opened(16, hours=72 - 40 / 3600)
    until(lambda: scene.namespace(16), DEADLINE, scene.told(16))
    scene.github.trouble = TROUBLE["404"]
    until(scene.failing, DEADLINE, scene.told(16))

    def reaped() -> bool:
        code, log = scene.reap()
        assert code == 0, log
        return scene.gone(16)

    with scene.kept(14):
        until(reaped, DEADLINE, scene.told(16))
    scene.github.trouble = lambda _: None
    scene.recovered(14)
    assert scene.gone(16)
    scene.closed(16)


def test_the_reaper_may_remove_nothing_that_is_not_a_preview(scene: Previewing) -> None:
    """In the body: beside one, the API server does not look at the query, and would delete."""
    dry = {"dryRun": ["All"]}
    with scene.cluster.acting_as("argocd", f"{PREVIEWS}-reaper") as reaper:
        for path in (
            "/api/v1/namespaces/dev-services",
            "/api/v1/namespaces/argocd",
            "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/dev-web",
        ):
            answer = reaper.call("DELETE", path, dry)
            assert (answer.status, "named like a preview" in answer.message) == (403, True), answer.message
        assert reaper.call("DELETE", "/api/v1/namespaces/pr-14", dry).status == 200
        assert reaper.call("GET", "/api/v1/namespaces/pr-14").status == 403
        assert reaper.call("GET", "/api/v1/namespaces/argocd/secrets").status == 403


def test_who_delivers_previews_writes_nothing_else(scene: Previewing) -> None:
    scene.settled(14)
    body = {"metadata": {"name": "t"}, "data": {"a": "b"}}
    with scene.cluster.acting_as("argocd", PREVIEWS) as deliverer:
        for namespace in ("dev-services", "kube-system", "argocd", "default"):
            answer = deliverer.call("POST", f"/api/v1/namespaces/{namespace}/configmaps", body, params=DRY)
            assert (answer.status, "named like a preview" in answer.message) == (403, True), answer.message
        assert deliverer.call("POST", "/api/v1/namespaces/pr-14/configmaps", body, params=DRY).status == 201
        answer = deliverer.call("DELETE", "/api/v1/namespaces/dev-services", params=DRY)
        assert (answer.status, "named like a preview" in answer.message) == (403, True), answer.message
        for name, labels, status in (
            ("pr-15", GUARDED, 201),
            ("pr-15", {}, 403),
            ("pr-15", {"pod-security.kubernetes.io/enforce": "restricted"}, 403),
            ("pr-0", GUARDED, 403),
            ("production", GUARDED, 403),
        ):
            made = {"metadata": {"name": name, "labels": labels}}
            assert deliverer.call("POST", "/api/v1/namespaces", made, params=DRY).status == status


def test_no_pod_of_a_preview_has_a_token_or_a_secret_and_no_account_a_role(scene: Previewing) -> None:
    image = scene.image(14, "api")
    plain = pod("t", container(image=image), automountServiceAccountToken=False)
    path = "/api/v1/namespaces/pr-14/pods"
    assert scene.cluster.call("POST", path, plain, params=DRY).status == 201
    token = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    for refused in (
        pod("t", container(image=image)),
        pod("t", container(image=image), automountServiceAccountToken=False, volumes=[token]),
    ):
        answer = scene.cluster.call("POST", path, refused, params=DRY)
        assert (answer.status, "ServiceAccount's token" in answer.message) == (403, True), answer.message
    secret = {"name": "t", "secret": {"secretName": "t"}}
    known = container(image=image, envFrom=[{"secretRef": {"name": "t"}}])
    for refused in (
        pod("t", container(image=image), automountServiceAccountToken=False, volumes=[secret]),
        pod("t", known, automountServiceAccountToken=False),
    ):
        answer = scene.cluster.call("POST", path, refused, params=DRY)
        assert (answer.status, "may have a secret" in answer.message) == (403, True), answer.message
    made = {"metadata": {"name": "t"}, "stringData": {"a": "b"}}
    answer = scene.cluster.call("POST", "/api/v1/namespaces/pr-14/secrets", made, params=DRY)
    assert (answer.status, "no secret may be put" in answer.message) == (403, True), answer.message
    account = {"metadata": {"name": "t", "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/t"}}}
    answer = scene.cluster.call("POST", "/api/v1/namespaces/pr-14/serviceaccounts", account, params=DRY)
    assert (answer.status, "cloud role" in answer.message) == (403, True), answer.message
