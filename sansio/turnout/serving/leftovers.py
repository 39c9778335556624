"""The fields of a request that Turnout's vocabulary does not have."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import attrs

from turnout.serving.fields import Fields

__all__ = ["Leftovers"]

_INDEX: Final = re.compile(r"\[\d+\]")


@attrs.define
class Leftovers:
    """Collects the fields that no provider receives, or rejects them.

    Args:
        reject: True to reject a field instead of leaving it out.
    """

    reject: bool = False
    _paths: dict[str, None] = attrs.field(factory=dict, init=False)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the fields that were left out, without array positions: `tools.cache_control`."""
        return tuple(self._paths)

    def collect(self, fields: Fields, known: Collection[str]) -> None:
        """Leave out the fields of an object that are not among `known`.

        Raises:
            RequestRejected: There is such a field, and this request is read strictly.
        """
        if all(name in known for name in fields.values):
            return
        for name in fields.unknown(known):
            self.leave_out(fields, name)

    def leave_out(self, fields: Fields, name: str) -> None:
        """Leave out one field of an object."""
        if self.reject:
            raise fields.rejected(name, "this gateway does not know this field", "unknown_parameter")
        self._paths[_INDEX.sub("", fields.path(name))] = None
