"""The transports that Turnout has: requests, blocking sockets, trio and asyncio.

Each is imported when it is first used, so that a program loads only the one that it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnout_io.transports.asyncio import AsyncioTransport
    from turnout_io.transports.requests import RequestsTransport
    from turnout_io.transports.socket import SocketTransport
    from turnout_io.transports.trio import TrioTransport

__all__ = ["AsyncioTransport", "RequestsTransport", "SocketTransport", "TrioTransport"]

_MODULES = {
    "AsyncioTransport": "asyncio",
    "RequestsTransport": "requests",
    "SocketTransport": "socket",
    "TrioTransport": "trio",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
