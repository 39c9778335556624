"""A scenario run to its end: the real router core, simulated providers, and a clock that jumps."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from turnout.chat import ChatRequest
from turnout.messages import Message
from turnout.routing.call.operations import Chat, Operation, Stream
from turnout.routing.router import RouterCore
from turnout.simulation.dialect import TOKEN, SimulatedDialect
from turnout.simulation.engine import Outcome, Simulation
from turnout.simulation.network import SimulatedNetwork
from turnout.simulation.report import CandidateReport, Quantiles, Report, Span
from turnout.simulation.scenario import Scenario
from turnout.trace import Trace
from turnout.trace.entries import Answered, AttemptCompleted, Failed, FirstContent, Started, StreamBroke

__all__ = ["simulate"]

# How often in each part of the timeline the open breakers are counted.
LOOKS = 10


def simulate(
    scenario: Scenario,
    on_trace: Callable[[Trace], None] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Report:
    """Run a scenario. The same scenario gives the same report, byte for byte, and the same traces.

    Args:
        scenario: The scenario.
        on_trace: Called with the trace of each call after its end.
        on_progress: Called with the part of the duration that has passed, from 0 to 1, in even steps.
    """
    return _Run(scenario, on_trace, on_progress).run()


@attrs.define(eq=False)
class _Run:
    scenario: Scenario
    on_trace: Callable[[Trace], None] | None
    on_progress: Callable[[float], None] | None
    core: RouterCore = attrs.field(init=False)
    world: Simulation = attrs.field(init=False)
    report: Report = attrs.field(init=False)
    _rng: random.Random = attrs.field(init=False)
    _begun: int = attrs.field(default=0, init=False)
    _prompts: dict[int, Message] = attrs.field(factory=dict, init=False)
    _first: list[float] = attrs.field(factory=list, init=False)
    _whole: list[float] = attrs.field(factory=list, init=False)
    _added: list[float] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        scenario = self.scenario
        self.core = RouterCore(scenario.policy, random.Random(f"{scenario.seed}/router"))
        for provider in scenario.providers:
            self.core.register(SimulatedDialect(provider.name))
        for route in scenario.routes:
            self.core.add_route(route)
        network = SimulatedNetwork.of(scenario.providers, scenario.seed)
        self.world = Simulation(
            self.core, network.answer, network.observe, finished=self._finished, concurrent=scenario.concurrent
        )
        self._rng = random.Random(f"{scenario.seed}/callers")
        self.report = Report(scenario.seed)
        names = [str(model) for model in scenario.models if not model.is_route]
        names += [str(choice.model) for route in scenario.routes for choice in route.choices]
        self.report.candidates = {name: CandidateReport() for name in dict.fromkeys(names)}
        length = scenario.duration / scenario.bins
        self.report.timeline = [Span(round(place * length, 6)) for place in range(scenario.bins)]

    def run(self) -> Report:
        arrivals, world, report = self.scenario.arrivals, self.world, self.report
        if arrivals.users is None:
            self._plan_next(0.0)
        else:
            for _ in range(arrivals.users):
                self._plan(arrivals.think.draw(self._rng))
        self._look(0)
        world.run()
        report.seconds = round(world.now, 6)
        for key, state in self.core.scheduler.states().items():
            report.candidates[key].breaker_opened = state.breaker.times_opened
        report.first_content = Quantiles.of(self._first)
        report.whole = Quantiles.of(self._whole)
        report.added = Quantiles.of(self._added)
        if report.cost is not None:
            report.cost = round(report.cost, 6)
        while len(report.timeline) > 1 and not report.timeline[-1].calls:
            report.timeline.pop()
        return report

    # -- calls --------------------------------------------------------------------------------------------------

    def _plan_next(self, now: float) -> None:
        self._plan(self.scenario.arrivals.next_after(now, self._rng))

    def _plan(self, at: float) -> None:
        if at < self.scenario.duration:
            self.world.at(at, self._begin)

    def _begin(self) -> None:
        scenario, world = self.scenario, self.world
        if scenario.calls is not None and self._begun >= scenario.calls:
            return
        self._begun += 1
        world.call(self._operation(), at=world.now)
        if scenario.arrivals.users is None:
            self._plan_next(world.now)

    def _operation(self) -> Operation:
        scenario = self.scenario
        tokens = round(scenario.prompt_tokens.draw(self._rng))
        prompt = self._prompts.get(tokens)
        if prompt is None:
            prompt = self._prompts[tokens] = Message.user("x" * max(1, tokens * TOKEN))
        primary, *fallbacks = scenario.models
        request = ChatRequest(primary, [prompt], fallbacks=fallbacks)
        if scenario.kind == "stream":
            return Stream(request)
        return Chat(request, collect=scenario.kind == "collect")

    # -- the results --------------------------------------------------------------------------------------------

    def _finished(self, outcome: Outcome) -> None:
        report, trace = self.report, outcome.call.trace
        place = int(outcome.began / self.scenario.duration * self.scenario.bins)
        span = report.timeline[min(place, len(report.timeline) - 1)]
        report.calls += 1
        span.calls += 1
        began: dict[int, Started] = {}
        content: dict[int, float] = {}
        last = 0
        for entry in trace.entries:
            match entry:
                case Started():
                    began[entry.attempt] = entry
                    report.attempts += 1
                    report.hedges += entry.hedge
                    report.candidates[entry.candidate].attempts += 1
                case FirstContent():
                    content.setdefault(entry.attempt, entry.at)
                case Failed():
                    report.candidates[began[entry.attempt].candidate].failures[entry.failure.value] += 1
                case StreamBroke():
                    report.restarts += 1
                case AttemptCompleted():
                    last = entry.attempt
                case Answered():
                    report.answered += 1
                    report.candidates[entry.candidate].answered += 1
                    span.served[entry.candidate] += 1
                    self._added.append(began[last].at)
                    self._whole.append(outcome.ended - outcome.began)
                    if self.scenario.kind != "chat":
                        self._first.append(min(content.values()))
                case _:
                    pass
        if trace.cost is not None:
            report.cost = (report.cost or 0.0) + trace.cost
        if outcome.error is not None:
            report.errors[type(outcome.error).__name__] += 1
            span.failed += 1
        if self.on_trace is not None:
            self.on_trace(trace)
        think = self.scenario.arrivals.think
        if self.scenario.arrivals.users is not None:
            self._plan(self.world.now + think.draw(self._rng))

    def _look(self, number: int) -> None:
        """Count the open breakers now, report the progress, and plan the next count."""
        now, report, scenario = self.world.now, self.report, self.scenario
        if self.on_progress is not None:
            self.on_progress(now / scenario.duration)
        span = report.timeline[number // LOOKS]
        for key, state in self.core.scheduler.states().items():
            breaker = state.breaker
            if breaker.available_in(now) or breaker.state(now) != "closed":
                span.breaker_open[key] = round(span.breaker_open.get(key, 0.0) + 1 / LOOKS, 6)
        following = number + 1
        if following < scenario.bins * LOOKS:
            when = (following + 0.5) * scenario.duration / (scenario.bins * LOOKS)
            self.world.at(when, lambda: self._look(following))
