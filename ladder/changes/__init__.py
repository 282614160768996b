"""What the work tree changes in every environment, against a commit."""

__all__ = ["LIMIT", "SMALLEST"]

LIMIT = 60_000
"""Characters of a comment; GitHub takes 65,536."""

SMALLEST = 1_000
"""What a comment's head and the counts of what is left out need."""
