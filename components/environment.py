"""One environment of the ladder, whole: the only component the program builds."""

from __future__ import annotations

from typing import Any, Literal

import pulumi

from components.admission import (
    DeliveryRails,
    DeliveryRailsArgs,
    HostAdmission,
    HostAdmissionArgs,
    ImageAdmission,
    ImageAdmissionArgs,
)
from components.base import Component
from components.bucket import SecureBucket, SecureBucketArgs
from components.delivery import EnvironmentDelivery, EnvironmentDeliveryArgs
from components.encryption_key import EncryptionKey, EncryptionKeyArgs
from components.identity import WorkloadAccess, WorkloadAccessArgs, WorkloadIdentity, WorkloadIdentityArgs
from components.namespace import NETWORK_RAILS, GuardedNamespace, GuardedNamespaceArgs
from components.previews import PullRequestPreviews, PullRequestPreviewsArgs
from components.providers import create_providers
from components.secret_store import SecretStore, SecretStoreArgs
from ladder.contract.previews import Previews
from ladder.contract.stack import DELIVERY_SERVICE_ACCOUNT, SECRET_READER_SERVICE_ACCOUNT, StackSettings

__all__ = ["Environment"]


class Environment(Component):
    """Everything one stack declares. ``outputs`` is what people and pipelines need to know of it."""

    outputs: dict[str, Any]

    def __init__(self, name: str, settings: StackSettings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._settings = settings
        self._opts = pulumi.ResourceOptions(
            parent=self, providers=create_providers(settings.cloud, settings.cluster, self)
        )
        identities = {service: self._create_identity(service) for service in settings.services}
        reader = self._create_identity(SECRET_READER_SERVICE_ACCOUNT)
        keys = {key: self._create_key(key, identities, reader) for key in settings.keys}
        buckets = {bucket: self._create_bucket(bucket, keys) for bucket in settings.buckets}
        for service in settings.services:
            self._create_access(service, identities[service], keys, buckets)
        namespaces = {key: self._create_namespace(key) for key in settings.namespaces}
        admission = self._create_admission()
        hosts = self._create_host_admission()
        store = self._create_secret_store(reader, keys, namespaces["services"])
        rails = self._create_rails()
        delivery = self._create_delivery(namespaces, [*namespaces.values(), admission, hosts, rails])
        previews = self._create_previews(delivery)
        self.outputs = {
            "environment": settings.environment.name,
            "namespaces": {key: namespace.physical_name for key, namespace in namespaces.items()},
            "roles": {service: identity.arn for service, identity in identities.items()},
            "keys": {name: key.arn for name, key in keys.items()},
            "buckets": {name: bucket.bucket_name for name, bucket in buckets.items()},
            "secretStore": {"name": store.store, "prefix": settings.secrets.prefix},
            "domain": settings.hosts.domain,
            "appProject": delivery.project,
            "applicationSet": delivery.application_set,
            "previews": {"enabled": previews is not None, "project": previews.project if previews else None},
        }
        self.register_outputs(self.outputs)

    def _create_identity(self, service_account: str) -> WorkloadIdentity:
        settings = self._settings
        args = WorkloadIdentityArgs(
            role=settings.physical(service_account),
            namespace=settings.namespace("services"),
            service_account=service_account,
            cloud=settings.cloud,
            cluster=settings.cluster,
            tags=settings.tags(),
        )
        return WorkloadIdentity(service_account, args, self._opts)

    def _create_key(self, key: str, identities: dict[str, WorkloadIdentity], reader: WorkloadIdentity) -> EncryptionKey:
        settings = self._settings
        users: list[pulumi.Input[str]] = [
            identities[name].arn
            for name, service in sorted(settings.services.items())
            if any(settings.buckets[bucket].key == key for bucket in service.buckets)
        ]
        if settings.secrets.key == key:
            users.append(reader.arn)
        locked = [bucket.key for bucket in settings.buckets.values() if bucket.object_lock.enabled]
        if settings.cloud.anchor_role and key in locked:
            users.append(settings.cloud.anchor_role)
        args = EncryptionKeyArgs(
            alias=settings.physical(key),
            settings=settings.keys[key],
            cloud=settings.cloud,
            users=users,
            tags=settings.tags(),
            real_data=settings.holds_real_data,
        )
        return EncryptionKey(key, args, self._opts)

    def _create_bucket(self, bucket: str, keys: dict[str, EncryptionKey]) -> SecureBucket:
        settings = self._settings
        args = SecureBucketArgs(
            settings=settings.buckets[bucket],
            data=settings.data,
            cloud=settings.cloud,
            key_arn=keys[settings.buckets[bucket].key].arn,
            tags=settings.tags(),
            real_data=settings.holds_real_data,
        )
        return SecureBucket(bucket, args, self._opts)

    def _create_access(
        self,
        service: str,
        identity: WorkloadIdentity,
        keys: dict[str, EncryptionKey],
        buckets: dict[str, SecureBucket],
    ) -> None:
        settings = self._settings
        access = settings.services[service].buckets
        if not access:
            return
        used = sorted({settings.buckets[bucket].key for bucket in access})
        args = WorkloadAccessArgs(
            role=identity.role_name,
            account=settings.cloud.account,
            region=settings.cloud.region,
            buckets=[(buckets[bucket].arn, level.value) for bucket, level in sorted(access.items())],
            keys=[keys[key].arn for key in used],
            real_data=settings.holds_real_data,
        )
        WorkloadAccess(service, args, self._opts)

    def _create_namespace(self, key: Literal["services", "data"]) -> GuardedNamespace:
        settings = self._settings
        args = GuardedNamespaceArgs(
            namespace=settings.namespace(key),
            settings=settings.namespaces[key],
            labels=settings.labels(),
            real_data=settings.holds_real_data,
        )
        return GuardedNamespace(key, args, self._opts)

    def _create_admission(self) -> ImageAdmission:
        settings = self._settings
        args = ImageAdmissionArgs(
            policy=settings.physical("images"),
            namespaces=[settings.namespace(key) for key in settings.namespaces],
            registries=list(settings.images.registries.values()),
            labels=settings.labels(),
            real_data=settings.holds_real_data,
        )
        return ImageAdmission("images", args, self._opts)

    def _create_host_admission(self) -> HostAdmission:
        settings = self._settings
        args = HostAdmissionArgs(
            policy=settings.physical("hosts"),
            namespaces=[settings.namespace(key) for key in settings.namespaces],
            domain=settings.hosts.domain,
            labels=settings.labels(),
            real_data=settings.holds_real_data,
        )
        return HostAdmission("hosts", args, self._opts)

    def _create_rails(self) -> DeliveryRails:
        settings = self._settings
        namespaces = [settings.namespace(key) for key in settings.namespaces]
        args = DeliveryRailsArgs(
            policy=settings.physical("delivery"),
            namespaces=namespaces,
            reserved=[DELIVERY_SERVICE_ACCOUNT, SECRET_READER_SERVICE_ACCOUNT],
            deliverers=[f"system:serviceaccount:{namespace}:{DELIVERY_SERVICE_ACCOUNT}" for namespace in namespaces],
            rails=[*NETWORK_RAILS, DELIVERY_SERVICE_ACCOUNT, SECRET_READER_SERVICE_ACCOUNT],
            labels=settings.labels(),
            real_data=settings.holds_real_data,
        )
        return DeliveryRails("rails", args, self._opts)

    def _create_secret_store(
        self, reader: WorkloadIdentity, keys: dict[str, EncryptionKey], namespace: GuardedNamespace
    ) -> SecretStore:
        settings = self._settings
        args = SecretStoreArgs(
            namespace=namespace.physical_name,
            service_account=SECRET_READER_SERVICE_ACCOUNT,
            role=reader.role_name,
            role_arn=reader.arn,
            key_arn=keys[settings.secrets.key].arn,
            secrets=settings.secrets,
            cloud=settings.cloud,
            labels=settings.labels(),
        )
        return SecretStore("secrets", args, self._opts)

    def _create_delivery(
        self, namespaces: dict[str, GuardedNamespace], guardrails: list[pulumi.Resource]
    ) -> EnvironmentDelivery:
        settings = self._settings
        args = EnvironmentDeliveryArgs(
            name=f"ladder-{settings.environment.name}",
            environment=settings.environment.name,
            namespaces={key: namespace.physical_name for key, namespace in namespaces.items()},
            guardrails=guardrails,
            delivery=settings.delivery,
            labels=settings.labels(),
        )
        return EnvironmentDelivery("delivery", args, self._opts)

    def _create_previews(self, delivery: EnvironmentDelivery) -> PullRequestPreviews | None:
        settings = self._settings
        if not isinstance(settings.previews, Previews):
            return None
        args = PullRequestPreviewsArgs(
            name=settings.physical("previews"),
            environment_project=delivery.project,
            selector=f"ladder.internal/environment={settings.environment.name}",
            previews=settings.previews,
            delivery=settings.delivery,
            registries=list(settings.images.registries.values()),
            labels=settings.labels(),
        )
        return PullRequestPreviews("previews", args, self._opts)
