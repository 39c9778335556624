"""The keys of clients: who calls, and what each key may still use."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Iterable
from typing import Final

import attrs

from turnout.http import Headers
from turnout.routing.state.limits import SlidingWindow
from turnout.serving import RequestRejected, ServedError
from turnout_io.serve.settings import BudgetSettings, KeySettings

__all__ = ["Admission", "Client", "Keyring", "period_of"]


def _rejected(
    status: int, type: str, code: str, messages_type: str, message: str, wait: float | None = None
) -> RequestRejected:
    return RequestRejected(
        ServedError(
            status=status,
            type=type,
            code=code,
            messages_type=messages_type,
            message=message,
            retry_after=wait,
            retryable=wait is not None,
        )
    )


def period_of(per: str, wall: float) -> str:
    """Return the name of the budget's period at a time: `2026-11-30`, or `2026-11`."""
    day = datetime.datetime.fromtimestamp(wall, datetime.UTC).strftime("%Y-%m-%d")
    return day if per == "day" else day[:7]


@attrs.define(eq=False)
class Client:
    """A key with what it has used.

    Args:
        name: The name of the key, `local` without keys.
        models: The patterns of names that it can use, None if the gateway decides.
    """

    name: str
    models: tuple[str, ...] | None = None
    settings: KeySettings | None = None
    in_flight: int = attrs.field(default=0, init=False)
    requests: SlidingWindow | None = attrs.field(default=None, init=False)
    tokens: SlidingWindow | None = attrs.field(default=None, init=False)
    _spent: float = attrs.field(default=0.0, init=False)
    _reserved: float = attrs.field(default=0.0, init=False)
    _period: str = attrs.field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        if self.settings is not None:
            requests, tokens = self.settings.requests_per_minute, self.settings.tokens_per_minute
            self.requests = SlidingWindow(requests) if requests is not None else None
            self.tokens = SlidingWindow(tokens) if tokens is not None else None

    @property
    def budget(self) -> BudgetSettings | None:
        """The budget of this key."""
        return self.settings.budget if self.settings is not None else None

    def spent(self, wall: float) -> float:
        """Return what the key has spent in the present period."""
        if self.budget is not None and (period := period_of(self.budget.per, wall)) != self._period:
            self._period, self._spent = period, 0.0
        return self._spent

    def add_spent(self, amount: float, wall: float) -> None:
        """Add to what the key has spent in the present period."""
        self.spent(wall)
        self._spent += amount

    def restore(self, period: str, amount: float, wall: float) -> None:
        """Take over an amount that was recorded in a period."""
        if self.budget is not None and period == period_of(self.budget.per, wall):
            self.add_spent(amount, wall)

    def admit(self, tokens: int, cost: float, now: float, wall: float) -> Admission:
        """Count a generation call.

        Args:
            tokens: Its tokens, estimated.
            cost: The most that it can cost, 0 if no price is known.
            now: Seconds of a monotonic clock.
            wall: Seconds since 1970.

        Raises:
            RequestRejected: A limit or the budget is reached. Nothing is counted then.
        """
        settings = self.settings
        if settings is None:
            self.in_flight += 1
            return Admission(self, 0, 0.0)
        if settings.max_concurrency is not None and self.in_flight >= settings.max_concurrency:
            raise _limited(f"{settings.max_concurrency} calls at the same time", 1.0)
        if self.requests is not None and (wait := self.requests.wait(1, now)) > 0:
            raise _limited(f"{settings.requests_per_minute} requests per minute", wait)
        if self.tokens is not None and (wait := self.tokens.wait(tokens, now)) > 0:
            raise _limited(f"{settings.tokens_per_minute} tokens per minute", wait)
        budget = settings.budget
        if budget is not None:
            left = budget.amount - self.spent(wall) - self._reserved
            if left <= 0 or cost > left:
                raise _rejected(
                    429,
                    "insufficient_quota",
                    "insufficient_quota",
                    "rate_limit_error",
                    f"the budget of this key is used up: {budget.amount:g} per {budget.per}, {max(0.0, left):.4g} left",
                )
            self._reserved += cost
        if self.requests is not None:
            self.requests.take(1, now)
        entry = self.tokens.take(tokens, now) if self.tokens is not None else None
        self.in_flight += 1
        admission = Admission(self, tokens, cost if budget is not None else 0.0)
        admission.tokens_taken = entry
        return admission

    def headers(self, now: float) -> list[tuple[str, str]]:
        """Return the headers that report the limits of this key. The provider's own limits are never reported."""
        fields: list[tuple[str, str]] = []
        for what, window in (("requests", self.requests), ("tokens", self.tokens)):
            if window is not None:
                left = max(0, math.floor(window.limit - window.taken(now)))
                fields += [
                    (f"x-ratelimit-limit-{what}", f"{window.limit:g}"),
                    (f"x-ratelimit-remaining-{what}", f"{left}"),
                    (f"x-ratelimit-reset-{what}", f"{math.ceil(window.wait(window.limit, now))}s"),
                ]
        return fields


def _limited(limit: str, wait: float) -> RequestRejected:
    return _rejected(
        429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error", f"this key may have {limit}", wait
    )


@attrs.define(eq=False)
class Admission:
    """One call that a key was granted. `settle` it exactly once, whatever happens."""

    client: Client
    tokens: int
    cost: float
    tokens_taken: object = attrs.field(default=None, init=False)
    _settled: bool = attrs.field(default=False, init=False)

    def settle(self, tokens: int | None, cost: float | None, wall: float) -> float:
        """Replace the estimates by what the call used.

        Args:
            tokens: The tokens of prompt and answer, None if they are not known.
            cost: The cost of all attempts, None if it is not known.
            wall: Seconds since 1970.

        Returns:
            The amount that counts against the budget.
        """
        if self._settled:
            return 0.0
        self._settled = True
        client = self.client
        client.in_flight -= 1
        client._reserved = max(0.0, client._reserved - self.cost)
        if client.tokens is not None and tokens is not None:
            client.tokens.correct(self.tokens_taken, tokens - self.tokens)  # type: ignore[arg-type]
        if client.budget is None or not cost:
            return 0.0
        client.add_spent(cost, wall)
        return cost


@attrs.define(eq=False)
class Keyring:
    """All keys of the gateway. Without keys, every client is `local`."""

    _by_digest: dict[bytes, Client]
    local: Client | None

    @classmethod
    def of(cls, keys: Iterable[KeySettings]) -> Keyring:
        """Return the keyring of these keys."""
        by_digest = {key.digest: Client(key.name, key.models, key) for key in keys}
        return cls(by_digest, None if by_digest else Client("local"))

    @property
    def clients(self) -> tuple[Client, ...]:
        """Every key."""
        return tuple(self._by_digest.values())

    def authenticate(self, headers: Headers) -> Client:
        """Return the key of a request.

        Raises:
            RequestRejected: The request has no key, or one that is not known.
        """
        if self.local is not None:
            return self.local
        secret = _secret(headers)
        client = self._by_digest.get(hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest())
        if client is None:
            problem = "this key is not known" if secret else "a key is required"
            raise _rejected(
                401,
                "invalid_request_error",
                "invalid_api_key",
                "authentication_error",
                f"{problem}; send a key of this gateway as `Authorization: Bearer …` or `x-api-key`",
            )
        return client


_HEADERS: Final = ("x-api-key", "api-key")


def _secret(headers: Headers) -> str:
    authorization = headers.get("authorization") or ""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return next((value.strip() for name in _HEADERS if (value := headers.get(name))), "")
