"""Names that every socket runtime uses. The interface of a runtime is `AsyncSocketRuntime` in `_async/runtime.py`."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, TypeAlias

__all__ = ["MAX_WAIT", "Address", "DeadlinePassed", "Interrupted", "numeric_addresses"]

# Seconds of the longest wait that every system call accepts: `poll` takes 32 bits of milliseconds, about 24 days.
MAX_WAIT = 2_147_483.0

# (family, type, protocol, canonical name, socket address), as `socket.getaddrinfo` returns it.
Address: TypeAlias = tuple[int, int, int, str, Any]


class DeadlinePassed(Exception):
    """The deadline passed during a wait. It is not a TimeoutError, because the kernel's ETIMEDOUT is one too."""


class Interrupted(Exception):
    """Another thread or task closed the connection during a wait."""


def numeric_addresses(host: str, port: int) -> Sequence[Address] | None:
    """Return the address if `host` is a numeric one, without a name look-up. None if it is a name."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return None
