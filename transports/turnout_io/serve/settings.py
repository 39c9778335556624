"""The section `serve` of a configuration file.

serve:
  listen: 127.0.0.1:8080
  aliases:
    fast: [openai/gpt-4o-mini, groq/llama-3.3-70b-versatile]
    claude-sonnet-4-5: route/smart
    embed: {models: [openai/text-embedding-3-small], family: text-embedding-3-small}
  keys:
    - name: team-a
      key: ${TEAM_A_KEY}
      models: [fast, route/*]
      requestsPerMinute: 60
      budget: {amount: 50, per: month}
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import attrs

from turnout.chat import ModelConfig
from turnout.config.values import (
    SettingsError,
    duration_seconds,
    known_only,
    mapping_of,
    number_of,
    quoted,
    size_of,
    snake_keys,
    text_of,
    whole_number,
    without_variables,
)
from turnout.routing import Budget
from turnout.routing.policy.priority import priority_number

__all__ = [
    "SHORTEST_KEY",
    "Address",
    "AliasSettings",
    "GatewaySettings",
    "KeySettings",
    "parse_address",
    "read_gateway_settings",
]


@attrs.frozen
class Address:
    """Where a server listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen(kw_only=True)
class KeySettings:
    """One key of the gateway with its rights and limits.

    Args:
        name: The name of the key in logs, metrics and the budget file.
        digest: SHA-256 of the key.
        models: The names that it can use, as patterns such as `route/*`. None allows all that the gateway allows.
        requests_per_minute: Generation calls in any minute.
        tokens_per_minute: Tokens of prompts and answers in any minute.
        max_concurrency: Calls at the same time.
        budget: The money that it can spend.
        priority: Of its calls while calls wait for a provider: 0 is served first (`turnout.routing.policy.priority`).
        metrics: True if it can read `/metrics`, which shows the usage and the budgets of all keys.
        is_short: True if the key has so few characters that it can be guessed.
    """

    name: str
    digest: bytes = attrs.field(repr=False)
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrency: int | None = None
    budget: Budget | None = None
    priority: float = 0.0
    metrics: bool = False
    is_short: bool = False


@attrs.frozen(kw_only=True)
class AliasSettings:
    """One name for several models, in the order in which they are tried.

    Args:
        models: The models or routes.
        family: Says that all models return the same vectors, so that an embedding can fall back.
    """

    models: tuple[ModelConfig, ...]
    family: str | None = None


_BOUNDS: Final = {
    "head_after": "headAfter",
    "max_body": "maxBody",
    "max_bodies": "maxBodies",
    "max_timeout": "maxTimeout",
    "max_connections": "maxConnections",
    "max_in_flight": "maxInFlight",
    "head_timeout": "headTimeout",
    "body_timeout": "bodyTimeout",
    "request_timeout": "requestTimeout",
    "idle_timeout": "idleTimeout",
    "write_timeout": "writeTimeout",
}
"""The settings that are numbers, and their names in a file."""


@attrs.frozen(kw_only=True)
class GatewaySettings:
    """How the gateway serves.

    Args:
        listen: Where it listens.
        aliases: Names of models, by name.
        keys: The keys of clients. Without keys, only this machine can connect, and no key is needed.
        allow: The names that a client can use: `aliases` and routes only, or `any` provider/model. None is `any`
            without keys, and `aliases` with keys.
        head_after: Seconds of silence after which a stream begins although no token has arrived. Afterwards the same
            silence is filled with comments, because proxies close a silent connection.
        grace: Seconds that running requests can go on when the gateway stops.
        max_body: Bytes of a request's body.
        max_bodies: Bytes of the bodies of all requests that are arriving or running. A request beyond is rejected.
        max_timeout: The longest deadline of a call that a client can set, in seconds.
        max_connections: Connections at the same time.
        max_in_flight: Calls at the same time. None is no bound.
        head_timeout, body_timeout, request_timeout, idle_timeout, write_timeout: Seconds; see `ConnectionLimits`.
        ignore_unknown: Leave out fields that no provider can receive. False rejects them.
        cors_origins: Origins of web pages that can use the gateway. All other requests with an origin are rejected.
        tls_certificate, tls_key: Files in PEM. None serves without TLS.
        metrics: A second address that serves `/metrics` without a key.
        budget_file: A file that remembers what keys have spent. None forgets it when the gateway stops.
    """

    listen: Address = Address("127.0.0.1", 8080)
    aliases: Mapping[str, AliasSettings] = attrs.field(factory=dict)
    keys: tuple[KeySettings, ...] = ()
    allow: Literal["any", "aliases"] | None = None
    head_after: float = 15.0
    grace: float = 30.0
    max_body: int = 32 * 1024 * 1024
    max_bodies: int = 512 * 1024 * 1024
    max_timeout: float = 600.0
    max_connections: int = 1000
    max_in_flight: int | None = None
    head_timeout: float = 30.0
    body_timeout: float = 60.0
    request_timeout: float = 600.0
    idle_timeout: float = 75.0
    write_timeout: float = 60.0
    ignore_unknown: bool = True
    cors_origins: frozenset[str] = frozenset()
    tls_certificate: str | None = None
    tls_key: str | None = None
    metrics: Address | None = None
    budget_file: str | None = None

    def __attrs_post_init__(self) -> None:
        if not self.keys and not self.listen.is_loopback:
            raise SettingsError(
                f"serve.listen: {self.listen} can be reached from other machines, so serve.keys must have a key; "
                "or listen on 127.0.0.1"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError("serve.tlsCertificate and serve.tlsKey must be given together")
        for name, field in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"serve.{field}: must be more than 0, not {value:g}")
        if not 0 <= self.grace < math.inf:
            raise SettingsError(f"serve.grace: must be 0 or more, not {self.grace:g}")
        if self.max_bodies < self.max_body:
            raise SettingsError("serve.maxBodies: must be at least serve.maxBody, or the largest requests never fit")

    @property
    def allows_any(self) -> bool:
        """True if a client can name a provider and its model."""
        return self.allow == "any" or (self.allow is None and not self.keys)


def parse_address(text: str, where: str) -> Address:
    """Return the address of `HOST:PORT`, `:PORT` (all addresses) or `PORT` (this machine).

    Raises:
        SettingsError: The text is no address.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        host = "127.0.0.1"
    elif not host:
        host = "0.0.0.0"
    host = host.removeprefix("[").removesuffix("]")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise SettingsError(f"{where}: an address such as 127.0.0.1:8080 was expected, not {quoted(text)}")
    return Address(host, int(port))


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{where}: true or false was expected, not {quoted(value)}")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise SettingsError(f"{where}: a list of names was expected, not {quoted(value)}")
    return tuple(items)


def _address(value: object, where: str) -> Address:
    return parse_address(value if isinstance(value, str) else quoted(value), where)


def _one_of(*words: str) -> Callable[[object, str], str]:
    def read(value: object, where: str) -> str:
        if value not in words:
            raise SettingsError(f"{where}: {' or '.join(words)} was expected, not {quoted(value)}")
        return str(value)

    return read


def _budget(value: object, where: str) -> Budget:
    given = known_only(snake_keys(value, where), where, ("amount", "per"))
    if given.get("amount") is None:
        raise SettingsError(f"{where}.amount: an amount of money was expected")
    amount = number_of(given["amount"], f"{where}.amount")
    if amount <= 0:
        raise SettingsError(f"{where}.amount: must be more than 0")
    try:
        return Budget(amount, per=given.get("per", "month"))
    except ValueError as error:
        raise SettingsError(f"{where}.per: {error}") from None


def _priority(value: object, where: str) -> float:
    try:
        return priority_number(value)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{where}: {error}") from None


SHORTEST_KEY: Final = 16
"""Characters of a key that is not guessed: 64 bits, in hexadecimal."""

_KEY: Final = (
    "name",
    "key",
    "sha256",
    "models",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrency",
    "budget",
    "priority",
    "metrics",
)


def _key(value: object, where: str) -> KeySettings:
    given = known_only(snake_keys(value, where), where, _KEY)
    name = text_of(given.get("name"), f"{where}.name")
    if name is None:
        raise SettingsError(f"{where}.name: a name was expected, which stands for the key in logs")
    secret = (text_of(given.get("key"), f"{where}.key") or "").strip() or None
    sha256 = text_of(given.get("sha256"), f"{where}.sha256")
    if (secret is None) == (sha256 is None):
        raise SettingsError(
            f"{where}: give either `key` or `sha256`; a key from a variable such as ${{TEAM_A_KEY}} must be set"
        )
    if secret is not None:
        if not secret.isascii():
            raise SettingsError(f"{where}.key: only ASCII characters can be sent as a key")
        digest = hashlib.sha256(secret.encode()).digest()
    else:
        try:
            digest = bytes.fromhex(sha256 or "")
        except ValueError:
            digest = b""
        if len(digest) != 32:
            raise SettingsError(f"{where}.sha256: 64 hexadecimal digits were expected")
    limits: dict[str, Any] = {
        limit: whole_number(given[limit], f"{where}.{limit}")
        for limit in ("requests_per_minute", "tokens_per_minute", "max_concurrency")
        if given.get(limit) is not None
    }
    for limit, count in limits.items():
        if count < 1:
            raise SettingsError(f"{where}.{limit}: must be at least 1")
    return KeySettings(
        name=name,
        digest=digest,
        models=_texts(given["models"], f"{where}.models") if given.get("models") is not None else None,
        budget=_budget(given["budget"], f"{where}.budget") if given.get("budget") is not None else None,
        priority=_priority(given["priority"], f"{where}.priority") if given.get("priority") is not None else 0.0,
        metrics=_flag(given["metrics"], f"{where}.metrics") if given.get("metrics") is not None else False,
        is_short=secret is not None and len(secret) < SHORTEST_KEY,
        **limits,
    )


def _keys(value: object, where: str) -> tuple[KeySettings, ...]:
    if not isinstance(value, list):
        raise SettingsError(f"{where}: a list of keys was expected, each with a name")
    keys = tuple(_key(item, f"{where}[{index}]") for index, item in enumerate(value))
    for what, found in (("name", [key.name for key in keys]), ("key", [key.digest for key in keys])):
        if len(set(found)) != len(found):
            raise SettingsError(f"{where}: two keys have the same {what}")
    return keys


_MODEL: Final = tuple(field.name for field in attrs.fields(ModelConfig)[2:])


def _model(value: object, where: str) -> ModelConfig:
    settings: dict[str, Any] = {}
    if isinstance(value, Mapping):
        settings = dict(known_only(snake_keys(value, where), where, ("model", *_MODEL)))
        value = settings.pop("model", None)
    if not isinstance(value, str):
        raise SettingsError(f"{where}: a model was expected, such as openai/gpt-4o-mini or route/smart")
    try:
        return ModelConfig.parse(value, **settings)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{where}: {error}") from None


def _alias(value: object, where: str) -> AliasSettings:
    family = None
    if isinstance(value, Mapping) and "models" in value:
        given = known_only(snake_keys(value, where), where, ("models", "family"))
        family = text_of(given.get("family"), f"{where}.family")
        value = given["models"]
    items = value if isinstance(value, list) else [value]
    if not items:
        raise SettingsError(f"{where}: a list of models was expected, such as [openai/gpt-4o-mini]")
    models = tuple(_model(item, f"{where}[{index}]") for index, item in enumerate(items))
    return AliasSettings(models=models, family=family)


def _aliases(value: object, where: str) -> dict[str, AliasSettings]:
    return {str(name): _alias(item, f"{where}.{name}") for name, item in mapping_of(value, where).items()}


_READERS: Final[dict[str, Callable[[object, str], Any]]] = {
    "listen": _address,
    "aliases": _aliases,
    "keys": _keys,
    "allow": _one_of("any", "aliases"),
    "head_after": duration_seconds,
    "grace": duration_seconds,
    "max_body": size_of,
    "max_bodies": size_of,
    "max_timeout": duration_seconds,
    "max_connections": whole_number,
    "max_in_flight": whole_number,
    "head_timeout": duration_seconds,
    "body_timeout": duration_seconds,
    "request_timeout": duration_seconds,
    "idle_timeout": duration_seconds,
    "write_timeout": duration_seconds,
    "ignore_unknown": _flag,
    "cors_origins": lambda value, where: frozenset(_texts(value, where)),
    "tls_certificate": text_of,
    "tls_key": text_of,
    "metrics": _address,
    "budget_file": text_of,
}


def read_gateway_settings(section: object, *, listen: str | None = None) -> GatewaySettings:
    """Return the settings of the section `serve`, in which variables are replaced already.

    Args:
        section: The section, None for an empty one.
        listen: The address of the command line, which replaces the one of the file.

    Raises:
        SettingsError: A setting cannot be used. The message names it.
    """
    with without_variables(section):
        given = known_only(snake_keys(section, "serve"), "serve", _READERS)
        fields = {name: _READERS[name](value, f"serve.{name}") for name, value in given.items() if value is not None}
        if listen is not None:
            fields["listen"] = parse_address(listen, "--listen")
        return GatewaySettings(**fields)
