"""Promotion: a build enters dev, a candidate climbs by its digests, and what allowed it can be checked afterwards.

:mod:`statements` says what is stated, :mod:`chain` keeps it, :mod:`history` is what follows from it; each verb of the
command line that moves a digest has a module of its own name here.
"""

from __future__ import annotations

__all__ = ["Broken"]


class Broken(Exception):
    """Evidence is not what it must be; the text says what is wrong with it."""
