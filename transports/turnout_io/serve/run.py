"""Runs a gateway as a program: from settings, until a signal ends it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator

import attrs
import trio

from turnout.config.settings import Settings
from turnout.config.values import SettingsError
from turnout.routing.policy.settings import Policy
from turnout_io.serve.gateway import Gateway, scopes_of
from turnout_io.serve.served_call import record_trace
from turnout_io.serve.settings import GatewaySettings, read_gateway_settings
from turnout_io.trio import Router

__all__ = ["build_gateway", "run_gateway"]


def build_gateway(settings: Settings, *, listen: str | None = None, models: tuple[str, ...] = ()) -> Gateway:
    """Return the gateway of a configuration.

    Its providers leave out settings that a model rejects, unless the configuration sets another value: a client cannot
    know which of several models answers.

    Args:
        settings: The whole configuration.
        listen: The address of the command line, which replaces the one of the configuration.
        models: See `Gateway`.

    Raises:
        SettingsError: A setting cannot be used.
    """
    served = read_gateway_settings(settings.serve, listen=listen)
    policy = settings.policy()
    for where, one in _policies(settings, policy):
        if one is not None and one.on_interrupt == "restart":
            raise SettingsError(
                f"{where}.onInterrupt: restart cannot be used by `turnout serve`, because no protocol can retract "
                "what a client has received; use raise or resume"
            )
    shared = None
    if settings.shared is not None:
        from turnout_io.shared.valkey import from_settings

        shared = from_settings(settings.shared)
    adapted = attrs.evolve(
        settings,
        providers=tuple(
            attrs.evolve(provider, options={"unsupported": "drop", **provider.options})
            for provider in settings.providers
        ),
    )
    router = Router(policy=policy, on_trace=record_trace, shared=shared)
    built = adapted.build_providers()
    router._take_over(adapted, built)
    _check_aliases(served, router)
    scopes = scopes_of(one.provider for one in built)
    return Gateway(router, served, prices=policy.prices, scopes=scopes, models=models)


def _policies(settings: Settings, policy: Policy) -> Iterator[tuple[str, Policy | None]]:
    yield "runtime.router", policy
    for route in settings.routes:
        yield f"routes.{route.name}.policy", route.policy
        for position, choice in enumerate(route.choices):
            yield f"routes.{route.name}.choices[{position}].policy", choice.policy


def _check_aliases(settings: GatewaySettings, router: Router) -> None:
    for name, alias in settings.aliases.items():
        for model in alias.models:
            if not router._core.models_named(model):
                missing = f"route {model.model_id!r}" if model.is_route else f"provider {model.provider!r}"
                raise SettingsError(f"serve.aliases.{name}: there is no {missing}")


def run_gateway(gateway: Gateway, started: Callable[[tuple[str, ...]], None]) -> None:
    """Serve until SIGINT or SIGTERM. A second signal cuts the requests that still run.

    Args:
        gateway: The gateway.
        started: Called with the addresses once the gateway listens.
    """
    try:
        trio.run(_run, gateway, started)
    except BaseExceptionGroup as group:
        # What fails at the start is one error for a person, not a tree of them.
        errors = list(_leaves(group))
        if len(errors) == 1:
            raise errors[0] from None
        raise


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


async def _run(gateway: Gateway, started: Callable[[tuple[str, ...]], None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with gateway.router, trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, gateway, signals)
            async with trio.open_nursery() as serving:
                started(await serving.start(gateway.serve))
            nursery.cancel_scope.cancel()


async def _stop_on_signal(gateway: Gateway, signals: AsyncIterator[int]) -> None:
    async for _ in signals:
        gateway.stop()
