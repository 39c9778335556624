"""The changes that are possible while a router runs: of its providers, routes, aliases and policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from turnout._utils.signatures import written_as
from turnout.chat import ModelConfig
from turnout.errors import LocalProtocolError
from turnout.providers.protocol import Provider
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy
from turnout.routing.router import RouterCore

if TYPE_CHECKING:
    from turnout.config.settings import BuiltProvider, Settings

__all__ = ["RouterChanges"]


def warn(message: str) -> None:
    """Log a warning. Only the first one imports `logging`."""
    import logging

    logging.getLogger("turnout").warning("%s", message)


class RouterChanges:
    """The methods of a router that change it. All may be called from any thread, at any time."""

    _core: RouterCore
    _now: Callable[[], float]
    _load: Callable[[], Settings] | None = None  # reads the settings again, if there is a file
    _overrides: dict[str, Any]

    def _notify_waiters(self) -> None:
        raise NotImplementedError

    @written_as("router.register(turnout.providers.create('openai', api_key='…'))")
    def register(self, provider: Provider, *, enabled: bool = True, replace: bool = False) -> None:
        """Add a provider under its name.

        Raises:
            ValueError: If the name is in use and `replace` is False.
        """
        self._register(provider, enabled=enabled, replace=replace)

    def _register(self, provider: Provider, *, enabled: bool, replace: bool = False, reason: str = "") -> None:
        self._core.register(provider, enabled=enabled, replace=replace, reason=reason)
        if enabled and getattr(provider, "sends_key_in_clear", False):
            warn(f"provider {provider.name} sends its key over plain http to another host")

    @written_as("router.add_route(Route('fast', ['openai/gpt-4o-mini', …])), with Route of turnout.routing")
    def add_route(self, route: Route, *, replace: bool = False) -> None:
        """Add a route, which requests select with `ModelConfig.route(name)`.

        Raises:
            ValueError: If the name is in use and `replace` is False, or if a provider of it is misspelled.
        """
        self._core.check_route(route)
        self._core.add_route(route, replace=replace)

    @written_as("router.add_alias('fast', 'openai/gpt-4o-mini')")
    def add_alias(self, name: str, model: ModelConfig | str, *, replace: bool = False) -> None:
        """Add another name for a model or a route.

        Args:
            name: `provider/model`, or a name alone, which requests write as `route/name`.
            model: The model or route that the name means.
            replace: True if the name may already be in use.

        Raises:
            ValueError: If the name is in use and `replace` is False, or if it names itself.
        """
        self._core.add_alias(name, model, replace=replace)

    @written_as("router.unregister('openai')")
    def unregister(self, name: str) -> None:
        """Remove a provider. Its attempts in flight continue to their end; calls that wait use another candidate.

        Raises:
            ValueError: If there is no such provider.
        """
        self._core.unregister(name)
        self._notify_waiters()

    @written_as("router.remove_route('fast')")
    def remove_route(self, name: str) -> None:
        """Remove a route. Calls that have started continue.

        Raises:
            ValueError: If there is no such route.
        """
        self._core.remove_route(name)

    @property
    def policy(self) -> Policy:
        """The settings of this router."""
        return self._core.policy

    def _take_over(self, settings: Settings, providers: Iterable[BuiltProvider]) -> None:
        """Add the providers, routes and aliases of the settings; those of the same name are replaced."""
        for built in providers:
            if built.reason:
                warn(f"provider {built.provider.name} is disabled: {built.reason}")
            self._register(built.provider, enabled=built.enabled, replace=True, reason=built.reason)
        for route in settings.routes:
            self._core.add_route(route, replace=True)  # unchecked: it may name an alias that follows
        self._core.clear_aliases()
        for name, target in settings.aliases.items():
            self.add_alias(name, target)

    def reload(self) -> None:
        """Read the file and the environment again, and apply the new settings.

        Providers keep the state of their candidates, calls in flight continue, and calls that wait use the new keys.
        Providers and routes that the file does not name any more are removed. The section `shared` is not read again.

        Raises:
            SettingsError: If a setting is wrong. Nothing has changed then.
            LocalProtocolError: If the router was not made by `from_env` or `from_config`.
        """
        if self._load is None:
            raise LocalProtocolError("this router was made in code: there is no file to read again")
        settings = self._load()
        policy, providers = settings.policy(**self._overrides), settings.build_providers()
        routes = {route.name for route in settings.routes}
        for name in self._core.route_names():
            if name not in routes:
                self.remove_route(name)
        self._take_over(settings, providers)
        kept = {built.provider.name for built in providers}
        for status in self._core.statuses(self._now()):
            if status.provider.partition("#")[0] not in kept:
                self._core.unregister(status.provider)
        self.update(policy)

    @written_as("router.update(attrs.evolve(router.policy, timeout=20))")
    def update(self, policy: Policy) -> None:
        """Replace the settings of this router. Calls that have started keep theirs; limits change at once.

        `attrs.evolve(router.policy, timeout=20)` is the current policy with another timeout.

        Raises:
            ValueError: If a name in the policy matches no provider. Nothing has changed then.
        """
        self._core.update(policy, self._now())
        self._notify_waiters()

    @written_as("router.cool_down('openai/gpt-4o-mini', 30)")
    def cool_down(self, candidate: str, seconds: float) -> None:
        """Let calls skip the candidate `provider/model` for some time. May be called from any thread.

        Raises:
            ValueError: If `seconds` is not a number above 0, or no call has named this candidate so far.
        """
        self._core.cool_down(candidate, seconds, self._now())

    def reset(self, candidate: str | None = None) -> None:
        """End the cooldown, the break and the learnt limits of a candidate, or of all. May be called from any thread.

        Raises:
            ValueError: If no call has named this candidate so far.
        """
        self._core.reset(candidate, self._now())
