"""How long things may take, and how often they are tried again."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from turnout._validation import integer, number

__all__ = ["Policy", "Timers"]


def _seconds(default: float) -> Any:
    return attrs.field(default=default, validator=number(above=0))


@attrs.frozen(kw_only=True)
class Timers:
    """The timers of one attempt, in seconds. Each is cut to what is left of the call's deadline.

    connect        to a usable connection, TLS included
    head           from the beginning of an attempt to the head of a stream's answer (a unary answer comes with it)
    first_content  from sending to a stream's first content; comments and pings are not content
    idle           between events once content has come, counted only while we wait for bytes
    linger         after the answer's own terminator, for the HTTP body to end so that the connection can be reused
    """

    connect: float = _seconds(5.0)
    head: float = _seconds(30.0)
    first_content: float = _seconds(60.0)
    idle: float = _seconds(60.0)
    linger: float = _seconds(0.25)


@attrs.frozen(kw_only=True)
class Policy:
    """The rules of one router.

    timeout          seconds for a whole call: all attempts and waits; of a stream, until its first content
    timers           see `Timers`
    retries          how often the same candidate is tried again after a failure that may pass
    max_attempts     attempts of one call in all
    backoff          seconds; before the n-th retry of a candidate the wait is drawn from 0 to backoff · 2ⁿ⁻¹
    max_backoff      seconds; the ceiling of that range
    reserve          the share of the time left that an attempt may not use while other candidates are untried, so
                     that a hung primary cannot eat the fallback's time
    max_concurrency  attempts in flight in all; None is no bound
    on_full          at that bound: `wait` for a place, first come first served, or `reject` with ConcurrencyExceeded
    max_waiting      how many calls may wait for a place; None is no bound
    """

    timeout: float = _seconds(60.0)
    timers: Timers = attrs.field(factory=Timers, validator=attrs.validators.instance_of(Timers))
    retries: int = attrs.field(default=2, validator=integer(0))
    max_attempts: int = attrs.field(default=10, validator=integer(1))
    backoff: float = attrs.field(default=0.5, validator=number(0))
    max_backoff: float = attrs.field(default=8.0, validator=number(0))
    reserve: float = attrs.field(default=0.3, validator=number(0, 0.95))
    max_concurrency: int | None = attrs.field(default=None, validator=integer(1))
    on_full: Literal["wait", "reject"] = attrs.field(default="wait", validator=attrs.validators.in_(("wait", "reject")))
    max_waiting: int | None = attrs.field(default=None, validator=integer(0))
