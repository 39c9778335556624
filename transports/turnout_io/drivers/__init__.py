"""The drivers: they perform the commands of a call over a transport.

`_async` is written by hand. `_sync` is generated from it by `tools/unasync.py`, and CI checks that it is up to date.
`turnout_io.sync`, `turnout_io.trio` and `turnout_io.asyncio` add a runtime and a transport. The classes below are their
bases, for annotations of code that is written for several of them. Each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnout_io.drivers._async.router import AsyncRouter
    from turnout_io.drivers._async.stream import AsyncChatStream
    from turnout_io.drivers._sync.router import SyncRouter

__all__ = ["AsyncChatStream", "AsyncRouter", "SyncRouter"]

_MODULES = {"AsyncChatStream": "_async.stream", "AsyncRouter": "_async.router", "SyncRouter": "_sync.router"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
