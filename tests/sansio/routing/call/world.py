"""Providers that play scripts, and the calls of a router on them, on a virtual clock."""

from __future__ import annotations

import random
from typing import Any

from tests.sansio.routing.line_dialect import LineProvider, lines
from turnout.chat import ChatRequest, ModelConfig
from turnout.http import HttpRequest
from turnout.messages import Message
from turnout.routing.call.operations import Operation, Stream
from turnout.routing.policy.settings import Policy
from turnout.routing.router import RouterCore
from turnout.simulation import Outcome, Script, Simulation

__all__ = ["CUT", "GOOD", "World", "failing"]

GOOD = Script(body=((0.0, lines("tone", "ttwo", "f")),))
CUT = Script(body=((0.0, lines("tone")), (0.1, lines("ttwo"))), end="cut")


def failing(status: int, **fields: Any) -> Script:
    return Script(status=status, **fields)


class World:
    """Providers p0, p1, … with a script for each of their exchanges; the last script is played again and again."""

    def __init__(self, *scripts: list[Script], **policy: Any) -> None:
        self.core = RouterCore(Policy(**policy), random.Random(1))
        for number in range(len(scripts)):
            self.core.register(LineProvider(f"p{number}"))
        self.left = {f"p{number}.test": list(mine) for number, mine in enumerate(scripts)}
        self.asked: list[tuple[str, float]] = []
        self.simulation = Simulation(self.core, self.answer)

    def answer(self, request: HttpRequest, now: float) -> Script:
        host = request.url.split("/")[2]
        self.asked.append((request.url.partition("//")[2], now))
        mine = self.left[host]
        return mine.pop(0) if len(mine) > 1 else mine[0]

    def request(self) -> ChatRequest:
        models = [ModelConfig(f"p{number}", "m") for number in range(len(self.left))]
        return ChatRequest(models[0], [Message.user("x")], fallbacks=models[1:])

    def run(self, operation: Operation | None = None, **options: Any) -> Outcome:
        self.simulation.call(operation or Stream(self.request()), **options)
        self.simulation.run()
        return self.simulation.outcomes[-1]
