"""Shapes of synthetic data: a small one with every kind of column, and any that the contract accepts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ladder.contract.seed import SeedSettings, Vocabulary
from ladder.seed.dataset import Dataset, dataset
from tests.support import Project, copy_project

__all__ = ["EVEN", "SMALL", "made", "project_with", "settings_of", "shapes", "small"]

EVEN = {"kind": "even"}
LOW = {"kind": "low", "power": 3}
DEV = {"preview": 3, "dev": 1100, "staging": 2500}

SMALL: dict[str, Any] = {
    "seed": 7,
    "tables": {
        "people": {
            "rows": {"preview": 2, "dev": 300, "staging": 1500},
            "columns": {
                "id": {"kind": "key"},
                "name": {"kind": "text", "words": "full-name", "nulls": 0},
                "email": {"kind": "email", "nulls": 0},
                "phone": {"kind": "phone", "nulls": 20},
                "parent": {"kind": "reference", "table": "people", "spread": EVEN, "nulls": 50},
                "motto": {"kind": "text", "words": "sentence", "nulls": 0},
            },
        },
        "order": {
            "rows": DEV,
            "columns": {
                "code": {"kind": "uuid", "nulls": 0},
                "id": {"kind": "key"},
                "user": {"kind": "reference", "table": "people", "spread": LOW, "nulls": 0},
                "state": {"kind": "choice", "weights": {"paid": 3, "open": 1}, "nulls": 0},
                "gift": {"kind": "boolean", "percent": 10, "nulls": 5},
                "items": {"kind": "integer", "min": -3, "max": 40, "spread": {"kind": "bell"}, "nulls": 0},
                "total": {"kind": "decimal", "min": -10, "max": 900, "digits": 2, "spread": LOW, "nulls": 0},
                "placed": {
                    "kind": "timestamp",
                    "first": "2030-01-01",
                    "last": "2030-01-31",
                    "spread": {"kind": "high", "power": 2},
                    "nulls": 0,
                },
                "receipt": {"kind": "object", "bucket": "uploads", "spread": EVEN, "nulls": 0},
            },
        },
    },
    "objects": {
        "uploads": {
            "count": {"preview": 1, "dev": 12, "staging": 30},
            "minBytes": 0,
            "maxBytes": 3000,
            "spread": LOW,
        }
    },
}


def settings_of(shape: dict[str, Any]) -> SeedSettings:
    return SeedSettings.model_validate_json(json.dumps(shape))


def small() -> dict[str, Any]:
    """The small shape, free to be changed."""
    return copy.deepcopy(SMALL)


def made(shape: dict[str, Any], environment: str = "dev", seed: int = 7) -> Dataset:
    return dataset(settings_of(shape), environment, seed)


def project_with(root: Path, shape: dict[str, Any]) -> Project:
    """A copy of the project with that shape; JSON is YAML."""
    project = copy_project(root)
    (project.root / "seed.yaml").write_text(json.dumps(shape, indent=1), encoding="utf-8")
    return project


def _names() -> st.SearchStrategy[str]:
    return st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True).filter(
        lambda name: name not in {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"}
    )


_SPREADS = st.sampled_from(["even", "bell"]).map(lambda kind: {"kind": kind}) | st.builds(
    lambda kind, power: {"kind": kind, "power": power}, st.sampled_from(["low", "high"]), st.integers(2, 16)
)


def _range(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=2, max_size=2).map(sorted)


@st.composite
def _columns(draw: st.DrawFn, tables: list[str], buckets: list[str]) -> dict[str, Any]:
    kinds = ["reference", "text", "choice", "boolean", "integer", "decimal", "timestamp", "email", "uuid", "phone"]
    kind = draw(st.sampled_from(kinds + ["object"] * bool(buckets)))
    column: dict[str, Any] = {"kind": kind, "nulls": draw(st.integers(0, 100))}
    match kind:
        case "reference":
            column |= {"table": draw(st.sampled_from(tables)), "spread": draw(_SPREADS)}
        case "object":
            column |= {"bucket": draw(st.sampled_from(buckets)), "spread": draw(_SPREADS)}
        case "text":
            column["words"] = draw(st.sampled_from(list(Vocabulary))).value
        case "choice":
            words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", fullmatch=True)
            column["weights"] = draw(st.dictionaries(words, st.integers(1, 10**6), min_size=1, max_size=5))
        case "boolean":
            column["percent"] = draw(st.integers(0, 100))
        case "integer":
            column["min"], column["max"] = draw(_range(-(10**12), 10**12))
            column["spread"] = draw(_SPREADS)
        case "decimal":
            column["min"], column["max"] = draw(_range(-(10**9), 10**9))
            column |= {"digits": draw(st.integers(1, 4)), "spread": draw(_SPREADS)}
        case "timestamp":
            days = sorted(draw(st.lists(st.dates(), min_size=2, max_size=2)))
            column |= {"first": str(days[0]), "last": str(days[1]), "spread": draw(_SPREADS)}
        case _:
            pass
    return column


@st.composite
def shapes(draw: st.DrawFn, buckets: tuple[str, ...] = ("uploads", "exports")) -> dict[str, Any]:
    """Any shape that the contract accepts, of few and small tables."""
    tables = draw(st.lists(_names(), min_size=1, max_size=3, unique=True))
    filled = draw(st.lists(st.sampled_from(buckets), unique=True)) if buckets else []
    shape: dict[str, Any] = {"seed": draw(st.integers(0, 10**15 - 1)), "tables": {}, "objects": {}}
    counts = st.fixed_dictionaries({name: st.integers(1, 1500) for name in ("preview", "dev", "staging")})
    for table in tables:
        names = draw(st.lists(_names(), min_size=1, max_size=6, unique=True))
        columns = {name: draw(_columns(tables, filled)) for name in names}
        columns[draw(st.sampled_from(names))] = {"kind": "key"}
        shape["tables"][table] = {"rows": draw(counts), "columns": columns}
    for bucket in filled:
        low, high = draw(_range(0, 5000))
        few = st.fixed_dictionaries({name: st.integers(1, 20) for name in ("preview", "dev", "staging")})
        shape["objects"][bucket] = {"count": draw(few), "minBytes": low, "maxBytes": high, "spread": draw(_SPREADS)}
    return shape
