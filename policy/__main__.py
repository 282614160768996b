"""The policy pack's process: the constructor serves the engine and does not return."""

from pack import POLICIES
from pulumi_policy import EnforcementLevel, PolicyPack

PolicyPack(name="environment-ladder", enforcement_level=EnforcementLevel.MANDATORY, policies=POLICIES)
