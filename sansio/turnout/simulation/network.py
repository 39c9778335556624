"""The network of a simulation: the answers of each provider, their speed and their faults."""

from __future__ import annotations

import functools
import math
import random
from collections import deque
from collections.abc import Iterable
from urllib.parse import unquote

import attrs

from turnout.http import HttpRequest
from turnout.routing.call.machine import Call
from turnout.routing.commands import Close, Command, Open
from turnout.simulation.dialect import LAST, line
from turnout.simulation.engine import Script
from turnout.simulation.scenario import Fault, SimulatedProvider

__all__ = ["SimulatedNetwork"]

# The pieces of an answer after its first token: enough for timers and cuts, few enough to be fast.
PIECES = 4
# Seconds that a refusal takes.
REFUSAL = 0.05
MINUTE = 60.0


@attrs.define(eq=False)
class _Server:
    """One provider with its own generator of random numbers and its running requests."""

    provider: SimulatedProvider
    rng: random.Random
    in_flight: int = 0
    _asked: deque[float] = attrs.field(factory=deque)

    def answer(self, streams: bool, now: float) -> Script:
        provider, rng = self.provider, self.rng
        # The dice are thrown for every request alike, so that one fault more or less shifts no other.
        first, pace = provider.first_content.draw(rng), provider.per_token.draw(rng)
        tokens = max(1, round(provider.tokens.draw(rng)))
        stroke, cut = rng.random(), rng.random()
        fault = self._fault(stroke, now)
        if fault is not None and fault.kind in ("refused", "reset", "hang"):
            return _no_answer(fault)
        limited = self._limited(now)
        if limited is not None:
            return limited
        if fault is not None and fault.kind == "status":
            return _refusal(fault.status, fault.retry_after)
        if fault is not None and fault.kind == "slow":
            first, pace = first * fault.factor, pace * fault.factor
        headers = self._announced(now)
        if not streams:
            return self._whole(fault, first + pace * tokens, tokens, headers)
        if fault is not None and fault.kind == "silent":
            return Script(head=first, headers=headers, end="silent")
        body = [(0.0, line(1))]
        left = tokens - 1
        for piece in range(min(PIECES, left), 0, -1):
            size = left // piece
            left -= size
            body.append((pace * size, line(size)))
        if fault is not None and fault.kind in ("cut", "stall"):
            body = body[: 1 + int(cut * (len(body) - 1))]
            return Script(head=first, headers=headers, body=tuple(body), end="cut" if fault.kind == "cut" else "silent")
        body[-1] = (body[-1][0], body[-1][1] + LAST)
        return Script(head=first, headers=headers, body=tuple(body))

    def _whole(self, fault: Fault | None, seconds: float, tokens: int, headers: tuple[tuple[str, str], ...]) -> Script:
        """Return an answer in one piece. If it breaks, no part of it can be used."""
        body = line(tokens) + LAST
        if fault is not None and fault.kind in ("silent", "stall"):
            return Script(head=seconds, headers=headers, end="silent")
        if fault is not None and fault.kind == "cut":
            return Script(head=seconds, headers=headers, body=((0.0, body[:1]),), end="cut")
        return Script(head=seconds, headers=headers, body=((0.0, body),))

    def _fault(self, stroke: float, now: float) -> Fault | None:
        """The fault that strikes this request: the shares of those that hold now are laid end to end."""
        for fault in self.provider.faults:
            if fault.begins <= now < fault.ends:
                if stroke < fault.share:
                    return fault
                stroke -= fault.share
        return None

    def _limited(self, now: float) -> Script | None:
        """The refusal of a request over the provider's own limits, which counts those that it lets through."""
        provider, asked = self.provider, self._asked
        if provider.max_concurrency is not None and self.in_flight > provider.max_concurrency:
            return _refusal(429, None)
        if provider.requests_per_minute is not None:
            while asked and asked[0] <= now - MINUTE:
                asked.popleft()
            if len(asked) >= provider.requests_per_minute:
                return _refusal(429, math.ceil(asked[0] + MINUTE - now))
            asked.append(now)
        return None

    def _announced(self, now: float) -> tuple[tuple[str, str], ...]:
        limit = self.provider.requests_per_minute
        if not self.provider.announces or limit is None:
            return ()
        return (
            ("x-ratelimit-limit-requests", str(limit)),
            ("x-ratelimit-remaining-requests", str(limit - len(self._asked))),
            ("x-ratelimit-reset-requests", f"{max(0.001, self._asked[0] + MINUTE - now):.3f}s"),
        )


def _no_answer(fault: Fault) -> Script:
    if fault.kind == "refused":
        return Script(refused=True)
    return Script(head=REFUSAL, reset="fresh") if fault.kind == "reset" else Script(head=math.inf)


def _refusal(status: int, retry_after: float | None) -> Script:
    headers = (("retry-after", f"{retry_after:g}"),) if retry_after is not None else ()
    return Script(head=REFUSAL, status=status, headers=headers, body=((0.0, b"{}"),))


@attrs.define(eq=False)
class SimulatedNetwork:
    """Every provider of a simulation.

    answer   returns the script of a request (the network of `turnout.simulation.Simulation`)
    observe  receives each command of each call, because a provider knows its requests in flight
    """

    _servers: dict[str, _Server]
    _of: dict[tuple[Call, int], _Server] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, providers: Iterable[SimulatedProvider], seed: int) -> SimulatedNetwork:
        return cls(
            {provider.name: _Server(provider, random.Random(f"{seed}/{provider.name}")) for provider in providers}
        )

    def answer(self, request: HttpRequest, now: float) -> Script:
        return self._server(request).answer("/stream/" in request.url, now)

    def observe(self, call: Call, command: Command, now: float) -> None:
        match command:
            case Open(attempt, request):
                server = self._of[call, attempt] = self._server(request)
                server.in_flight += 1
            case Close(attempt):
                self._of.pop((call, attempt)).in_flight -= 1
            case _:
                pass

    def _server(self, request: HttpRequest) -> _Server:
        return self._servers[_unquoted(request.url.split("/")[3])]


_unquoted = functools.lru_cache(maxsize=256)(unquote)
