"""Joined planes: what overlays name must be what the environment's recording grants, and no other environment's.

Hosts, roles, buckets, keys and secrets are held against recordings, so that a component's mistake shows as well as a
person's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ladder.check.findings import Finding, of_problem
from ladder.check.stacks import Environment, Stack
from ladder.contract.overlay import Analysis, CloudRole, Objects, Overlay, Seed
from ladder.contract.overlay_rules import within_overlay
from ladder.contract.previews import PLACEHOLDER, Previews
from ladder.contract.stack import Access, TierLevel
from ladder.contract.violations import Path, Violation
from ladder.tree import Service, Tree

__all__ = ["names"]


def names(tree: Tree, environment: Environment, stacks: Mapping[str, Stack]) -> Iterator[Finding]:
    """Everything that the environment's overlays name and its stack does not give them."""
    others = [stack for stack in stacks.values() if stack is not environment.stack]
    for service in environment.services.values():
        yield from _Overlay(tree, service, environment, others).check()


@dataclass(frozen=True, slots=True)
class _Overlay:
    tree: Tree
    service: Service
    environment: Environment
    others: list[Stack]

    @property
    def _overlay(self) -> Overlay:
        return self.service.overlay

    @property
    def _stack(self) -> Stack:
        return self.environment.stack

    def check(self) -> Iterator[Finding]:
        yield from self._tier()
        yield from self._region()
        yield from self._role()
        yield from self._buckets()
        yield from self._access()
        yield from self._keys()
        yield from self._secrets()
        yield from self._hosts()
        yield from self._images()
        yield from self._seed()
        yield from self._analysis()

    def _find(self, rule: str, path: Path, message: str, found: str, accepted: str, mend: str = "") -> Finding:
        violation = Violation(path=path, message=message, found=found, accepted=accepted)
        return of_problem(f"planes/{rule}", self.tree.problem(self.service, violation), mend)

    def _whose(self, name: str) -> str:
        """Of another stack, where it is."""
        owner = next((stack.name for stack in self.others if stack.granted.has(name)), "")
        return f", but of {owner}" if owner else ""

    def _tier(self) -> Iterator[Finding]:
        tier = self._overlay.tier
        previews = self._stack.settings.previews
        offered = tuple(TierLevel(each) for each in previews.tiers) if isinstance(previews, Previews) else ()
        accepted = offered if self.environment.previews else (self._stack.settings.tier.level,)
        if tier not in accepted:
            message = "is not the tier of the environment"
            said = "previews.tiers stand" if self.environment.previews else "tier.level stands"
            mend = f"{said} in {self._stack.file}"
            yield self._find("tier", ("tier",), message, tier, " or ".join(accepted), mend)
        for other in offered if self.environment.previews else ():
            for violation in within_overlay(self.service.name, self._overlay.model_copy(update={"tier": other})):
                offers = f"as previews offer it in {self._stack.file}"
                message = f"{violation.message} at tier {other}, {offers}"
                yield self._find("tier", violation.path, message, violation.found, violation.accepted)

    def _region(self) -> Iterator[Finding]:
        region, granted = self._overlay.endpoints.region, self._stack.granted.region
        if region != granted:
            message = f"is not the region of {self._stack.name}"
            yield self._find("region", ("endpoints", "region"), message, region, granted or "the recording names none")

    def _role(self) -> Iterator[Finding]:
        given, granted = self._overlay.endpoints.role, self._stack.granted
        if not isinstance(given, CloudRole):
            return
        path = ("endpoints", "role", "arn")
        if self.environment.previews:
            message = "gives pull requests a cloud role"
            yield self._find("role", ("endpoints", "role", "enabled"), message, given.arn, "role: {enabled: false}")
            return
        own = granted.own_roles.get(self.service.name, "")
        role = granted.roles.get(given.arn)
        if given.arn != own or role is None:
            message = f"is not the service's role in {self._stack.name}{self._whose(given.arn)}"
            mend = "" if own else f"name {self.service.name} in ladder:services of {self._stack.file}"
            yield self._find("role", path, message, given.arn, own or "no role is declared for the service", mend)
            return
        subject = f"system:serviceaccount:{granted.namespace}:{self.service.name}"
        if set(role.subjects) != {subject}:
            message = f"is a role that others than the service's ServiceAccount assume ({role.urn})"
            yield self._find("role", path, message, ", ".join(sorted(role.subjects)) or "nobody", subject)

    def _buckets(self) -> Iterator[Finding]:
        known = self._stack.granted.buckets
        for key, name in self._overlay.endpoints.buckets.items():
            if known.get(key) != name:
                message = f"is not the bucket {key} of {self._stack.name}{self._whose(name)}"
                accepted = known.get(key) or f"a bucket of {', '.join(known)}"
                yield self._find("bucket", ("endpoints", "buckets", key), message, name, accepted)

    def _access(self) -> Iterator[Finding]:
        """Where the tier reaches the cloud: what the service needs, the settings give and the policies grant is one."""
        if self._overlay.tier is TierLevel.LITE or self.environment.previews:
            return
        service, stack = self.service.name, self._stack
        objects = self._overlay.dependencies.objects
        wanted = dict(objects.buckets) if isinstance(objects, Objects) else {}
        settings = stack.settings.services.get(service)
        given = dict(settings.buckets) if settings else {}
        if wanted != given:
            message = "is not the access that the stack's settings give the service"
            mend = f"make it equal to ladder:services.{service}.buckets in {stack.file}, here or there"
            yield self._find(
                "access", ("dependencies", "objects", "buckets"), message, _told(wanted), _told(given), mend
            )
            return
        role = stack.granted.roles.get(stack.granted.own_roles.get(service, ""))
        names = {name: key for key, name in stack.granted.buckets.items()}
        recorded = {names.get(name, name): level for name, level in role.access.items()} if role else {}
        if recorded != wanted:
            yield Finding(
                rule="planes/access",
                where=role.urn if role else stack.file,
                message=f"grants the service {service} other access than it needs and the settings say",
                found=_told(recorded),
                accepted=_told(wanted),
                mend="the component that writes the role's policy is wrong",
            )

    def _keys(self) -> Iterator[Finding]:
        granted, role = self._stack.granted, self._overlay.endpoints.role
        for name, alias in self._overlay.endpoints.keys.items():
            path = ("endpoints", "keys", name)
            arn = granted.aliases.get(alias)
            if arn is None or arn != granted.keys.get(name):
                own = [each for each, key in granted.aliases.items() if key == granted.keys.get(name)]
                message = f"is not the alias of the key {name} of {self._stack.name}{self._whose(alias)}"
                yield self._find(
                    "key", path, message, alias, ", ".join(own) or f"an alias of {', '.join(granted.keys)}"
                )
            elif not isinstance(role, CloudRole) or role.arn not in granted.users[arn]:
                message = "is a key that the service's role may not use"
                users = ", ".join(sorted(user.rpartition("/")[2] for user in granted.users[arn])) or "nobody"
                mend = f"give the service a bucket that the key encrypts, in ladder:services of {self._stack.file}"
                yield self._find(
                    "key", path, message, alias, f"a key of the service; this one is used by {users}", mend
                )

    def _secrets(self) -> Iterator[Finding]:
        prefix = self._stack.settings.secrets.prefix
        for variable, name in self._overlay.secrets.items():
            if self.environment.previews:
                message = "gives pull requests a secret"
                yield self._find("secret", ("secrets", variable), message, name, "secrets: {}")
            elif not name.startswith(f"{prefix}/") or not self._stack.granted.reads(name):
                message = f"is not a secret that {self._stack.name} may read{self._whose(name)}"
                readable = ", ".join(self._stack.granted.secrets) or "none"
                yield self._find("secret", ("secrets", variable), message, name, f"{prefix}/…; readable: {readable}")

    def _hosts(self) -> Iterator[Finding]:
        endpoints, granted = self._overlay.endpoints, self._stack.granted
        domains = granted.domains
        if self.environment.previews:
            domains = tuple(f"{PLACEHOLDER}.{domain}" for domain in granted.preview_domains)
        for key, host in endpoints.hosts.items():
            if not any(host == domain or host.endswith(f".{domain}") for domain in domains):
                message = f"is not a host that {self._stack.name} admits{self._answering(host)}"
                accepted = " or ".join(f"{domain} and below" for domain in domains) or "none: no policy admits any"
                yield self._find("host", ("endpoints", "hosts", key), message, host, accepted)
        for path, host in self._reached():
            if whose := self._answering(host):
                message = f"is not the environment's{whose}"
                yield self._find("host", path, message, host, "a host that no other environment answers at")

    def _answering(self, host: str) -> str:
        owner = next((stack.name for stack in self.others if stack.granted.answers(host)), "")
        return f", but {owner} answers at it" if owner else ""

    def _reached(self) -> Iterator[tuple[Path, str]]:
        endpoints = self._overlay.endpoints
        for key, store in endpoints.stores.items():
            yield ("endpoints", "stores", key, "host"), store.host
        for key, url in endpoints.external.items():
            yield ("endpoints", "external", key), urlsplit(url).hostname or ""
        yield ("endpoints", "monitoring", "address"), urlsplit(endpoints.monitoring.address).hostname or ""

    def _images(self) -> Iterator[Finding]:
        registries = self._stack.settings.images.registries
        dependencies = self._overlay.dependencies
        stores = dependencies.stores.items()
        images: list[tuple[Path, str, str]] = [(("service", "image"), self._overlay.service.image, "services")]
        images += [(("dependencies", "stores", key, "image"), each.image, "dependencies") for key, each in stores]
        if isinstance(dependencies.objects, Objects):
            images.append((("dependencies", "objects", "image"), dependencies.objects.image, "dependencies"))
        if isinstance(self._overlay.seed, Seed):
            images.append((("seed", "image"), self._overlay.seed.image, "services"))
        for path, image, kind in images:
            registry = registries.get(kind, "")
            if not registry or not image.startswith(f"{registry}/"):
                message = f"is not below images.registries.{kind} of {self._stack.name}: its pods would be refused"
                yield self._find("image", path, message, image, f"{registry or 'no such registry'}/…")

    def _seed(self) -> Iterator[Finding]:
        seed, settings = self._overlay.seed, self._stack.settings
        if isinstance(seed, Seed) and not (settings.is_seeded or self.environment.previews):
            message = f"fills stores of an environment whose data is {settings.data.data_class}"
            yield self._find("seed", ("seed", "enabled"), message, "true", "seed: {enabled: false}")

    def _analysis(self) -> Iterator[Finding]:
        """Pods of previews have their services' names, and what they serve as metrics is a pull request's to say."""
        query, judged = self._overlay.service.metrics.success_rate, self._overlay.rollout.analysis
        beside = self._stack.has_previews and not self.environment.previews
        if beside and isinstance(judged, Analysis) and "namespace" not in query:
            message = "judges a rollout by metrics that previews in the same cluster can serve as well"
            accepted = f'a query that names the namespace: namespace="{self._stack.granted.namespace}"'
            yield self._find("analysis", ("service", "metrics", "successRate"), message, query, accepted)


def _told(access: Mapping[str, Access]) -> str:
    return ", ".join(f"{bucket}: {level}" for bucket, level in sorted(access.items())) or "no bucket"
