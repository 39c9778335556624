"""A simulated provider with slots, a queue before them, a rate limit and faults."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque

import attrs

from turnout.simulation import Fault, Script, Spread
from turnout.simulation.dialect import LAST, line

__all__ = ["Server", "ServerConfig", "constant", "lognormal"]

# A stream arrives in its first token and so many further pieces.
PIECES = 3
# Seconds that a refusal takes.
REFUSAL = 0.05
MINUTE = 60.0


def constant(value: float) -> Spread:
    return Spread("constant", value)


def lognormal(median: float, p95: float) -> Spread:
    return Spread("lognormal", median, p95)


@attrs.frozen(kw_only=True)
class ServerConfig:
    """A provider. Times are in seconds.

    Attributes:
        name: The name under which it is registered.
        first_token: From the start of the work to the first token.
        per_token: After that.
        tokens: Tokens of an answer.
        slots: How many requests it works on at once. The others wait in a queue, first come first served.
        slowdown: How much slower it is with all slots taken: 0.5 for half as slow again.
        queue: How many requests may wait. More get a 503.
        requests_per_minute: More get a 429.
        announces: Whether its headers report what is left of that limit.
        retry_after: Whether its 429 says how long to wait.
        refusal_work: Seconds of one slot that a refusal costs.
        price: Of a token.
        faults: What is wrong with it, and when.
    """

    name: str
    first_token: Spread = lognormal(0.4, 1.2)
    per_token: Spread = constant(0.01)
    tokens: Spread = lognormal(120, 500)
    slots: float = math.inf
    slowdown: float = 0.0
    queue: float = math.inf
    requests_per_minute: int | None = None
    announces: bool = False
    retry_after: bool = True
    refusal_work: float = 0.0
    price: float = 1.0
    faults: tuple[Fault, ...] = ()

    @property
    def capacity(self) -> float:
        """Calls a second that it can serve, roughly: the mean of the default answers is 175 tokens."""
        return self.slots / ((self.first_token.low * 1.2 + self.per_token.low * 175) * (1 + self.slowdown))


@attrs.define(eq=False)
class Server:
    """A provider at work, with its own generator of chance.

    Attributes:
        config: What it is like.
        requests: How many requests it got.
        refused: How many it refused because of its limit or its queue.
        faulted: How many met a fault without an answer.
    """

    config: ServerConfig
    rng: random.Random
    requests: int = attrs.field(default=0, init=False)
    refused: int = attrs.field(default=0, init=False)
    faulted: int = attrs.field(default=0, init=False)
    _free_at: list[float] = attrs.field(init=False)
    _ends: list[float] = attrs.field(factory=list, init=False)
    _accepted: deque[float] = attrs.field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        slots = self.config.slots
        self._free_at = [0.0] * int(slots) if slots < math.inf else []

    def answer(self, streams: bool, now: float) -> Script:
        """Return how the network answers a request that arrives now."""
        config, rng = self.config, self.rng
        self.requests += 1
        first, pace = config.first_token.draw(rng), config.per_token.draw(rng)
        tokens = max(1, round(config.tokens.draw(rng)))
        chance = rng.random()
        fault = next((one for one in config.faults if one.begins <= now < one.ends and chance < one.share), None)
        if fault is not None and fault.kind != "slow":
            self.faulted += 1
            return Script(head=math.inf) if fault.kind == "hang" else _refusal(fault.status, fault.retry_after)
        refusal = self._refuse(now)
        if refusal is not None:
            self.refused += 1
            return refusal
        working = self.in_system(now)
        factor = fault.factor if fault is not None else 1.0
        if self._free_at:
            factor *= 1 + config.slowdown * min(working, config.slots) / config.slots
        first, pace = first * factor, pace * factor
        wait = 0.0
        if self._free_at:
            start = max(now, self._free_at[0])
            wait = start - now
            heapq.heapreplace(self._free_at, start + first + pace * tokens)
        heapq.heappush(self._ends, now + wait + first + pace * tokens)
        headers = self._headers(now)
        if not streams:
            return Script(head=wait + first + pace * tokens, headers=headers, body=((0.0, line(tokens) + LAST),))
        return Script(head=wait + first, headers=headers, body=_pieces(tokens, pace))

    def _refuse(self, now: float) -> Script | None:
        config = self.config
        limit = config.requests_per_minute
        if limit is not None:
            while self._accepted and self._accepted[0] <= now - MINUTE:
                self._accepted.popleft()
            if len(self._accepted) >= limit:
                wait = math.ceil(self._accepted[0] + MINUTE - now) if config.retry_after else None
                return _refusal(429, wait)
            self._accepted.append(now)
        if self.in_system(now) >= config.slots + config.queue:
            if config.refusal_work:
                heapq.heapreplace(self._free_at, max(now, self._free_at[0]) + config.refusal_work)
            return _refusal(503, None)
        return None

    def in_system(self, now: float) -> int:
        """Return how many requests wait or are worked on."""
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        return len(self._ends)

    def _headers(self, now: float) -> tuple[tuple[str, str], ...]:
        limit = self.config.requests_per_minute
        if limit is None or not self.config.announces:
            return ()
        return (
            ("x-ratelimit-limit-requests", str(limit)),
            ("x-ratelimit-remaining-requests", str(limit - len(self._accepted))),
            ("x-ratelimit-reset-requests", f"{max(0.001, self._accepted[0] + MINUTE - now):.3f}s"),
        )


def _pieces(tokens: int, pace: float) -> tuple[tuple[float, bytes], ...]:
    body = [(0.0, line(1))]
    left = tokens - 1
    for piece in range(min(PIECES, left), 0, -1):
        size = left // piece
        left -= size
        body.append((pace * size, line(size)))
    body[-1] = (body[-1][0], body[-1][1] + LAST)
    return tuple(body)


def _refusal(status: int, retry_after: float | None) -> Script:
    headers = (("retry-after", f"{retry_after:g}"),) if retry_after is not None else ()
    return Script(head=REFUSAL, status=status, headers=headers, body=((0.0, b"{}"),))
