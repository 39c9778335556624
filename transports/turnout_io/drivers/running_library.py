"""Which async library runs here, for the error of a router that is used on the other one."""

from __future__ import annotations

import sys

from turnout.errors import LocalProtocolError

__all__ = ["refuse_other_library"]

_PACKAGE = "turnout_io."


def refuse_other_library(router: object) -> None:
    """Raise an error if the library of `router` does not run here, and the other one does.

    Raises:
        LocalProtocolError: It names the router, and the one to use instead.
    """
    running = _running()
    modules = {kind.__module__ for kind in type(router).__mro__}
    for own, other in (("trio", "asyncio"), ("asyncio", "trio")):
        if running == other and _PACKAGE + own in modules:
            raise LocalProtocolError(
                f"this is {_PACKAGE}{own}.Router, and no {own} runs here; on {other} use {_PACKAGE}{other}.Router"
            )


def _running() -> str | None:
    """Return the name of the async library that runs the caller. It imports neither."""
    trio, asyncio = sys.modules.get("trio"), sys.modules.get("asyncio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return "trio"
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return "asyncio"
    return None
