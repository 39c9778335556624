"""The bill of simulated providers, by their own books: for each request, what they received and sent."""

from __future__ import annotations

import math
from typing import Any

import attrs

from tests.sansio.routing.worlds.generated import World
from turnout.http import HttpRequest
from turnout.prices import Price
from turnout.routing.call.machine import Call
from turnout.routing.commands import Close, Command, Open
from turnout.simulation import Script, Simulation
from turnout.trace.entries import SPENDING, Failed, ResponseStarted

__all__ = ["Bills", "priced"]

PROMPT = 6  # tokens of "hello": two for the text and four for the message
USUAL = 1000  # tokens of a whole response, as long as no usual size is known
BYTES = 4  # of a token


def priced(world: World) -> World:
    """Return the world with a price of 1 for a token. A resumed prompt has no fixed size, so streams restart."""
    rules: dict[str, Any] = {"on_interrupt": "restart"}

    def without_resume(policy: Any, **more: Any) -> Any:
        return attrs.evolve(policy, **(rules if policy.on_interrupt == "resume" else {}), **more)

    calls = tuple(
        attrs.evolve(one, policy=without_resume(one.policy)) if one.policy is not None else one for one in world.calls
    )
    return attrs.evolve(world, calls=calls, policy=without_resume(world.policy, prices={"m": Price(1e6, 1e6)}))


@attrs.define(eq=False)
class _Request:
    url: str
    script: Script
    pieces: int = 0  # of the body that were delivered, or that a read waits for
    delivered: int = 0  # that were delivered for sure


@attrs.define(eq=False)
class Bills:
    """Watches a simulation. `check` compares the bills with a trace."""

    requests: dict[tuple[Call, int], _Request] = attrs.field(factory=dict)
    _script: Script | None = None

    def watch(self, simulation: Simulation, call: Call, command: Command) -> None:
        if isinstance(command, Open):
            self._wrap(simulation)
            self.requests[call, command.attempt] = _Request(command.request.url, Script())
        elif isinstance(command, Close):
            connection = simulation._on.get((call, command.attempt))
            mine = self.requests[call, command.attempt]
            if connection is not None:
                mine.pieces = connection.place
                # A read that waits has counted its piece already.
                mine.delivered = max(0, connection.place - (connection.ready >= simulation.now))

    def _wrap(self, simulation: Simulation) -> None:
        if self._script is not None:
            return
        network = simulation.network
        self._script = Script()

        def play(request: HttpRequest, now: float) -> Script:
            script = network(request, now)
            list(self.requests.values())[-1].script = script
            return script

        simulation.network = play

    def check(self, call: Call) -> None:
        """Compare the trace of a call with what its providers bill."""
        entries = {entry.attempt: entry for entry in call.trace.entries if isinstance(entry, SPENDING)}
        heads = {entry.attempt for entry in call.trace.entries if isinstance(entry, ResponseStarted)}
        total = 0.0
        for attempt, entry in entries.items():
            mine = self.requests[call, attempt]
            low, high = _bill(mine, entry, has_head=attempt in heads)
            if entry.kind == "cancelled" or getattr(entry, "failure", "") == "deadline":
                low = _bill(attrs.evolve(mine, pieces=mine.delivered), entry, has_head=attempt in heads)[0]
            cost = entry.cost or 0.0
            assert low <= cost <= high, f"the bill of attempt {attempt} is {low} to {high}, and its cost {cost}"
            assert (entry.cost is None) == (entry.tokens is None), "tokens and cost are known together"
            total += cost
        assert (call.trace.cost or 0.0) == total, "the costs of a trace are those of its attempts"


def _bill(request: _Request, entry: Any, *, has_head: bool) -> tuple[float, float]:
    """Return the least and the most that the provider may bill."""
    script, whole = request.script, request.url.endswith("/chat")
    if isinstance(entry, Failed) and entry.phase == "not-sent":
        return 0, 0
    if not has_head:
        if entry.kind == "cancelled" or script.connect == math.inf:
            return 0, PROMPT + (USUAL if whole else 0)  # the router does not know whether it was received
        if script.reset == "reused" and entry.failure == "stale-connection":
            return 0, 0
        broke = entry.failure == "disconnected"
        bill = PROMPT + (USUAL if whole and not broke else 0)
        return bill, bill
    if not 200 <= script.status < 300:
        return 0, 0
    text, end = _sent(script, request.pieces)
    tokens = PROMPT + -(-len(text) // BYTES)
    if whole:
        if entry.kind == "completed":
            return tokens, tokens
        return (0, 0) if end == "e" and _read_to_the_end(entry) else (PROMPT + USUAL, PROMPT + USUAL)
    if end == "e" and not text:
        return (0, 0) if entry.kind == "failed" and entry.status is not None else (PROMPT, PROMPT)
    return tokens, tokens


def _read_to_the_end(entry: Any) -> bool:
    return isinstance(entry, Failed) and entry.status is not None


def _sent(script: Script, pieces: int) -> tuple[str, str]:
    """Return the text that was delivered, and the letter of the line that ended it."""
    text = ""
    *lines, _ = b"".join(piece for _, piece in script.body[:pieces]).decode().split("\n")
    for line in lines:
        if line[:1] in ("t", "r"):
            text += line[1:]
        elif line[:1] not in ("c", "x"):
            return text, line[:1]
    return text, ""
