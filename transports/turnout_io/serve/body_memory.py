"""A bound for the bodies of all requests together."""

from __future__ import annotations

import attrs

__all__ = ["BodyMemory"]


@attrs.define(eq=False)
class BodyMemory:
    """The bytes of request bodies that the gateway holds, from their arrival to the end of the response.

    Only bytes that have arrived are counted: a client that declares a long body and sends nothing takes no room from
    others.

    Args:
        limit: The most bytes at one time.
        held: The bytes that are held now.
    """

    limit: int
    held: int = attrs.field(default=0, init=False)

    def has_room(self, size: int) -> bool:
        """Return True if this many more bytes could be held now."""
        return self.held + size <= self.limit
