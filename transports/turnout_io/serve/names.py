"""The model names that clients can use: aliases, routes, and `provider/model`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import attrs

from turnout._utils.names import ACCOUNT_MARK, nearest, whole_name
from turnout.chat import ModelConfig
from turnout.serving import RequestRejected, ServedError
from turnout_io.serve.keys import Client
from turnout_io.serve.settings import AliasSettings

__all__ = ["ModelNames"]

# The router remembers each model that was asked for, and the log and metrics name it.
_LONGEST: Final = 256
# Names in a message.
_SHOWN: Final = 20


@attrs.frozen
class ModelNames:
    """Finds the models of a name.

    Args:
        aliases: The aliases of the gateway.
        routes: The names of the router's routes, as requests write them.
        find: Returns the models that a name means to the router; none if there is no such route or provider.
        allows_any: True if `provider/model` is valid without an alias.
        scopes: The scopes of each provider's own fields (`turnout.types.extras`), by its name.
        models: Models as `provider/model` that the list shows too, if `allows_any`.
    """

    aliases: Mapping[str, AliasSettings]
    routes: Collection[str]
    find: Callable[[ModelConfig], Sequence[ModelConfig]]
    allows_any: bool
    scopes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    models: Collection[str] = ()

    def candidates(self, models: Iterable[ModelConfig]) -> list[ModelConfig]:
        """Return the models of providers that these names mean."""
        return [one for model in models for one in self.find(model)]

    def lacking(self, models: Iterable[ModelConfig], scopes: frozenset[str]) -> str | None:
        """Return a candidate that does not receive the fields of these scopes, None if all do."""
        for one in self.candidates(models):
            if scopes.isdisjoint(self.scopes.get(one.provider, ())):
                return str(one)
        return None

    def resolve(self, name: str, client: Client) -> tuple[ModelConfig, ...]:
        """Return the model of a name, and then its fallbacks.

        Raises:
            RequestRejected: There is no such name, or the client's key does not allow it.
        """
        if len(name) > _LONGEST or not name.isprintable():
            raise _unknown(f"a name of a model has at most {_LONGEST} printable characters", self.listed(client))
        if (alias := self.aliases.get(name)) is not None:
            self._check(name, client, listed=True)
            return alias.models
        provider, slash, model_id = name.partition("/")
        if not (slash and provider.strip() and model_id.strip()):
            raise _unknown(f"the model {name[:80]!r} does not exist", self.listed(client), self._meant(name, client))
        kind = "route" if provider == "route" else "provider"
        self._check(name, client, listed=kind == "route")
        model = ModelConfig(provider, model_id)
        # The keys of a provider are no concern of clients.
        if ACCOUNT_MARK in provider or not self.find(model):
            wanted = model_id if kind == "route" else provider
            meant = nearest(name, self.listed(client), 1, 0.7)
            raise _unknown(f"there is no {kind} {wanted[:80]!r}", self.listed(client), meant)
        return (model,)

    def _meant(self, name: str, client: Client) -> list[str]:
        """Return the names that a client may have meant by a name without a provider."""
        listed = self.listed(client)
        whole = whole_name(name)
        usable = whole and self.find(ModelConfig.parse(whole)) and self._is_allowed(whole, client, listed=False)
        others = [one for one in listed if one.partition("/")[2] == name]
        return list(dict.fromkeys([*([whole] if whole and usable else []), *others])) or nearest(name, listed, 1, 0.7)

    def family(self, name: str) -> str | None:
        """Return the family of an alias. All models of a family return the same vectors."""
        alias = self.aliases.get(name)
        return alias.family if alias is not None else None

    def listed(self, client: Client) -> list[str]:
        """Return the aliases, routes and listed models that a client can use."""
        models = self.models if self.allows_any else ()
        return [name for name in (*self.aliases, *self.routes, *models) if _allowed(name, client.models)]

    def offered(self) -> set[str]:
        """Return the providers behind all aliases and routes. Without those, it is empty."""
        models = [model for alias in self.aliases.values() for model in alias.models]
        models += [ModelConfig.parse(name) for name in self.routes]
        return {one.provider for one in self.candidates(models)}

    def _is_allowed(self, name: str, client: Client, *, listed: bool) -> bool:
        return _allowed(name, client.models) if client.models is not None else listed or self.allows_any

    def _check(self, name: str, client: Client, *, listed: bool) -> None:
        if not self._is_allowed(name, client, listed=listed):
            raise RequestRejected(
                ServedError(
                    status=403,
                    type="permission_error",
                    code="model_not_allowed",
                    messages_type="permission_error",
                    message=f"this key may not use the model {name[:80]!r}; {_choices(self.listed(client), client)}",
                    param="model",
                )
            )


def _allowed(name: str, patterns: Iterable[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


def _choices(names: list[str], client: Client) -> str:
    # A pattern such as openai/* allows models that no list names.
    usable = [*names, *(one for one in client.models or () if "/" in one and one not in names)]
    return f"it can use {_some(usable)}" if usable else "no alias and no route is configured for it"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more (GET /v1/models)" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _unknown(problem: str, names: list[str], meant: Sequence[str] = ()) -> RequestRejected:
    choices = f"this gateway has {_some(names)}" if names else "name one as provider/model"
    if meant:
        choices = f"did you mean {' or '.join(meant[:3])}? {choices}"
    return RequestRejected(
        ServedError(
            status=404,
            type="invalid_request_error",
            code="model_not_found",
            messages_type="not_found_error",
            message=f"{problem}; {choices}",
            param="model",
        )
    )
