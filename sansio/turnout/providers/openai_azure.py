"""OpenAI's models at Azure: the same bodies, at the URLs of the user's own resource and with its own key.

Source: the Azure OpenAI reference ("Azure OpenAI in Microsoft Foundry Models REST API"). A model's id is the name of
its deployment. Without an `api_version` requests go to the resource's `/openai/v1`, which has none; with one they go to
the URLs of the time before that, which have the deployment in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import attrs

from turnout.http import Auth
from turnout.providers.access_token import AccessToken, token_auth, token_fields
from turnout.providers.entry import Account
from turnout.providers.openai_chat import OpenAIChat
from turnout.providers.openai_responses import OpenAIResponses

__all__ = ["AzureChat", "AzureResponses"]

# What is asked of a deployment; all else is asked of the resource.
_OF_DEPLOYMENTS = frozenset({"/chat/completions", "/embeddings"})


def _url(account: Account, api_version: str | None, path: str, body: Mapping[str, Any] | None) -> str:
    resource = account.endpoint.removesuffix("/v1").removesuffix("/openai")
    if api_version is None:
        return f"{resource}/openai/v1{path}"
    where = f"/deployments/{quote(str(body['model']), safe='')}" if body is not None and path in _OF_DEPLOYMENTS else ""
    return f"{resource}/openai{where}{path}?api-version={quote(api_version, safe='')}"


def _credentials(account: Account, token: AccessToken | None) -> Iterable[tuple[str, str]]:
    if token is not None:
        return token_fields(token)
    return (("api-key", account.api_key),) if account.api_key else ()


def _missing(account: Account, token: AccessToken | None) -> tuple[str, ...]:
    return tuple(name for name in account.missing_env if token is None or name not in account.entry.key_env)


@attrs.frozen
class AzureChat(OpenAIChat):
    """Chat completions and embeddings of an Azure resource (`turnout.providers.protocol.Provider`).

    access_token  of Microsoft Entra ID, or a function that gives one just before each request is sent; else the key
    """

    api_version: str | None = None
    access_token: AccessToken | None = attrs.field(default=None, repr=False)

    @property
    def missing_env(self) -> tuple[str, ...]:
        return _missing(self.account, self.access_token)

    @property
    def auth(self) -> Auth | None:
        return token_auth(self.access_token)

    def credentials(self) -> Iterable[tuple[str, str]]:
        return _credentials(self.account, self.access_token)

    def url(self, path: str, body: Mapping[str, Any] | None) -> str:
        return _url(self.account, self.api_version, path, body)


@attrs.frozen
class AzureResponses(OpenAIResponses):
    """The Responses of an Azure resource, asked in the same way."""

    api_version: str | None = None
    access_token: AccessToken | None = attrs.field(default=None, repr=False)

    @property
    def missing_env(self) -> tuple[str, ...]:
        return _missing(self.account, self.access_token)

    @property
    def auth(self) -> Auth | None:
        return token_auth(self.access_token)

    def credentials(self) -> Iterable[tuple[str, str]]:
        return _credentials(self.account, self.access_token)

    def url(self, path: str, body: Mapping[str, Any] | None) -> str:
        return _url(self.account, self.api_version, path, body)
