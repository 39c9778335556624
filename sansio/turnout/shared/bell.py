"""How a call that needs the store reaches the driver's link, which sleeps until its next request is due."""

from __future__ import annotations

import attrs

__all__ = ["Bell"]


@attrs.define(eq=False)
class Bell:
    """A flag that leases set and the driver clears.

    Attributes:
        rung: True if a request may be due earlier than the link knows.
    """

    rung: bool = False
