"""Which pull requests become environments, what they are held to, and what removes them where Argo CD cannot.

The rules that join these are in :mod:`ladder.contract.preview_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from ladder.contract.base import Off, Settings
from ladder.contract.namespaces import Compute, NamespaceSettings
from ladder.contract.types import (
    ApiUrl,
    DnsLabel,
    Duration,
    HostName,
    ImageReference,
    LabelValue,
    RegistryPrefix,
    TreePath,
)

__all__ = ["EXPIRES", "MARK", "PLACEHOLDER", "PREVIEW_NAMESPACES", "Offered", "Previews", "PreviewsOff", "Reaper"]

PREVIEW_NAMESPACES = "^pr-[1-9][0-9]*$"
"""What the namespaces and Applications of previews, and nothing else, are named like (RE2)."""

PLACEHOLDER = "pr-0"
"""Stands in the hosts of previews' overlays for the preview's own name: no pull request has it."""

MARK = ("ladder.internal/preview", "true")
"""The label by which the reaper knows a preview's namespace."""

EXPIRES = "ladder.internal/expires"
"""The annotation on a preview's namespace, and on its Application, that says when it ends."""

Offered = Literal["lite", "standard"]
"""Tiers that need no cloud: a preview has no role there."""

Every = Literal["5m", "10m", "15m", "30m", "1h", "2h", "3h", "4h", "6h", "12h"]
"""Times between runs that cron can say evenly."""


class PreviewsOff(Settings):
    """No pull request becomes an environment here."""

    enabled: Off


class Reaper(Settings):
    """The backstop: what removes a preview ``grace`` after its end where Argo CD or the plugin could not.

    At most ``most`` in one run: where more are due, none is removed and somebody has to look.
    """

    every: Annotated[Every, Field(examples=["30m"])]
    grace: Duration
    most: Annotated[int, Field(ge=1, le=100, examples=[10])]
    dry_run: bool
    """It asks the API server whether it might, and removes nothing."""


class Previews(Settings):
    """Pull requests of ``owner/repository`` that carry ``label`` become environments ``pr-<n>`` in this cluster."""

    enabled: Literal[True]
    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})$", examples=["acme"])]
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$", examples=["shop"])]
    api: ApiUrl
    """GitHub's API; of a GitHub Enterprise server ``https://<host>/api/v3``."""
    label: LabelValue
    host: HostName
    """Previews answer at ``pr-<n>.<host>``, a domain of its own so that no cookie reaches another environment."""
    images: RegistryPrefix
    """Where pull requests' images are, ``<images>/<service>:<head SHA>``: tags that never move. No rung runs them."""
    private_images: bool
    """The plugin's Secret has the registry's credentials."""
    program: ImageReference
    """The image of the plugin that admits, and of the reaper."""
    folder: TreePath
    """The chart that owns a preview's namespace, in delivery's repository."""
    monitoring: DnsLabel
    """The namespace that metrics are read from."""
    ttl: Duration
    """Since the last push."""
    max_age: Duration
    """Since the pull request was opened; no push moves it."""
    max_count: Annotated[PositiveInt, Field(le=1000, examples=[20])]
    tiers: Annotated[Mapping[Offered, NamespaceSettings], Field(min_length=1)]
    """What a preview of a tier may ask for; its requests are what it is charged."""
    budget: Compute
    """What all previews may request together, times hours: each is charged its tier for a whole ``ttl``."""
    requeue: Duration
    fresh: Duration
    """How long the plugin answers from one set of facts."""
    stale: Duration
    """How long it repeats them where there are no newer ones to be had."""
    reaper: Reaper
