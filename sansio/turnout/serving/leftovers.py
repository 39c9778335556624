"""The fields of a request that Turnout's vocabulary does not have.

Most of them belong to one protocol. They go into `extra` under the name of that protocol, so that a provider receives
them only if it speaks it (`turnout.types.extras`). Fields that no provider can receive are left out and named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

from turnout.serving.fields import Fields

__all__ = ["Leftovers"]

_INDEX: Final = re.compile(r"\[\d+\]")
# A mark that several protocols have under one name, outside every scope: `turnout.types.extras` knows its owners.
_SHARED: Final = {"cache_control": frozenset({"anthropic", "bedrock", "openrouter", "openai-compatible"})}


@attrs.define
class Leftovers:
    """Collects the fields outside the vocabulary, or rejects them.

    Args:
        scope: The name of the protocol in an `extra`.
        reject: True to reject a field that the vocabulary does not have.
    """

    scope: str
    reject: bool = False
    _ignored: dict[str, None] = attrs.field(factory=dict, init=False)
    _scoped: dict[str, frozenset[str]] = attrs.field(factory=dict, init=False)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The paths of the fields that no provider receives, without array positions: `tools.defer_loading`."""
        return tuple(self._ignored)

    @property
    def scoped(self) -> Mapping[str, frozenset[str]]:
        """The paths of the fields that some providers receive, with the scopes of those providers."""
        return dict(self._scoped)

    def ignore(self, fields: Fields, known: Collection[str]) -> None:
        """Leave out the fields of an object that are not among `known`.

        Raises:
            RequestRejected: There is such a field, and this request is read strictly.
        """
        if all(name in known for name in fields.values):
            return
        for name in fields.unknown(known):
            self.leave_out(fields, name)

    def extra(self, fields: Fields, known: Collection[str]) -> dict[str, Any]:
        """Return the fields of an object that are not among `known`, as an `extra` with their scope.

        Raises:
            RequestRejected: There is such a field, and this request is read strictly.
        """
        if all(name in known for name in fields.values):
            return {}
        unknown = fields.unknown(known)
        shared = {name: unknown.pop(name) for name in _SHARED if name in unknown}
        for name in shared:
            self._scoped[_path(fields, name)] = _SHARED[name]
        for name in unknown:
            self.keep(fields, name)
        return {**shared, self.scope: unknown} if unknown else shared

    def keep(self, fields: Fields, name: str) -> None:
        """Note one field that only providers of this protocol receive.

        Raises:
            RequestRejected: This request is read strictly.
        """
        self._check(fields, name)
        self._scoped[_path(fields, name)] = frozenset({self.scope})

    def leave_out(self, fields: Fields, name: str) -> None:
        """Note one field that no provider receives.

        Raises:
            RequestRejected: This request is read strictly.
        """
        self._check(fields, name)
        self._ignored[_path(fields, name)] = None

    def _check(self, fields: Fields, name: str) -> None:
        if self.reject:
            raise fields.rejected(name, "this gateway does not know this field", "unknown_parameter")


def _path(fields: Fields, name: str) -> str:
    return _INDEX.sub("", fields.path(name))
