"""Small worlds written by hand: a script for each exchange, through the real core on a virtual clock."""

from __future__ import annotations

import random
from typing import Any

from tests.sansio.routing.line_dialect import LineProvider, lines, text_of
from turnout.chat import ChatRequest, ModelConfig
from turnout.events import Restarted
from turnout.http import HttpRequest
from turnout.providers.protocol import ModelProfile
from turnout.routing.call.operations import Operation, Stream
from turnout.routing.policy.settings import Policy
from turnout.routing.router import RouterCore
from turnout.simulation import Outcome, Script, Simulation

GOOD = Script(body=((0.0, lines("tone", "ttwo", "f")),))
CUT = Script(body=((0.0, lines("tone")), (0.1, lines("ttwo"))), end="cut")
DOWN = Script(status=500)


class World:
    """Providers p0, p1, … with a script for each of their exchanges; the last script is played again and again."""

    def __init__(
        self,
        *scripts: list[Script],
        facts: dict[int, ModelProfile] | None = None,
        concurrent: bool = False,
        **policy: Any,
    ) -> None:
        self.core = RouterCore(Policy(**policy), random.Random(1))
        for number in range(len(scripts)):
            known = (facts or {}).get(number, ModelProfile())
            self.core.register(LineProvider(f"p{number}", known=known))
        self.left = {f"p{number}.test": list(mine) for number, mine in enumerate(scripts)}
        self.asked: list[tuple[str, float]] = []
        self.simulation = Simulation(self.core, self.answer, concurrent=concurrent)

    def answer(self, request: HttpRequest, now: float) -> Script:
        host = request.url.split("/")[2]
        self.asked.append((host.removesuffix(".test"), now))
        mine = self.left[host]
        return mine.pop(0) if len(mine) > 1 else mine[0]

    def request(self, *places: int, **options: Any) -> ChatRequest:
        models = [ModelConfig(f"p{number}", "m") for number in places or range(len(self.left))]
        return ChatRequest(models[0], "x", fallbacks=models[1:], **options)

    def run(self, operation: Operation | None = None, *, at: float | None = None, **options: Any) -> Outcome:
        when = self.simulation.now if at is None else at
        self.simulation.call(operation or Stream(self.request()), at=when, **options)
        self.simulation.run()
        return self.simulation.outcomes[-1]

    @property
    def who(self) -> list[str]:
        return [name for name, _ in self.asked]


def texts(outcome: Outcome) -> list[str]:
    """What was delivered, from restart to restart."""
    parts = [""]
    for _, event in outcome.events:
        if isinstance(event, Restarted):
            parts.append("")
        else:
            parts[-1] += text_of([event])
    return parts
