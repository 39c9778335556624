"""The account of one process in a shared limit: the blocks that the store granted, and the spends within the window.

The store books a whole block in the last moment in which it can be spent. The next request reports the
spends with their times. So each `Spend` keeps the amount that the store has booked for it, and the bucket.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TypeAlias

import attrs

from turnout.shared.messages import Pairs

__all__ = ["Block", "News", "Spend", "SpendLedger", "Taken"]


@attrs.define(eq=False)
class Block:
    """An amount that the store granted.

    Attributes:
        bucket: The bucket in which the store has booked it.
        room: The part that is not spent.
        void_at: Seconds. From then on it must not be spent.
        void: True if it must not be spent any more.
    """

    bucket: int
    room: int
    void_at: float
    void: bool = False


@attrs.define(eq=False)
class Spend:
    """An amount that was spent from one block within a short time.

    Attributes:
        first: Seconds; the first of it.
        time: Seconds; the last of it.
        amount: The sum, corrections included.
        block: The block; None if it was spent without one.
        bucket: The bucket in which the store has booked it, if it has.
        booked: The amount that the store has booked there.
        final: True if it is booked at its own time, not at the end of its block.
        gone: True if it has left the window.
        sent: True if a request that reports it has no reply yet.
    """

    first: float
    time: float
    amount: int
    block: Block | None
    bucket: int | None = None
    booked: int = 0
    final: bool = False
    gone: bool = False
    sent: bool = False


Taken: TypeAlias = "list[tuple[Spend, int]]"
# Of each spend that a request reports: the spend, its amount, and its age in milliseconds.
News: TypeAlias = "tuple[tuple[Spend, int, int], ...]"


@attrs.define(eq=False)
class SpendLedger:
    """The blocks and the spends of one process.

    Attributes:
        seconds: The length of the window.
        grain: Seconds. Amounts within half of it share one entry.
        blocks: The blocks that can be spent, in the order in which they become void.
        history: The spends within the window, the oldest first.
        sum: Their amount.
    """

    seconds: float
    grain: float
    blocks: deque[Block] = attrs.field(factory=deque, init=False)
    history: deque[Spend] = attrs.field(factory=deque, init=False)
    sum: int = attrs.field(default=0, init=False)
    _changed: dict[Spend, None] = attrs.field(factory=dict, init=False)  # the next request reports these
    _released: dict[int, int] = attrs.field(factory=dict, init=False)

    @property
    def room(self) -> int:
        """The amount that can be spent from blocks, as of the last operation."""
        return sum(block.room for block in self.blocks)

    @property
    def has_released(self) -> bool:
        """True if the store has booked amounts that it can remove."""
        return bool(self._released)

    def take(self, amount: int, now: float) -> tuple[Taken, int]:
        """Spend an amount, from blocks as far as they have room.

        Returns:
            The spends, and the part that was spent without a block.
        """
        taken: Taken = []
        left = amount
        for block in self.blocks:
            if left <= 0:
                break
            part = min(left, block.room)
            if part > 0:
                block.room -= part
                left -= part
                taken.append((self._spend(part, block, now), part))
        if left > 0:
            taken.append((self._spend(left, None, now), left))
        return taken, max(0, left)

    def add(self, spend: Spend, amount: int) -> bool:
        """Add to a spend, because more was used than estimated. Return False if it has left the window."""
        if spend.gone:
            return False
        self.sum += amount
        if spend.sent or spend.final:
            # A separate entry, because the store may have booked the first one already.
            more = Spend(spend.time, spend.time, amount, None)
            self.history.append(more)
            self._changed[more] = None
        else:
            spend.amount += amount
        return True

    def take_back(self, spend: Spend, amount: int) -> None:
        """Reduce a spend, because less was used than estimated."""
        if spend.gone or amount <= 0:
            return
        spend.amount -= amount
        self.sum -= amount
        if spend.final or spend.sent:
            if not spend.sent:
                self._changed[spend] = None
            return
        part = min(amount, spend.booked)
        block = spend.block
        if block is not None and part > 0:
            spend.booked -= part
            if block.void:
                self._release(block.bucket, part)
            else:
                block.room += part

    def expire(self, now: float) -> None:
        """Remove the blocks that are void, and the spends that have left the window."""
        blocks = self.blocks
        while blocks and blocks[0].void_at <= now:
            self._void(blocks.popleft())
        history = self.history
        while history and history[0].time + self.seconds <= now:
            spend = history.popleft()
            spend.gone = True
            self.sum -= spend.amount
            self._changed.pop(spend, None)

    def void_blocks(self) -> None:
        """Give back every block."""
        while self.blocks:
            self._void(self.blocks.popleft())

    def news(self, now: float) -> tuple[Pairs, Pairs, News]:
        """Return the changes that the store does not know, and mark them as sent.

        Returns:
            (bucket, amount) pairs of bookings to remove; (age in milliseconds, amount) pairs of spends; and these
            spends.
        """
        spent: list[tuple[int, int]] = []
        news: list[tuple[Spend, int, int]] = []
        for spend in self._changed:
            # Rounded down: a younger spend leaves the window later.
            age = max(0, math.floor((now - spend.time) * 1000))
            booked = spend.booked
            if spend.final:
                booked -= spend.amount
            elif spend.amount > 0:
                spent.append((age, spend.amount))
            if spend.bucket is not None:
                self._release(spend.bucket, booked)
            spend.sent = True
            news.append((spend, spend.amount, age))
        released = tuple(self._released.items())
        self._changed = {}
        self._released = {}
        return released, tuple(spent), tuple(news)

    def confirm(self, news: News, store_now: int, grain: int) -> None:
        """Note that the store has applied the changes of a request.

        Args:
            news: The spends of the request.
            store_now: The store's clock, in milliseconds.
            grain: The length of a bucket, in milliseconds.
        """
        for spend, amount, age in news:
            spend.sent = False
            spend.booked = amount
            if not spend.final:
                spend.final = True
                spend.bucket = (store_now - age) // grain  # the same arithmetic as the store's
            if spend.amount != amount and not spend.gone:
                self._changed[spend] = None

    def forget_bookings(self) -> None:
        """Note that the store has lost its state. Blocks are void, and the next request reports all spends."""
        for block in self.blocks:
            block.void = True
            block.room = 0
        self.blocks.clear()
        self._released.clear()
        for spend in self.history:
            spend.block, spend.bucket, spend.booked = None, None, 0
            spend.final = spend.sent = False
            self._changed[spend] = None

    # -- inside -------------------------------------------------------------------------------------------------

    def _spend(self, amount: int, block: Block | None, now: float) -> Spend:
        self.sum += amount
        booked = amount if block is not None else 0
        last = self.history[-1] if self.history else None
        if (
            last is not None
            and last.block is block
            and not last.sent
            and not last.final
            and now < last.first + self.grain / 2
        ):
            last.time = now
            last.amount += amount
            last.booked += booked
            return last
        spend = Spend(now, now, amount, block, block.bucket if block is not None else None, booked)
        self.history.append(spend)
        self._changed[spend] = None
        return spend

    def _void(self, block: Block) -> None:
        block.void = True
        self._release(block.bucket, block.room)
        block.room = 0

    def _release(self, bucket: int, amount: int) -> None:
        if amount > 0:
            self._released[bucket] = self._released.get(bucket, 0) + amount
