"""Which attempt may start now, which calls wait, and in which order they are served.

Each limiter has a line. A call that cannot start joins the line of the limiter that blocks each of its candidates: the
outermost one, if several do. When a slot is released, the lines of its limiters are served from the head, in the order
in which the calls arrived. So a release looks at the calls that it can admit, however many others wait. A new call is
considered after all calls that wait for the same limiter, unless these have a lower priority
(`turnout.routing.policy.priority`).

If the head of a line is blocked by a limiter around it, the line is marked there as stalled, and served when that
limiter has room again.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import attrs

from turnout.chat import RateLimit, Usage
from turnout.failures import FailureClass
from turnout.providers.protocol import ModelProfile, Provider
from turnout.routing.policy.classify import Rule
from turnout.routing.policy.decisions import Blocked, Choice, GiveUp, TryCandidate, WaitUntil
from turnout.routing.policy.settings import Hedge, Limit, Policy
from turnout.routing.state.breaker import Breaker
from turnout.routing.state.budgets import Budgets
from turnout.routing.state.candidate_state import CandidateState
from turnout.routing.state.lease import Lease
from turnout.routing.state.limiter import Limiter, limit_of
from turnout.routing.state.limits import QuotaFactory, sliding_window
from turnout.routing.state.throttle import Throttle
from turnout.routing.state.waiter import Admitted, Refused, Waiter

if TYPE_CHECKING:
    from turnout.routing.state.shared_limits import SharedLimits

__all__ = ["Scheduler"]

# How many candidates are remembered before idle ones are evicted. One takes about 2.5 kB.
EVICT_ABOVE = 1000
# How many hedges calls can save up that needed none.
MAX_HEDGE_TOKENS = 10.0


@attrs.define(eq=False)
class Scheduler:
    """The slots, lines and candidates of one router. Each public method takes the router's lock.

    Attributes:
        policy: The router's.
        make_quota: Makes the quota of each configured rate limit (`turnout.routing.state.limits.Quota`).
        shared: The limits that this router shares with other processes; None if it shares nothing.
        budgets: What was spent of the router's budgets.
        ready: The calls that `take_ready` would return: empty most of the time, which a driver can see at no cost.
    """

    policy: Policy
    _lock: AbstractContextManager[Any]
    make_quota: QuotaFactory = sliding_window
    shared: SharedLimits | None = None
    _rng: random.Random = attrs.field(factory=lambda: random.Random(0))
    budgets: Budgets = attrs.field(init=False)
    _throttle: Throttle = attrs.field(factory=Throttle, init=False)
    _router: Limiter = attrs.field(init=False)
    _providers: dict[str, Limiter] = attrs.field(init=False)
    _states: dict[str, CandidateState] = attrs.field(init=False)
    _waiting: dict[Waiter, None] = attrs.field(init=False)
    ready: list[Waiter] = attrs.field(factory=list, init=False)
    _order: itertools.count[int] = attrs.field(factory=itertools.count, init=False)
    _evict_at: int = attrs.field(default=EVICT_ABOVE, init=False)
    _hedge_tokens: float = attrs.field(default=1.0, init=False)

    def __attrs_post_init__(self) -> None:
        if self.shared is not None:
            self.make_quota = self.shared.make_quota
            self.shared.attach(self)
        self._forget_everything()

    def _forget_everything(self) -> None:
        self._router = Limiter("the router", Limit(max_concurrency=self.policy.max_concurrency))
        self._providers, self._states = {}, {}
        self._waiting = {}
        self.ready.clear()
        self.budgets = Budgets(self.policy.budgets, self.shared)

    def reset_after_fork(self) -> None:
        """Forget all calls and candidates after a fork. The calls belong to the parent process and continue there.

        A call that ends in this process nevertheless releases its slot to the old limiters, and so to nobody.
        """
        with self._lock:
            self._forget_everything()

    # -- attempts -----------------------------------------------------------------------------------------------

    def call_started(self, hedge: Hedge | None, now: float) -> None:
        """Count a new call. If it may hedge, it adds its share to the budget of hedges."""
        with self._lock:
            if hedge is not None:
                self._hedge_tokens = min(MAX_HEDGE_TOKENS, self._hedge_tokens + hedge.budget)
            if len(self._states) >= self._evict_at:
                self._evict_idle(now)

    def acquire(self, waiter: Waiter, now: float) -> Admitted | Refused | None:
        """Start an attempt, or return why the call must wait or give up. A call that must wait joins the lines.

        Returns:
            None if the call waits already and must go on waiting, until `waiter.wake_at`; or if its candidates are
            blocked as far as they were looked up, and it has more.
        """
        with self._lock:
            if waiter in self._waiting:
                # Its wait is over: the heads of its lines are checked again.
                self._serve(tuple(waiter.lines), now)
            if waiter.answer is not None:
                # Taken here, under the lock: an answer that is given from now on is another one.
                answer, waiter.answer = waiter.answer, None
                return answer
            if waiter in self._waiting:
                waiter.must_wake = False
                if waiter.wake_at <= now:
                    waiter.wake_at = math.inf  # not at a head, or stalled: the next release serves its line
                return None
            waiter.rank = (now + waiter.behind, next(self._order))
            outcome, blocking = self._evaluate(waiter, now)
            if isinstance(outcome, Refused) and isinstance(outcome.decision, WaitUntil):
                bound = self.policy.max_pending
                if bound is not None and len(self._waiting) >= bound:
                    return Refused(GiveUp(f"{bound} calls wait already", limited=True, queue=bound), outcome.blocked)
                self._waiting[waiter] = None
                waiter.wake_at = math.inf
                self._join_lines(waiter, outcome, blocking, now)
            return outcome

    def acquire_hedge(self, waiter: Waiter, running: int, now: float, *, budgeted: bool = True) -> Admitted | None:
        """Start a second attempt beside the one on candidate `running`, if the budget of hedges allows it.

        None is started while calls wait for their first attempt. An attempt that does the work of another one is not
        `budgeted`.
        """
        with self._lock:
            if (budgeted and self._hedge_tokens < 1.0) or self._waiting:
                return None
            choice = waiter.plan.choose_hedge(
                running,
                lambda index: waiter.is_affordable(index, running) and waiter.obstacle(index, now) is None,
            )
            if choice is None:
                return None
            self._hedge_tokens -= budgeted
            return Admitted(choice.index, self._begin(waiter, choice.index, now))

    def _begin(self, waiter: Waiter, index: int, now: float) -> Lease:
        counted = self._throttle.count_request(now)
        lease = waiter.begin(index, now)
        lease.counted = counted
        return lease

    def release(self, lease: Lease, now: float, *, sent: bool = True) -> None:
        """End an attempt. Its slot goes to the call that has waited longest for it.

        Args:
            sent: False if the request was never sent: it counts against no limit and not for the throttle.
        """
        with self._lock:
            lease.release(now, sent=sent)
            self._serve(lease.limiters, now)

    def withdraw(self, waiter: Waiter, now: float) -> None:
        """Remove a call from the lines; a slot that it was given meanwhile goes to the next."""
        with self._lock:
            answer, waiter.answer = waiter.answer, None
            self._serve(self._depart(waiter), now)
            if isinstance(answer, Admitted):
                answer.lease.release(now, sent=False)
                self._serve(answer.lease.limiters, now)

    def release_all(self, waiter: Waiter, now: float) -> None:
        """Release everything that a call still holds, after an interruption at any step."""
        if waiter.leases or waiter.lines or waiter in self._waiting:
            with self._lock:
                freed = self._depart(waiter)
                for lease in tuple(waiter.leases):
                    lease.release(now)
                    freed += lease.limiters
                self._serve(freed, now)

    def take_ready(self) -> tuple[Waiter, ...]:
        """Return the calls that the driver must wake from their `Sleep`."""
        if not self.ready:
            return ()
        with self._lock:
            ready = tuple(self.ready)
            self.ready.clear()
            return ready

    def recheck(self, key: str, now: float) -> None:
        """Check the calls that wait for this provider or candidate again: a quota of it has more room."""
        with self._lock:
            limiter = self._providers.get(key) or self.budgets.line_of(key)
            if limiter is None and key in self._states:
                limiter = self._states[key].limiters[2]
            if limiter is not None:
                limiter.update_slots(now)
                self._serve((limiter,), now)
                limiter.ask_again(now)

    @property
    def in_flight(self) -> int:
        """How many attempts hold a slot."""
        return self._router.in_flight

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    # -- results of attempts --------------------------------------------------------------------------------------

    def record_first_content(self, lease: Lease, now: float, limits: RateLimit | None, reported_at: float) -> None:
        """Record the first content, and the rate-limit headers that arrived at `reported_at`."""
        with self._lock:
            before = lease.state.breaker.rests
            self._throttle.count_answer(now)
            lease.record_first_content(now)
            lease.record_rate_limit(limits, reported_at)
            if self.shared is not None:
                self.shared.publish(lease.state.key, lease.state.breaker, before, now)
            self._serve(lease.state.limiters[2:], now)

    def record_success(
        self, lease: Lease, now: float, usage: Usage, limits: RateLimit | None, reported_at: float
    ) -> None:
        """Record a complete response, and the rate-limit headers that arrived at `reported_at`."""
        with self._lock:
            before = lease.state.breaker.rests
            if lease.first_content_at is None:
                self._throttle.count_answer(now)
            lease.record_success(now, usage)
            lease.record_rate_limit(limits, reported_at)
            if self.shared is not None:
                self.shared.publish(lease.state.key, lease.state.breaker, before, now)
            self._serve(lease.state.limiters[2:], now)

    def record_lost_race(self, lease: Lease, now: float) -> None:
        """Record that another attempt of the same call was faster."""
        with self._lock:
            lease.record_lost_race(now)

    def record_failure(
        self, lease: Lease, now: float, kind: FailureClass, rule: Rule, retry_after: float | None, *, sent: bool = True
    ) -> None:
        """Record a failure, which may open the breaker or start a cooldown. `sent` is that of `release`."""
        with self._lock:
            if not sent:
                lease.forget_request()
            before = lease.state.breaker.rests
            if not rule.health and kind is not FailureClass.RATE_LIMIT and lease.first_content_at is None:
                self._throttle.count_answer(now)  # a healthy provider refused this request alone
            lease.record_failure(now, kind, rule, retry_after, self._rng)
            if self.shared is not None:
                self.shared.publish(lease.state.key, lease.state.breaker, before, now)

    def outlook(self, waiter: Waiter, failed: int, running: int | None, now: float) -> tuple[bool, bool]:
        """Return the options of a call after a failure.

        Args:
            waiter: The call.
            failed: The index of the candidate that failed.
            running: The index of the candidate of an attempt that still runs; None if there is none.
            now: Monotonic seconds.

        Returns:
            True if another candidate can be used at once; and True if so few requests succeed that none is repeated.
        """
        with self._lock:
            free = False
            for index in waiter.plan.left:
                if index != failed and index != running:
                    obstacle = waiter.obstacle(index, now)
                    if obstacle is None or obstacle[0].is_preference:
                        free = True
                        break
            return free, self._throttle.refuses(now)

    # -- candidates -----------------------------------------------------------------------------------------------

    def known(self, key: str) -> CandidateState | None:
        """Return the state of the candidate `provider/model`, if it has one."""
        return self._states.get(key)

    def state_of(self, provider: str, key: str, profile: ModelProfile) -> CandidateState:
        """Return the state of a candidate; make it if it has none."""
        with self._lock:
            state = self._states.get(key)
            if state is None:
                outer = self._providers.get(provider)
                if outer is None:
                    outer = self._providers[provider] = self._limiter(provider, self._router)
                limiters = (self._router, outer, self._limiter(key, outer))
                state = CandidateState(key, limiters, Breaker(self.policy.breaker), profile, settings=self.policy)
                self._states[key] = state
                if self.shared is not None:
                    self.shared.watch(key, state.breaker)
            return state

    def _limiter(self, name: str, parent: Limiter) -> Limiter:
        make_slots = self.shared.make_slots if self.shared is not None else None
        return Limiter(name, limit_of(self.policy.limits, name), parent, self.make_quota, make_slots)

    def update_profiles(self, provider: Provider) -> None:
        """Take over the model facts of a provider that replaces another one of the same name, for the models in use."""
        with self._lock:
            for key, state in self._states.items():
                if state.limiters[1].name == provider.name:
                    state.profile = provider.facts(key.partition("/")[2])

    def update(self, policy: Policy, now: float) -> None:
        """Take over new settings of the router. Attempts in flight keep their slots; calls that wait are served."""
        with self._lock:
            self.policy = policy
            self._router.update(Limit(max_concurrency=policy.max_concurrency))
            self.budgets.update(policy.budgets, now)
            for name, limiter in self._providers.items():
                limiter.update(limit_of(policy.limits, name))
            for key, state in self._states.items():
                state.update(policy, limit_of(policy.limits, key))
            own = [state.limiters[2] for state in self._states.values()]
            self._serve((self._router, *self._providers.values(), *own, *self.budgets.lines()), now)

    def evict_provider(self, provider: str) -> None:
        """Forget the candidates of this provider, because it is not registered any more."""
        with self._lock:
            for key in [key for key, state in self._states.items() if state.limiters[1].name == provider]:
                del self._states[key]

    def _evict_idle(self, now: float) -> None:
        """Forget idle candidates: users may name models without end."""
        self._states = {key: state for key, state in self._states.items() if not state.is_idle(now)}
        self._evict_at = max(EVICT_ABOVE, 2 * len(self._states))

    def states(self) -> Mapping[str, CandidateState]:
        """Return the known facts about each candidate, by `provider/model`."""
        with self._lock:
            return dict(self._states)

    # -- lines (under the lock) -------------------------------------------------------------------------------------

    def _evaluate(self, waiter: Waiter, now: float) -> tuple[Admitted | Refused | None, list[Limiter]]:
        """Admit a call to its first free candidate, or return the limiters that block it.

        Returns:
            None and no limiters if more candidates must be looked up first, which a call that waits has done.
        """
        found: list[tuple[int, Blocked]] = []
        limiters: list[Limiter] = []
        choice: Choice | None = None
        throttled = False
        for index in waiter.plan.left:
            obstacle = waiter.obstacle(index, now)
            if obstacle is None:
                if found:
                    del found[waiter.first_soon_enough(found, index) :]
                choice = TryCandidate(waiter.plan.left[len(found)])
                break
            found.append((index, obstacle[0].rounded()))
            limiters.append(obstacle[1])
        if choice is None:
            if waiter.has_more:
                return None, []
            at, plan = round(now - waiter.started, 6), waiter.plan
            choice = plan.choose(found, at)
            # The first attempt of a call is never throttled, nor a retry that was granted when the last one failed.
            repeats = isinstance(choice, TryCandidate) and choice.forced and plan.attempts and not plan.may_repeat
            if repeats and self._throttle.refuses(now):
                throttled, choice = True, plan.choose(found, at, throttled=True)
        if isinstance(choice, TryCandidate):
            if choice.forced:
                waiter.candidates[choice.index].state.pace.ask_anyway(now)
            lease = self._begin(waiter, choice.index, now)
            return Admitted(choice.index, lease, tuple(found), choice.forced, throttled), []
        return Refused(choice, tuple(found), throttled), limiters

    def _serve(self, limiters: Iterable[Limiter], now: float) -> None:
        """Admit calls from the heads of these lines, the longest waiting first, until each head is blocked."""
        if not self._waiting:
            return
        pending: dict[Limiter, None] = {}
        for limiter in limiters:
            if limiter.line:
                pending[limiter] = None
            if limiter.stalled:
                pending.update(limiter.stalled)
                limiter.stalled.clear()
        while pending:
            if self._router.is_full():
                self._router.stalled.update(dict.fromkeys(other for other in pending if other is not self._router))
                return
            served = min(pending, key=Limiter.rank_of_head) if len(pending) > 1 else next(iter(pending))
            waiter = served.head
            if waiter is None or served.is_full():
                del pending[served]
                continue
            assert isinstance(waiter, Waiter)
            outcome, blocking = self._evaluate(waiter, now)
            if isinstance(outcome, Refused) and isinstance(outcome.decision, WaitUntil):
                self._join_lines(waiter, outcome, blocking, now)
                if served in waiter.lines:
                    del pending[served]  # its head is blocked, and so are the calls behind it
                continue
            pending.update(dict.fromkeys(self._depart(waiter)))
            waiter.answer = outcome
            self.ready.append(waiter)

    def _depart(self, waiter: Waiter) -> list[Limiter]:
        """Remove a call from all lines, and return the limiters that had it at the head of their line."""
        self._waiting.pop(waiter, None)
        headed = [limiter for limiter in waiter.lines if limiter.head is waiter]
        for limiter in tuple(waiter.lines):
            limiter.leave(waiter)
        return headed

    def _join_lines(self, waiter: Waiter, outcome: Refused, blocking: list[Limiter], now: float) -> None:
        """Put a waiting call into the lines of the limiters that block it, and set the time of its next check.

        It stays in the line of a limiter that has room, if a limiter around that one blocks it.
        """
        for limiter in [limiter for limiter in waiter.lines if limiter not in blocking]:
            outer = next((other for other in blocking if limiter.is_inside(other)), None)
            if outer is None:
                limiter.leave(waiter)
            else:
                outer.stalled[limiter] = None
        wake_at = math.inf
        for limiter, (_, blocked) in zip(blocking, outcome.blocked, strict=True):
            if limiter not in waiter.lines:
                limiter.join(waiter)
            soonest = min(blocked.wait, blocked.again)
            if soonest < math.inf and limiter.head is waiter:
                wake_at = min(wake_at, now + soonest)
        if wake_at < waiter.wake_at:
            waiter.must_wake = True
            self.ready.append(waiter)
        waiter.wake_at = wake_at
