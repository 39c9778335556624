"""The window script in Python: what the Lua must do, with the store's clock in the hands of the test."""

from __future__ import annotations

import math

import attrs

from turnout.shared.leases.timing import WindowTiming
from turnout.shared.messages import WindowReply, WindowRequest

SMOOTH = 1.1
FIRST_CREDIT = 10  # what may be granted at once by a store that knows nothing yet


@attrs.define
class Member:
    """What the store keeps of one process."""

    seen: int
    turn: int = 0
    want: int = 0
    need: int = 0
    sequence: int = -1
    next: int = 0
    limit: int = 0


@attrs.define
class WindowState:
    epoch: str
    gather_until: int
    last: int
    credit: float
    buckets: dict[int, int] = attrs.field(factory=dict)
    members: dict[str, Member] = attrs.field(factory=dict)


@attrs.define
class WindowModel:
    """The state of any number of limits."""

    states: dict[str, WindowState] = attrs.field(factory=dict)

    def flush(self) -> None:
        self.states.clear()

    def apply(self, request: WindowRequest, now: int) -> WindowReply:
        """Run the script on one request at `now`, milliseconds of the store's clock."""
        timing = WindowTiming.of(request.window / 1000)
        state = self.states.get(request.name)
        if state is None:
            state = WindowState(
                f"{request.process}.{now}", now + timing.gather, now, float(min(request.burst, FIRST_CREDIT))
            )
            self.states[request.name] = state
        if request.epoch != state.epoch and not request.full:
            return WindowReply(
                name=request.name, granted=0, now=now, free=0, credit=0, processes=1, again=0,
                epoch=state.epoch, limit=request.limit, resync=True,
            )  # fmt: skip
        return _Turn(state, request, timing, now).run()


@attrs.define
class _Turn:
    state: WindowState
    request: WindowRequest
    timing: WindowTiming
    now: int

    def run(self) -> WindowReply:
        state, request, timing, now = self.state, self.request, self.timing, self.now
        top = now // timing.grain + timing.hold_buckets
        self._mind_clock(top)
        buckets = state.buckets
        for bucket in [b for b in buckets if (b + 1) * timing.grain + timing.window <= now or buckets[b] <= 0]:
            del buckets[bucket]
        me = state.members.get(request.process) or Member(now)
        # Nobody could reach the store for a while: what was spent meanwhile is reported before anything is granted.
        if now - state.last > timing.gather and (
            request.returned or request.full or request.spent or sum(buckets.values()) > 0
        ):
            others = [m for name, m in state.members.items() if name != request.process]
            if any(state.last - member.seen <= timing.window for member in others):
                state.gather_until = now + timing.gather
        for name in [n for n, m in state.members.items() if now - m.seen > timing.window]:
            del state.members[name]
        me.limit = request.limit
        limit = min([me.limit, *(m.limit for n, m in state.members.items() if n != request.process)])
        state.credit = min(request.burst, state.credit + max(0, now - state.last) * self._pace(limit))
        state.last = now
        leaving = request.leaving and request.sequence >= me.sequence
        if request.sequence > me.sequence:
            self._apply_news(top)
            me.sequence = request.sequence
        if leaving:
            state.members.pop(request.process, None)
        else:
            state.members[request.process] = me
        room = limit - sum(buckets.values())
        granted, again = (0, 0) if leaving else self._grant(me, limit, room, top)
        return WindowReply(
            name=request.name,
            granted=granted,
            now=now,
            free=0 if now < state.gather_until else max(0, room - granted),
            credit=max(0, int(state.credit)),
            processes=max(1, len(state.members)),
            again=again,
            epoch=state.epoch,
            limit=limit,
        )

    def _pace(self, limit: int) -> float:
        """Return the rate, in a millisecond, that can be kept for a whole window without standing still.

        After a burst that is less than the limit's own: what was spent at once comes back at once, a window later.
        """
        timing, buckets = self.timing, self.state.buckets
        pace = limit / timing.window
        if self.request.burst >= limit:
            return pace
        slack = max(2 * pace * timing.grain, self.request.need)
        back = SMOOTH * (limit - sum(buckets.values()) + slack)
        for bucket in sorted(buckets):
            pace = min(pace, back / ((bucket + 1) * timing.grain + timing.window - self.now))
            back += SMOOTH * buckets[bucket]
        return max(0.0, pace)

    def _mind_clock(self, top: int) -> None:
        """The store's clock may have been set back: what lies in the future counts as now."""
        state, timing, now = self.state, self.timing, self.now
        state.last = min(state.last, now)
        state.gather_until = min(state.gather_until, now + timing.gather)
        late = sum(amount for bucket, amount in state.buckets.items() if bucket > top)
        if late:
            state.buckets = {bucket: amount for bucket, amount in state.buckets.items() if bucket <= top}
            state.buckets[top] = state.buckets.get(top, 0) + late
        for member in state.members.values():
            member.seen = min(member.seen, now)
            member.next = min(member.next, now + 2 * timing.beat)

    def _apply_news(self, top: int) -> None:
        state, request, buckets = self.state, self.request, self.state.buckets
        balance = 0
        for bucket, amount in request.released:
            part = min(amount, buckets.get(bucket, 0))
            if part > 0:
                buckets[bucket] -= part
            balance += amount
        for age, amount in request.spent:
            bucket = min(top, (self.now - age) // self.timing.grain)
            buckets[bucket] = buckets.get(bucket, 0) + amount
            balance -= amount
        state.credit = min(request.burst, state.credit + max(0, balance))

    def _waiting(self, member: Member) -> bool:
        """True if this process waits, and has kept its promise to come back."""
        return member.want > 0 and self.now <= member.next + 2 * self.timing.beat

    def _grant(self, me: Member, limit: int, room: int, top: int) -> tuple[int, int]:
        """Return what is granted, and the milliseconds after which it is worth coming back."""
        state, request, timing, now = self.state, self.request, self.timing, self.now
        waited = self._waiting(me)
        me.seen = me.next = now
        me.want, me.need = 0, 0
        others = [(name, m) for name, m in state.members.items() if name != request.process and self._waiting(m)]
        if request.want <= 0:
            return 0, 0
        need = min(request.need, limit)
        burst = request.burst
        free = float(room)
        credit = state.credit
        if need > burst and credit >= burst * 0.99:
            credit = need  # one request that is larger than the burst goes into debt
        free = min(free, credit)
        if now < state.gather_until:
            again = state.gather_until - now
            grant = 0
            if need > 0:
                me.want, me.need = request.want, need
        elif need <= 0:
            # Nobody waits here: a stock for the next calls, as long as there is plenty for all.
            claimed = sum(member.want for _, member in others)
            grant = int(max(0, min(request.want, (free - claimed) / (2 * max(1, len(state.members))))))
            again = 0
        else:
            if not waited and others:
                # Who was away gains nothing by it; said once, when it begins to wait.
                me.turn = max(me.turn, min(member.turn for _, member in others))
            me.want, me.need = request.want, need
            share = self._share(max(limit * timing.beat / timing.window, free), [m.want for _, m in others])
            share = max(need, int(share))
            order = (me.turn, request.process)
            ahead = sum(
                max(member.need, min(member.want, share)) for name, member in others if (member.turn, name) < order
            )
            most = min(request.want, share, max(need, burst))
            least = max(need, most // 2)  # no crumbs
            grant = int(min(most, free - ahead))
            if grant < least:
                grant = 0
                lack = ahead + least - room
                if lack > 0:
                    again = self._until_free(lack)
                else:
                    aim = burst if need > burst else min(ahead + least, burst)
                    again = max(1, math.floor((aim - min(room, state.credit)) * timing.window / limit) + 1)
            elif grant < request.want:
                again = min(timing.beat, grant * (len(others) + 1) * timing.window // limit + 1)
            else:
                again = 0
            me.want = request.want - grant
        if grant > 0:
            state.buckets[top] = state.buckets.get(top, 0) + grant
            state.credit -= grant
            me.turn += grant
        again = max(0, min(again, 2 * timing.beat))
        me.next = now + again
        return grant, again

    def _share(self, amount: float, wants: list[int]) -> float:
        """Return the max-min share of `amount` for this process and those that want so much."""
        wants = sorted([*wants, self.request.want])
        left, share = amount, amount
        for position, want in enumerate(wants):
            share = left / (len(wants) - position)
            if want > share:
                break
            left -= want
            share = float(want)
        return share

    def _until_free(self, lack: int) -> int:
        """Return the milliseconds until so much has left the window."""
        for bucket in sorted(self.state.buckets):
            lack -= self.state.buckets[bucket]
            if lack <= 0:
                return (bucket + 1) * self.timing.grain + self.timing.window - self.now
        return 2 * self.timing.beat
