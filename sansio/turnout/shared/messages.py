"""What processes and the store exchange. Only durations travel, never times: no two clocks need to agree."""

from __future__ import annotations

from typing import TypeAlias

import attrs

__all__ = ["Pairs", "WindowReply", "WindowRequest"]

Pairs: TypeAlias = tuple[tuple[int, int], ...]


@attrs.frozen(kw_only=True)
class WindowRequest:
    """Renews the lease of one process on one limit. It is sent again unchanged if its reply is lost.

    Attributes:
        name: The limit.
        window: Milliseconds in which at most `limit` may be spent.
        limit: What this process knows as the limit.
        burst: What may be granted at once.
        process: The identifier of this process.
        sequence: A number that grows with each new request. The store applies `released` and `spent` once for each.
        need: The least amount that the first waiting call can use; 0 if no call waits.
        want: The amount that this process can use.
        epoch: The state of the store that this process knows, "" for none.
        full: True if `spent` is everything that this process spent within the window.
        returned: True if the store was out of reach since the last reply.
        leaving: True if this process ends.
        released: (bucket, amount) pairs: bookings that the store removes.
        spent: (age in milliseconds, amount) pairs: what was really spent, and how long ago.
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
        free: What the window still allows after this grant.
        credit: What may be granted at once after this grant.
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
