"""OpenAI's models at Azure: the same bodies, at the URLs of the user's own resource and with its own key.

Source: the Azure OpenAI reference ("Azure OpenAI in Microsoft Foundry Models REST API"). A model's id is the name of
its deployment. Without an `api_version` requests go to the resource's `/openai/v1`, which has none; with one they go to
the URLs of the time before that, which have the deployment in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

import attrs

from turnout.http import Auth
from turnout.providers.auth import AccessToken, TokenAuth, secrets_of_auth, token_auth, token_fields
from turnout.providers.catalog.spec import ProviderAccount
from turnout.providers.urls import path_segment

__all__ = ["AzureResource"]

# The portal shows a deployment's whole URL, with its `api-version`: the resource is the part before it.
_SURFACE = re.compile(r"(?<=[^/])/openai(/.*)?\Z")
# The operations of a deployment; all others are of the resource.
_OF_DEPLOYMENTS = frozenset({"/chat/completions", "/embeddings"})


@attrs.frozen
class AzureResource:
    """The address and the credentials of OpenAI's models at Azure (`turnout.providers.openai_chat.dialect.Endpoint`).

    access_token  of Microsoft Entra ID, or a function that gives one just before each request is sent; else the key
    """

    account: ProviderAccount
    api_version: str | None = None
    access_token: AccessToken | None = attrs.field(default=None, repr=False)
    _auth: TokenAuth | None = attrs.field(
        default=attrs.Factory(lambda self: token_auth(self.access_token), takes_self=True),
        init=False,
        repr=False,
        eq=False,
    )

    @property
    def missing_env(self) -> tuple[str, ...]:
        missing, keys = self.account.missing_env, self.account.spec.key_env
        return tuple(name for name in missing if self.access_token is None or name not in keys)

    @property
    def auth(self) -> Auth | None:
        return self._auth

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the token, or those of the last requests."""
        return secrets_of_auth(self._auth, self.access_token)

    def with_key(self, key: AccessToken) -> AzureResource:
        return attrs.evolve(self, account=self.account.with_key(key), access_token=None)

    def credentials(self) -> Iterable[tuple[str, str]]:
        if self.access_token is not None:
            return token_fields(self.access_token)
        return (("api-key", self.account.api_key),) if self.account.api_key else ()

    def url(self, path: str, body: Mapping[str, Any] | None) -> str:
        resource, _, query = self.account.base_url.partition("?")
        resource = _SURFACE.sub("", resource.rstrip("/"))
        version = self.api_version or dict(parse_qsl(query)).get("api-version")
        if version is None or version == "v1":
            return f"{resource}/openai/v1{path}"
        where = ""
        if body is not None and path in _OF_DEPLOYMENTS:
            model = str(body["model"])
            where = f"/deployments/{path_segment(model, f'{self.account.name}: the deployment {model!r}')}"
        return f"{resource}/openai{where}{path}?api-version={quote(version, safe='')}"
