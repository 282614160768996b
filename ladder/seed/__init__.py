"""Synthetic data: one dataset for each environment, seed and shape, and the stores it is filled into."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ladder.contract import StackSettings, ladder_settings, stack_file
from ladder.contract.problems import of_violation
from ladder.contract.seed import SEED, read_seed, seeded
from ladder.contract.violations import Violation
from ladder.errors import InputError, Problem
from ladder.seed.dataset import GENERATOR, Dataset, Part, dataset, hash_of
from ladder.seed.filled import Filled
from ladder.strict_yaml import examine

if TYPE_CHECKING:
    from sandbox.progress import Progress

__all__ = ["Seeding", "Store", "filled", "hashed", "planned"]


class Store(StrEnum):
    """What is filled."""

    DATABASE = "database"
    OBJECTS = "objects"


@dataclass(frozen=True, slots=True)
class Seeding:
    """A dataset and what became of it in each store; ``filled`` is empty where it was only made."""

    dataset: Dataset
    parts: tuple[Part, ...]
    filled: tuple[Filled, ...]

    @property
    def hash(self) -> str | None:
        """The dataset's; None where only some of its parts are known."""
        whole = len(self.parts) == len(self.dataset.tables) + len(self.dataset.objects)
        return hash_of(self.parts) if whole else None

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.dataset.environment,
            "generator": GENERATOR,
            "seed": self.dataset.seed,
            "recipe": self.dataset.recipe,
            "hash": self.hash,
            "parts": [part.as_json() for part in self.parts],
            "stores": [each.as_json() for each in self.filled],
        }


def planned(root: Path, environment: str, seed: int | None = None) -> tuple[Dataset, StackSettings | None]:
    """The environment's dataset, and the stack it is of; None for previews. ``seed`` is the shape's where it is None.

    Raises InputError where the environment is none, or is not filled with synthetic data.
    """
    stacks = ladder_settings(root)
    settings = read_seed(root, stacks)
    if settings is None:
        accepted = "a file that says what the data is like"
        raise InputError(Problem(file=SEED, message="is missing", found="no such file", accepted=accepted))
    _refuse(root, environment, stacks)
    return dataset(settings, environment, settings.seed if seed is None else seed), stacks.get(environment)


def hashed(dataset: Dataset, progress: Progress) -> Seeding:
    """Make the dataset for its hash, and keep nothing of it."""
    parts: list[Part] = []
    steps = len(dataset.tables) + len(dataset.objects)
    for table in dataset.tables:
        progress.step(f"make {table.name}", len(parts) + 1, steps)
        parts.append(table.stream(lambda _: None, lambda done, of=table.rows: progress.advance(done, of)))
    for objects in dataset.objects:
        progress.step(f"make the objects of {objects.bucket}", len(parts) + 1, steps)
        parts.append(objects.stream(lambda _, __: None, lambda done, of=objects.count: progress.advance(done, of)))
    return Seeding(dataset, tuple(parts), ())


def filled(dataset: Dataset, stores: frozenset[Store], stack: StackSettings | None, progress: Progress) -> Seeding:
    """Fill the stores. Raises what :func:`fill_database` and :func:`fill_bucket` raise."""
    done: list[Filled] = []
    if Store.DATABASE in stores:
        from ladder.seed.database import fill_database

        done.append(fill_database(dataset, progress))
    if Store.OBJECTS in stores:
        from ladder.seed.bucket import fill_bucket

        owner = stack.cloud.account if stack else None
        done += [fill_bucket(dataset, objects, progress, owner=owner) for objects in dataset.objects]
    return Seeding(dataset, tuple(part for each in done for part in each.parts), tuple(done))


def _refuse(root: Path, environment: str, stacks: Mapping[str, StackSettings]) -> None:
    """Real data is nobody's to make up, and anonymized data comes from its procedure."""
    known = seeded(root, stacks)
    if environment in known:
        return
    if environment in stacks:
        violation = Violation(
            path=("data", "class"),
            message="is no class of data that may be filled in",
            found=stacks[environment].data.data_class,
            accepted=f"throwaway or synthetic; these environments may be filled: {', '.join(known)}",
        )
        raise InputError(of_violation(violation, examine(stack_file(root, environment))))
    close = difflib.get_close_matches(environment, known, n=1)
    raise InputError(
        Problem(
            file=SEED,
            message="there is no such environment",
            found=environment,
            accepted=", ".join(known),
            example=f"ladder seed {(close or known)[0]}" if known else "",
        )
    )
