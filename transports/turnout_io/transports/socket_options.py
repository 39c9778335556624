"""The options of every TCP connection that a transport opens."""

from __future__ import annotations

import contextlib
import socket

__all__ = ["KEEPALIVE_SECONDS", "set_options"]

# A stream may be silent for minutes, and a NAT or a load balancer forgets connections that are silent for some minutes.
# With probes, the connection stays known, and a peer that has disappeared is noticed.
KEEPALIVE_SECONDS = 60
_PROBES = 5
# By the names of this system; macOS names the first one TCP_KEEPALIVE.
_TIMES = tuple(
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", KEEPALIVE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_SECONDS),
        ("TCP_KEEPCNT", _PROBES),
    )
    if hasattr(socket, name)
)


def set_options(opened: socket.socket) -> None:
    """Send small writes at once, and probe a silent connection every `KEEPALIVE_SECONDS`."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _TIMES:
        with contextlib.suppress(OSError):  # some systems know the name and refuse the option
            opened.setsockopt(socket.IPPROTO_TCP, option, value)
