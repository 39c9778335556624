"""The section `shared` of a configuration file: the store through which processes share limits.

shared:
  url: ${VALKEY_URL}                # valkeys://user@host:6379/0; without it, nothing is shared
  password: ${VALKEY_PASSWORD}
  namespace: shop
  fail: local-share                 # or: closed
  processes: 8
  caFile: /etc/ssl/valkey.pem
  clientCert: /etc/ssl/client.pem
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from turnout.config.values import (
    SettingsError,
    address_of,
    known_only,
    mapping_of,
    quoted,
    snake_keys,
    text_of,
    whole_number,
)

__all__ = ["SharedSettings", "read_shared"]


@attrs.frozen(kw_only=True)
class SharedSettings:
    """Where the store is, and how it is used (`turnout_io.shared.Valkey`)."""

    url: str = attrs.field(repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    namespace: str = "turnout"
    fail: Literal["local-share", "closed"] = "local-share"
    processes: int | None = None
    ca_file: str | None = None
    client_cert: str | None = None

    def arguments(self) -> Mapping[str, Any]:
        """Return the arguments of the store's class, besides the URL."""
        return {field.name: getattr(self, field.name) for field in attrs.fields(SharedSettings) if field.name != "url"}


_TEXTS = ("password", "namespace", "fail", "ca_file", "client_cert")


def read_shared(value: object, where: str) -> SharedSettings | None:
    """Return the settings of the section; None if it names no store.

    Raises:
        SettingsError: If a setting is wrong.
    """
    given = known_only(snake_keys(mapping_of(value, where), where), where, ("url", *_TEXTS, "processes"))
    texts = {"url": address_of(given.get("url"), f"{where}.url")}
    texts |= {name: text_of(given.get(name), f"{where}.{name}") for name in _TEXTS}
    fields: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
    if given.get("processes") is not None:
        fields["processes"] = whole_number(given["processes"], f"{where}.processes")
    if "url" not in fields:
        # A variable that is not set leaves a name without a value: then nothing is shared.
        if given and "url" not in given:
            raise SettingsError(f"{where}.url: name the store, such as valkeys://user@host:6379/0")
        return None
    if fields.get("fail", "closed") not in ("local-share", "closed"):
        raise SettingsError(f"{where}.fail: local-share or closed was expected, not {quoted(fields['fail'])}")
    return SharedSettings(**fields)
