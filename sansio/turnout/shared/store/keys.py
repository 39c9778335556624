"""The names under which the store keeps shared state.

Every key has one hash tag in braces, so a script has one key, and a cluster may keep each limit on another node. Names
of providers, models and users are percent-encoded. No key holds a secret or a part of a prompt.
"""

from __future__ import annotations

import hashlib
from typing import Final
from urllib.parse import quote

__all__ = ["PROTOCOL", "balance_key", "encode_name", "notices_key", "probe_key", "window_key"]

PROTOCOL: Final = 1
"""Processes with different numbers share nothing."""

LONGEST_NAME: Final = 200  # bytes


def encode_name(name: str) -> str:
    """Return a name as a part of a key: percent-encoded, and cut with a digest if it is too long."""
    encoded = quote(name, safe="/.-_:@")
    if len(encoded) <= LONGEST_NAME:
        return encoded
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{encoded[: LONGEST_NAME - 17]}~{digest}"


def window_key(namespace: str, name: str, milliseconds: int) -> str:
    """Return the key of a limit in any `milliseconds`."""
    return _key(namespace, "w", name, str(milliseconds))


def balance_key(namespace: str, kind: str, name: str, period: str = "") -> str:
    """Return the key of slots ("h") or money ("b")."""
    return _key(namespace, kind, name, *([period] if period else []))


def probe_key(namespace: str, candidate: str) -> str:
    """Return the key of the one probe of a candidate."""
    return _key(namespace, "p", candidate)


def notices_key(namespace: str) -> str:
    """Return the key of the notices, which is the name of their channel too."""
    return _key(namespace, "f")


def _key(namespace: str, *parts: str) -> str:
    return f"turnout:{PROTOCOL}:{{{'|'.join(encode_name(part) for part in (namespace, *parts))}}}"
