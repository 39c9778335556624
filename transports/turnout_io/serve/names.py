"""The model names that clients can use: aliases, routes, and `provider/model`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

import attrs

from turnout.chat import ModelConfig
from turnout.routing.policy.routes import Route
from turnout.serving import RequestRejected, ServedError
from turnout_io.serve.keys import Client
from turnout_io.serve.settings import AliasSettings

__all__ = ["ModelNames"]


@attrs.frozen
class ModelNames:
    """Finds the models of a name.

    Args:
        aliases: The aliases of the gateway.
        routes: The names of the router's routes.
        providers: The names of the router's providers.
        allows_any: True if `provider/model` is valid without an alias.
        scopes: The scopes of each provider's own fields (`turnout.types.extras`), by its name.
    """

    aliases: Mapping[str, AliasSettings]
    routes: Collection[str]
    providers: Collection[str]
    allows_any: bool
    scopes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)

    def lacking(self, models: Iterable[ModelConfig], routes: Mapping[str, Route], scopes: frozenset[str]) -> str | None:
        """Return a candidate that does not receive the fields of these scopes, None if all do."""
        for model in models:
            route = routes.get(model.model_id) if model.is_route else None
            for one in [choice.model for choice in route.choices] if route is not None else [model]:
                if scopes.isdisjoint(self.scopes.get(one.provider, ())):
                    return str(one)
        return None

    def resolve(self, name: str, client: Client) -> tuple[ModelConfig, ...]:
        """Return the model of a name, and then its fallbacks.

        Raises:
            RequestRejected: There is no such name, or the client's key does not allow it.
        """
        if (alias := self.aliases.get(name)) is not None:
            self._check(name, client, listed=True)
            return alias.models
        provider, slash, model_id = name.partition("/")
        if provider == "route" and slash:
            self._check(name, client, listed=True)
            if model_id not in self.routes:
                raise _unknown(f"there is no route {model_id[:80]!r}", self.listed(client))
            return (ModelConfig.route(model_id),)
        if not (slash and model_id.strip()):
            raise _unknown(f"the model {name[:80]!r} does not exist", self.listed(client))
        self._check(name, client, listed=False)
        if provider not in self.providers:
            raise _unknown(f"there is no provider {provider[:80]!r}", self.listed(client))
        return (ModelConfig(provider, model_id),)

    def family(self, name: str) -> str | None:
        """Return the family of an alias. All models of a family return the same vectors."""
        alias = self.aliases.get(name)
        return alias.family if alias is not None else None

    def listed(self, client: Client) -> list[str]:
        """Return the aliases and routes that a client can use."""
        names = [*self.aliases, *(f"route/{name}" for name in self.routes)]
        return [name for name in names if _allowed(name, client.models)]

    def offered(self, routes: Mapping[str, Route]) -> set[str]:
        """Return the providers behind all aliases and routes. Without those, it is empty."""
        models = [model for alias in self.aliases.values() for model in alias.models]
        models += [ModelConfig.route(name) for name in self.routes]
        found: set[str] = set()
        for model in models:
            route = routes.get(model.model_id) if model.is_route else None
            found |= {choice.model.provider for choice in route.choices} if route is not None else {model.provider}
        return found

    def _check(self, name: str, client: Client, *, listed: bool) -> None:
        allowed = _allowed(name, client.models) if client.models is not None else listed or self.allows_any
        if not allowed:
            raise RequestRejected(
                ServedError(
                    status=403,
                    type="permission_error",
                    code="model_not_allowed",
                    messages_type="permission_error",
                    message=f"this key may not use the model {name[:80]!r}; {_choices(self.listed(client))}",
                    param="model",
                )
            )


def _allowed(name: str, patterns: Iterable[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


def _choices(names: list[str]) -> str:
    return f"it can use {', '.join(names[:20])}" if names else "no alias and no route is configured for it"


def _unknown(problem: str, names: list[str]) -> RequestRejected:
    choices = f"this gateway has {', '.join(names[:20])}" if names else "name one as provider/model"
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
