"""The settings of a store: the address of Valkey or Redis, and how a router uses it."""

from __future__ import annotations

import os
import secrets
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from importlib import resources
from typing import Any, TypeAlias

import attrs

from turnout._utils.validation import number
from turnout.config.shared_settings import SharedSettings
from turnout.config.values import SettingsError
from turnout.routing.policy.settings import Policy
from turnout.routing.state.shared_limits import SharedLimits
from turnout.shared.leases.window import FailMode
from turnout.shared.state import SharedState, Sharing
from turnout.shared.store.address import StoreAddress
from turnout.shared.store.session import StoreFailed
from turnout_io.transports.tls import TlsSettings

__all__ = ["Password", "Valkey", "from_settings", "new_state", "script_texts", "shared_limits"]

Password: TypeAlias = "str | Callable[[], str | Awaitable[str]]"

SCRIPTS = ("window", "balance", "notice", "probe")


def script_texts() -> dict[str, str]:
    """Return the Lua scripts by name."""
    folder = resources.files("turnout_io.shared") / "scripts"
    return {name: (folder / f"{name}.lua").read_text("utf-8") for name in SCRIPTS}


@attrs.frozen(init=False)
class Valkey:
    """A Valkey or Redis server (from 6.0) that processes share limits, budgets and cooldowns through.

    Attributes:
        address: Where it is.
        sharing: How it is used.
        connect_timeout: Seconds for a connection, TLS included.
    """

    address: StoreAddress
    sharing: Sharing
    connect_timeout: float = attrs.field(validator=number(above=0))
    _password: Password | None = attrs.field(repr=False)
    _tls: TlsSettings = attrs.field(repr=False)

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "turnout",
        fail: FailMode = "local-share",
        processes: int | None = None,
        password: Password | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: str | tuple[str, ...] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 5.0,
    ) -> None:
        """Describe a store; nothing is connected yet.

        Args:
            url: `valkeys://user:password@host:6379/0` and the like; see
                `turnout.shared.store.address.StoreAddress.parse`.
            namespace: Routers with the same namespace share; others see nothing of each other.
            fail: "local-share" or "closed"; see `turnout.shared.state.Sharing`.
            processes: How many processes are expected. With it, a router may begin while the store is out of reach.
            password: In place of the one in the URL; a function is called for each connection, for tokens that expire.
            ca_file: Certificates to trust in place of the system's: a PEM file or a directory.
            client_cert: A PEM file with certificate and key, or (certificate, key), or (certificate, key, password).
            ssl_context: Used as it is, in place of the two above.
            connect_timeout: Seconds for a connection, TLS included.

        Raises:
            ValueError: If the URL is not one of a store, or a value is out of range.
        """
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]  # it does not know what attrs adds
            StoreAddress.parse(url),
            Sharing(namespace=namespace, fail=fail, processes=processes),
            connect_timeout,
            password,
            TlsSettings(ca_file, client_cert, ssl_context),
        )

    @property
    def tls(self) -> TlsSettings:
        """The certificates of a TLS connection."""
        return self._tls

    async def current_password(self) -> str:
        """Return the password for the next connection.

        Raises:
            StoreFailed: If the user's function for it raises.
        """
        given = self._password
        if given is None:
            return self.address.password
        if isinstance(given, str):
            return given
        try:
            made = given()
            return made if isinstance(made, str) else await made
        except Exception as error:
            raise StoreFailed(f"the function for the store's password failed with {type(error).__name__}") from error


def from_settings(settings: SharedSettings) -> Valkey:
    """Return the store that a configuration names.

    Raises:
        SettingsError: If a setting is wrong.
    """
    try:
        return Valkey(settings.url, **settings.arguments())
    except ValueError as error:
        raise SettingsError(f"shared: {error}") from None


def new_state(valkey: Valkey) -> SharedState:
    """Return the shared state of this process, under an identifier that no other process has."""
    return SharedState(valkey.sharing, f"{os.getpid():x}-{secrets.token_hex(6)}")


def shared_limits(valkey: Valkey, lock: AbstractContextManager[Any], policy: Policy) -> SharedLimits:
    """Return the shared half of a router."""
    if not isinstance(valkey, Valkey):
        raise TypeError(f"shared must be a Valkey, not {type(valkey).__name__}")
    return SharedLimits(new_state(valkey), lock, policy.timeouts.first_token)
