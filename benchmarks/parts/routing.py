"""What the routing core adds to a call, without any I/O: many candidates, a full queue, and the simulation."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import attrs
import yaml

from benchmarks.measure import least_cpu
from benchmarks.report import Context, Ratio, Report, Table
from benchmarks.routing import by_hand, routed
from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message
from turnout.providers import create
from turnout.routing.call.machine import Call
from turnout.routing.call.operations import Stream
from turnout.routing.commands import Close, Finish, Open, Read, Sleep
from turnout.routing.policy.settings import Limit, Policy
from turnout.routing.router import RouterCore
from turnout.simulation import read_scenario, simulate

__all__ = ["Queue", "candidates", "simulation", "waiting"]

SCENARIO = Path(__file__).resolve().parents[2] / "transports" / "turnout_io" / "scenarios" / "outage.yaml"
_AIMS = {1: 30.0, 10: 35.0, 100: 60.0, 500: 150.0}
# Calls of the same scenario, as streams, that were played before the routing core was made fast, in the time of one
# `_yardstick`: so that the figure can be carried over to another machine.
_CALLS_BEFORE = 20.0
_WHY_ROUTING = (
    "Routing takes 6,500 bytecodes for a call with one candidate and 7,050 with 2, 10, 100 or 500: it looks at the "
    "second one to know how to share the time, and at the others only after a failure. The time that still grows is "
    "that of loops in C over the names of all candidates, which the trace has.",
)


def _cores(count: int) -> tuple[RouterCore, ChatRequest]:
    core = RouterCore(rng=random.Random(0))
    for number in range(count):
        core.register(create("openai", name=f"p{number}", api_key="k"))
    models = [ModelConfig(f"p{number}", "m") for number in range(count)]
    return core, ChatRequest(models[0], [Message.user("hello")], fallbacks=models[1:])


def _many(run: Callable[[], None], times: int) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(times):
            run()

    return repeated


def candidates(context: Context) -> Report:
    """Measure a call with more and more candidates, of which the first answers."""
    times, rows, ratios = context.times(100, 5), [], []
    for count, aim in _AIMS.items():
        core, request = _cores(count)
        lone = request.for_model(request.model)
        whole = least_cpu(_many(lambda: routed(core, request, 1), times), 5 * context.rounds)  # noqa: B023 - run at once
        hand = least_cpu(_many(lambda: by_hand(lone, 1), times), 5 * context.rounds)  # noqa: B023 - as above
        added = (whole - hand) / times * 1e6
        rows.append((f"{count}", f"{whole / times * 1e6:.0f}", f"{hand / times * 1e6:.0f}", f"{added:.0f}"))
        ratios.append(Ratio(f"routing of a call with {count} candidates", added, aim, "µs"))
    columns = ("candidates", "routed", "the exchange by hand", "added")
    table = Table("µs of CPU a call of one chunk", columns, tuple(rows))
    return Report("routing", (table,), tuple(ratios), notes=_WHY_ROUTING)


class Queue:
    """A provider that takes 8 calls at a time, and calls that wait for it."""

    def __init__(self, waiting: int) -> None:
        policy = Policy(limits={"p0": Limit(max_concurrency=8)}, max_pending=None, timeout=3600.0)
        self.core = RouterCore(policy, random.Random(0))
        self.core.register(create("openai", name="p0", api_key="k"))
        self.request = ChatRequest(ModelConfig("p0", "m"), [Message.user("hello")])
        self.now = 0.0
        self.active: list[tuple[Call, int]] = []
        self.waiting: set[Call] = set()
        for _ in range(8 + waiting):
            self.arrive()

    def arrive(self) -> None:
        """One more call begins: it is opened, or waits."""
        self.now += 0.001
        self._advance(self.core.start(Stream(self.request), self.now))

    def _advance(self, call: Call) -> None:
        command = call.next_command(self.now)
        if isinstance(command, Sleep):
            self.waiting.add(call)
        else:
            assert isinstance(command, Open)
            call.receive_head(command.attempt, 200, (), self.now)
            self.active.append((call, command.attempt))

    def finish_one(self) -> None:
        """The oldest call ends; the one that waited longest begins."""
        call, attempt = self.active.pop(0)
        self.now += 0.001
        last = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        call.receive_data(attempt, last, self.now)
        while not isinstance(command := call.next_command(self.now), Finish):
            if isinstance(command, Read):
                call.receive_end(attempt, self.now)
            else:
                assert isinstance(command, Close)
        for ready in self.core.take_ready():
            self.waiting.discard(ready)
            self._advance(ready)


def waiting(context: Context) -> Report:
    """Measure calls that arrive while others wait for a provider that is at its limit."""
    times, rounds = context.times(300, 10), 3 * context.rounds
    cost = {}
    for length in (0, 100, 1_000, context.times(10_000, 2_000)):
        queue = Queue(length)

        def one() -> None:
            queue.arrive()  # noqa: B023 - run at once
            queue.finish_one()  # noqa: B023 - as above

        def lone() -> None:
            queue.finish_one()  # noqa: B023 - as above
            queue.arrive()  # noqa: B023 - as above

        run = one if length else lone
        cost[length] = least_cpu(_many(run, times), rounds) / times * 1e6
    most = max(cost)
    rows = tuple((f"{length:,}", f"{value:.0f}") for length, value in cost.items())
    ratio = Ratio(f"a call while {most:,} wait, over a call while nobody waits", cost[most] / cost[0], 1.3)
    return Report("waiting", (Table("µs of CPU a call, no I/O", ("calls that wait", "µs"), rows),), (ratio,))


def _yardstick() -> None:
    total = 0
    for number in range(200_000):
        total += number & 7


def simulation(context: Context) -> Report:
    """Measure how many calls of a simulated outage are played in a second."""
    calls = context.times(10_000, 200)
    outage = read_scenario(yaml.safe_load(SCENARIO.read_text("utf-8")))
    yardstick = least_cpu(_yardstick, 10)
    rows, rates = [], []
    for kind in ("stream", "chat"):
        scenario = attrs.evolve(outage, kind=kind, calls=calls)
        seconds = least_cpu(lambda: simulate(scenario), context.rounds)  # noqa: B023 - run at once
        rates.append(calls / seconds)
        rows.append((kind, f"{seconds / calls * 1e6:.0f}", f"{calls / seconds:,.0f}"))
    table = Table(
        f"A simulated outage of {calls:,} calls", ("callers ask for a", "µs a call", "calls a second"), tuple(rows)
    )
    ratio = Ratio(
        "calls a second of the simulation over those at the beginning",
        rates[0] * yardstick / _CALLS_BEFORE,
        2.5,
        at_least=True,
    )
    return Report("simulation", (table,), (ratio,))
