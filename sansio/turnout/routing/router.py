"""What the calls of one router share: its providers, its policy, and the places for attempts in flight.

The core is driven by one thread at a time unless it is given a lock; it holds that lock only for its own few lines,
never while it parses, encodes or runs somebody else's code.
"""

from __future__ import annotations

import contextlib
import random
from collections import deque
from contextlib import AbstractContextManager
from typing import Any, Literal

import attrs

from turnout.chat import ChatRequest, ModelConfig, ProviderStatus
from turnout.embeddings import EmbeddingRequest
from turnout.errors import (
    CapabilityUnsupported,
    MissingCredentials,
    ProviderNotRegistered,
    ProviderUnavailable,
    RoutingError,
)
from turnout.providers.protocol import Provider
from turnout.routing.attempt import Candidate
from turnout.routing.call import Call
from turnout.routing.operations import Chat, Embed, Operation
from turnout.routing.policy import Policy
from turnout.routing.trace import Skipped, Trace

__all__ = ["RouterCore"]


@attrs.frozen
class _Registered:
    provider: Provider
    enabled: bool


@attrs.define(eq=False)
class RouterCore:
    """The shared half of a router, pure. A driver starts calls on it and obeys their commands.

    rng   the only source of chance; each call draws its own seed from it
    lock  held around changes of shared state, where several threads drive
    """

    policy: Policy = attrs.field(factory=Policy)
    rng: random.Random = attrs.field(factory=lambda: random.Random(0))
    _lock: AbstractContextManager[Any] = attrs.field(factory=contextlib.nullcontext)
    _providers: dict[str, _Registered] = attrs.field(factory=dict, init=False)
    _held: int = attrs.field(default=0, init=False)
    _queue: deque[Call] = attrs.field(factory=deque, init=False)
    _woken: list[Call] = attrs.field(factory=list, init=False)

    # -- providers ----------------------------------------------------------------------------------------------

    def register(self, provider: Provider, *, enabled: bool = True, replace: bool = False) -> None:
        """Add a provider under its name. ValueError where the name is taken and `replace` is not given."""
        with self._lock:
            if provider.name in self._providers and not replace:
                raise ValueError(
                    f"a provider named {provider.name!r} is registered already; "
                    "give the new one another name, or register it with replace=True"
                )
            self._providers[provider.name] = _Registered(provider, enabled)

    def statuses(self) -> tuple[ProviderStatus, ...]:
        """The status of every registered provider, in the order of their registration."""
        return tuple(_status(registered) for registered in list(self._providers.values()))

    def provider_plan(self, request: ChatRequest | EmbeddingRequest) -> tuple[ProviderStatus, ...]:
        """Who would be asked for this request, in order, and why some would be skipped."""
        operation = Chat(request) if isinstance(request, ChatRequest) else Embed(request)
        models = operation.candidates
        plan = []
        for place, model in enumerate(models):
            registered = self._registered(model)
            _, reason = self._usable(registered, model, operation)
            plan.append(
                attrs.evolve(
                    _status(registered),
                    priority=place,
                    model=model,
                    fallbacks=tuple(str(other) for other in models[place + 1 :]),
                    reason=reason,
                )
            )
        return tuple(plan)

    def _registered(self, model: ModelConfig) -> _Registered:
        registered = self._providers.get(model.provider)
        if registered is None:
            known = ", ".join(sorted(self._providers)) or "none"
            raise ProviderNotRegistered(
                f"{model}: no provider named {model.provider!r} is registered with this router (it has: {known})"
            )
        return registered

    def _usable(
        self, registered: _Registered, model: ModelConfig, operation: Operation
    ) -> tuple[RoutingError | None, str]:
        """The error that this candidate would give on its own, and the reason in short; (None, "") where it is good."""
        provider = registered.provider
        if not registered.enabled:
            return ProviderUnavailable(f"{model}: the provider is disabled in the settings"), "disabled"
        if provider.missing_env:
            names = " and ".join(provider.missing_env)
            return (
                MissingCredentials(
                    f"{model}: not configured; set {names} in the environment, in .env or in the settings",
                    missing_env=provider.missing_env,
                ),
                f"not configured, {names} is missing",
            )
        lacking = sorted(operation.needs - provider.capabilities)
        if lacking:
            names = ", ".join(lacking)
            return CapabilityUnsupported(f"{model}: this provider does not offer {names}"), f"does not offer {names}"
        return None, ""

    # -- calls --------------------------------------------------------------------------------------------------

    def start(
        self,
        operation: Operation,
        now: float,
        wall: float | None = None,
        *,
        timeout: float | None = None,
        total: float | None = None,
        policy: Policy | None = None,
    ) -> Call:
        """Begin a call at the monotonic time `now`.

        wall     seconds since 1970, for the trace
        timeout  seconds for the call; with the policy's and the primary model's own, the smallest holds
        total    seconds for a stream's whole life, where the caller wants to bound that
        policy   the rules for this call, where they are not the router's
        """
        policy = policy or self.policy
        models = operation.candidates
        with self._lock:
            seed = self.rng.getrandbits(48)
        bounds = [policy.timeout, models[0].timeout, timeout]
        seconds = min(bound for bound in bounds if bound is not None)
        whole = now + total if total is not None else float("inf")
        trace = Trace(operation.name, tuple(map(str, models)), wall, seed, operation.metadata)
        candidates: list[Candidate] = []
        refusals: list[RoutingError] = []
        for model in models:
            try:
                registered = self._registered(model)
            except ProviderNotRegistered as error:
                refusals.append(error)
                trace.entries.append(Skipped(0.0, str(model), "not registered"))
                continue
            refusal, reason = self._usable(registered, model, operation)
            if refusal is None:
                candidates.append(Candidate(model, registered.provider))
            else:
                refusals.append(refusal)
                trace.entries.append(Skipped(0.0, str(model), reason))
        unknown = next((refusal for refusal in refusals if isinstance(refusal, ProviderNotRegistered)), None)
        call = Call(
            self,
            operation,
            () if unknown else tuple(candidates),
            policy,
            trace,
            now,
            min(now + seconds, whole),
            whole,
            seed,
        )
        if unknown is not None or not candidates:
            call.refuse(unknown or _no_candidate(refusals), now)
        return call

    # -- places -------------------------------------------------------------------------------------------------

    def take_place(self, call: Call) -> Literal["held", "queued", "full"]:
        """A place for one attempt: at once, in the order of the queue, or not at all."""
        policy = self.policy
        with self._lock:
            if policy.max_concurrency is None or (self._held < policy.max_concurrency and not self._queue):
                self._held += 1
                return "held"
            if policy.on_full == "reject" or (
                policy.max_waiting is not None and len(self._queue) >= policy.max_waiting
            ):
                return "full"
            self._queue.append(call)
            return "queued"

    def give_place_back(self) -> None:
        """A place is free again: it goes to the call that has waited longest."""
        with self._lock:
            self._held -= 1
            self._grant()

    def withdraw(self, call: Call) -> None:
        """The call waits no longer. Where it had been granted a place meanwhile, the place is passed on."""
        with self._lock:
            if call in self._queue:
                self._queue.remove(call)

    def take_woken(self) -> tuple[Call, ...]:
        """The calls that were granted a place since the last time: the driver wakes them from their Sleep."""
        if not self._woken:
            return ()
        with self._lock:
            woken, self._woken = tuple(self._woken), []
        return woken

    @property
    def in_flight(self) -> int:
        """Places that are held now."""
        return self._held

    def _grant(self) -> None:
        limit = self.policy.max_concurrency
        while self._queue and (limit is None or self._held < limit):
            call = self._queue.popleft()
            self._held += 1
            call.granted()
            self._woken.append(call)


def _status(registered: _Registered) -> ProviderStatus:
    provider = registered.provider
    if not registered.enabled:
        status: Literal["available", "not-configured", "disabled"] = "disabled"
        reason = "disabled in the settings"
    elif provider.missing_env:
        status, reason = "not-configured", f"set {' and '.join(provider.missing_env)}"
    else:
        status, reason = "available", ""
    return ProviderStatus(
        provider.name,
        status,
        capabilities=provider.capabilities,
        missing_env=provider.missing_env,
        reason=reason,
    )


def _no_candidate(refusals: list[RoutingError]) -> RoutingError:
    """The error where no candidate can be asked: the one of a lone candidate, else the one that can be mended."""
    if len(refusals) == 1:
        return refusals[0]
    told = "; ".join(str(refusal) for refusal in refusals)
    missing = tuple(
        dict.fromkeys(
            name for refusal in refusals if isinstance(refusal, MissingCredentials) for name in refusal.missing_env
        )
    )
    if missing:
        return MissingCredentials(f"no candidate can be asked: {told}", missing_env=missing)
    kinds = {type(refusal) for refusal in refusals}
    kind = kinds.pop() if len(kinds) == 1 else ProviderUnavailable
    return kind(f"no candidate can be asked: {told}")
