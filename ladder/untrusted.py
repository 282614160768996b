"""What somebody else may have written, made harmless for a terminal and for Markdown."""

from __future__ import annotations

import unicodedata

__all__ = ["code", "visible"]

_LONGEST = 160
_UNSEEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}


def visible(text: str, longest: int = _LONGEST) -> str:
    """The text in one line, with what has no shape of its own (controls, direction marks, line ends) as escapes.

    No backtick is left in it either. What is beyond ``longest`` characters is counted, not shown.
    """
    rest = len(text) - longest
    shown = "".join(_escape(sign) for sign in text[:longest])
    return f"{shown}… ({rest} characters more)" if rest > 0 else shown


def _escape(sign: str) -> str:
    if sign != "`" and unicodedata.category(sign) not in _UNSEEN:
        return sign
    return f"\\u{ord(sign):04x}" if ord(sign) <= 0xFFFF else f"\\U{ord(sign):08x}"


def code(text: str, longest: int = 400) -> str:
    """A code span of Markdown, in which the text is visible: no markup, mention or link comes of it."""
    return f"`{visible(text, longest)}`" if text.strip() else "`␠`"
