"""What must hold in every world at each command, checked with books of its own."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import attrs

from tests.sansio.routing.line_dialect import LineProvider
from tests.sansio.routing.worlds.generated import World
from tests.sansio.routing.worlds.repetitions import Repetitions
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import Phase
from turnout.failures import FailureClass
from turnout.http import HttpRequest
from turnout.messages import Message
from turnout.providers.protocol import ModelProfile
from turnout.routing.call.machine import Call
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.commands import Close, Command, Finish, Open, Read, Sleep, WaitForAny
from turnout.routing.policy.classify import RULES
from turnout.routing.policy.settings import Policy
from turnout.routing.router import RouterCore
from turnout.routing.state.breaker import PROBE_SECONDS
from turnout.routing.state.waiter import Admitted
from turnout.simulation import Script, Simulation
from turnout.trace.entries import (
    AttemptCancelled,
    AttemptCompleted,
    CandidateBlocked,
    Entry,
    Failed,
    FirstContent,
    Queued,
    Started,
    StreamBroke,
)

# After these, a wait that the provider asks for is a pace: all calls queue until it ends.
LIMITED = frozenset({FailureClass.RATE_LIMIT, FailureClass.OVERLOADED, FailureClass.SERVER})


@attrs.define(eq=False)
class Try:
    """One attempt in the books of the observer."""

    number: int
    provider: str
    opened: float
    dropped: bool = False
    late_read_at: float | None = None
    script: Script | None = None


@attrs.define(eq=False)
class Observer:
    """Sees every command before it is done."""

    world: World
    core: RouterCore
    tries: dict[Call, list[Try]] = attrs.field(factory=lambda: defaultdict(list))
    began: dict[Call, float] = attrs.field(factory=dict)
    failures: dict[str, list[tuple[float, float]]] = attrs.field(factory=lambda: defaultdict(list))
    doubtful: dict[str, list[tuple[float, float]]] = attrs.field(factory=lambda: defaultdict(list))
    paced: dict[str, float] = attrs.field(factory=lambda: defaultdict(lambda: -math.inf))
    slowest: dict[str, float] = attrs.field(factory=dict)  # seconds that content took, at the most
    newest: Try | None = None
    _read: dict[Call, int] = attrs.field(factory=lambda: defaultdict(int))
    _repetitions: Repetitions = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._repetitions = Repetitions(self.began)

    def __call__(self, call: Call, command: Command, now: float) -> None:
        self.began.setdefault(call, now)
        self._read_facts(call)
        match command:
            case Open():
                self._opened(call, command, now)
            case Close(attempt):
                mine = self._of(call, attempt)
                assert not mine.dropped, "nothing is dropped twice"
                mine.dropped = True
            case Read(attempt, until, idle):
                mine = self._of(call, attempt)
                assert not mine.dropped, "nothing is read that was dropped"
                if until > now:
                    assert idle > 0
                else:  # what has arrived already, before silence is declared
                    assert idle == 0, "no read is over before it began"
                    assert mine.late_read_at != now, "what has arrived is read once"
                    mine.late_read_at = now
            case Sleep(until):
                assert until > now, "no wait is over before it began"
                assert until <= self._deadline(call) + 1e-6, "no wait is longer than the deadline"
            case WaitForAny():
                assert self.world.concurrent, "only tasks can wait beside each other"
                assert call.hedging
            case Finish(result, error):
                assert result is None or error is None
                assert all(mine.dropped for mine in self.tries[call]), "what began has ended"
        # A place is held from Open to Drop, and by a call that was just granted one.
        on = [mine for tries in self.tries.values() for mine in tries if not mine.dropped]
        owed = sum(len(other.in_flight.to_close) for other in self.began)
        granted = sum(isinstance(other.selector.answer, Admitted) for other in self.began)
        assert self.core.scheduler.in_flight == len(on) - owed + granted, "leases equal opens minus drops"
        most = self.world.policy.max_concurrency
        assert most is None or len(on) - owed <= most, "the router is never over its limit"

    def policy_of(self, call: Call) -> Policy:
        """The rules of a call; those of places, limits and breakers are the router's, whatever it says of them."""
        own = self.world.calls[call.trace.metadata["number"]].policy
        return own.over(self.world.policy) if own is not None else self.world.policy

    def _opened(self, call: Call, command: Open, now: float) -> None:
        policy, tries = self.policy_of(call), self.tries[call]
        assert command.attempt not in [mine.number for mine in tries], "an attempt is opened once"
        assert not call.committed, "nothing is opened while content stands"
        broke = any(isinstance(entry, StreamBroke) for entry in call.trace.entries)
        had_content = call.trace.operation == "stream" and self._contents(call)
        assert not had_content or broke, "nothing is retried after content, unless the policy says so"
        assert not broke or policy.on_interrupt != "raise"
        assert now < self._deadline(call), "nothing is opened after the deadline"
        assert command.timeouts.response_headers is not None
        assert now + command.timeouts.response_headers <= self._deadline(call) + 1e-5, (
            "no attempt may overrun the deadline"
        )
        assert len(tries) < policy.max_attempts, "no more attempts than may be"
        provider = str(urlsplit(command.request.url).hostname).removesuffix(".test")
        self.newest = Try(command.attempt, provider, now)
        tries.append(self.newest)
        started = [entry for entry in call.trace.entries if isinstance(entry, Started)][-1]
        assert started.candidate == f"{provider}/m", "the trace names who is asked"
        if started.hedge:
            assert self.world.concurrent
            assert policy.hedge is not None or started.replaces
            saved = sum(hedge.budget for hedge in (self.policy_of(other).hedge for other in self.began) if hedge)
            started_so_far = [one for other in self.began for one in other.trace.entries if isinstance(one, Started)]
            hedges = sum(one.hedge and not one.replaces for one in started_so_far)
            assert hedges <= 1 + saved + 1e-9, "hedges keep to their budget"
            assert len([mine for mine in tries if not mine.dropped]) == 2, "a hedge is beside another"
        self._repeats(call, started, now)
        self._within_limits(provider, now)
        paced = self.paced[started.candidate]
        assert now >= paced - 2e-5, "the wait that a provider asks for holds for every call"
        self._rested(call, started, now)
        if not started.forced:  # else it asks one that others give time to rest, and takes nothing from them
            self._fair(call, started.index, now)

    def _repeats(self, call: Call, started: Started, now: float) -> None:
        """What may be asked for again, and from when on."""
        entries = call.trace.entries
        failed = {entry.attempt: entry for entry in entries if isinstance(entry, Failed)}
        for earlier in entries:
            if not isinstance(earlier, Started) or earlier.attempt == started.attempt:
                continue
            failure = failed.get(earlier.attempt)
            if self.policy_of(call).retry_mode == "only_if_unsent":
                unsent = failure is not None and failure.phase is Phase.NOT_SENT
                assert unsent, "nothing is repeated that may have been processed"
            if failure is not None and failure.retry_after is not None and earlier.index == started.index:
                assert now >= self.began[call] + failure.at + failure.retry_after - 1e-6, "Retry-After is a floor"

    def _within_limits(self, provider: str, now: float) -> None:
        for key in (provider, f"{provider}/m"):
            limit = self.world.policy.limits.get(key)
            if limit is None:
                continue
            on = recent = whole = 0
            for call, tries in self.tries.items():
                owed = {mine.number for mine in call.in_flight.to_close}
                early = {
                    entry.attempt
                    for entry in call.trace.entries
                    if isinstance(entry, Failed | AttemptCancelled) and entry.tokens is not None
                }
                for mine in tries:
                    if mine.provider == provider:
                        going = not mine.dropped and mine.number not in owed
                        on += going
                        counts = mine.opened > now - 60.0 and (going or mine.number in self._contents(call))
                        recent += counts
                        whole += counts and mine.number not in early
            assert limit.max_concurrency is None or on <= limit.max_concurrency, f"{key} is over its limit"
            assert limit.requests_per_minute is None or recent <= limit.requests_per_minute, f"{key} is asked too often"
            # No answer of these worlds says what it took, so each counts as the 1,000 tokens that it was taken for. One
            # that ended early counts as the few that arrived.
            for most in (limit.tokens_per_minute, limit.output_tokens_per_minute):
                assert most is None or whole <= most // 1000, f"{key} is asked for too many tokens"

    def _rested(self, call: Call, started: Started, now: float) -> None:
        """With a breaker that opens at the first failure it is plain when a candidate must be left alone."""
        breaker = self.world.policy.breaker
        if breaker is None or breaker.consecutive_failures != 1:
            return
        last = max((at for at, until in self.failures[started.candidate] if now < until), default=None)
        if last is not None:
            assert started.forced, "nothing opens on an open breaker, unless there is no other"
        if started.forced:
            assert self.policy_of(call).when_all_in_cooldown == "try_anyway"
        elif started.probe:
            closing = {other: [owed.number for owed in other.in_flight.to_close] for other in self.tries}
            probes = sum(
                entry.probe and entry.candidate == started.candidate and not mine.dropped
                for other, tries in self.tries.items()
                for entry in other.trace.entries
                if isinstance(entry, Started)
                for mine in tries
                if mine.number == entry.attempt
                and mine.number not in closing[other]
                # One without a result in time is not waited for, and one with content has closed the breaker.
                and mine.opened > now - PROBE_SECONDS
                and mine.number not in self._contents(other)
            )
            assert probes == 1, "a half-open breaker lets one probe through"

    def _fair(self, call: Call, place: int, now: float) -> None:
        """Nobody who comes first, by arrival and priority, still waits for the same candidate."""
        model = call.selector.candidates[place].model
        for other in self.began:
            entries = other.trace.entries
            if other is call or other.finished or other.selector.answer is not None or not entries:
                continue
            waits = isinstance(entries[-1], Queued) and other.selector.is_queued
            # One that began to wait at this very moment may have come after this call was let in.
            waits = waits and self._when(other, entries[-1].at) < round(now, 5)
            mine = [entry for entry in call.trace.entries if isinstance(entry, Queued)]
            turn = self._turn(call, mine[-1].at if mine else 0.0)
            for left in other._plan.left if waits else ():
                if other.selector.candidates[left].model == model:
                    assert self._turn(other, entries[-1].at) >= turn, "who has waited longest is served first"

    def _turn(self, call: Call, at: float) -> float:
        """The time by which a waiting call has its place: newer calls of a higher priority come first until then."""
        planned = self.world.calls[call.trace.metadata["number"]]
        return self._when(call, at + min(10.0 * planned.priority, self._time(call) / 2))

    def _read_facts(self, call: Call) -> None:
        """Take down the failures that speak against a candidate's health."""
        breaker = self.world.policy.breaker
        entries = call.trace.entries
        started = {entry.attempt: entry for entry in entries if isinstance(entry, Started)}
        for place, entry in enumerate(entries[self._read[call] :], self._read[call]):
            self._repetitions.read(call, place)
            if breaker is not None and ended_by_others(entry):
                # Its silence may have been long enough to begin a break.
                key, at = started[entry.attempt].candidate, self._when(call, entry.at)
                self.doubtful[key].append((at, at + breaker.break_duration + 2e-5))
            elif isinstance(entry, Failed) and breaker is not None:
                at, since = self._when(call, entry.at), self._when(call, started[entry.attempt].at)
                key = started[entry.attempt].candidate
                # One that was under way before the breaker opened tells nothing that is not known. A break may last a
                # little longer than these rounded times, so a failure at its very end is known, too; but not that of a
                # probe, which starts when the breaks before it are over.
                known = any(
                    since < earlier < until
                    or (earlier <= at < until + 2e-5 and not (started[entry.attempt].probe and earlier < since))
                    for earlier, until in self.failures[key]
                )
                # Silence that was cut short may say nothing, where content has taken as long before.
                sure = entry.error != "TimedOut" or at - since >= max(10.0, 4.0 * self.slowest.get(key, 0.0))
                # And nothing is sure in a break that such a silence may have begun, nor of what began before it.
                sure = sure and not any(
                    since < earlier or earlier <= at < until for earlier, until in self.doubtful[key]
                )
                if RULES[entry.failure].health and not known:
                    # `at` is rounded, perhaps upwards: without the margin a break of no time would last until then.
                    self.failures[key].append((at, at + (breaker.break_duration if sure else 0.0) - 1e-5))
                    if not sure:
                        self.doubtful[key].append((at, at + breaker.break_duration + 2e-5))
            if isinstance(entry, CandidateBlocked):
                self._waits_are_bounded(entry)
            if isinstance(entry, Failed) and entry.failure in LIMITED and entry.retry_after is not None:
                key, asked = started[entry.attempt].candidate, min(entry.retry_after, self.world.policy.max_cooldown)
                self.paced[key] = max(self.paced[key], self._when(call, entry.at) + asked)
            if isinstance(entry, FirstContent | AttemptCancelled | AttemptCompleted):
                key, took = started[entry.attempt].candidate, entry.at - started[entry.attempt].at
                self.slowest[key] = max(self.slowest.get(key, -1.0), took)
            if isinstance(entry, AttemptCompleted) or (
                isinstance(entry, FirstContent) and started[entry.attempt].probe
            ):
                key, since = started[entry.attempt].candidate, self._when(call, started[entry.attempt].at)
                if all(since >= earlier for earlier, _ in self.failures[key]):
                    self.failures[key].clear()
        self._read[call] = len(entries)

    def _waits_are_bounded(self, entry: CandidateBlocked) -> None:
        breaker = self.world.policy.breaker
        if entry.reason == "breaker_open":
            assert breaker is not None
            assert entry.wait is not None
            assert entry.wait <= breaker.max_break_duration + 2e-5, "a recovered candidate is soon asked again"
        if entry.reason == "probe_in_flight":
            assert entry.wait is not None, "a probe without a result is not waited for"
            assert entry.wait <= PROBE_SECONDS + 2e-5, "a probe without a result is not waited for"

    def _when(self, call: Call, at: float) -> float:
        """The time of an entry. A trace counts in microseconds: what is nearer to each other happened at once."""
        return round(self.began[call] + at, 5)

    def _contents(self, call: Call) -> set[int]:
        return {entry.attempt for entry in call.trace.entries if isinstance(entry, FirstContent)}

    def _deadline(self, call: Call) -> float:
        broken = [entry.deadline for entry in call.trace.entries if isinstance(entry, StreamBroke)]
        return self.began[call] + (broken[-1] if broken else self._time(call))

    def _time(self, call: Call) -> float:
        """The seconds that a call has in all."""
        timeout = call.trace.metadata["timeout"]
        return min(self.policy_of(call).timeout, timeout if timeout is not None else math.inf)

    def _of(self, call: Call, attempt: int) -> Try:
        found = [mine for mine in self.tries[call] if mine.number == attempt]
        assert found, "only what was opened is read or dropped"
        return found[0]


def ended_by_others(entry: Entry) -> TypeGuard[Failed | AttemptCancelled]:
    """True if nothing ended an attempt but the deadline of its call, or a faster attempt."""
    if isinstance(entry, AttemptCancelled):
        return entry.reason == "another was faster"
    return isinstance(entry, Failed) and entry.error == "DeadlineExceeded"


def drive(
    world: World, seed: int = 7, watch: Callable[[Simulation, Call, Command], None] | None = None
) -> tuple[Simulation, Observer]:
    """The world from its beginning to its end. `watch` sees every command before it is done, too."""
    names = {f"p{number}" for number in range(world.candidates)}
    limits = {key: limit for key, limit in world.policy.limits.items() if key.partition("/")[0] in names}
    core = RouterCore(attrs.evolve(world.policy, limits=limits), random.Random(seed))
    for number in range(world.candidates):
        core.register(LineProvider(f"p{number}", known=ModelProfile(prefill={} if number else None)))
    served: dict[str, int] = defaultdict(int)
    observer = Observer(world, core)

    def network(request: HttpRequest, now: float) -> Script:
        name = str(urlsplit(request.url).hostname).removesuffix(".test")
        mine = world.scripts[int(name[1:])]
        served[name] += 1
        script = mine[(served[name] - 1) % len(mine)]
        assert observer.newest is not None
        observer.newest.script = script
        return script

    simulation = Simulation(core, network, observer, concurrent=world.concurrent)

    def observe(call: Call, command: Command, now: float) -> None:
        observer(call, command, now)
        if watch is not None:
            watch(simulation, call, command)

    simulation.observe = observe

    def leap(seconds: float) -> None:
        simulation.now += seconds

    for at, seconds in world.leaps:
        simulation.at(at, partial(leap, seconds))
    for number, planned in enumerate(world.calls):
        models = [ModelConfig(f"p{number}", "m") for number in planned.candidates]
        labels = {"timeout": planned.timeout, "number": number}
        request = ChatRequest(models[0], (Message.user("hello"),), fallbacks=models[1:], metadata=labels)
        operation = Stream(request) if planned.kind == "stream" else Chat(request, planned.kind == "collect")
        options: dict[str, Any] = {
            "timeout": planned.timeout,
            "policy": planned.policy,
            "priority": planned.priority,
        }
        simulation.call(operation, at=planned.at, cancel_at=planned.cancel_at, **options)
    simulation.run(until=3600.0)
    return simulation, observer
