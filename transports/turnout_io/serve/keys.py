"""The keys of clients, and the limits and budgets that each key has left."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from turnout.http import Headers
from turnout.routing.policy.budgets import amount_text
from turnout.routing.state.budgets import BudgetAccount, BudgetReservation, BudgetStatus
from turnout.routing.state.limits import Booking, Quota, SlidingWindow, Slots
from turnout.serving import RequestRejected, ServedError
from turnout_io.serve.settings import KeySettings

if TYPE_CHECKING:
    from turnout.routing.state.shared_limits import SharedLimits

__all__ = ["Admission", "Client", "Keyring", "Undecided"]

# Seconds. The store grants within a beat (0.5 s); a store without a state lets every gateway report first (2.5 s).
_GRANT_WAIT: Final = 1.0
_FIRST_GRANT_WAIT: Final = 5.0


class Undecided(Exception):
    """The store may grant the needs of a call, but has not done so yet.

    Args:
        rejection: The error of the client, if nothing is granted until `until`.
        until: Seconds of the monotonic clock.
    """

    def __init__(self, rejection: RequestRejected, until: float) -> None:
        super().__init__(str(rejection))
        self.rejection = rejection
        self.until = until


def _rejected(
    status: int,
    type: str,
    code: str,
    messages_type: str,
    message: str,
    wait: float | None = None,
    bound: str = "",
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
            bound=bound,
        )
    )


@attrs.define(eq=False)
class Client:
    """A key with its usage.

    Args:
        name: The name of the key, `local` without keys.
        models: The patterns of names that it can use, None if the gateway decides.
        settings: The rights and limits of the key.
        shared: The store through which several gateways share the limits of the key; None if this one has them alone.
    """

    name: str
    models: tuple[str, ...] | None = None
    settings: KeySettings | None = None
    shared: SharedLimits | None = None
    in_flight: int = attrs.field(default=0, init=False)
    requests: Quota | None = attrs.field(default=None, init=False)
    tokens: Quota | None = attrs.field(default=None, init=False)
    slots: Slots | None = attrs.field(default=None, init=False)
    account: BudgetAccount | None = attrs.field(default=None, init=False)
    _first_used: float = attrs.field(default=math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        settings, shared = self.settings, self.shared
        if settings is None:
            return
        requests, tokens, slots = settings.requests_per_minute, settings.tokens_per_minute, settings.max_concurrency
        shared_name = f"serve.keys/{self.name}"
        if requests is not None:
            made = shared.make_quota(shared_name, "requests", requests) if shared is not None else None
            self.requests = made or SlidingWindow(requests)
        if tokens is not None:
            made = shared.make_quota(shared_name, "tokens", tokens) if shared is not None else None
            self.tokens = made or SlidingWindow(tokens)
        if slots is not None and shared is not None:
            self.slots = shared.make_slots(shared_name, slots)
        if settings.budget is not None:
            self.account = BudgetAccount(shared_name, settings.budget, shared=shared)

    @property
    def priority(self) -> float:
        """The priority of its calls."""
        return self.settings.priority if self.settings is not None else 0.0

    def admit(self, tokens: int, costs: Sequence[float], now: float, wall: float, *, patient: bool = True) -> Admission:
        """Count a generation call.

        Args:
            tokens: Its tokens, estimated.
            costs: The most that it can cost with each of its candidates, the dearest first; 0 for what is free.
            now: Seconds of a monotonic clock.
            wall: Seconds since 1970.
            patient: True if the call can wait for what the store may grant.

        Raises:
            RequestRejected: A limit or the budget is reached. Nothing is counted then.
            Undecided: The store may grant it soon. Nothing is counted then.
        """
        settings = self.settings
        if settings is None:
            self.in_flight += 1
            return Admission(self)
        self._first_used = min(self._first_used, now)
        # Everything is checked, so that one request to the store names everything that is missing.
        errors = [error for error in self._refusals(settings, tokens, now) if error is not None]
        admission = Admission(self, tokens, wall)
        try:
            if self.account is not None:
                self._reserve(self.account, admission, costs, now, wall, patient=patient, only_check=bool(errors))
        except (RequestRejected, Undecided):
            if not errors:
                raise
        if errors:
            raise self._rejection(errors[0], now)
        if self.requests is not None:
            self.requests.take(1, now)
        if self.tokens is not None:
            admission.tokens_taken = self.tokens.take(tokens, now)
        if self.slots is not None:
            self.slots.acquire(admission, now)
        self.in_flight += 1
        return admission

    def _refusals(self, settings: KeySettings, tokens: int, now: float) -> Iterator[RequestRejected | None]:
        """Yield an error for each limit that has no room for a call."""
        slots = settings.max_concurrency
        if self.slots is not None:
            full = self.in_flight >= self.slots.count(now) and self.slots.wait(now) > 0
        else:
            full = slots is not None and self.in_flight >= slots
        yield _limited(f"{slots} calls at the same time", 1.0, "maxConcurrency") if full else None
        wait = self.requests.wait(1, now) if self.requests is not None else 0.0
        limit = f"{settings.requests_per_minute} requests per minute"
        yield _limited(limit, wait, "requestsPerMinute") if wait > 0 else None
        wait = self.tokens.wait(tokens, now) if self.tokens is not None else 0.0
        limit = f"{settings.tokens_per_minute} tokens per minute"
        yield _limited(limit, wait, "tokensPerMinute") if wait > 0 else None

    def _rejection(self, error: RequestRejected, now: float) -> RequestRejected | Undecided:
        if self.shared is None:
            return error
        return Undecided(error, max(now + _GRANT_WAIT, self._first_used + _FIRST_GRANT_WAIT))

    def _reserve(
        self,
        account: BudgetAccount,
        admission: Admission,
        costs: Sequence[float],
        now: float,
        wall: float,
        *,
        patient: bool,
        only_check: bool,
    ) -> None:
        """Reserve the most that a call can cost: with its dearest candidate that the budget has room for.

        Raises:
            RequestRejected: The rest of the budget is less than the call can cost, or others have reserved it.
            Undecided: The store may grant it soon.
        """
        for cost in costs:
            verdict, _ = account.check(cost, now, wall)
            if verdict == "fits":
                break
            if verdict == "wait" and patient and self.shared is not None:
                raise self._rejection(_exhausted(account, costs, None), now)
        else:
            left = account.status(wall).left if self.shared is None else None
            raise _exhausted(account, costs, left)
        if cost < costs[0]:
            admission.max_cost = cost
        if not only_check:
            admission.reservation = account.reserve(cost, now, wall)

    def headers(self, now: float) -> list[tuple[str, str]]:
        """Return the headers that report the limits of this key. The provider's own limits are never reported.

        The rest of a limit is reported only if this gateway has the limit alone.
        """
        fields: list[tuple[str, str]] = []
        settings = self.settings
        if settings is None:
            return fields
        for what, window, limit in (
            ("requests", self.requests, settings.requests_per_minute),
            ("tokens", self.tokens, settings.tokens_per_minute),
        ):
            if window is not None:
                fields.append((f"x-ratelimit-limit-{what}", f"{limit}"))
            if isinstance(window, SlidingWindow):
                left = max(0, math.floor(window.limit - window.taken(now)))
                fields += [
                    (f"x-ratelimit-remaining-{what}", f"{left}"),
                    (f"x-ratelimit-reset-{what}", f"{math.ceil(window.wait(window.limit, now))}s"),
                ]
        return fields


def _limited(limit: str, wait: float, bound: str) -> RequestRejected:
    message = f"this key may have {limit}"
    return _rejected(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error", message, wait, bound)


def _exhausted(account: BudgetAccount, costs: Sequence[float], left: float | None) -> RequestRejected:
    """Return the error of a call that the budget has no room for.

    Args:
        account: The budget.
        costs: The most that the call can cost with each candidate, the dearest first.
        left: The amount that is neither spent nor reserved. None if other gateways share it.
    """
    if left == 0:
        message = f"the budget of this key is used up: {account}"
    else:
        rest = f"{amount_text(left)} of {account} is left" if left is not None else f"less of {account} is left"
        cost = amount_text(costs[-1]) + (" or more" if len(costs) > 1 else "")
        message = (
            f"this call can cost {cost}, and in the budget of this key {rest}; "
            "allow a shorter answer (max_tokens), or use a cheaper model"
        )
    return _rejected(429, "insufficient_quota", "insufficient_quota", "rate_limit_error", message, bound="budget")


@attrs.define(eq=False)
class Admission:
    """One call that a key was granted. `settle` it exactly once, whatever happens.

    Attributes:
        client: The key.
        tokens: The tokens that were estimated.
        wall: When it was granted, in seconds since 1970.
        tokens_taken: The booking of the tokens.
        reservation: What it has reserved of the budget.
        max_cost: The most that it may cost, if that excludes candidates; None if the budget excludes none.
    """

    client: Client
    tokens: int = 0
    wall: float = 0.0
    tokens_taken: Booking | None = attrs.field(default=None, init=False)
    reservation: BudgetReservation | None = attrs.field(default=None, init=False)
    max_cost: float | None = attrs.field(default=None, init=False)
    _settled: bool = attrs.field(default=False, init=False)

    def settle(self, tokens: int | None, cost: float | None, now: float) -> float:
        """Replace the estimates by the real usage of the call.

        Args:
            tokens: The tokens of prompt and answer, None if they are not known.
            cost: The cost of all attempts, None if it is not known.
            now: Seconds of a monotonic clock.

        Returns:
            The amount that counts against the budget.
        """
        if self._settled:
            return 0.0
        self._settled = True
        client = self.client
        client.in_flight -= 1
        if client.slots is not None:
            client.slots.release(self)
        if client.tokens is not None and self.tokens_taken is not None and tokens is not None:
            client.tokens.correct(self.tokens_taken, tokens - self.tokens)
        if self.reservation is None:
            return 0.0
        self.reservation.settle(cost or 0.0, now)
        return cost or 0.0


@attrs.define(eq=False)
class Keyring:
    """All keys of the gateway. Without keys, every client is `local`."""

    _by_digest: dict[bytes, Client]
    local: Client | None

    @classmethod
    def of(cls, keys: Iterable[KeySettings], shared: SharedLimits | None = None) -> Keyring:
        """Return the keyring of these keys.

        Args:
            keys: The settings of the keys.
            shared: The store through which gateways share the limits of the keys; None for nothing.
        """
        by_digest = {key.digest: Client(key.name, key.models, key, shared) for key in keys}
        return cls(by_digest, None if by_digest else Client("local"))

    @property
    def clients(self) -> tuple[Client, ...]:
        """Every key."""
        return tuple(self._by_digest.values())

    def budgets(self, wall: float) -> list[tuple[str, BudgetStatus]]:
        """Return the name of each key with a budget, and how much of that is left."""
        return [(one.name, one.account.status(wall)) for one in self.clients if one.account is not None]

    def authenticate(self, headers: Headers) -> Client:
        """Return the key of a request.

        Raises:
            RequestRejected: The request has no key, or one that is not known.
        """
        if self.local is not None:
            return self.local
        secret = _secret(headers)
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
        # A variable without a value has a digest too: that of no key at all.
        client = self._by_digest.get(digest) if secret else None
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
