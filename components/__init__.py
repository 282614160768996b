"""The Pulumi components. A program builds one :class:`Environment`; the rest are its parts."""

from components.environment import Environment

__all__ = ["Environment"]
