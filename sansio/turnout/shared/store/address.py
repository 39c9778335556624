"""The URL of a store: `valkeys://user:password@host:6379/0`, or of Sentinels, which know the primary's address."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

__all__ = ["StoreAddress"]

DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
_SCHEMES: Final = {"valkey": False, "redis": False, "valkeys": True, "rediss": True}


@attrs.frozen
class StoreAddress:
    """The address of a store, and the user that logs in.

    Attributes:
        hosts: (host, port) pairs, tried in turn: Sentinels, or a primary and its replicas.
        tls: True for TLS.
        username: The user; "" for the default one.
        password: The password; never in `repr`.
        database: The number of the database.
        primary: The name under which Sentinels know the primary; "" for a plain server or a cluster.
    """

    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    database: int = 0
    primary: str = ""

    @classmethod
    def parse(cls, url: str) -> StoreAddress:
        """Read a URL.

        Forms: `valkey://host`, `valkeys://` for TLS, `redis://` and `rediss://` for the same, several hosts with a
        comma between them, and `valkey+sentinel://host1,host2/name` or `valkey+sentinel://host1,host2/name/1`.

        Raises:
            ValueError: If it is none of these. The message does not hold the password.
        """
        scheme, separator, rest = url.partition("://")
        base, plus, kind = scheme.lower().partition("+")
        if not separator or base not in _SCHEMES or (plus and kind != "sentinel"):
            raise ValueError(
                "a store's URL begins with valkey://, valkeys://, redis://, rediss:// or valkey+sentinel://, "
                f"not {scheme[:20] + '://' if separator else 'this text'!r}"
            )
        authority, _, path = rest.partition("/")
        login, at, places = authority.rpartition("@")
        username, _, password = login.partition(":") if at else ("", "", "")
        sentinel = bool(plus)
        hosts = tuple(_host(place, SENTINEL_PORT if sentinel else DEFAULT_PORT) for place in places.split(","))
        parts = [unquote(part) for part in path.partition("?")[0].split("/") if part]
        primary = ""
        if sentinel:
            if not parts:
                raise ValueError(
                    "the URL of Sentinels ends with the primary's name: valkey+sentinel://host1,host2/name"
                )
            primary = parts.pop(0)
        if len(parts) > 1 or not all(part.isascii() and part.isdigit() for part in parts):
            raise ValueError(f"the path of a store's URL is the number of a database, not {'/'.join(parts)!r}")
        return cls(
            hosts,
            tls=_SCHEMES[base],
            username=unquote(username),
            password=unquote(password),
            database=int(parts[0]) if parts else 0,
            primary=primary,
        )

    def __str__(self) -> str:
        """Return the URL without the password."""
        scheme = ("valkeys" if self.tls else "valkey") + ("+sentinel" if self.primary else "")
        user = f"{self.username}@" if self.username else ""
        places = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        path = f"/{self.primary}" if self.primary else ""
        return f"{scheme}://{user}{places}{path}" + (f"/{self.database}" if self.database else "")


def _host(place: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise ValueError("a store's URL needs a host, and a port between 1 and 65535")
    return host, port or default_port
