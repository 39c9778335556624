"""The options of every TCP connection that a transport opens."""

from __future__ import annotations

import contextlib
import socket

__all__ = ["KEEPALIVE_SECONDS", "set_options"]

# A stream may be silent for minutes, and a NAT or a load balancer forgets connections that are silent for some minutes.
# With probes, the connection stays known, and a peer that has disappeared is noticed.
KEEPALIVE_SECONDS = 60
_PROBES = 5


def set_options(opened: socket.socket) -> None:
    """Send small writes at once, and probe a silent connection every `KEEPALIVE_SECONDS`."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # macOS names the first one TCP_KEEPALIVE.
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    for option, value in (
        (idle, KEEPALIVE_SECONDS),
        (getattr(socket, "TCP_KEEPINTVL", None), KEEPALIVE_SECONDS),
        (getattr(socket, "TCP_KEEPCNT", None), _PROBES),
    ):
        if option is not None:
            with contextlib.suppress(OSError):  # some systems know the name and refuse the option
                opened.setsockopt(socket.IPPROTO_TCP, option, value)
