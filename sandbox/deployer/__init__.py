"""The built-in deployer: replays a recording on the sandbox's servers when there is no Pulumi CLI.

It keeps no state: what a stack owns is found by label and tag, so that running again repairs any interruption.
"""

from __future__ import annotations

from .engine import OnChange, destroy, drift, preview, up
from .model import Action, Change, Difference, Patience, Target

__all__ = [
    "Action",
    "Change",
    "Difference",
    "OnChange",
    "Patience",
    "Target",
    "destroy",
    "drift",
    "preview",
    "up",
]
