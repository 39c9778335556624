"""What processes and the store exchange. Only durations travel, never times: no two clocks need to agree."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

__all__ = ["BalanceKind", "BalanceReply", "BalanceRequest", "Pairs", "WindowReply", "WindowRequest"]

Pairs: TypeAlias = tuple[tuple[int, int], ...]
BalanceKind: TypeAlias = Literal["slots", "money"]


@attrs.frozen(kw_only=True)
class WindowRequest:
    """Renews the lease of one process on one limit. It is sent again unchanged if its reply is lost.

    Attributes:
        name: The limit.
        window: Milliseconds in which at most `limit` may be spent.
        limit: The limit in the settings of this process.
        burst: The amount that can be granted at once.
        process: The identifier of this process.
        sequence: A number that grows with each new request. The store applies `released` and `spent` once for each.
        need: The least amount that the first waiting call can use; 0 if no call waits.
        want: The amount that this process can use.
        epoch: The state of the store that this process knows, "" for none.
        full: True if `spent` is everything that this process spent within the window.
        returned: True if the store was out of reach since the last reply.
        leaving: True if this process ends.
        released: (bucket, amount) pairs: bookings that the store removes.
        spent: (age in milliseconds, amount) pairs: the amounts spent, and their ages.
    """

    name: str
    window: int
    limit: int
    burst: int
    process: str
    sequence: int
    need: int
    want: int
    epoch: str
    full: bool = False
    returned: bool = False
    leaving: bool = False
    released: Pairs = ()
    spent: Pairs = ()


@attrs.frozen(kw_only=True)
class WindowReply:
    """The store's reply to a `WindowRequest`.

    Attributes:
        name: The limit.
        granted: The amount that the process may spend within the hold time.
        now: Milliseconds, the store's clock.
        free: The rest of the window after this grant.
        credit: The amount that can be granted at once after this grant.
        processes: How many processes use this limit.
        again: Milliseconds after which the next request of a waiting process can succeed.
        epoch: The state of the store.
        limit: The smallest limit that a process in the window sent.
        resync: True if the store does not know this process: nothing was applied, and a full report must follow.
    """

    name: str
    granted: int
    now: int
    free: int
    credit: int
    processes: int
    again: int
    epoch: str
    limit: int
    resync: bool = False


@attrs.frozen(kw_only=True)
class BalanceRequest:
    """States the part of one process in a fixed amount: slots, or money of one period.

    The values are totals, never differences, so a request that is applied twice changes nothing, and a lost reply, a
    flush and a failover heal with the next request.

    Attributes:
        name: The limit or the budget.
        period: The period of a budget, such as `2026-11`; "" for slots.
        kind: "slots" return when they are given back; "money" is spent for good.
        bound: At most so much is spent and held by all processes together.
        process: The identifier of this process; after the store presumed it dead it needs another.
        sequence: A number that grows with each request. The store ignores an older one.
        spent: The amount that this process has spent in all.
        held: The amount that it keeps for itself and has not spent.
        need: The least amount that the first waiting call can use; 0 if no call waits.
        want: The amount that it can use beyond `held`.
        floor: The amount spent by dead processes, as the store last reported; it restores this after a flush.
        epoch: The state of the store that this process knows, "" for none.
        leaving: True if this process ends, or stops using this amount.
        lasts: Milliseconds after which the store may forget this key; 0 for never.
    """

    name: str
    period: str = ""
    kind: BalanceKind
    bound: int
    process: str
    sequence: int
    spent: int
    held: int
    need: int
    want: int
    floor: int
    epoch: str
    leaving: bool = False
    lasts: int = 0


@attrs.frozen(kw_only=True)
class BalanceReply:
    """The store's reply to a `BalanceRequest`.

    Attributes:
        name: The limit or the budget.
        period: The period of a budget.
        granted: The amount that this process can hold in addition.
        free: The amount that is neither spent nor held after this grant.
        base: What processes that are gone have spent, or are presumed to have spent.
        elsewhere: What other processes hold and have not spent.
        waiting: How many other processes wait.
        processes: How many processes take part.
        again: Milliseconds after which the next request of a waiting process may succeed.
        epoch: The state of the store.
        gathering: True if the store grants nothing because it waits for the reports of all processes.
        folded: True if the store presumed this process dead and counts all that it held as spent. Nothing was applied.
    """

    name: str
    period: str = ""
    granted: int
    free: int
    base: int
    elsewhere: int
    waiting: int
    processes: int
    again: int
    epoch: str
    gathering: bool = False
    folded: bool = False
