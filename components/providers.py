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
    stand_in = cloud.stand_in
    return aws.Provider(
        "aws",
        region=cloud.region,
        allowed_account_ids=[cloud.account],
        assume_roles=[{"role_arn": cloud.deployer_role, "session_name": "ladder"}] if cloud.deployer_role else None,
        endpoints=[{"iam": stand_in, "kms": stand_in, "s3": stand_in, "sts": stand_in}] if stand_in else None,
        s3_use_path_style=True if stand_in else None,
        skip_metadata_api_check=True,
        opts=opts,
    )


def _create_kubernetes(cluster: Cluster, opts: pulumi.ResourceOptions) -> kubernetes.Provider:
    return kubernetes.Provider(
        "cluster",
        context=cluster.context,
        cluster_identifier=cluster.identifier,
        enable_server_side_apply=True,
        opts=opts,
    )
