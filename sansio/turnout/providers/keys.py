"""Several keys of one provider, and keys that a function returns just before each request is sent."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs

from turnout._utils.names import ACCOUNT_MARK
from turnout.chat import Capability, ChatRequest, ChatResponse
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.http import Headers, HttpRequest
from turnout.providers.auth import AccessToken, KeySource
from turnout.providers.protocol import Exchange, ModelPage, ModelProfile, Provider
from turnout.providers.urls import checked_text
from turnout.redaction import Secret, hidden

__all__ = ["ApiKey", "ApiKeys", "KeyAuth", "KeyedProvider", "named_keys", "with_key"]

ApiKey: TypeAlias = AccessToken
ApiKeys: TypeAlias = ApiKey | Sequence[ApiKey] | Mapping[str, ApiKey] | None


_RESERVED = f"/:* {ACCOUNT_MARK}"


def named_keys(keys: Sequence[ApiKey] | Mapping[str, ApiKey]) -> dict[str, ApiKey]:
    """Return the keys of one provider by their names. The keys of a list are numbered from 1.

    Raises:
        TypeError: One is neither a text nor a function.
        ValueError: There is none, a name cannot be used, or one key is given twice. No message quotes a key.
    """
    named = dict(keys) if isinstance(keys, Mapping) else {str(number): key for number, key in enumerate(keys, 1)}
    if not named:
        raise ValueError("api_key holds no key; write Router.from_env() to use the variables of the environment")
    seen: dict[object, str] = {}
    for name, key in named.items():
        if not isinstance(name, str) or not name.strip() or any(mark in name for mark in f"/:* {ACCOUNT_MARK}"):
            raise ValueError(
                f"the name {name!r} of a key must be a text without '/', ':', '*', '{ACCOUNT_MARK}' or space"
            )
        if not callable(key) and not checked_text(key, f"api_key[{name!r}]"):
            raise ValueError(f"api_key[{name!r}] is empty")
        if key in seen:
            raise ValueError(f"api_key[{name!r}] is the same key as api_key[{seen[key]!r}]")
        seen[key] = name
    return {name: hidden(key) for name, key in named.items()}


@attrs.frozen
class KeyAuth:
    """Puts the key of a function on each request (`turnout.http.Auth`).

    Attributes:
        source: The function, with the keys that it returned lately.
        fields: Returns the header fields that carry a key.
    """

    source: KeySource = attrs.field(repr=False)
    fields: Callable[[str], Iterable[tuple[str, str]]] = attrs.field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the keys of the last requests."""
        return self.source.secrets

    def __call__(self, request: HttpRequest) -> HttpRequest | Awaitable[HttpRequest]:
        key = self.source.get()
        if not inspect.isawaitable(key):
            return self._with_key(request, key)

        async def awaited() -> HttpRequest:
            return self._with_key(request, await key)

        return awaited()

    def _with_key(self, request: HttpRequest, key: object) -> HttpRequest:
        text = checked_text(key, "the key that the function of api_key returned")
        if text is None:
            raise ValueError("the function of api_key returned no key")
        self.source.remember(text)
        fields = [(name, Secret(value)) for name, value in self.fields(text)]
        given = {name.lower() for name, _ in request.headers}
        # A field that the user set replaces ours of the same name.
        added = [field for field in fields if field[0].lower() not in given]
        return attrs.evolve(request, headers=Headers((*request.headers, *added)))


@attrs.frozen
class KeyedProvider:
    """One provider with several keys. A router takes each key for a candidate with its own health and limits.

    Used without a router, it is the provider with its first key.

    Attributes:
        name: The name of the provider.
        accounts: The provider with each key. Their names are `name#key`.
        base: The provider without a key, for calls that have their own key.
    """

    name: str
    accounts: tuple[Provider, ...]
    base: Provider

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self.accounts[0].capabilities

    @property
    def missing_env(self) -> tuple[str, ...]:
        return self.accounts[0].missing_env

    @property
    def embedding_batch(self) -> int | None:
        return self.accounts[0].embedding_batch

    def facts(self, model_id: str) -> ModelProfile:
        return self.accounts[0].facts(model_id)

    def chat(self, request: ChatRequest) -> Exchange[ChatResponse]:
        return self.accounts[0].chat(request)

    def stream(self, request: ChatRequest) -> Exchange[ChatResponse]:
        return self.accounts[0].stream(request)

    def embed(self, request: EmbeddingRequest) -> Exchange[EmbeddingResponse]:
        return self.accounts[0].embed(request)

    def models(self, page: str | None = None) -> Exchange[ModelPage]:
        return self.accounts[0].models(page)

    def with_key(self, key: AccessToken) -> Provider:
        """Return the provider with another key, for a call that has its own."""
        keyed = with_key(self.base, key)
        if keyed is None:
            raise TypeError(f"{self.name} takes no key for one call")
        return keyed


def with_key(provider: Provider, key: AccessToken) -> Provider | None:
    """Return a provider with another key; None if it is one of the user's that takes no other key."""
    change: Callable[[AccessToken], Provider] | None = getattr(provider, "with_key", None)
    return change(key) if change is not None else None
