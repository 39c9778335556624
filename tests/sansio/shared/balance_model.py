"""The balance script in Python: slots and money of a fleet, as absolute values."""

from __future__ import annotations

import attrs

from turnout.shared.leases.timing import BALANCE_BEAT, BALANCE_GATHER, BALANCE_LIFE, BALANCE_PAUSE
from turnout.shared.messages import BalanceReply, BalanceRequest


@attrs.define
class Holder:
    spent: int = 0
    held: int = 0
    sequence: int = -1
    seen: int = 0
    need: int = 0
    want: int = 0
    turn: int = 0
    next: int = 0


@attrs.define
class BalanceState:
    epoch: str
    gather_until: int
    last: int
    base: int = 0
    holders: dict[str, Holder] = attrs.field(factory=dict)


@attrs.define
class BalanceModel:
    """The state of any number of balances. `messages` are those to the other processes."""

    states: dict[tuple[str, str], BalanceState] = attrs.field(factory=dict)
    messages: list[str] = attrs.field(factory=list)

    def flush(self) -> None:
        self.states.clear()

    def apply(self, request: BalanceRequest, now: int) -> BalanceReply:
        """Run the script on one request at `now`, milliseconds of the store's clock."""
        key = (request.name, request.period)
        state = self.states.get(key)
        if state is None:
            state = self.states[key] = BalanceState(f"{request.process}.{now}", now + BALANCE_GATHER, now)
        money = request.kind == "money"
        state.gather_until = min(state.gather_until, now + BALANCE_GATHER)
        state.base = max(state.base, request.floor)
        silence, state.last = now - state.last, now
        if silence > BALANCE_PAUSE:
            # Nobody could reach the store, so nobody is presumed dead for it.
            for name, holder in state.holders.items():
                holder.seen += silence
                if not money and name != request.process:
                    state.gather_until = now + BALANCE_GATHER
        freed = 0
        for name, holder in list(state.holders.items()):
            holder.seen = min(holder.seen, now)
            holder.next = min(holder.next, now + 2 * BALANCE_BEAT)
            if name != request.process and now - holder.seen > BALANCE_LIFE:
                if money:
                    state.base += holder.spent + holder.held
                else:
                    freed += holder.held
                del state.holders[name]
        me = state.holders.get(request.process)
        if me is None and money and request.epoch == state.epoch and request.sequence > 1:
            return BalanceReply(
                name=request.name, period=request.period, granted=0, free=0, base=state.base, elsewhere=0,
                waiting=0, processes=max(1, len(state.holders)), again=0, epoch=state.epoch, folded=True,
            )  # fmt: skip
        me = me or Holder()
        fresh = request.sequence > me.sequence
        leaving = request.leaving and fresh
        waited = me.want > 0 and now <= me.next + 2 * BALANCE_BEAT
        if fresh:
            freed += (
                max(0, me.held - request.held)
                if not money
                else max(0, me.held + me.spent - request.held - request.spent)
            )
            me.spent, me.held, me.sequence = max(me.spent, request.spent), request.held, request.sequence
        me.seen = me.next = now
        me.want = me.need = 0
        if leaving:
            if money:
                state.base += me.spent
            else:
                freed += me.held
            state.holders.pop(request.process, None)
        else:
            state.holders[request.process] = me
        others = [
            (name, holder)
            for name, holder in state.holders.items()
            if name != request.process and holder.want > 0 and now <= holder.next + 2 * BALANCE_BEAT
        ]
        total = sum(holder.spent + holder.held for holder in state.holders.values())
        free = request.bound - state.base - total
        granted, again = 0, 0
        if request.want > 0 and fresh and not leaving:
            granted, again = self._grant(state, request, me, others, free, now, waited=waited)
            me.next = now + again
        if freed > 0 and others:
            self.messages.append("free")
        if request.need > granted and len(state.holders) > 1 and now >= state.gather_until:
            self.messages.append("wait")
        elsewhere = sum(holder.held for name, holder in state.holders.items() if name != request.process)
        return BalanceReply(
            name=request.name,
            period=request.period,
            granted=granted,
            free=max(0, free - granted),
            base=state.base,
            elsewhere=elsewhere,
            waiting=len(others),
            processes=max(1, len(state.holders)),
            again=again,
            epoch=state.epoch,
            gathering=now < state.gather_until,
        )

    def _grant(
        self,
        state: BalanceState,
        request: BalanceRequest,
        me: Holder,
        others: list[tuple[str, Holder]],
        free: int,
        now: int,
        *,
        waited: bool,
    ) -> tuple[int, int]:
        if now < state.gather_until:
            if request.need > 0:
                me.want, me.need = request.want, request.need
            return 0, min(state.gather_until - now, 2 * BALANCE_BEAT)
        if request.need <= 0:
            left = free - sum(holder.want for _, holder in others)
            granted = max(0, min(request.want, left // (2 * max(1, len(state.holders)))))
        else:
            if not waited and others:
                me.turn = max(me.turn, min(holder.turn for _, holder in others))
            order = (me.turn, request.process)
            # One that cannot be served does not keep back the others.
            ahead = sum(h.need for name, h in others if (h.turn, name) < order and h.need <= free)
            left = free - ahead
            part = max(request.need, left // (2 * (len(others) + 1)))
            granted = min(request.want, part, left)
            if granted < request.need:
                granted = 0
            me.want, me.need = request.want - granted, request.need
        me.held += granted
        me.turn += granted
        return granted, 2 * BALANCE_BEAT if request.need > 0 and not granted else 0
