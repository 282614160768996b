"""The program: settings from the stack's configuration, one environment, its outputs."""

import pulumi

from components import Environment
from ladder.contract import settings_from_config
from ladder.errors import InputError

try:
    settings = settings_from_config(pulumi.Config())
except InputError as error:
    raise pulumi.RunError(f"the stack's configuration is not accepted:\n{error}") from None

for name, value in Environment("environment", settings).outputs.items():
    pulumi.export(name, value)
