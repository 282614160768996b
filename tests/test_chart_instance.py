"""Many copies of one environment: each has hosts of its own, and differs in nothing else."""

from __future__ import annotations

import pytest

from tests.charts import SERVICES, changed, render, rendered

HOSTS = {
    "public": "shop.pr-0.example.dev",
    "first": "pr-0.shop.example.dev",
    "both": "pr-0.pr-0.example.dev",
    "part": "xpr-0.pr-0.pr-0x.dev",
}
REPLACED = [
    "pr-7.pr-7.example.dev",
    "pr-7.shop.example.dev",
    "shop.pr-7.example.dev",
    "xpr-0.pr-7.pr-0x.dev",
]
COPY = {"placeholder": "pr-0", "name": "pr-7", "seed": "7"}


def test_whole_labels_that_are_the_placeholder_become_the_name_and_nothing_else_does() -> None:
    release = render("web", changed("preview", "web", {"endpoints.hosts": HOSTS, "instance": COPY}))
    assert release.one("HTTPRoute")["spec"]["hostnames"] == REPLACED


def test_an_ingress_serves_the_copys_hosts_by_tls() -> None:
    changes = {"endpoints.hosts": HOSTS, "instance": COPY, "ingress.through": "ingress"}
    spec = render("web", changed("preview", "web", changes)).one("Ingress")["spec"]
    assert [rule["host"] for rule in spec["rules"]] == REPLACED
    assert spec["tls"] == [{"hosts": REPLACED}]


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_but_hosts_and_data_knows_which_copy_it_is(service: str) -> None:
    """A service that answers outside hosts only in its route, and what fills its stores only in the seed."""
    copy = render(service, changed("preview", service, {"instance": COPY}))
    of_all = rendered("preview", service)
    differing = ("HTTPRoute", "Job")
    assert [each for each in copy.objects if each["kind"] not in differing] == [
        each for each in of_all.objects if each["kind"] not in differing
    ]
    for one, other in zip(copy.of("Job").values(), of_all.of("Job").values(), strict=True):
        command = one["spec"]["template"]["spec"]["containers"][0]["command"]
        assert command[command.index("--seed") + 1] == "7"
        command[command.index("--seed") + 1] = "1"
        assert one == other
    for one, other in zip(copy.of("HTTPRoute").values(), of_all.of("HTTPRoute").values(), strict=True):
        hosts = [host.replace("pr-0", "pr-7") for host in other["spec"]["hostnames"]]
        assert one == {**other, "spec": {**other["spec"], "hostnames": hosts}}
