"""Words to make values of, from the generator library's English data, each with nothing that needs escaping."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib import metadata

from mimesis import Generic, Locale

from ladder.contract.seed import Vocabulary

__all__ = ["LIBRARY", "pool"]

LIBRARY = f"mimesis-{metadata.version('mimesis')}"
"""Part of the generator's version: another release may have other words."""

_TRIES = 4000
_UNUSABLE = re.compile(r"[\\\x00-\x1f\x7f]")


@functools.cache
def pool(vocabulary: Vocabulary) -> tuple[str, ...]:
    """The distinct words of a vocabulary, sorted; of full names, their parts are pools of their own."""
    source = Generic(Locale.EN, seed=0)
    makers: dict[Vocabulary, Callable[[], str]] = {
        Vocabulary.GIVEN_NAME: source.person.first_name,
        Vocabulary.FAMILY_NAME: source.person.last_name,
        Vocabulary.STREET: source.address.street_name,
        Vocabulary.CITY: source.address.city,
        Vocabulary.COUNTRY: source.address.country_code,
        Vocabulary.PRODUCT: source.food.dish,
        Vocabulary.COLOR: source.text.color,
        Vocabulary.WORD: source.text.word,
        Vocabulary.SENTENCE: source.text.sentence,
    }
    make = makers[vocabulary]
    return tuple(sorted({_UNUSABLE.sub(" ", make()) for _ in range(_TRIES)}))
