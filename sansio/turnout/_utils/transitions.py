"""What the tables of the state machines share."""

from __future__ import annotations

import enum
from typing import Any

__all__ = ["refuse_transition"]


def refuse_transition(what: str, old: enum.Enum, new: enum.Enum) -> Any:
    """Raise the error for a transition that no table has: a mistake in this package, not of a caller.

    Raises:
        AssertionError: Always.
    """
    raise AssertionError(f"{what} cannot go from {old.name} to {new.name}")
