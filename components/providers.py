"""The explicit providers: one account and one cluster, and no other by accident."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from ladder.contract.stack import Cloud, Cluster

__all__ = ["create_providers"]


def create_providers(cloud: Cloud, cluster: Cluster, parent: pulumi.Resource) -> list[pulumi.ProviderResource]:
    """The AWS provider bound to the account, and the Kubernetes provider bound to the kubeconfig's context."""
    opts = pulumi.ResourceOptions(parent=parent)
    return [_create_aws(cloud, opts), _create_kubernetes(cluster, opts)]


def _create_aws(cloud: Cloud, opts: pulumi.ResourceOptions) -> aws.Provider:
    """Arguments are classes, not dicts, whose keys a provider would get as they are (pulumi/pulumi-aws#5271)."""
    role, url = cloud.deployer_role, cloud.stand_in
    return aws.Provider(
        "aws",
        region=cloud.region,
        allowed_account_ids=[cloud.account],
        assume_roles=[aws.ProviderAssumeRoleArgs(role_arn=role, session_name="ladder")] if role else None,
        endpoints=[aws.ProviderEndpointArgs(iam=url, kms=url, s3=url, sts=url)] if url else None,
        s3_use_path_style=True if url else None,
        skip_metadata_api_check=True,
        opts=opts,
    )


def _create_kubernetes(cluster: Cluster, opts: pulumi.ResourceOptions) -> kubernetes.Provider:
    return kubernetes.Provider(
        "cluster",
        context=cluster.context,
        cluster_identifier=cluster.identifier,
        enable_server_side_apply=True,
        # Else each change replaces a ConfigMap of a fixed name: deleted first, with pods that mount it.
        enable_config_map_mutable=True,
        opts=opts,
    )
