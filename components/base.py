"""What every component shares: its type token, and how durable what it makes must be."""

from __future__ import annotations

import pulumi

__all__ = ["Component", "durable"]


class Component(pulumi.ComponentResource):
    """A component whose type token is ``ladder:<module>:<Class>``."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        cls = type(self)
        super().__init__(f"ladder:{cls.__module__.rpartition('.')[2]}:{cls.__name__}", name, None, opts)


def durable(
    parent: pulumi.Resource, *, real_data: bool, depends_on: list[pulumi.Resource] | None = None
) -> pulumi.ResourceOptions:
    """Options of a resource that holds or guards data: where data is real, neither deleted nor forgotten by accident.

    ``retain_on_delete`` is inherited only inside the engine, so it is set on each resource that must have it.
    """
    return pulumi.ResourceOptions(
        parent=parent, protect=real_data or None, retain_on_delete=real_data or None, depends_on=depends_on
    )
