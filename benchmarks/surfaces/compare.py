"""The comparison of an SDK's values with Turnout's tables.

A value is known if one of our tables has it, or if somebody has looked at it and left it out for a reason
(`reviewed.toml`). Every other value is unknown. A review that has become idle is reported as well: its value is in a
table by now, or no SDK has it any more.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

__all__ = ["Comparison", "Review", "Surface", "compare", "idle_reviews", "load_reviews", "load_surfaces"]

_HERE = Path(__file__).parent


@attrs.frozen
class Surface:
    """Something that an SDK enumerates: the words for the end of an answer, the kinds of events, its error codes.

    Attributes:
        name: Unique; it starts with the requirement's name of the SDK and a colon.
        type: Where the SDK declares it (see `read_sdk.py`).
        known: The name of our table (see `known.py`).
        key: The field whose values count in each member of a union; `*` for the names of the fields.
    """

    name: str
    type: str
    known: str
    key: str | None = None

    @property
    def sdk(self) -> str:
        return self.name.partition(":")[0]


@attrs.frozen
class Review:
    """Values that Turnout leaves out on purpose, and why."""

    known: str
    reason: str
    values: Sequence[str]


@attrs.frozen
class Comparison:
    """The values of one surface: how many there are, which ones a review covers, and which ones nobody knows."""

    surface: Surface
    count: int
    reviewed: tuple[str, ...]
    unknown: tuple[str, ...]


def compare(
    surfaces: Iterable[Surface],
    values: Mapping[str, Collection[str]],
    tables: Mapping[str, Container[str]],
    reviews: Iterable[Review],
) -> list[Comparison]:
    """Compare each surface with the table that it names.

    Args:
        surfaces: What to compare.
        values: The SDK's values by the name of the surface.
        tables: Our values by the name of the table.
        reviews: The values left out on purpose.
    """
    left_out = _by_table(reviews)
    compared = []
    for surface in surfaces:
        missing = [value for value in values[surface.name] if value not in tables[surface.known]]
        reviewed = tuple(value for value in missing if value in left_out[surface.known])
        unknown = tuple(value for value in missing if value not in left_out[surface.known])
        compared.append(Comparison(surface, len(values[surface.name]), reviewed, unknown))
    return compared


def idle_reviews(
    surfaces: Sequence[Surface],
    values: Mapping[str, Collection[str]],
    tables: Mapping[str, Container[str]],
    reviews: Iterable[Review],
) -> list[str]:
    """Return a sentence for each reviewed value that needs no review any more."""
    declared: dict[str, set[str]] = defaultdict(set)
    for surface in surfaces:
        declared[surface.known].update(values[surface.name])
    idle = []
    for known, left_out in _by_table(reviews).items():
        for value in sorted(left_out):
            if value in tables[known]:
                idle.append(f"{known}: {value} is in the table by now; remove its review")
            elif value not in declared[known]:
                idle.append(f"{known}: {value} is in no SDK any more; remove its review")
    return idle


def _by_table(reviews: Iterable[Review]) -> dict[str, set[str]]:
    left_out: dict[str, set[str]] = defaultdict(set)
    for review in reviews:
        left_out[review.known].update(review.values)
    return left_out


def load_surfaces(file: Path = _HERE / "surfaces.toml") -> list[Surface]:
    """Return the surfaces of a file."""
    return [Surface(**entry) for entry in _entries(file, "surface")]


def load_reviews(file: Path = _HERE / "reviewed.toml") -> list[Review]:
    """Return the reviews of a file."""
    return [Review(**entry) for entry in _entries(file, "review")]


def _entries(file: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8")).get(name, [])
    return found
