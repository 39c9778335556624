"""Runs a gateway as a program: from settings, until a signal ends it."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final

import attrs
import trio

from turnout._utils.names import nearest
from turnout.chat import ModelConfig
from turnout.config.settings import Settings
from turnout.config.values import SettingsError
from turnout.prices import Price, by_model
from turnout.routing.policy.settings import Policy
from turnout.trace import Trace
from turnout_io.serve.gateway import Gateway, scopes_of
from turnout_io.serve.keys import Client
from turnout_io.serve.names import ModelNames
from turnout_io.serve.served_call import record_trace
from turnout_io.serve.settings import SHORTEST_KEY, GatewaySettings, read_gateway_settings
from turnout_io.trio import Router

__all__ = ["build_gateway", "run_gateway"]

LOG: Final = logging.getLogger("turnout.serve")


def build_gateway(
    settings: Settings,
    *,
    listen: str | None = None,
    models: tuple[str, ...] = (),
    recorder: Callable[[Trace], None] | None = None,
) -> Gateway:
    """Return the gateway of a configuration.

    Its providers leave out settings that a model rejects, unless the configuration sets another value: a client cannot
    know which of several models answers.

    Args:
        settings: The whole configuration.
        listen: The address of the command line, which replaces the one of the configuration.
        models: See `Gateway`.
        recorder: Called with the trace of each call.

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

    def on_trace(trace: Trace) -> None:
        record_trace(trace)
        if recorder is not None:
            recorder(trace)

    router = Router(policy=policy, on_trace=on_trace, shared=shared)
    built = adapted.build_providers()
    router._take_over(adapted, built)
    _check_aliases(served, router)
    scopes = scopes_of(one.provider for one in built)
    gateway = Gateway(router, served, prices=policy.prices, scopes=scopes, models=models)
    names = gateway.endpoints.names
    for client in gateway.endpoints.keyring.clients:
        _check_patterns(client, names)
        for problem in _doubts(client, names, policy.prices):
            LOG.warning("%s", problem)
    return gateway


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


def _check_patterns(client: Client, names: ModelNames) -> None:
    known = [*names.aliases, *names.routes]
    for pattern in client.models or ():
        provider, slash, _ = pattern.partition("/")
        is_listed = any(fnmatchcase(name, pattern) or fnmatchcase(pattern, name) for name in known)
        is_provider = slash and provider != "route" and names.find(ModelConfig(provider, "any"))
        if not (is_listed or is_provider or "*" in provider or "?" in provider or "[" in provider):
            near = [name for name in known if name.partition("/")[2] == pattern] or nearest(pattern, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
            raise SettingsError(f"serve.keys.{client.name}.models: {pattern!r} is no alias, route or provider; {hint}")


def _doubts(client: Client, names: ModelNames, prices: Mapping[str, Price]) -> Iterator[str]:
    """Yield what is probably not meant in the settings of a key."""
    settings = client.settings
    if settings is not None and settings.is_short:
        yield f"serve.keys.{client.name}: the key has fewer than {SHORTEST_KEY} characters and can be guessed"
    if client.account is None:
        return
    for name in names.listed(client):
        unpriced = [one for one in names.candidates(names.resolve(name, client)) if by_model(prices, one) is None]
        if unpriced and "*" not in name:
            yield (
                f"serve.keys.{client.name} has a budget, and {unpriced[0]} has no price: calls of {name} are refused "
                f"(403 no_price); give it one in runtime.router.prices"
            )


def run_gateway(gateway: Gateway, started: Callable[[tuple[str, ...]], None]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP. A second signal cuts the requests that still run.

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
    with trio.open_signal_receiver(*_stop_signals()) as signals:
        async with gateway.router, trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, gateway, signals)
            async with trio.open_nursery() as serving:
                started(await serving.start(gateway.serve))
            nursery.cancel_scope.cancel()


def _stop_signals() -> list[signal.Signals]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:  # nohup ignores it
        numbers.append(hangup)
    return numbers


async def _stop_on_signal(gateway: Gateway, signals: AsyncIterator[int]) -> None:
    async for _ in signals:
        gateway.stop()
